//! Marks of clients that an account was used from before: their tries are counted apart from those of strangers.
//!
//! Must never let anybody in: who has a mark still needs the password. Must never be kept other than as a hash, and never be
//! taken from a browser that did not get it from here, or a planted one would count for whoever planted it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exeunt::Timestamp;
use exeunt::store::async_trait;
use sha2::{Digest as _, Sha256};

use super::asking::Asking;
use super::{AccountError, Accounts, events};

/// The most marks in one cookie: so many people may share a browser.
const MOST_IN_A_COOKIE: usize = 5;
/// The most clients of an account that are remembered. One more forgets the one that was unused the longest.
pub(super) const MOST_OF_AN_ACCOUNT: i64 = 20;

/// One mark: 16 random bytes. Debug prints `Mark(..)`.
#[derive(Clone, PartialEq, Eq)]
struct Mark([u8; 16]);

impl Mark {
    #[expect(clippy::disallowed_methods, reason = "the one place of the server that makes marks")]
    fn generate() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        Self(bytes)
    }

    fn verifier(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(..)")
    }
}

/// The marks of one client, the newest first: one for each account that it was used for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    /// As they stand in a cookie; what is no mark is passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mark = |text| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Mark);
        Self(text.split('.').take(MOST_IN_A_COOKIE).filter_map(mark).collect())
    }

    /// For the cookie.
    pub(crate) fn expose(&self) -> String {
        let marks: Vec<_> = self.0.iter().map(|mark| URL_SAFE_NO_PAD.encode(mark.0)).collect();
        marks.join(".")
    }

    pub(super) fn verifiers(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(Mark::verifier).collect()
    }
}

/// The database's part. `verifiers` are hashes of marks.
#[async_trait]
pub(super) trait Clients {
    /// Which of these is a client of the account, if any.
    async fn find_client(
        &self,
        account: i64,
        verifiers: Vec<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, AccountError>;

    /// Remembers a client of an account as seen now, and forgets those beyond [`MOST_OF_AN_ACCOUNT`].
    async fn put_client(&self, account: i64, verifier: [u8; 32], now: Timestamp) -> Result<(), AccountError>;

    /// Forgets clients that were not seen since, and those of accounts that are gone. How many.
    async fn purge_clients(&self, before: Timestamp) -> Result<u64, AccountError>;
}

impl Accounts {
    /// Which mark of the one who asks says that the client was used for this account before. `None` for an account: nobody's,
    /// which takes the same work.
    pub(super) async fn known_client(&self, account: Option<i64>) -> Result<Option<[u8; 32]>, AccountError> {
        let verifiers = Asking::current().marks.verifiers();
        match verifiers.is_empty() {
            true => Ok(None),
            false => self.backend.find_client(account.unwrap_or(-1), verifiers).await,
        }
    }

    /// Remembers the client of a login that was right. That this fails is no reason to refuse it.
    pub(super) async fn remember_client(&self, account: i64, known: Option<[u8; 32]>) {
        let asking = Asking::current();
        let (verifier, marks) = match known {
            Some(verifier) => (verifier, asking.marks.clone()),
            None => {
                let mark = Mark::generate();
                let verifier = mark.verifier();
                let others = asking.marks.0.iter().cloned();
                (verifier, Marks(std::iter::once(mark).chain(others).take(MOST_IN_A_COOKIE).collect()))
            }
        };
        match self.backend.put_client(account, verifier, self.now()).await {
            Ok(()) => asking.keep(marks),
            Err(error) => events::client_not_remembered(account, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_as_they_went_and_nothing_else_is_one() {
        let marks = Marks(vec![Mark::generate(), Mark::generate()]);
        let text = marks.expose();
        assert_eq!(Marks::parse(&text).verifiers(), marks.verifiers());
        assert_eq!(format!("{marks:?}"), "Marks([Mark(..), Mark(..)])");
        for bad in ["", ".", "x", "AAAA", &"A".repeat(43), "\u{e9}", &text.replace('.', ",")] {
            assert!(Marks::parse(bad).verifiers().is_empty(), "{bad}");
        }
        let many = vec![text.split('.').next().unwrap(); 9].join(".");
        assert_eq!(Marks::parse(&many).verifiers().len(), MOST_IN_A_COOKIE);
    }
}
