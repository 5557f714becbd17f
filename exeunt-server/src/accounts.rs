//! The accounts of this server: people who may log in with a password.
//!
//! Must never tell one kind of wrong login from another, never give a number to a second account, and never say that
//! an account was disabled, removed or given another password before its sessions ended in the same transaction.

mod name;
mod password;
mod setup;
mod sqlite;

use std::fmt;
use std::time::Duration;

use exeunt::{Timestamp, UserId, Users, UsersError, Verified};
use serde::{Deserialize, Serialize};

pub use self::name::LONGEST_NAME;
use self::name::Name;
pub use self::password::{Checked, Cost, HashError, Hasher, LONGEST_PASSWORD};
pub use self::setup::{SETUP_LINK_LASTS, SetupSecret};
use exeunt::store::sqlite::{Database, DatabaseError, OpenError, Tx, destroy_all_in};

/// How long who came while too many passwords were being checked is told to wait.
pub const RETRY_WHEN_BUSY: Duration = Duration::from_secs(2);

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
    #[serde(with = "crate::admin::rfc3339")]
    pub created_at: Timestamp,
}

impl Account {
    /// How the sessions of this account name it.
    #[must_use]
    pub fn user(&self) -> UserId {
        UserId::from(self.id)
    }
}

/// What a person logs in with.
#[derive(Deserialize)]
pub struct Credentials {
    /// The account's name, in any case.
    pub username: String,
    /// The password; NFC is the only thing done to it.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// Neither: people type passwords where the name belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

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
    #[error("there are accounts already")]
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
        self.write(move |tx| {
            // A link that makes the first account has lost its purpose.
            sqlite::drop_setup_link(tx)?;
            sqlite::insert(tx, name.as_str(), name.folded(), &password, admin, now)?
                .ok_or(AccountError::NameTaken)
        })
        .await
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
        self.change(name, |tx, account| {
            sqlite::disable(tx, account.id)?;
            end_sessions(tx, account)
        })
        .await
    }

    /// Lets a disabled account log in again. Brings no session back. Twice is no error.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn enable(&self, name: &str) -> Result<(), AccountError> {
        self.change(name, |tx, account| Ok(sqlite::enable(tx, account.id)?)).await
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
        self.change(name, move |tx, account| {
            sqlite::set_password(tx, account.id, &password)?;
            end_sessions(tx, account)
        })
        .await
    }

    /// Removes the account and ends its sessions: their number (R19).
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn remove(&self, name: &str) -> Result<usize, AccountError> {
        self.change(name, |tx, account| {
            sqlite::disable(tx, account.id)?;
            let ended = end_sessions(tx, account)?;
            sqlite::delete(tx, account.id)?;
            Ok(ended)
        })
        .await
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

    /// Finds the account and changes it, in one transaction.
    async fn change<T: Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&Tx<'_>, &Account) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let name = Name::new(name).map_err(|_| AccountError::NoSuchAccount)?;
        self.write(move |tx| {
            let account = sqlite::find(tx, name.folded())?.ok_or(AccountError::NoSuchAccount)?;
            change(tx, &account)
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.database.write(change).await
    }

    /// Replaces a cheap hash. That it fails is no reason to refuse a right password.
    async fn rehash(&self, login: &sqlite::Login, password: &str) {
        let id = login.id;
        let old = login.password.clone();
        let done = async {
            let new = self.hasher.hash(password).await?;
            self.write(move |tx| Ok(sqlite::rehash(tx, id, &old, &new)?)).await
        };
        match done.await {
            Ok(_) => {
                tracing::info!(event = "password_rehashed", account = id, "password hashed at today's cost")
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    event = "password_not_rehashed",
                    account = id,
                    error,
                    "password not hashed anew"
                );
            }
        }
    }
}

fn end_sessions(tx: &Tx<'_>, account: &Account) -> Result<usize, AccountError> {
    Ok(destroy_all_in(tx, &account.user(), None)?.len())
}

impl Users for Accounts {
    type Credentials = Credentials;

    /// One hash of the same cost for an unknown name, a disabled account, a wrong and a right password (R32, R33).
    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        let found = match Name::new(&given.username) {
            Ok(name) => self.database.read(|connection| sqlite::login(connection, name.folded())),
            Err(_) => Ok(None),
        };
        let found = found.map_err(UsersError::new)?;
        let phc = found.as_ref().map(|login| login.password.as_str());
        let checked = self.hasher.check(&given.password, phc).await.map_err(unanswered)?;
        let Some(login) = found.filter(|login| !login.disabled) else { return Ok(None) };
        match checked {
            Checked::Wrong => return Ok(None),
            Checked::Right => {}
            Checked::RightButCheap => self.rehash(&login, &given.password).await,
        }
        Ok(Some(Verified::new(UserId::from(login.id), login.stamp).named(login.name)))
    }

    async fn is_current(&self, verified: &Verified) -> Result<bool, UsersError> {
        let Ok(id) = verified.user().as_str().parse() else { return Ok(false) };
        let current = |connection: &_| sqlite::is_current(connection, id, verified.stamp());
        self.database.read(current).map_err(UsersError::new)
    }
}

fn unanswered(error: HashError) -> UsersError {
    match error {
        HashError::Busy => UsersError::new(error).retry_in(RETRY_WHEN_BUSY),
        error => UsersError::new(error),
    }
}
