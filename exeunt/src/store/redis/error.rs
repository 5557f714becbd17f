//! What can go wrong between us and Redis.
//!
//! Must never show a password, and must never call a step undone that may have happened.

use std::error::Error;

use redis::{RedisError, ServerErrorKind};

use super::url::Host;
use crate::session::SessionId;
use crate::store::StoreError;

/// Why no store could be opened over Redis or Valkey.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be used as it stands.
    #[error("the address of the Redis store: {reason}")]
    BadUrl {
        /// What is wrong with it, and what it should be.
        reason: String,
    },
    /// Nobody answers there, or not in time.
    #[error("{address} does not answer: is the server running, and is the address right?")]
    Unreachable {
        /// Which server.
        address: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server does not let us in, or not do what we need.
    #[error(
        "{address} refuses the user or the password: set them in the address, as scheme://user:password@…"
    )]
    Refused {
        /// Which server.
        address: String,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server is set up so that it cannot keep the promises.
    #[error("{address}: {reason}")]
    Setup {
        /// Which server.
        address: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The server lacks commands that are needed.
    #[error("{address} is version {version}: Redis 6.2 or later, or Valkey, is needed")]
    TooOld {
        /// Which server.
        address: String,
        /// Its version.
        version: String,
    },
}

/// Why a step has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Connect(ConnectError),
    #[error("{address} did not answer within the deadline")]
    Late { address: Host },
    #[error("{address}")]
    Said { address: Host, source: RedisError },
    #[error("{0}")]
    Form(&'static str),
    #[error("the session {id}: {what}")]
    Unreadable { id: SessionId, what: &'static str },
    #[error("{what}")]
    NoPrimary { what: String, source: Option<Box<Fault>> },
    #[error(
        "{have} of {wanted} replicas have confirmed it within the deadline: it may come back at a failover, so ask again"
    )]
    Replicas { have: i64, wanted: u8 },
}

/// Where else to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    Moved(Host),
    Ask(Host),
}

impl Fault {
    /// Whether the server surely did nothing, so that asking once more does no harm.
    pub(super) fn was_not_done(&self) -> bool {
        match self {
            Self::Connect(_) | Self::NoPrimary { .. } => true,
            Self::Said { source, .. } => is_elsewhere(source),
            Self::Late { .. } | Self::Form(_) | Self::Unreadable { .. } | Self::Replicas { .. } => false,
        }
    }

    /// The same as what it means for somebody who connects.
    pub(super) fn of_connecting(self, address: &str) -> ConnectError {
        match self {
            Self::Connect(error) => error,
            Self::NoPrimary { source: Some(source), .. } if matches!(*source, Self::Connect(_)) => {
                source.of_connecting(address)
            }
            other => ConnectError::Unreachable { address: address.to_owned(), source: other.into() },
        }
    }

    /// Whether the connection broke before the answer came.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Said { source, .. } if source.is_io_error())
    }

    /// Whether another server may have taken over.
    pub(super) fn doubts_the_place(&self) -> bool {
        matches!(self, Self::Late { .. }) || self.was_not_done() || self.is_cut()
    }

    /// Whether a connection on which that was said is of no more use.
    pub(super) fn ends_the_connection(&self) -> bool {
        let Self::Said { source, .. } = self else { return false };
        let role_changed = matches!(
            source.kind(),
            redis::ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown
            )
        );
        source.is_io_error() || source.kind() == redis::ErrorKind::Parse || role_changed || is_refusal(source)
    }

    /// Where a server of a cluster sends us instead.
    pub(super) fn redirect(&self) -> Option<Redirect> {
        let Self::Said { address, source } = self else { return None };
        let (to, _) = source.redirect_node()?;
        let (name, port) = to.rsplit_once(':')?;
        // Without a name it means the server that said so.
        let name = if name.is_empty() { &address.name } else { name };
        let host = Host { name: name.to_owned(), port: port.parse().ok()? };
        Some(match source.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Ask) => Redirect::Ask(host),
            _ => Redirect::Moved(host),
        })
    }
}

/// Whether the server said that it does not serve (this key, now, or as a primary), and so did nothing.
fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    let redis::ErrorKind::Server(kind) = error.kind() else { return false };
    matches!(kind, Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
}

/// Whether the server does not let us in.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(code, "NOAUTH" | "WRONGPASS" | "DENIED")
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::new("Redis", fault)
    }
}
