//! Opens what the configuration names: where sessions live, and where accounts do.
//!
//! Must never open a place twice, begin without one of them, or show a password.

mod opened;
mod policy;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use exeunt::store::Store;
use exeunt::store::postgres;
use exeunt::store::sqlite::{self, Loss, SqliteStore};
use exeunt::{Near, Sessions};

use crate::accounts::{Accounts, Engine, Hasher};
use crate::config::{Config, Place};

pub(crate) use self::opened::{Opened, Patience, Unusable, locked};
pub use self::policy::password_policy;

/// What keeps sessions and accounts, opened. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Engines {
    store: Opened,
    /// `None`: where the sessions are.
    accounts: Option<Opened>,
}

/// An engine cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {place}, which is where {keeps} live (--{option})")]
pub struct EngineError {
    keeps: &'static str,
    option: &'static str,
    place: String,
    source: Unusable,
}

impl EngineError {
    /// The file that another process owns, if it is that.
    #[must_use]
    pub fn locked(&self) -> Option<&Path> {
        locked(&self.source)
    }
}

/// Accounts may not be as they were.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}, where accounts live: {loss}. Sessions in it have ended. Accounts may be as they were before: with an earlier \
     password, still there though removed or disabled, or missing. Look at `exeunt account list`, put right what you \
     know of, then run `exeunt store accept-loss`, and start again",
    file.display()
)]
pub struct AccountsLost {
    file: PathBuf,
    loss: Loss,
}

const SESSIONS: &str = "sessions";
const ACCOUNTS: &str = "accounts";
const BOTH: &str = "sessions and accounts";
/// The configuration refuses it first.
const NO_ACCOUNTS: &str = "Redis keeps no accounts";

impl Engines {
    /// Opens them, the accounts first. Blocks for milliseconds where it is a file.
    ///
    /// # Errors
    ///
    /// [`EngineError`] says which option it is about, what is wrong, and what to do.
    pub async fn open(config: &Config) -> Result<Self, EngineError> {
        let accounts = match is_same(&config.store, &config.accounts) {
            true => None,
            false => Some(open(&config.accounts, ACCOUNTS, "accounts").await?),
        };
        let keeps = if accounts.is_none() { BOTH } else { SESSIONS };
        Ok(Self { store: open(&config.store, keeps, "store").await?, accounts })
    }

    /// One file for everything, open already.
    #[must_use]
    pub fn of_file(database: sqlite::Database) -> Self {
        Self { store: Opened::Database(database.into()), accounts: None }
    }

    /// The sessions, with a near cache of that many bytes where this process owns them.
    ///
    /// # Errors
    ///
    /// If the tables cannot be made.
    pub async fn store(&self, near_cache_bytes: usize) -> Result<Arc<dyn Store>, EngineError> {
        let unusable = |error: Unusable| self.error(SESSIONS, "store", &self.store, error);
        Ok(match self.store.file() {
            Some(database) => {
                let store = SqliteStore::over(database.clone()).map_err(|error| unusable(error.into()))?;
                Arc::new(Near::new(store, near_cache_bytes))
            }
            None => self.store.sessions().await.map_err(unusable)?,
        })
    }

    /// The accounts, whose changes end the sessions among `sessions`, wherever those live.
    ///
    /// # Errors
    ///
    /// If the tables cannot be made.
    pub async fn accounts(&self, sessions: &Sessions, hasher: Hasher) -> Result<Accounts, EngineError> {
        let opened = self.accounts.as_ref().unwrap_or(&self.store);
        let unusable = |error: Unusable| self.error(ACCOUNTS, "accounts", opened, error);
        let engine = opened.database().ok_or_else(|| unusable(NO_ACCOUNTS.into()))?.clone();
        let accounts = Accounts::open(engine, hasher).await.map_err(|error| unusable(error.into()))?;
        let accounts = accounts.reporting_to(sessions.events().clone()).in_time_with(sessions);
        Ok(match self.accounts {
            None => accounts,
            Some(_) => accounts.apart_from(sessions.clone()),
        })
    }

    /// The file beside which the control socket is: the one of the accounts, else the one of the sessions.
    #[must_use]
    pub fn file(&self) -> Option<&sqlite::Database> {
        self.files().next()
    }

    fn files(&self) -> impl Iterator<Item = &sqlite::Database> {
        self.accounts.iter().chain([&self.store]).filter_map(Opened::file)
    }

    /// What keeps the sessions, in one word.
    #[must_use]
    pub fn name_of_store(&self) -> &'static str {
        match &self.store {
            Opened::Redis(_) => "redis",
            Opened::Database(Engine::Sqlite(_)) => "sqlite",
            Opened::Database(Engine::Postgres(_)) => "postgres",
        }
    }

    /// Each file that is written to, named by what is in it.
    pub fn written_files(&self) -> impl Iterator<Item = (&'static str, &sqlite::Database)> {
        let store = self.store.file().map(|file| ("sqlite_sessions", file));
        let accounts = self.accounts.as_ref().and_then(Opened::file).map(|file| ("sqlite_accounts", file));
        store.into_iter().chain(accounts)
    }

    /// Each database in PostgreSQL, named by what is in it.
    pub fn postgres(&self) -> impl Iterator<Item = (&'static str, &postgres::Database)> {
        let store = self.store.postgres().map(|database| ("postgres_sessions", database));
        let accounts = self.accounts.as_ref().and_then(Opened::postgres);
        store.into_iter().chain(accounts.map(|database| ("postgres_accounts", database)))
    }

    /// Refuses a file of accounts that may be older than what was acknowledged.
    ///
    /// # Errors
    ///
    /// [`AccountsLost`] says what may be missing, and what to do.
    pub fn check_accounts(&self) -> Result<(), AccountsLost> {
        let Some(database) = self.accounts.as_ref().unwrap_or(&self.store).file() else { return Ok(()) };
        match database.loss() {
            None => Ok(()),
            Some(loss) => Err(AccountsLost { file: database.path().to_owned(), loss }),
        }
    }

    /// Takes no more writes into files, and waits for those under way. Blocks.
    pub fn close(&self) {
        self.files().for_each(sqlite::Database::close);
    }

    fn error(
        &self,
        keeps: &'static str,
        option: &'static str,
        opened: &Opened,
        source: Unusable,
    ) -> EngineError {
        EngineError { keeps, option, place: opened.place(), source }
    }
}

async fn open(place: &Place, keeps: &'static str, option: &'static str) -> Result<Opened, EngineError> {
    let opened = Opened::open(place).await;
    opened.map_err(|source| EngineError { keeps, option, place: place.to_string(), source })
}

/// Whether both are one: of files also where the paths differ in writing, and where none is there yet.
fn is_same(one: &Place, other: &Place) -> bool {
    one == other || real(one).is_some_and(|one| real(other).is_some_and(|other| one == other))
}

/// The path of a file, or of one to be, with links followed.
fn real(place: &Place) -> Option<PathBuf> {
    let file = place.file()?;
    let to_be = || {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(file.file_name()?))
    };
    file.canonicalize().ok().or_else(to_be)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_yet_is_one_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| Place::File(folder.path().join(name));
        assert!(is_same(&place("a.db"), &place("./a.db")));
        assert!(!is_same(&place("a.db"), &place("b.db")));
        std::fs::write(folder.path().join("a.db"), "").unwrap();
        std::os::unix::fs::symlink("a.db", folder.path().join("b.db")).unwrap();
        assert!(is_same(&place("a.db"), &place("b.db")));
    }
}
