//! Sessions in PostgreSQL, for any number of nodes.
//!
//! Must never take two statements for one step, insert a session other than in `create`, or ask the server what time it
//! is.
//!
//! Each step is one statement, and so one transaction: renew, save and touch are guarded UPDATEs whose rows are the
//! answer, destroy is a DELETE. Two steps are functions that the migrations make, `exeunt_create` and
//! `exeunt_destroy_all`: they wait for the other logins and ends of the same user, and what they then do has to see what
//! those did, which a single statement would not. Instants are integers, which no connection's time zone can move.
//!
//! Behind a pooler that hands each transaction to another connection (`pooler=transaction`), statements have no name,
//! and the server's own time limit on statements is not set: one that was given up is cancelled instead.

mod connect;
mod database;
mod errors;
mod migrate;
mod report;
mod url;

pub use tokio_postgres::Row;
pub use tokio_postgres::types::{ToSql, Type};

pub use self::database::Database;
pub use self::errors::{ConnectError, DatabaseError};
pub use self::migrate::schema;
