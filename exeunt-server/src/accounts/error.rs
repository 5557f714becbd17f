//! What can go wrong with an account.
//!
//! Must never carry a password or a hash.

use std::time::Duration;

use exeunt::store::sqlite::DatabaseError;

use super::HashError;

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
        reason: &'static str,
    },
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
    /// The database did not answer. Of a change it is not known whether it happened.
    #[error("the accounts did not answer")]
    Database(#[from] DatabaseError),
}

impl From<HashError> for AccountError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            error => Self::Hash(error),
        }
    }
}
