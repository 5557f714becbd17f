//! Reads a file beside the process that owns it.
//!
//! Must never write to the file, take its lock, or make it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};

use super::database::{recognised, unowned_reader};
use super::{DatabaseError, MIGRATIONS, OpenError, row};
use crate::session::{Record, SessionId, Timestamp};

/// A file that another process may own and write to: for copies and backups, while a server runs.
///
/// It sees what was committed when it asks, and nothing of it is a promise: the owner goes on.
pub struct Beside {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Beside {
    /// Opens a file that is there.
    ///
    /// # Errors
    ///
    /// [`OpenError`], if there is none, too.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let connection = unowned_reader(&path)?;
        if !recognised(&connection, &path)? {
            return Err(OpenError::Foreign { path, what: "it is a SQLite file of another application" });
        }
        let beside = Self { connection: Mutex::new(connection), path };
        beside.check("sessions", MIGRATIONS.len())?;
        Ok(beside)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which version `component`'s tables have; 0 if it has none here.
    ///
    /// # Errors
    ///
    /// [`OpenError::Newer`] if that is more than `known`, and whatever SQLite says.
    pub fn check(&self, component: &str, known: usize) -> Result<u32, OpenError> {
        let version = self.read(|connection| {
            let sql = "SELECT version FROM migration WHERE component = ?1";
            Ok::<Option<u32>, DatabaseError>(
                connection.query_row(sql, [component], |row| row.get(0)).optional()?,
            )
        });
        let found = version
            .map_err(|error| OpenError::Database { path: self.path.clone(), source: error })?
            .unwrap_or(0);
        let known = u32::try_from(known).unwrap_or(u32::MAX);
        if found > known {
            let (path, component) = (self.path.clone(), component.to_owned());
            return Err(OpenError::Newer { path, component, found, known });
        }
        Ok(found)
    }

    /// As [`Database::read`](super::Database::read), over one connection: one caller at a time.
    ///
    /// # Errors
    ///
    /// What `work` returned.
    pub fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Store::walk`](crate::store::Store::walk).
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, DatabaseError> {
        self.read(|connection| row::walk(connection, after, limit, now))
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").field("path", &self.path).finish_non_exhaustive()
    }
}
