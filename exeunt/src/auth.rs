//! Log in, resume, log out: the service over a store, still without HTTP.
//!
//! Must never see a cookie, and must never say that a session ended before the store has said so.

mod attempt;
mod events;
mod origin;
mod reauthenticate;
mod sessions;
mod users;

use std::time::Duration;

pub use self::attempt::refused_login_of;
pub use self::events::{By, Event, EventKind, Events};
pub use self::origin::Origin;
pub use self::reauthenticate::RECENT;
pub use self::sessions::{Extend, LoggedIn, LoginOptions, Sessions};
pub use self::users::{Users, UsersError, Verified};
use crate::session::DataError;
use crate::store::StoreError;

/// Why an operation on a session could not be done.
///
/// What can be expected is not here but a value: wrong credentials and dead tokens are `None`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("the session ended meanwhile")]
    Ended,
    #[error("the session's data changed five times while this change was tried")]
    Conflict,
    #[error(transparent)]
    Data(#[from] DataError),
}

/// What sort of error it is. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store did not answer, so nothing is known. Try again later: 503.
    Store,
    /// The application's accounts did not answer. Try again later: 503.
    Users,
    /// There were too many wrong tries to log in. Try again later: 429.
    Throttled,
    /// The session ended while it was being changed: 401.
    Ended,
    /// Others changed the session's data five times in between: 409.
    Conflict,
    /// The data is too large to keep: 413.
    TooLarge,
    /// The data cannot be read or written as JSON: 500.
    Data,
}

impl Error {
    /// A session that was to be changed had ended.
    pub(crate) fn ended() -> Self {
        Self(Cause::Ended)
    }

    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Cause::Store(_) => ErrorKind::Store,
            Cause::Users(error) if error.is_throttled() => ErrorKind::Throttled,
            Cause::Users(_) => ErrorKind::Users,
            Cause::Ended => ErrorKind::Ended,
            Cause::Conflict => ErrorKind::Conflict,
            Cause::Data(DataError::TooLarge { .. }) => ErrorKind::TooLarge,
            Cause::Data(_) => ErrorKind::Data,
        }
    }

    /// How long to wait before trying again, where that can help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0 {
            Cause::Store(_) => Some(Duration::from_secs(1)),
            Cause::Users(error) => Some(error.retry_after()),
            Cause::Ended | Cause::Conflict | Cause::Data(_) => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(Cause::Store(error))
    }
}

impl From<UsersError> for Error {
    fn from(error: UsersError) -> Self {
        Self(Cause::Users(error))
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self(Cause::Data(error))
    }
}
