//! What goes over the control socket, which is also what `--json` prints.
//!
//! Must never carry a token, a verifier or a hash; a password goes in only, and does not show.

use std::fmt;
use std::net::IpAddr;

use exeunt::session::Agent;
use exeunt::store::Causes;
use exeunt::{Record, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::accounts::{Account, AccountError, Accounts, EventLine, rfc3339};
use crate::engines::EngineError;

/// What an operator asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is documented at the command line, in `cli`")]
pub enum Command {
    AccountAdd { name: String, password: NewPassword, admin: bool, email: Option<String> },
    AccountList,
    AccountDisable { name: String, even_the_last: bool },
    AccountEnable { name: String },
    AccountUnlock { name: String },
    AccountPassword { name: String, password: NewPassword },
    AccountEmail { name: String, email: Option<String> },
    AccountRemove { name: String, even_the_last: bool },
    AccountRole { name: String, admin: bool, even_the_last: bool },
    SetupLink,
    SessionList { account: Option<String>, after: Option<SessionId>, limit: usize },
    SessionEnd { session: SessionId },
    SessionEndAll { account: Option<String> },
    Events(WantedEvents),
    Check,
}

/// Which events an operator wants to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WantedEvents {
    /// Those of one account alone, by its name.
    pub account: Option<String>,
    /// Those from then on.
    pub since: Option<Timestamp>,
    /// The first ones after this id, oldest first. Without it the last ones, newest first.
    pub after: Option<i64>,
    /// Those before this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

impl Command {
    /// As the log names it: like the words on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccountAdd { .. } => "account add",
            Self::AccountList => "account list",
            Self::AccountDisable { .. } => "account disable",
            Self::AccountEnable { .. } => "account enable",
            Self::AccountUnlock { .. } => "account unlock",
            Self::AccountPassword { .. } => "account password",
            Self::AccountEmail { .. } => "account email",
            Self::AccountRemove { .. } => "account remove",
            Self::AccountRole { .. } => "account role",
            Self::SetupLink => "account setup-link",
            Self::SessionList { .. } => "session list",
            Self::SessionEnd { .. } => "session end",
            Self::SessionEndAll { .. } => "session end-all",
            Self::Events(_) => "events",
            Self::Check => "check",
        }
    }
}

/// A password on its way to being hashed. No Clone or Display; Debug prints `NewPassword(..)`.
#[derive(Serialize, Deserialize)]
pub struct NewPassword(String);

impl NewPassword {
    /// Takes it as it is.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(password)
    }

    /// For the hasher alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(..)")
    }
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reply {
    /// An account, changed in a way that also ended its sessions.
    Changed {
        /// The account; for a removed one, as it was before.
        account: Account,
        /// How many of its sessions ended.
        sessions_ended: usize,
    },
    /// An account, added or enabled.
    Account {
        /// The account.
        account: Account,
    },
    /// All accounts.
    Accounts {
        /// By number.
        accounts: Vec<Account>,
    },
    /// A new set-up link.
    SetupLink(SetupLink),
    /// Some live sessions.
    Sessions {
        /// Of one account: last seen first. Of all: by id, which is by creation.
        sessions: Vec<SessionLine>,
        /// The id to go on after, if there may be more.
        next: Option<SessionId>,
    },
    /// Sessions ended.
    Ended {
        /// How many.
        sessions_ended: usize,
    },
    /// What happened.
    Events {
        /// Newest first; oldest first where it goes on after one.
        events: Vec<EventLine>,
    },
    /// The state of the store.
    Check {
        /// What was found.
        check: Check,
    },
}

/// A link that makes the first administrator in the browser.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupLink {
    /// For the browser. Whoever has it can use it.
    pub setup_link: String,
    /// When it stops being valid.
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
}

impl fmt::Debug for SetupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A live session, as an operator may see it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionLine {
    /// Its public name.
    #[schema(value_type = String)]
    pub id: SessionId,
    /// The name of its account; `None` if that is gone.
    #[schema(required)]
    pub account: Option<String>,
    /// The number of its account.
    pub user: String,
    /// When its owner logged in.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last seen, to a 60th of the idle timeout.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// When it ends if it is not seen again.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What logged in, as a person would put it.
    pub client: String,
    /// As it named itself.
    pub user_agent: String,
    /// Where it logged in from.
    #[schema(value_type = Option<String>, required)]
    pub address: Option<IpAddr>,
    /// Whether its owner asked to be remembered.
    pub remembered: bool,
}

impl SessionLine {
    /// Each of these sessions, with the name of its account.
    ///
    /// # Errors
    ///
    /// If the accounts did not answer.
    pub async fn of(accounts: &Accounts, records: &[Record]) -> Result<Vec<Self>, AccountError> {
        let found = accounts.find_users(records.iter().map(Record::user)).await?;
        let name = |record: &Record| found.get(record.user()).map(|account| account.name.clone());
        Ok(records.iter().map(|record| Self::new(record, name(record))).collect())
    }

    fn new(record: &Record, account: Option<String>) -> Self {
        Self {
            id: record.id(),
            account,
            user: record.user().to_string(),
            created_at: record.created_at(),
            seen_at: record.seen_at(),
            expires_at: record.expires_at(),
            client: Agent::of(record.client()).to_string(),
            user_agent: record.client().to_owned(),
            address: record.address(),
            remembered: record.remembered(),
        }
    }
}

/// The state of the store.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// What keeps sessions and accounts.
    pub engines: Vec<EngineLine>,
    /// How many accounts there are.
    pub accounts: usize,
    /// How many of them are administrators who may log in.
    pub administrators: usize,
    /// How many sessions live.
    pub sessions: usize,
}

/// What keeps sessions, accounts or both.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLine {
    /// What it keeps, in words.
    pub keeps: String,
    /// Where it is; never with a password.
    pub place: String,
    /// What there is to know of it, in the order to show it in.
    pub facts: Vec<Fact>,
}

/// One thing to know of an engine.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Of what, such as `mode`.
    pub name: String,
    /// How it is, such as `0600`.
    pub value: String,
}

impl EngineLine {
    pub(super) fn new(keeps: &str, place: String, facts: Vec<(&'static str, String)>) -> Self {
        let fact = |(name, value): (&str, String)| Fact { name: name.to_owned(), value };
        Self { keeps: keeps.to_owned(), place, facts: facts.into_iter().map(fact).collect() }
    }
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// What kind it is.
    pub code: Code,
    /// For the operator.
    pub message: String,
}

/// The kinds of failure, one exit code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Anything not named below.
    Failed,
    /// The arguments, the configuration, a name or a password cannot be.
    Usage,
    /// There is no such account or session.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The store, or the server that owns it, could not be used or did not answer.
    Store,
    /// It would leave nobody who may administer.
    LastAdministrator,
}

impl Code {
    /// As the program exits. Part of its interface: `exeunt --help` lists them.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::AlreadyExists => 4,
            Self::Store => 5,
            Self::LastAdministrator => 6,
        }
    }
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A failure of this kind, told with all its causes.
    pub fn caused(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code, message: Causes(error).to_string() }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let code = match &error {
            AccountError::NameTaken | AccountError::NotEmpty => Code::AlreadyExists,
            AccountError::NoSuchAccount => Code::NotFound,
            AccountError::LastAdministrator => Code::LastAdministrator,
            AccountError::BadName { .. }
            | AccountError::BadPassword { .. }
            | AccountError::BadEmail { .. } => Code::Usage,
            AccountError::Busy | AccountError::Database(_) | AccountError::SessionsLeft { .. } => Code::Store,
            AccountError::Session(error) => code_of(error),
            AccountError::SetupInvalid
            | AccountError::ResetInvalid
            | AccountError::Hash(_)
            | AccountError::Breached(_)
            | AccountError::WrongPassword
            | AccountError::Outdated => Code::Failed,
        };
        let mut failure = Self::caused(code, &error);
        if code == Code::LastAdministrator {
            failure.message += ", or say --even-the-last";
        }
        failure
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::caused(Code::Store, &error)
    }
}

impl From<exeunt::Error> for Failure {
    fn from(error: exeunt::Error) -> Self {
        Self::caused(code_of(&error), &error)
    }
}

fn code_of(error: &exeunt::Error) -> Code {
    match error.kind() {
        exeunt::ErrorKind::Store | exeunt::ErrorKind::Users => Code::Store,
        _ => Code::Failed,
    }
}
