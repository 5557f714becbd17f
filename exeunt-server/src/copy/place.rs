//! Opens what is copied from and to.

use std::sync::Arc;

use exeunt::store::Store;
use exeunt::store::sqlite::{Beside, Loss};
use exeunt::{Record, SessionId, StoreError, Timestamp};

use crate::accounts::Engine;
use crate::accounts::copy::Origin;
use crate::admin::{Code, Failure};
use crate::config::Place;
use crate::engines::{Opened, Patience, locked};

/// Where copies come from.
pub(super) enum FromSide {
    /// A file whose server may run.
    Beside(Arc<Beside>),
    Opened(Opened),
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
                let file = Beside::open(path).map_err(|error| unusable(place, &error))?;
                check(place, file.loss().map_err(|error| unusable(place, &error))?)?;
                Ok(Self::Beside(Arc::new(file)))
            }
            place => Ok(Self::Opened(open(place).await?)),
        }
    }

    pub(super) async fn sessions(&self) -> Result<Source, Failure> {
        match self {
            Self::Beside(file) => Ok(Source::Beside(Arc::clone(file))),
            Self::Opened(opened) => Ok(Source::Store(sessions(opened).await?)),
        }
    }

    /// `None`: it keeps none.
    pub(super) fn accounts(&self) -> Option<Origin<'_>> {
        match self {
            Self::Beside(file) => Some(Origin::Beside(file)),
            Self::Opened(opened) => opened.database().map(Origin::Engine),
        }
    }

    pub(super) fn close(&self) {
        if let Self::Opened(opened) = self {
            opened.close();
        }
    }
}

/// Waits for a command that has a file open for a moment; a server does not go away.
pub(super) async fn open(place: &Place) -> Result<Opened, Failure> {
    let patience = Patience::begin();
    loop {
        match Opened::open(place).await {
            Err(error) if locked(&error).is_some() && patience.again().await => (),
            Err(error) => return Err(unusable(place, &*error)),
            Ok(opened) => {
                if let Some(Engine::Sqlite(database)) = opened.database() {
                    check(place, database.loss())?;
                }
                return Ok(opened);
            }
        }
    }
}

/// Refuses a file that may lack what was acknowledged: what ended or was changed there would be copied as it was before.
fn check(place: &Place, loss: Option<Loss>) -> Result<(), Failure> {
    match loss {
        None => Ok(()),
        Some(loss) => Err(Failure::new(
            Code::Store,
            format!(
                "{place}: {loss}. Look at what it keeps, then run `exeunt store accept-loss --store {place}`"
            ),
        )),
    }
}

pub(super) async fn sessions(opened: &Opened) -> Result<Arc<dyn Store>, Failure> {
    opened.sessions().await.map_err(|error| Failure::caused(Code::Store, &*error))
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
