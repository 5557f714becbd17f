//! What can go wrong with the database, each with what to do about it.
//!
//! Must never carry a password or a bound value: errors are logged, and the details that PostgreSQL adds name values.

use std::io;
use std::time::Duration;

use tokio_postgres::error::DbError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The database cannot be used as its address says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error("the PostgreSQL URL cannot be used: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// No server answers there.
    #[error("{address} does not answer: is PostgreSQL running there, and does the network let us through?")]
    Unreachable {
        /// Where, without the password.
        address: String,
        /// What the system said.
        source: Cause,
    },
    /// The server knows no such user, password or database.
    #[error(
        "{address} refused us ({reason}): check user, password and database, and the server's pg_hba.conf"
    )]
    Refused {
        /// Where, without the password.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// The server is set up so that promises would be void.
    #[error("{address} is set up wrong: {reason}")]
    Setup {
        /// Where, without the password.
        address: String,
        /// What is wrong, and what to run.
        reason: String,
    },
    /// The tables are not there or not ours to use, and we may not change that.
    #[error(
        "{address}: the tables of the {component} are not ready ({reason}): apply what `exeunt store schema` prints as \
         the role that owns the schema, and let the service's role use them (GRANT SELECT, INSERT, UPDATE, DELETE)"
    )]
    Schema {
        /// Where, without the password.
        address: String,
        /// Whose tables.
        component: String,
        /// What the server said.
        reason: String,
    },
    /// A newer version made the tables.
    #[error(
        "{address} was written by a newer version: its {component} are at version {found}, this program knows {known}; \
         run the newer version"
    )]
    Newer {
        /// Where, without the password.
        address: String,
        /// Whose tables.
        component: String,
        /// The version in the database.
        found: i32,
        /// The latest version that this program knows.
        known: i32,
    },
    /// A migration failed. The tables are as they were before it.
    #[error("{address}: the migrations of the {component} failed")]
    Migration {
        /// Where, without the password.
        address: String,
        /// Whose tables.
        component: String,
        /// What the server said.
        source: DatabaseError,
    },
}

impl ConnectError {
    /// What a failed attempt to connect says.
    pub(super) fn of_attempt(address: &str, error: tokio_postgres::Error) -> Self {
        let address = address.to_owned();
        if let Some(said) = error.as_db_error() {
            let reason = said.message().to_owned();
            return match said.code().code() {
                // A wrong password, no entry in pg_hba.conf, an unknown database, no right to connect.
                "28000" | "28P01" | "3D000" | "42501" => Self::Refused { address, reason },
                _ => Self::Unreachable { address, source: DatabaseError::from(error).into() },
            };
        }
        if is_read_only(&error) {
            let reason = "it takes no writes (a standby, or default_transaction_read_only is on): name the primary, or \
                          all hosts, so that the one that takes writes is found";
            return Self::Setup { address, reason: reason.to_owned() };
        }
        Self::Unreachable { address, source: error.into() }
    }
}

/// Whether the driver turned a server down because it takes no writes.
pub(super) fn is_read_only(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    // The system's own refusals have a number.
    source.is_some_and(|said| said.kind() == io::ErrorKind::PermissionDenied && said.raw_os_error().is_none())
}

/// The database did not do what it was asked. Unless the server refused, it is not known whether it still will.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(Fault);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(
        "PostgreSQL did not answer within {}: is it overloaded, or does another transaction hold a lock?",
        humantime::format_duration(*.0)
    )]
    Deadline(Duration),
    #[error(
        "no connection to PostgreSQL within {}: is it running, and are there enough connections (`pool=`)?",
        humantime::format_duration(*.0)
    )]
    NoConnection(Duration),
    #[error("no connection to PostgreSQL")]
    Connect(#[source] Box<ConnectError>),
    #[error("PostgreSQL said: {message} (SQLSTATE {code}){}", advice(code))]
    Said { code: String, message: String },
    #[error("the connection to PostgreSQL failed")]
    Connection(#[source] tokio_postgres::Error),
    #[error("PostgreSQL takes no writes: is it a standby, or was default_transaction_read_only set?")]
    ReadOnly,
    #[error("a row in PostgreSQL cannot be read ({0}): was it written by another program?")]
    Damaged(&'static str),
}

impl DatabaseError {
    pub(super) fn deadline(deadline: Duration) -> Self {
        Self(Fault::Deadline(deadline))
    }

    pub(super) fn no_connection(deadline: Duration) -> Self {
        Self(Fault::NoConnection(deadline))
    }

    pub(super) fn read_only() -> Self {
        Self(Fault::ReadOnly)
    }

    pub(super) fn damaged(what: &'static str) -> Self {
        Self(Fault::Damaged(what))
    }

    /// The five characters by which PostgreSQL names what it refused, such as `23505` for a value that has to be unique.
    ///
    /// `None` where it did not answer at all.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.0 {
            Fault::Said { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What PostgreSQL said, without the details that name values.
    pub(super) fn message(&self) -> String {
        match &self.0 {
            Fault::Said { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    /// Whether nothing more can be expected of the connection, nor of its neighbours.
    pub(super) fn spoils_the_connection(&self) -> bool {
        match &self.0 {
            // The server ends (57P..) or lost itself (08...), or takes no writes any more: another one may.
            Fault::Said { code, .. } => {
                code.starts_with("57P") || code.starts_with("08") || code.starts_with("XX") || code == "25006"
            }
            Fault::Damaged(_) => false,
            _ => true,
        }
    }
}

impl From<ConnectError> for DatabaseError {
    fn from(error: ConnectError) -> Self {
        Self(Fault::Connect(Box::new(error)))
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self(said.into()),
            None => Self(Fault::Connection(error)),
        }
    }
}

impl From<&DbError> for Fault {
    fn from(said: &DbError) -> Self {
        Self::Said { code: said.code().code().to_owned(), message: said.message().to_owned() }
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        // A statement that was prepared on another connection.
        "26000" | "42P05" => ": is there a pooler between us? Add `pooler=transaction` to the URL",
        "42P01" | "42883" => ": was a schema removed, or is search_path another?",
        "53300" => ": raise max_connections, or lower `pool=`",
        "57014" => ": does another transaction hold a lock?",
        _ => "",
    }
}
