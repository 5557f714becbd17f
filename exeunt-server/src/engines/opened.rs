//! One engine, opened: it keeps sessions, and accounts if it is a database.
//!
//! Must never show a password.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exeunt::store::Store;
use exeunt::store::postgres::{self, PostgresStore};
use exeunt::store::redis::RedisStore;
use exeunt::store::sqlite::{self, OpenError, SqliteStore};

use crate::accounts::Engine;
use crate::config::Place;

/// Why it cannot be used.
pub(crate) type Unusable = Box<dyn std::error::Error + Send + Sync>;

/// Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Redis(RedisStore),
    Database(Engine),
}

impl Opened {
    /// Blocks for milliseconds where it is a file.
    pub(crate) async fn open(place: &Place) -> Result<Self, Unusable> {
        Ok(match place {
            Place::File(path) => Self::Database(sqlite::Database::open(path)?.into()),
            Place::Postgres(address) => {
                Self::Database(postgres::Database::connect(address.expose()).await?.into())
            }
            Place::Redis(address) => Self::Redis(RedisStore::connect(address.expose()).await?),
        })
    }

    /// Its sessions, without a cache.
    pub(crate) async fn sessions(&self) -> Result<Arc<dyn Store>, Unusable> {
        Ok(match self {
            Self::Redis(store) => Arc::new(store.clone()),
            Self::Database(Engine::Sqlite(database)) => Arc::new(SqliteStore::over(database.clone())?),
            Self::Database(Engine::Postgres(database)) => {
                Arc::new(PostgresStore::over(database.clone()).await?)
            }
        })
    }

    /// `None`: it keeps no accounts.
    pub(crate) fn database(&self) -> Option<&Engine> {
        match self {
            Self::Redis(_) => None,
            Self::Database(engine) => Some(engine),
        }
    }

    pub(super) fn file(&self) -> Option<&sqlite::Database> {
        match self {
            Self::Database(Engine::Sqlite(database)) => Some(database),
            Self::Database(Engine::Postgres(_)) | Self::Redis(_) => None,
        }
    }

    pub(super) fn postgres(&self) -> Option<&postgres::Database> {
        match self {
            Self::Database(Engine::Postgres(database)) => Some(database),
            Self::Database(Engine::Sqlite(_)) | Self::Redis(_) => None,
        }
    }

    /// Takes no more writes into a file, and waits for those under way. Blocks.
    pub(crate) fn close(&self) {
        if let Some(database) = self.file() {
            database.close();
        }
    }

    /// For messages, without a password.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Redis(store) => store.address().to_owned(),
            Self::Database(Engine::Sqlite(database)) => database.path().display().to_string(),
            Self::Database(Engine::Postgres(database)) => database.address().to_owned(),
        }
    }
}

/// The file that another process owns, if that is why.
pub(crate) fn locked(error: &Unusable) -> Option<&Path> {
    match error.downcast_ref() {
        Some(OpenError::Locked { path }) => Some(path),
        _ => None,
    }
}

/// How long a command waits for another that has the file open, or for a server that is just starting.
const PATIENCE: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Began when it was made.
#[derive(Debug)]
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Waits a moment, and says whether to ask again.
    pub(crate) async fn again(&self) -> bool {
        let left = self.0.elapsed() < PATIENCE;
        if left {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        left
    }
}
