//! What can go wrong with an account.
//!
//! Must never carry a password or a hash.

use std::time::Duration;

use exeunt::store::{postgres, sqlite};

use super::{BreachedError, HashError, PasswordRefused};

/// How long who came while too many passwords were being checked is told to wait.
pub const RETRY_WHEN_BUSY: Duration = Duration::from_secs(2);

/// Why something could not be done to an account.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// Another account has this name, or one that differs in case alone.
    #[error("an account of that name exists already")]
    NameTaken,
    /// Nobody has this name.
    #[error("there is no account of that name")]
    NoSuchAccount,
    /// Nobody could administer over the network any more.
    #[error("this is the last administrator who may log in: make another one first")]
    LastAdministrator,
    /// No account may have this name.
    #[error("this cannot be an account's name: {reason}")]
    BadName {
        /// Why, in words for the person who chose it.
        reason: &'static str,
    },
    /// No account may have this password.
    #[error("this cannot be a password: {reason}")]
    BadPassword {
        /// Why, in words for the person who chose it.
        reason: PasswordRefused,
    },
    /// The current password was asked for, and what was given is another. Nothing was done.
    #[error("this is not the current password")]
    WrongPassword,
    /// Somebody else changed the account after its password was checked. Nothing was done.
    #[error("the account was changed by somebody else meanwhile")]
    Outdated,
    /// The session that asked ended meanwhile, or its store or the accounts did not answer. Nothing was done.
    #[error(transparent)]
    Session(#[from] exeunt::Error),
    /// It is not known whether the password may be one. Nothing was done.
    #[error(transparent)]
    Breached(#[from] BreachedError),
    /// No message can be sent to this address.
    #[error("this cannot be an e-mail address: {reason}")]
    BadEmail {
        /// Why, in words for the person who chose it.
        reason: &'static str,
    },
    /// The reset link was used, replaced, is too old, or never was one; or the account was changed since.
    #[error("the link is not valid (any more)")]
    ResetInvalid,
    /// The set-up link was used, replaced, is too old, or never was one.
    #[error("the set-up link is not valid (any more)")]
    SetupInvalid,
    /// A set-up link makes the first account, and there is one already.
    #[error("there are accounts already: add an administrator with `exeunt account add NAME --admin`")]
    NotEmpty,
    /// Too many passwords are being hashed; nothing was done. Try again after [`RETRY_WHEN_BUSY`].
    #[error("too many passwords are being checked at the moment; try again in a few seconds")]
    Busy,
    /// The password could not be hashed. Nothing was done.
    #[error(transparent)]
    Hash(HashError),
    /// The change **is** done, and nobody logs in any more as before it. The sessions that there were could not be ended,
    /// because their store did not answer; this is made up for as soon as it does, by whichever node is there.
    #[error(
        "{done}, but the sessions of the account could not be ended yet: they end as soon as their store answers"
    )]
    SessionsLeft {
        /// What is so now: a sentence without its full stop.
        done: &'static str,
        /// Why the sessions were not ended.
        source: exeunt::Error,
    },
    /// The database did not answer. Of a change it is not known whether it happened.
    #[error("the accounts did not answer")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlite::DatabaseError> for AccountError {
    fn from(error: sqlite::DatabaseError) -> Self {
        Self::Database(error.into())
    }
}

impl From<postgres::DatabaseError> for AccountError {
    fn from(error: postgres::DatabaseError) -> Self {
        Self::Database(error.into())
    }
}

/// The accounts in a database cannot be used: its tables cannot be made, or are of a newer version.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum AccountsUnusable {
    /// Those in a SQLite file.
    Sqlite(#[from] sqlite::OpenError),
    /// Those in PostgreSQL.
    Postgres(#[from] postgres::ConnectError),
}

impl From<HashError> for AccountError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            error => Self::Hash(error),
        }
    }
}
