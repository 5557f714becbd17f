//! Badges of clients that an account was used from before: their tries are counted apart from those of strangers.
//!
//! Must never let anybody in: who has a badge still needs the password. Must never be kept other than as a hash, and never be
//! taken from a browser that did not get it from here, or a planted one would count for whoever planted it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exeunt::Timestamp;
use exeunt::store::async_trait;
use sha2::{Digest as _, Sha256};

use super::asking::Asking;
use super::{AccountError, Accounts, events};

/// The most badges in one cookie: so many people may share a browser.
const MOST_IN_A_COOKIE: usize = 5;
/// The most clients of an account that are remembered. One more forgets the one that was unused the longest.
pub(super) const MOST_OF_AN_ACCOUNT: i64 = 20;

/// One badge: 16 random bytes. Debug prints `Badge(..)`.
#[derive(Clone, PartialEq, Eq)]
struct Badge([u8; 16]);

impl Badge {
    #[expect(clippy::disallowed_methods, reason = "the one place of the server that makes badges")]
    fn generate() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        Self(bytes)
    }

    fn verifier(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Badge(..)")
    }
}

/// The badges of one client, the newest first: one for each account that it was used for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Badges(Vec<Badge>);

impl Badges {
    /// As they stand in a cookie; what is no badge is passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let badge = |text| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Badge);
        Self(text.split('.').take(MOST_IN_A_COOKIE).filter_map(badge).collect())
    }

    /// For the cookie.
    pub(crate) fn expose(&self) -> String {
        let badges: Vec<_> = self.0.iter().map(|badge| URL_SAFE_NO_PAD.encode(badge.0)).collect();
        badges.join(".")
    }

    pub(super) fn verifiers(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(Badge::verifier).collect()
    }
}

/// The database's part. `verifiers` are hashes of badges.
#[async_trait]
pub(super) trait Clients {
    /// Which of these is a client of the account of that folded name, if any.
    async fn find_client(
        &self,
        folded: &str,
        verifiers: Vec<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, AccountError>;

    /// Remembers a client of an account as seen now, and forgets those beyond [`MOST_OF_AN_ACCOUNT`]. Whether there was any
    /// client of it before.
    async fn put_client(
        &self,
        account: i64,
        verifier: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, AccountError>;

    /// Forgets clients that were not seen since, and those of accounts that are gone. How many.
    async fn purge_clients(&self, before: Timestamp) -> Result<u64, AccountError>;
}

impl Accounts {
    /// Which badge of the one who asks says that the client was used for the account of that folded name before. Where nobody
    /// has it the same is asked.
    pub(super) async fn known_client(&self, folded: &str) -> Result<Option<[u8; 32]>, AccountError> {
        let verifiers = Asking::current().badges.verifiers();
        match verifiers.is_empty() {
            true => Ok(None),
            false => self.backend.find_client(folded, verifiers).await,
        }
    }

    /// Remembers the client of a login that was right, and says whether it is another one than those before. That this fails is
    /// no reason to refuse the login.
    pub(super) async fn remember_client(&self, account: i64, known: Option<[u8; 32]>) -> bool {
        let asking = Asking::current();
        let (verifier, badges) = match known {
            Some(verifier) => (verifier, asking.badges.clone()),
            None => {
                let badge = Badge::generate();
                let verifier = badge.verifier();
                let others = asking.badges.0.iter().cloned();
                (verifier, Badges(std::iter::once(badge).chain(others).take(MOST_IN_A_COOKIE).collect()))
            }
        };
        match self.backend.put_client(account, verifier, self.now()).await {
            Ok(had_others) => {
                asking.keep(badges);
                had_others && known.is_none()
            }
            Err(error) => {
                events::client_not_remembered(account, &error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_as_they_went_and_nothing_else_is_one() {
        let badges = Badges(vec![Badge::generate(), Badge::generate()]);
        let text = badges.expose();
        assert_eq!(Badges::parse(&text).verifiers(), badges.verifiers());
        assert_eq!(format!("{badges:?}"), "Badges([Badge(..), Badge(..)])");
        for bad in ["", ".", "x", "AAAA", &"A".repeat(43), "\u{e9}", &text.replace('.', ",")] {
            assert!(Badges::parse(bad).verifiers().is_empty(), "{bad}");
        }
        let many = [text.split('.').next().unwrap(); 9].join(".");
        assert_eq!(Badges::parse(&many).verifiers().len(), MOST_IN_A_COOKIE);
    }
}
