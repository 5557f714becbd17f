//! The accounts of this server: people who may log in with a password.
//!
//! Must never tell one kind of wrong login from another, never give a number to a second account, and never say that
//! an account was disabled, removed or given another password before its sessions ended: in the same transaction, or,
//! where they live in another store, by a note of that transaction that every node works off.

pub(crate) mod asking;
mod audit;
mod backend;
mod change_password;
pub(crate) mod client;
pub mod copy;
mod edit;
mod email;
mod endings;
mod error;
mod events;
mod find;
mod login;
mod name;
mod notices;
mod password;
mod policy;
mod postgres;
mod reset;
pub mod rfc3339;
mod secret;
mod setup;
mod sources;
mod sqlite;
mod task;
mod throttle;

use std::sync::Arc;

use exeunt::store::postgres::Database as PostgresDatabase;
use exeunt::store::sqlite::Database as SqliteDatabase;
use exeunt::{Clock as _, EventKind, Events, Sessions, SystemClock, Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub use self::audit::{Audit, EventLine, EventQuery, Whose};
use self::backend::{Backend, Change, NewAccount};
pub use self::change_password::PasswordChanged;
pub use self::edit::{Changes, Last};
use self::email::Email;
pub use self::error::{AccountError, AccountsUnusable, RETRY_WHEN_BUSY};
use self::events::Changed;
pub use self::find::{Find, Place};
pub use self::login::Credentials;
pub use self::name::LONGEST_NAME;
use self::name::Name;
pub use self::password::{Checked, Cost, HashError, Hasher, LONGEST_PASSWORD};
pub use self::policy::{
    Breached, BreachedError, PasswordRefused, Policy, SHORTEST_PASSWORD, SHORTEST_PASSWORD_MAY_BE,
};
use self::postgres::PostgresAccounts;
pub use self::postgres::{COMPONENT, POSTGRES_STEPS};
pub use self::reset::ResetAsked;
use self::reset::Resets;
pub use self::secret::LinkSecret;
pub use self::setup::SETUP_LINK_LASTS;
use self::sqlite::SqliteAccounts;
pub(crate) use self::task::to_the_end;
use crate::mail::Outbox;
use crate::mail::texts::Notice;

/// Everybody who may log in.
///
/// Cheap to clone; clones share everything. Names are compared after NFC and without regard to case.
#[derive(Clone, Debug)]
pub struct Accounts {
    backend: Arc<dyn Backend>,
    hasher: Hasher,
    policy: Policy,
    /// Where the sessions are not in the same database.
    apart: Option<Sessions>,
    /// Where changes are reported.
    events: Events,
    /// Whose time counts, if not the machine's.
    time_of: Option<Sessions>,
    clock: Arc<SystemClock>,
    /// Tells the owners of accounts what happened.
    outbox: Outbox,
    /// Where forgotten passwords can be reset.
    resets: Option<Resets>,
}

/// A database that can keep accounts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Engine {
    /// A SQLite file.
    Sqlite(SqliteDatabase),
    /// PostgreSQL.
    Postgres(PostgresDatabase),
}

impl From<PostgresDatabase> for Engine {
    fn from(database: PostgresDatabase) -> Self {
        Self::Postgres(database)
    }
}

impl From<SqliteDatabase> for Engine {
    fn from(database: SqliteDatabase) -> Self {
        Self::Sqlite(database)
    }
}

/// Somebody who may log in, as far as others may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Where its messages go, if anywhere. Whether its owner reads them there was not asked.
    #[schema(required)]
    pub email: Option<String>,
}

impl Account {
    /// What is known of its owner, which is nobody's password.
    pub(crate) fn own_words(&self) -> [&str; 2] {
        [&self.name, self.email.as_deref().unwrap_or_default()]
    }

    /// How the sessions of this account name it.
    #[must_use]
    pub fn user(&self) -> UserId {
        UserId::from(self.id)
    }
}

impl Accounts {
    /// The accounts in this database, beside the sessions; its tables are made if need be.
    ///
    /// # Errors
    ///
    /// If the tables cannot be made, or are of a newer version.
    pub async fn open(database: impl Into<Engine>, hasher: Hasher) -> Result<Self, AccountsUnusable> {
        let backend: Arc<dyn Backend> = match database.into() {
            Engine::Sqlite(database) => Arc::new(SqliteAccounts::open(database)?),
            Engine::Postgres(database) => Arc::new(PostgresAccounts::open(database).await?),
        };
        let clock = Arc::new(SystemClock::new());
        let (policy, events, outbox) = (Policy::default(), Events::new(), Outbox::off());
        Ok(Self { backend, hasher, policy, apart: None, events, time_of: None, clock, outbox, resets: None })
    }

    /// The same accounts, whose new passwords have to be as this says.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The same accounts, by the time that these sessions go by.
    #[must_use]
    pub fn in_time_with(self, sessions: &Sessions) -> Self {
        Self { time_of: Some(sessions.clone()), ..self }
    }

    /// The same accounts, whose sessions live in another store than the accounts' database.
    #[must_use]
    pub fn apart_from(self, sessions: Sessions) -> Self {
        Self { apart: Some(sessions.clone()), time_of: Some(sessions), ..self }
    }

    fn now(&self) -> Timestamp {
        self.time_of.as_ref().map_or_else(|| self.clock.now(), Sessions::now)
    }

    /// The same accounts, whose changes are reported there, with what happens to sessions.
    #[must_use]
    pub fn reporting_to(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Adds an account without an e-mail address.
    ///
    /// # Errors
    ///
    /// As [`Accounts::add_with_email`].
    pub async fn add(
        &self,
        name: &str,
        password: &str,
        admin: bool,
        now: Timestamp,
    ) -> Result<Account, AccountError> {
        self.add_with_email(name, password, admin, None, now).await
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// [`AccountError::BadName`], [`AccountError::BadPassword`], [`AccountError::BadEmail`], [`AccountError::NameTaken`],
    /// or what else the enum says.
    pub async fn add_with_email(
        &self,
        name: &str,
        password: &str,
        admin: bool,
        email: Option<&str>,
        now: Timestamp,
    ) -> Result<Account, AccountError> {
        let name = Name::new(name)?;
        let email = email.map(Email::new).transpose()?;
        if self.backend.find(name.folded()).await?.is_some() {
            return Err(AccountError::NameTaken);
        }
        let own_words = [name.as_str(), email.as_ref().map_or("", Email::as_str)];
        let password = self.new_hash(password, &own_words).await?;
        let added = self.backend.add(NewAccount { name, password, admin, email, now, link: None }).await?;
        added.ok_or(AccountError::NameTaken).inspect(|account| self.told_added(account))
    }

    /// All accounts, by number.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn list(&self) -> Result<Vec<Account>, AccountError> {
        self.backend.list().await
    }

    /// The account of that name. What cannot be a name is nobody's.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn find(&self, name: &str) -> Result<Option<Account>, AccountError> {
        let Ok(name) = Name::new(name) else { return Ok(None) };
        self.backend.find(name.folded()).await
    }

    /// The account that sessions name so.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn find_user(&self, user: &UserId) -> Result<Option<Account>, AccountError> {
        let Ok(id) = user.as_str().parse() else { return Ok(None) };
        self.backend.find_by_id(id).await
    }

    /// Whether there is no account at all, disabled ones included.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn is_empty(&self) -> Result<bool, AccountError> {
        self.backend.is_empty().await
    }

    /// Gives the account another password, and ends its sessions: their number (R18). For administration: it asks for
    /// no old password.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], [`AccountError::BadPassword`]; [`AccountError::SessionsLeft`]; or what else the
    /// enum says.
    pub async fn set_password(&self, name: &str, new: &str) -> Result<usize, AccountError> {
        let account = self.find(name).await?.ok_or(AccountError::NoSuchAccount)?;
        let change = Change::Password(self.new_hash(new, &account.own_words()).await?);
        let changed = Changed { kind: EventKind::PasswordSet, done: "the password is changed" };
        let ended = self.ending(name, change, changed).await;
        if matches!(ended, Ok(_) | Err(AccountError::SessionsLeft { .. })) {
            self.new_password_ends_the_count(name).await;
            self.outbox.notify(&account, Notice::PasswordChanged);
        }
        ended
    }

    /// Forgets all wrong tries to log in to the account, so that the next one is taken at once.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], or the database did not answer.
    pub async fn unlock(&self, name: &str) -> Result<(), AccountError> {
        let account = self.find(name).await?.ok_or(AccountError::NoSuchAccount)?;
        let name = Name::new(name).map_err(|_| AccountError::NoSuchAccount)?;
        self.forget_tries(name.folded()).await?;
        self.told_unlocked(&account);
        Ok(())
    }

    /// The hash of a password that is to be set: the one way to make one. `own_words`: what is known of whose it is, such as
    /// the name.
    async fn new_hash(&self, password: &str, own_words: &[&str]) -> Result<String, AccountError> {
        self.policy.check(password, own_words).await?;
        Ok(self.hasher.hash(password).await?)
    }

    /// A change that ends the account's sessions: their number. What happened is reported once it is durable.
    async fn ending(&self, name: &str, change: Change, what: Changed) -> Result<usize, AccountError> {
        let name = Name::new(name).map_err(|_| AccountError::NoSuchAccount)?;
        let Some(sessions) = &self.apart else {
            let changed = self.backend.change_and_end(name.folded(), change).await?;
            let (account, ended) = changed.ok_or(AccountError::NoSuchAccount)?;
            self.told_changed(what, &account, &ended);
            return Ok(ended.len());
        };
        let noted =
            self.backend.change_and_note(name.folded(), change, what.reason(), sessions.now()).await?;
        let (account, note) = noted.ok_or(AccountError::NoSuchAccount)?;
        self.told(what.kind, &account);
        self.end_sessions_apart(sessions.clone(), account, note, what).await
    }
}
