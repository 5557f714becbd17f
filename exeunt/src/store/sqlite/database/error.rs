//! What can go wrong with the file, each with what to do about it.
//!
//! Must never carry a value that was being written: errors are logged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// The database did not do what it was asked. Unless it says otherwise, it is not known whether it still will.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Too many writes are waiting; this one was not taken.
    #[error("too many writes are waiting for the disk")]
    Busy,
    /// The writer did not answer in time.
    #[error(
        "the writer did not answer within 2 seconds: is the disk slow, or does another program lock the file?"
    )]
    Deadline,
    /// The disk failed to keep what it was given; nothing is acknowledged any more. Restart the process.
    #[error(
        "the disk failed to sync an earlier write, so nothing more is acknowledged: check the disk, then restart"
    )]
    SyncFailed,
    /// The file is not at its path any more; nothing is written until it is back.
    #[error(
        "the database file was moved, deleted or replaced while it was open: put it back, or restart on another"
    )]
    Moved,
    /// The commit is durable, and the mark beside the file could not be written, without which a later loss of that
    /// commit would go unnoticed.
    #[error(
        "the mark beside the database file could not be written, so nothing is acknowledged: make room on its disk"
    )]
    Mark(#[source] Arc<std::io::Error>),
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// The closure panicked; what it did was undone.
    #[error("the closure given to `write` panicked; what it did was undone")]
    Panicked,
    /// The transaction that several shared ended too early. Which of them took effect is not known.
    #[error(
        "the transaction ended within a step, so nothing of its batch is acknowledged: is the disk full, or did a \
         closure given to `write` end it?"
    )]
    TransactionEnded,
    /// Another step of the same batch failed in a way that undid all of it.
    #[error("the batch was undone, because another step of it failed")]
    Undone(#[source] Arc<DatabaseError>),
    /// A stored session cannot be read.
    #[error(
        "a stored session cannot be read ({what}): run `exeunt check`, restore a backup if the file is damaged"
    )]
    Damaged {
        /// Which part of it.
        what: &'static str,
    },
    /// The file cannot be opened again.
    #[error(transparent)]
    Unusable(Arc<OpenError>),
    /// What SQLite said.
    #[error("{}", explain(.0))]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

impl DatabaseError {
    /// Whether it may well succeed a little later: the queue was full, the writer slow, or the file locked.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Busy | Self::Deadline => true,
            Self::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
            }
            _ => false,
        }
    }

    /// Whether the disk failed, after which nothing may be acknowledged.
    pub(super) fn is_io(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

fn explain(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds a lock on the database file: end it, or let it only read"
        }
        Some(ErrorCode::DiskFull) => "the disk is full: make room, no restart is needed",
        Some(ErrorCode::SystemIoFailure) => "the disk failed: check it, then restart",
        Some(ErrorCode::ReadOnly) => "the database file may not be written: check its owner, mode and mount",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the database file is damaged: run `exeunt check`, restore a backup"
        }
        _ => "SQLite refused",
    }
}

/// What a file may lack of what was acknowledged. Every session that it had has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// Its log or its data was damaged.
    #[error(
        "changes that were acknowledged are missing: the file, or its log (FILE-wal), was damaged or removed"
    )]
    Commits,
    /// The mark is missing or damaged, or the number that is to be compared with it.
    #[error(
        "changes that were acknowledged may be missing, and nobody can tell: the mark beside the file (FILE-mark) was \
         removed or left behind, or one of both was damaged"
    )]
    Unknown,
    /// It is not the database whose mark is beside it.
    #[error("it is a backup, or a copy: what changed since it was made is missing")]
    Backup,
}

/// Why a file could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process owns the file.
    #[error("{} is in use: another process holds {}.lock; stop it, or talk to it instead", path.display(), path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another program, not through this library, holds a lock.
    #[error("{} is locked by another program: end it, or let it only read", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{} is damaged: keep a copy, then restore a backup or try `sqlite3 FILE .recover`", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file is something else.
    #[error("{} is not a database of exeunt ({what}): name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The file was written by a newer version.
    #[error(
        "{} was written by a newer version: its {component} are at version {found}, this program knows {known}; \
         run the newer version",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Whose tables.
        component: String,
        /// The version in the file.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
    /// The file or its folder cannot be written.
    #[error("{} cannot be written: check the owner, mode and mount of the file and of its folder", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A migration failed. The file is as it was before it.
    #[error("{}: step {step} of the {component} migrations failed", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// Whose tables.
        component: String,
        /// Which step, counted from 1.
        step: u32,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system refused something else.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused something else.
    #[error("{} cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DatabaseError,
    },
}

impl OpenError {
    pub(in super::super) fn io(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let path = path.to_owned();
        match source.kind() {
            PermissionDenied | ReadOnlyFilesystem => Self::Unwritable { path, source: source.into() },
            _ => Self::Io { path, source },
        }
    }

    pub(super) fn database(path: &Path, source: DatabaseError) -> Self {
        Self::Database { path: path.to_owned(), source }
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::NotADatabase) => Self::Foreign { path, what: "it is no SQLite file" },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, source },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::Unwritable { path, source: source.into() }
            }
            _ => Self::Database { path, source: source.into() },
        }
    }
}

impl From<DatabaseError> for OpenError {
    /// Without a path, which `Database::migrate` puts in.
    fn from(source: DatabaseError) -> Self {
        Self::Database { path: PathBuf::new(), source }
    }
}
