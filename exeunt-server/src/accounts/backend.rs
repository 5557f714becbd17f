//! What accounts ask of the database that keeps them.
//!
//! A backend must never do a part of a step: each method is one transaction. It must never end a session by itself,
//! other than in [`Backend::change_and_end`] and [`Editing::edit`].

use std::fmt;

use exeunt::store::async_trait;
use exeunt::{SessionId, Timestamp, UserId};

use super::audit::EventTable;
use super::change_password::ChangePassword;
use super::client::Clients;
use super::edit::Editing;
use super::email::Email;
use super::name::Name;
use super::reset::ResetBackend;
use super::throttle::Tries;
use super::{Account, AccountError};

/// What logging in needs to know.
pub(super) struct Login {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) stamp: u64,
    pub(super) disabled: bool,
}

/// An account to be.
#[derive(Clone)]
pub(super) struct NewAccount {
    pub(super) name: Name,
    /// A PHC string.
    pub(super) password: String,
    pub(super) admin: bool,
    pub(super) email: Option<Email>,
    pub(super) now: Timestamp,
    /// The verifier of the set-up link that makes it, which is used up by it, must be valid, and makes none but the first.
    /// Without one, any set-up link loses its purpose.
    pub(super) link: Option<[u8; 32]>,
}

/// A change after which no login that was being checked before is current: the stamp moves, or the account goes.
#[derive(Clone)]
pub(super) enum Change {
    /// To this PHC string.
    Password(String),
}

/// A note that the sessions of an account are to be ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) id: i64,
    pub(super) user: UserId,
    pub(super) reason: String,
}

/// The most notes that are read at once.
pub(super) const ENDINGS: i64 = 1_000;

/// The database that keeps accounts. `folded`: a name, as [`Name::folded`] writes it.
#[async_trait]
pub(super) trait Backend:
    ChangePassword + Tries + Clients + Editing + EventTable + ResetBackend + fmt::Debug + Send + Sync + 'static
{
    /// `None`: the name is taken, or the link does not make accounts (any more).
    async fn add(&self, new: NewAccount) -> Result<Option<Account>, AccountError>;

    async fn list(&self) -> Result<Vec<Account>, AccountError>;

    async fn find(&self, folded: &str) -> Result<Option<Account>, AccountError>;

    async fn find_by_id(&self, id: i64) -> Result<Option<Account>, AccountError>;

    async fn is_empty(&self) -> Result<bool, AccountError>;

    async fn login(&self, folded: &str) -> Result<Option<Login>, AccountError>;

    /// Whether the account is enabled and under that stamp. Never answers by what is older than the question; where a
    /// change is under way, it answers by what comes of it, or fails.
    async fn is_current(&self, id: i64, stamp: u64) -> Result<bool, AccountError>;

    /// Makes the change, and in the same transaction ends the sessions of the account, which live in the same database.
    /// The account, as it was or as it is now, and exactly those that ended. `None`: there is no such account.
    async fn change_and_end(
        &self,
        folded: &str,
        change: Change,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError>;

    /// Makes the change, and in the same transaction notes that the account's sessions are to be ended, which live
    /// elsewhere. The account, as it was or as it is now, and the number of the note. `None`: there is no such account.
    async fn change_and_note(
        &self,
        folded: &str,
        change: Change,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError>;

    /// Swaps a hash for a dearer one of the same password. Never replaces any but `old`, so it undoes no password change.
    async fn rehash(&self, id: i64, old: &str, new: &str) -> Result<bool, AccountError>;

    /// Keeps the verifier of a new set-up link, and forgets the one before. `false`: there are accounts already.
    async fn put_setup_link(&self, verifier: [u8; 32], expires_at: Timestamp) -> Result<bool, AccountError>;

    /// The verifier of the set-up link that is valid at `now`.
    async fn setup_link(&self, now: Timestamp) -> Result<Option<[u8; 32]>, AccountError>;

    /// Whose sessions are to be ended, the oldest notes first, at most [`ENDINGS`].
    async fn endings(&self) -> Result<Vec<Ending>, AccountError>;

    /// Forgets a note. Twice is no error.
    async fn forget_ending(&self, id: i64) -> Result<(), AccountError>;
}
