//! Holds back whoever guesses passwords: per account, and per source address, over all nodes (R35).
//!
//! Must never be asked after any hashing, tell a name that somebody has from one that nobody has, count past its bounds
//! however many try at once, or hold up anything but the check of a password: neither a logout nor a live session.

mod rule;

use std::net::IpAddr;
use std::time::Duration;

use exeunt::Timestamp;
use exeunt::UsersError;
use exeunt::store::async_trait;
use sha2::{Digest as _, Sha256};

pub(super) use self::rule::{Count, FAILURE, Rule, Wait};
use super::asking::Asking;
use super::backend::Login;
use super::name::Name;
use super::{AccountError, Accounts, events};

/// By people whose client was not used before. With [`CLIENTS`], fewer than the 100 consecutive failures of NIST SP
/// 800-63B-4, section 3.2.2.
const STRANGERS: Rule = Rule { free: 10, longest: Duration::from_secs(3_600), stop: Some(80), leak: None };
/// By clients that were used for the account before, all of them together.
const CLIENTS: Rule = Rule { free: 5, longest: Duration::from_secs(900), stop: Some(19), leak: None };
/// From one address, whatever the account. It may be that of many people.
const SOURCE: Rule = Rule { free: 100, longest: Duration::from_secs(300), stop: None, leak: Some(60) };

/// What whoever is stopped for good is told: when it is worth to look again.
const STOPPED: Duration = Duration::from_secs(3_600);
/// The most counts that are kept. Whatever is above goes by and by, the lowest first.
const MOST: i64 = 100_000;
/// The most counts that one step removes.
const PURGE_STEP: i64 = 1_000;
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How long a count is kept that nobody adds to.
pub(super) const KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);

/// What tries are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Strangers,
    Clients,
    Source,
}

impl Kind {
    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::Strangers => &STRANGERS,
            Self::Clients => &CLIENTS,
            Self::Source => &SOURCE,
        }
    }

    pub(super) fn number(self) -> i16 {
        match self {
            Self::Strangers => 1,
            Self::Clients => 2,
            Self::Source => 3,
        }
    }

    /// What an event says.
    fn word(self) -> &'static str {
        match self {
            Self::Strangers => "account",
            Self::Clients => "known_clients",
            Self::Source => "source",
        }
    }

    /// As [`Kind::word`], where no try is taken any more until somebody resets the count.
    fn word_when_stopped(self) -> &'static str {
        match self {
            Self::Strangers => "account_stopped",
            Self::Clients => "known_clients_stopped",
            Self::Source => "source",
        }
    }
}

/// What one try is counted under: of fixed size, whatever was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) hash: Vec<u8>,
}

impl Key {
    fn new(kind: Kind, of: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind.number().to_be_bytes()).chain_update(of).finalize();
        Self { kind, hash: hash.iter().copied().take(16).collect() }
    }

    fn source(address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            // Whoever has one address of a /64 has all of them.
            IpAddr::V6(address) => address.octets().into_iter().take(8).collect(),
        };
        Self::new(Kind::Source, &network)
    }
}

/// What became of a try that was to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It counts as a failure under each key, as long as nobody says otherwise.
    Yes(Vec<Count>),
    /// It counts nowhere. What one of the keys says, and when that was last tried.
    No(Key, Wait),
}

/// The database's part: counts, shared by all nodes. Each method is one atomic step, or undoes what it did.
#[async_trait]
pub(super) trait Tries {
    /// Takes a try if every key allows it.
    async fn take(&self, keys: &[Key], now: Timestamp) -> Result<Taken, AccountError>;

    /// Takes so many failures of each key away, as far as there are any.
    async fn give_back(&self, keys: &[Key]) -> Result<(), AccountError>;

    /// Forgets all of these. Whether there was one.
    async fn forget(&self, keys: &[Key]) -> Result<bool, AccountError>;

    /// Drops at most `step` counts that mean nothing any more: of a source, all of whose failures are forgotten; of an account,
    /// that nobody added to since `before`. The lowest go, too, where there are more than `most`. How many it were.
    async fn purge(
        &self,
        now: Timestamp,
        before: Timestamp,
        most: i64,
        step: i64,
    ) -> Result<u64, AccountError>;
}

/// A try that was taken. It counts as a failure until it is settled.
#[derive(Debug)]
#[must_use = "a right password that is not settled counts as a wrong one"]
pub(super) struct Try {
    keys: Vec<Key>,
    counts: Vec<Count>,
    /// Folded, if it can be a name.
    name: String,
}

impl Accounts {
    /// Takes a try at a name, before any work is done for it.
    ///
    /// `is_client`: it comes from a client that was used for this account before, which is counted apart. Else the
    /// source counts, too.
    pub(super) async fn take_try(&self, name: &str, is_client: bool) -> Result<Try, UsersError> {
        let mut keys =
            vec![Key::new(if is_client { Kind::Clients } else { Kind::Strangers }, name.as_bytes())];
        if !is_client && let Some(address) = Asking::current().address {
            keys.push(Key::source(address));
        }
        match self.backend.take(&keys, self.now()).await.map_err(UsersError::new)? {
            Taken::Yes(counts) => Ok(Try { keys, counts, name: name.to_owned() }),
            Taken::No(_, Wait::For(wait)) => Err(UsersError::throttled(wait)),
            Taken::No(_, _) => Err(UsersError::throttled(STOPPED)),
        }
    }

    /// It was wrong. What begins to hold others back by it is told, once.
    pub(super) fn settle_wrong(&self, tried: &Try, login: Option<&Login>) {
        for (key, count) in tried.keys.iter().zip(&tried.counts) {
            let failures = u32::try_from(count.level / FAILURE).unwrap_or(u32::MAX);
            match key.kind.rule().delay(failures) {
                Some(Duration::ZERO) => {}
                Some(_) => self.told_throttled(key.kind.word(), login),
                None => self.told_throttled(key.kind.word_when_stopped(), login),
            }
        }
    }

    /// It was right: what counts against the account is over. That this fails is no reason to refuse a right password.
    pub(super) async fn settle_right(&self, tried: Try) {
        let Try { keys, name, .. } = tried;
        let (of_account, of_source): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| key.kind != Kind::Source);
        // A stranger who knows the password ends all runs of failures; a client that was used before only its own, or
        // each login of the owner would give guessers another round.
        let over = match of_account.iter().any(|key| key.kind == Kind::Strangers) {
            true => keys_of(&name),
            false => of_account,
        };
        let done = async {
            self.backend.forget(&over).await?;
            // Somebody with an account of their own must not reset what their address did to others.
            self.backend.give_back(&of_source).await
        };
        if let Err(error) = done.await {
            events::try_not_settled(&error);
        }
    }

    /// Nothing was checked, so nothing failed.
    pub(super) async fn settle_unchecked(&self, tried: Try) {
        if let Err(error) = self.backend.give_back(&tried.keys).await {
            events::try_not_settled(&error);
        }
    }

    /// Forgets all failures at an account, by its folded name. Whether there were any.
    pub(super) async fn forget_tries(&self, folded: &str) -> Result<bool, AccountError> {
        self.backend.forget(&keys_of(folded)).await
    }

    /// Wrong tries at the old password say nothing about the new one. That this fails undoes no change.
    pub(super) async fn new_password_ends_the_count(&self, name: &str) {
        let Ok(name) = Name::new(name) else { return };
        if let Err(error) = self.forget_tries(name.folded()).await {
            events::try_not_settled(&error);
        }
    }

    /// Drops counts that mean nothing any more, each minute, for ever: spawn it once, on every node. Between two steps no more
    /// can come than passwords can be checked, since a try that is refused is not written down.
    pub async fn keep_tries_purged(self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(PURGE_EVERY).await;
            let outcome = self.purge_tries(MOST).await;
            if let Err(error) = &outcome
                && !failing
            {
                events::tries_not_purged(error);
            }
            failing = outcome.is_err();
        }
    }

    /// In steps, so that nobody waits long behind one.
    async fn purge_tries(&self, most: i64) -> Result<u64, AccountError> {
        let now = self.now();
        let before =
            Timestamp::from_micros(now.as_micros() - i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX));
        let mut dropped = self.backend.purge_clients(before).await?;
        loop {
            let step = self.backend.purge(now, before, most, PURGE_STEP).await?;
            dropped += step;
            if step == 0 {
                return Ok(dropped);
            }
        }
    }
}

/// All that is counted under an account's folded name.
fn keys_of(folded: &str) -> Vec<Key> {
    [Kind::Strangers, Kind::Clients].map(|kind| Key::new(kind, folded.as_bytes())).to_vec()
}

#[cfg(test)]
mod tests {
    use exeunt::store::sqlite::Database;

    use super::super::{Cost, Hasher};
    use super::*;

    #[test]
    fn strangers_and_known_clients_together_stay_below_100_failures_in_a_row() {
        // R35
        let stops = [STRANGERS, CLIENTS].map(|rule| rule.stop.unwrap());
        assert!(stops.iter().sum::<u32>() < 100, "{stops:?}");
    }

    #[test]
    fn an_address_is_its_ipv4_address_or_its_ipv6_network() {
        // R35
        let key = |address: &str| Key::source(address.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[tokio::test]
    async fn made_up_names_and_addresses_do_not_grow_the_table_without_bound() {
        // R35
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("a.db")).unwrap();
        let cheap = Cost { memory_kib: 8, passes: 1, lanes: 1 };
        let accounts = Accounts::open(database.clone(), Hasher::with(cheap, 1, 1).unwrap()).await.unwrap();
        let now = accounts.now();
        let rows = || -> i64 {
            let count = |row: &exeunt::store::sqlite::rusqlite::Row<'_>| row.get(0);
            database
                .read(|file| {
                    let sql = "SELECT count(*) FROM throttle";
                    Ok::<_, exeunt::store::sqlite::DatabaseError>(file.query_row(sql, [], count)?)
                })
                .unwrap()
        };
        let victim = [Key::new(Kind::Strangers, b"alice")];
        for _ in 0..3 {
            accounts.backend.take(&victim, now).await.unwrap();
        }
        for number in 0..2_500_u32 {
            let made_up = [Key::new(Kind::Strangers, &number.to_be_bytes())];
            accounts.backend.take(&made_up, now).await.unwrap();
        }
        assert_eq!(rows(), 2_501);
        assert_eq!(accounts.purge_tries(1_000).await.unwrap(), 1_501);
        assert_eq!(rows(), 1_000);
        // A flood drives out its like, and not what was counted against somebody.
        assert!(accounts.backend.forget(&victim).await.unwrap());

        // A source is forgotten with its last failure, and an account's count after more than a year.
        let source = [Key::source("192.0.2.1".parse().unwrap())];
        let at = |seconds: u64| now.plus(Duration::from_secs(seconds));
        accounts.backend.take(&source, now).await.unwrap();
        assert_eq!(accounts.backend.purge(at(59), Timestamp::default(), MOST, 10).await.unwrap(), 0);
        assert_eq!(accounts.backend.purge(at(60), Timestamp::default(), MOST, 10).await.unwrap(), 1);
        assert_eq!(accounts.backend.purge(now, at(1), MOST, 10_000).await.unwrap(), 999);
    }
}
