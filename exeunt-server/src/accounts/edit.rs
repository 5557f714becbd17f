//! What administrators do to accounts.
//!
//! Must never leave a server without an administrator who may log in, unless that was said in so many words; and must never
//! take two steps for it: two administrators who remove each other at once would both find the other one there.

use std::collections::HashMap;
use std::fmt;

use exeunt::store::async_trait;
use exeunt::{EventKind, SessionId, Timestamp, UserId};

use super::events::Changed;
use super::find::Page;
use super::name::Name;
use super::task::to_the_end;
use super::{Account, AccountError, Accounts};
use crate::mail::texts::Notice;

/// What is to become of an account. What is `None` stays as it is.
///
/// Another role, being disabled and another password end the account's sessions, and void a login that is being checked.
#[derive(Clone, Default)]
pub struct Changes {
    /// Whether it may administer others.
    pub admin: Option<bool>,
    /// Whether logging in is refused.
    pub disabled: Option<bool>,
    /// The new password.
    pub password: Option<String>,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { admin, disabled, .. } = self;
        f.debug_struct("Changes").field("admin", admin).field("disabled", disabled).finish_non_exhaustive()
    }
}

/// What holds for the last administrator who may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// They stay one: [`AccountError::LastAdministrator`].
    Stays,
    /// They go, too, and nobody can administer over the network until a command makes another administrator.
    Goes,
}

/// A change as the database makes it.
#[derive(Clone)]
pub(super) struct Edit {
    pub(super) admin: Option<bool>,
    pub(super) disabled: Option<bool>,
    /// A PHC string.
    pub(super) password: Option<String>,
    pub(super) removed: bool,
    pub(super) last: Last,
}

impl Edit {
    /// Whether it takes the power to administer from whoever has it.
    pub(super) fn takes_power(&self) -> bool {
        self.removed || self.admin == Some(false) || self.disabled == Some(true)
    }

    /// Whether the sessions of such an account end with it.
    pub(super) fn ends_sessions_of(&self, account: &Account) -> bool {
        let other_role = self.admin.is_some_and(|admin| admin != account.admin);
        self.removed || self.disabled == Some(true) || self.password.is_some() || other_role
    }

    /// What it is above all: why sessions end, and what to tell whoever asked.
    pub(super) fn changed(&self) -> Changed {
        let (kind, done) = match self {
            Self { removed: true, .. } => (EventKind::AccountRemoved, "the account is removed"),
            Self { disabled: Some(true), .. } => (EventKind::AccountDisabled, "the account is disabled"),
            Self { password: Some(_), .. } => (EventKind::PasswordSet, "the password is changed"),
            _ => (EventKind::AccountChanged, "the account is changed"),
        };
        Changed { kind, done }
    }
}

/// Where the sessions of a changed account are.
#[derive(Clone, Copy)]
pub(super) enum SessionsAre {
    /// In the same database: they end in the same transaction.
    Here,
    /// Elsewhere: a note says that they are to end.
    Elsewhere {
        /// For the note.
        reason: &'static str,
        /// For the note.
        at: Timestamp,
    },
}

/// An edit that was made.
pub(super) struct Edited {
    pub(super) before: Account,
    /// Of a removed account: as it was.
    pub(super) after: Account,
    /// Those that ended here.
    pub(super) ended: Vec<SessionId>,
    /// The note that they are to end elsewhere.
    pub(super) note: Option<i64>,
}

/// What administration asks of the database. Each method is one transaction.
#[async_trait]
pub(super) trait Editing {
    /// In the order of folded names, or against it.
    async fn page(&self, page: &Page) -> Result<Vec<Account>, AccountError>;

    /// Those of these accounts that there are.
    async fn find_many(&self, ids: &[i64]) -> Result<Vec<Account>, AccountError>;

    /// `None`: there is no such account. [`AccountError::LastAdministrator`]: nothing was changed.
    async fn edit(&self, id: i64, edit: Edit, sessions: SessionsAre) -> Result<Option<Edited>, AccountError>;
}

impl Accounts {
    /// The account of that number.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn get(&self, id: i64) -> Result<Option<Account>, AccountError> {
        self.backend.find_by_id(id).await
    }

    /// Those of these users that have an account (any more), in one question.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn find_users<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<HashMap<UserId, Account>, AccountError> {
        let mut ids: Vec<i64> = users.into_iter().filter_map(|user| user.as_str().parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = self.backend.find_many(&ids).await?;
        Ok(found.into_iter().map(|account| (account.user(), account)).collect())
    }

    /// Changes an account in one step: what it is now, and how many of its sessions ended (R12, R18, R19).
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], [`AccountError::LastAdministrator`], [`AccountError::BadPassword`];
    /// [`AccountError::SessionsLeft`]; or what else the enum says.
    pub async fn change(
        &self,
        id: i64,
        changes: Changes,
        last: Last,
    ) -> Result<(Account, usize), AccountError> {
        let Changes { admin, disabled, password } = changes;
        let password = match password {
            Some(password) => {
                // Before the hash, which costs much more.
                let account = self.get(id).await?.ok_or(AccountError::NoSuchAccount)?;
                Some(self.new_hash(&password, &account.own_words()).await?)
            }
            None => None,
        };
        let is_new_password = password.is_some();
        let changed = self.edit(id, Edit { admin, disabled, password, removed: false, last }).await;
        let is_done = matches!(changed, Ok(_) | Err(AccountError::SessionsLeft { .. }));
        if is_new_password
            && is_done
            && let Some(account) = self.get(id).await?
        {
            self.new_password_ends_the_count(&account.name).await;
            self.outbox.notify(&account, Notice::PasswordChanged);
        }
        changed
    }

    /// Removes an account in one step: what it was, and how many of its sessions ended (R19).
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], [`AccountError::LastAdministrator`]; [`AccountError::SessionsLeft`]; or the
    /// database did not answer.
    pub async fn remove_by_id(&self, id: i64, last: Last) -> Result<(Account, usize), AccountError> {
        self.edit(id, Edit { admin: None, disabled: None, password: None, removed: true, last }).await
    }

    /// Refuses logins from now on, and ends the account's sessions: their number (R19). Twice is no error.
    ///
    /// # Errors
    ///
    /// As [`Accounts::change`]; the last administrator stays.
    pub async fn disable(&self, name: &str) -> Result<usize, AccountError> {
        let changes = Changes { disabled: Some(true), ..Changes::default() };
        Ok(self.change(self.number_of(name).await?, changes, Last::Stays).await?.1)
    }

    /// Lets a disabled account log in again. Brings no session back. Twice is no error.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn enable(&self, name: &str) -> Result<(), AccountError> {
        let changes = Changes { disabled: Some(false), ..Changes::default() };
        self.change(self.number_of(name).await?, changes, Last::Stays).await.map(drop)
    }

    /// Removes the account and ends its sessions: their number (R19).
    ///
    /// # Errors
    ///
    /// As [`Accounts::remove_by_id`]; the last administrator stays.
    pub async fn remove(&self, name: &str) -> Result<usize, AccountError> {
        Ok(self.remove_by_id(self.number_of(name).await?, Last::Stays).await?.1)
    }

    /// Who removes an account and adds another of that name meanwhile has not made it the same one.
    pub(super) async fn number_of(&self, name: &str) -> Result<i64, AccountError> {
        let name = Name::new(name).map_err(|_| AccountError::NoSuchAccount)?;
        let found = self.backend.find(name.folded()).await?;
        found.map(|account| account.id).ok_or(AccountError::NoSuchAccount)
    }

    async fn edit(&self, id: i64, edit: Edit) -> Result<(Account, usize), AccountError> {
        let accounts = self.clone();
        to_the_end(async move { accounts.edit_and_end(id, edit).await }).await
    }

    async fn edit_and_end(&self, id: i64, edit: Edit) -> Result<(Account, usize), AccountError> {
        let changed = edit.changed();
        let sessions = match &self.apart {
            None => SessionsAre::Here,
            Some(sessions) => SessionsAre::Elsewhere { reason: changed.reason(), at: sessions.now() },
        };
        let edited = self.backend.edit(id, edit.clone(), sessions).await?;
        let Edited { before, after, ended, note } = edited.ok_or(AccountError::NoSuchAccount)?;
        self.told_edited(&edit, &before, &after, &ended);
        let ended = match (&self.apart, note) {
            (Some(sessions), Some(note)) => {
                self.end_sessions_apart(sessions.clone(), after.clone(), note, changed).await?
            }
            _ => ended.len(),
        };
        Ok((after, ended))
    }
}
