//! Opens what is copied from and to.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exeunt::store::Store;
use exeunt::store::postgres::{self, PostgresStore};
use exeunt::store::redis::RedisStore;
use exeunt::store::sqlite::{self, Beside, OpenError, SqliteStore};
use exeunt::{Record, SessionId, StoreError, Timestamp};

use crate::accounts::Engine;
use crate::accounts::copy::Origin;
use crate::admin::{Code, Failure};
use crate::config::Place;

const OWNER_PATIENCE: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Where copies come from.
pub(super) enum FromSide {
    /// A file whose server may run.
    Beside(Arc<Beside>),
    Opened(ToSide),
}

/// Where copies go.
pub(super) enum ToSide {
    Redis(RedisStore),
    Database(Engine),
}

/// Sessions to read.
#[derive(Clone)]
pub(super) enum Source {
    Beside(Arc<Beside>),
    Store(Arc<dyn Store>),
}

impl FromSide {
    /// For the last pass, a file is taken hold of, so that no server works on it.
    pub(super) async fn open(place: &Place, last: bool) -> Result<Self, Failure> {
        match place {
            Place::File(path) if !last => {
                Ok(Self::Beside(Arc::new(Beside::open(path).map_err(|error| unusable(place, &error))?)))
            }
            place => Ok(Self::Opened(ToSide::open(place).await?)),
        }
    }

    pub(super) async fn sessions(&self) -> Result<Source, Failure> {
        match self {
            Self::Beside(file) => Ok(Source::Beside(Arc::clone(file))),
            Self::Opened(opened) => Ok(Source::Store(opened.sessions().await?)),
        }
    }

    /// `None`: it keeps none.
    pub(super) fn accounts(&self) -> Option<Origin<'_>> {
        match self {
            Self::Beside(file) => Some(Origin::Beside(file)),
            Self::Opened(ToSide::Database(engine)) => Some(Origin::Engine(engine)),
            Self::Opened(ToSide::Redis(_)) => None,
        }
    }

    pub(super) fn close(&self) {
        if let Self::Opened(opened) = self {
            opened.close();
        }
    }
}

impl ToSide {
    pub(super) async fn open(place: &Place) -> Result<Self, Failure> {
        match place {
            Place::File(path) => {
                let database = take(path).await.map_err(|error| unusable(place, &error))?;
                Ok(Self::Database(database.into()))
            }
            Place::Postgres(address) => {
                let database = postgres::Database::connect(address.expose()).await;
                Ok(Self::Database(database.map_err(|error| unusable(place, &error))?.into()))
            }
            Place::Redis(address) => {
                let store = RedisStore::connect(address.expose()).await;
                Ok(Self::Redis(store.map_err(|error| unusable(place, &error))?))
            }
        }
    }

    pub(super) async fn sessions(&self) -> Result<Arc<dyn Store>, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| Failure::caused(Code::Store, error);
        Ok(match self {
            Self::Redis(store) => Arc::new(store.clone()),
            Self::Database(Engine::Sqlite(database)) => {
                Arc::new(SqliteStore::over(database.clone()).map_err(|error| failed(&error))?)
            }
            Self::Database(Engine::Postgres(database)) => {
                Arc::new(PostgresStore::over(database.clone()).await.map_err(|error| failed(&error))?)
            }
        })
    }

    /// `None`: it keeps none.
    pub(super) fn accounts(&self) -> Option<Engine> {
        match self {
            Self::Redis(_) => None,
            Self::Database(engine) => Some(engine.clone()),
        }
    }

    /// Takes no more writes, and waits for those under way. Blocks.
    pub(super) fn close(&self) {
        if let Self::Database(Engine::Sqlite(database)) = self {
            database.close();
        }
    }
}

/// Waits for a command that has the file open for a moment; a server does not go away.
async fn take(path: &Path) -> Result<sqlite::Database, OpenError> {
    let began = Instant::now();
    loop {
        match sqlite::Database::open(path) {
            Err(OpenError::Locked { .. }) if began.elapsed() < OWNER_PATIENCE => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            opened => return opened,
        }
    }
}

impl Source {
    /// As [`Store::walk`].
    pub(super) async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        match self {
            Self::Beside(file) => Ok(file.walk(after, limit, now)?),
            Self::Store(store) => store.walk(after, limit, now).await,
        }
    }
}

fn unusable(place: &Place, error: &(dyn std::error::Error + 'static)) -> Failure {
    let Failure { code, message } = Failure::caused(Code::Store, error);
    Failure::new(code, format!("cannot use {place}: {message}"))
}
