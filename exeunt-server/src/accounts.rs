//! The accounts of this server: people who may log in with a password.
//!
//! Must never tell one kind of wrong login from another, never give a number to a second account, and never say that
//! an account was disabled, removed or given another password before its sessions ended in the same transaction.

mod error;
mod events;
mod login;
mod name;
mod password;
pub mod rfc3339;
mod setup;
mod sqlite;

use exeunt::{SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use self::error::{AccountError, RETRY_WHEN_BUSY};
pub use self::login::Credentials;
pub use self::name::LONGEST_NAME;
use self::name::Name;
pub use self::password::{Checked, Cost, HashError, Hasher, LONGEST_PASSWORD};
pub use self::setup::{SETUP_LINK_LASTS, SetupSecret};
use exeunt::store::sqlite::{Database, OpenError, Tx, destroy_all_in};

/// Everybody who may log in, in the file where the sessions are too.
///
/// Cheap to clone; clones share everything. Names are compared after NFC and without regard to case.
#[derive(Clone, Debug)]
pub struct Accounts {
    database: Database,
    hasher: Hasher,
}

/// Somebody who may log in, as far as others may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Never given to another account, not even after this one was removed.
    pub id: i64,
    /// As it was written when the account was added, in NFC.
    pub name: String,
    /// Whether it may administer others.
    pub admin: bool,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// When it was added; RFC 3339 in JSON.
    #[serde(with = "crate::accounts::rfc3339")]
    pub created_at: Timestamp,
}

impl Account {
    /// How the sessions of this account name it.
    #[must_use]
    pub fn user(&self) -> UserId {
        UserId::from(self.id)
    }
}

impl Accounts {
    /// The accounts in this database, whose tables are made if need be. Blocks for milliseconds.
    ///
    /// # Errors
    ///
    /// If the tables cannot be made, or are of a newer version.
    pub fn open(database: Database, hasher: Hasher) -> Result<Self, OpenError> {
        database.migrate("accounts", sqlite::STEPS)?;
        Ok(Self { database, hasher })
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// [`AccountError::BadName`], [`AccountError::BadPassword`], [`AccountError::NameTaken`], or what else the enum says.
    pub async fn add(
        &self,
        name: &str,
        password: &str,
        admin: bool,
        now: Timestamp,
    ) -> Result<Account, AccountError> {
        let name = Name::new(name)?;
        if self.database.read(|connection| sqlite::find(connection, name.folded()))?.is_some() {
            return Err(AccountError::NameTaken);
        }
        let password = self.new_hash(password).await?;
        let add = move |tx: &Tx| {
            // A link that makes the first account has lost its purpose.
            sqlite::drop_setup_link(tx)?;
            sqlite::insert(tx, name.as_str(), name.folded(), &password, admin, now)?
                .ok_or(AccountError::NameTaken)
        };
        self.write(add).await.inspect(events::added)
    }

    /// All accounts, by number.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub fn list(&self) -> Result<Vec<Account>, AccountError> {
        Ok(self.database.read(sqlite::list)?)
    }

    /// The account of that name. What cannot be a name is nobody's.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub fn find(&self, name: &str) -> Result<Option<Account>, AccountError> {
        let Ok(name) = Name::new(name) else { return Ok(None) };
        Ok(self.database.read(|connection| sqlite::find(connection, name.folded()))?)
    }

    /// The account that sessions name so.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub fn find_user(&self, user: &UserId) -> Result<Option<Account>, AccountError> {
        let Ok(id) = user.as_str().parse() else { return Ok(None) };
        Ok(self.database.read(|connection| sqlite::find_by_id(connection, id))?)
    }

    /// Whether there is no account at all, disabled ones included.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub fn is_empty(&self) -> Result<bool, AccountError> {
        Ok(self.database.read(sqlite::is_empty)?)
    }

    /// Refuses logins from now on, and ends the account's sessions: their number (R19). Twice is no error.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn disable(&self, name: &str) -> Result<usize, AccountError> {
        let disable = |tx: &Tx, account: &Account| {
            sqlite::disable(tx, account.id)?;
            end_sessions(tx, account)
        };
        self.ending(name, disable, "account_disabled").await
    }

    /// Lets a disabled account log in again. Brings no session back. Twice is no error.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn enable(&self, name: &str) -> Result<(), AccountError> {
        let enable = |tx: &Tx, account: &Account| Ok(sqlite::enable(tx, account.id)?);
        let (account, ()) = self.change(name, enable).await?;
        events::enabled(&account);
        Ok(())
    }

    /// Gives the account another password, and ends its sessions: their number (R18). For administration: it asks for
    /// no old password.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], [`AccountError::BadPassword`], or what else the enum says.
    pub async fn set_password(&self, name: &str, new: &str) -> Result<usize, AccountError> {
        if self.find(name)?.is_none() {
            return Err(AccountError::NoSuchAccount);
        }
        let password = self.new_hash(new).await?;
        let set = move |tx: &Tx, account: &Account| {
            sqlite::set_password(tx, account.id, &password)?;
            end_sessions(tx, account)
        };
        self.ending(name, set, "password_set").await
    }

    /// Removes the account and ends its sessions: their number (R19).
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn remove(&self, name: &str) -> Result<usize, AccountError> {
        let remove = |tx: &Tx, account: &Account| {
            sqlite::disable(tx, account.id)?;
            let ended = end_sessions(tx, account)?;
            sqlite::delete(tx, account.id)?;
            Ok(ended)
        };
        self.ending(name, remove, "account_removed").await
    }

    async fn new_hash(&self, password: &str) -> Result<String, AccountError> {
        let bytes = password::normalized(password).len();
        if bytes == 0 {
            return Err(AccountError::BadPassword { reason: "it is empty" });
        }
        if bytes > LONGEST_PASSWORD {
            return Err(AccountError::BadPassword { reason: "it is longer than 1024 bytes" });
        }
        Ok(self.hasher.hash(password).await?)
    }

    /// A change that ends the account's sessions: their number. What happened is logged once it is durable.
    async fn ending(
        &self,
        name: &str,
        change: impl FnOnce(&Tx, &Account) -> Result<Vec<SessionId>, AccountError> + Send + 'static,
        event: &'static str,
    ) -> Result<usize, AccountError> {
        let (account, ended) = self.change(name, change).await?;
        events::ended(&account, &ended, event);
        Ok(ended.len())
    }

    /// Finds the account and changes it, in one transaction. The account is as it was before.
    async fn change<T: Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&Tx, &Account) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<(Account, T), AccountError> {
        let name = Name::new(name).map_err(|_| AccountError::NoSuchAccount)?;
        self.write(move |tx| {
            let account = sqlite::find(tx, name.folded())?.ok_or(AccountError::NoSuchAccount)?;
            let changed = change(tx, &account)?;
            Ok((account, changed))
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.database.write(change).await
    }
}

fn end_sessions(tx: &Tx, account: &Account) -> Result<Vec<SessionId>, AccountError> {
    Ok(destroy_all_in(tx, &account.user(), None)?)
}
