//! Reads a file beside the process that owns it.
//!
//! Must never write to the file, take its lock, or make it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};

use super::database::{floor, look, make_backup, recognised, unowned_reader};
use super::{DatabaseError, Loss, MIGRATIONS, OpenError, row};
use crate::session::{Record, SessionId, Timestamp};

/// A file that another process may own and write to: for copies and backups, while a server runs.
///
/// It sees what was committed when it asks, and nothing of it is a promise: the owner goes on.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use exeunt::store::sqlite::{Beside, Loss, SqliteStore};
///
/// let owner = SqliteStore::open(&path)?;
/// let beside = Beside::open(&path)?;
/// let copied = folder.path().join("backup.db");
/// beside.backup(&copied)?;
/// let restored = SqliteStore::open(copied)?;
/// // Whatever ended since the backup was made: no session lives in it.
/// assert_eq!(restored.database().loss(), Some(Loss::Backup));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
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
        // SQLite takes a name that begins with `file:` for a URL, and an absolute path for what it is.
        let path = path.as_ref().canonicalize().map_err(|error| OpenError::io(path.as_ref(), error))?;
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

    /// What the file may lack of what was acknowledged, as [`Database::loss`](super::Database::loss). Until its owner has
    /// opened it, its sessions include some that ended.
    ///
    /// # Errors
    ///
    /// If the file or its mark cannot be read.
    pub fn loss(&self) -> Result<Option<Loss>, OpenError> {
        self.read(|connection| look(connection, &self.path))
    }

    /// Copies everything into `file`, which is new or empty, and makes the copy known as one: when it is opened, no
    /// session lives in it, and [`Database::loss`](super::Database::loss) tells. The caller has the disk keep it.
    ///
    /// # Errors
    ///
    /// What SQLite said; the copy is of no use then.
    pub fn backup(&self, file: impl AsRef<Path>) -> Result<(), DatabaseError> {
        // SQLite takes a name that begins with `file:` for a URL, and an absolute path for what it is.
        let file = std::path::absolute(file)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let name = file.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(file.clone()))?;
        self.read(|connection| connection.execute("VACUUM INTO ?1", [name]).map(drop))?;
        let copy = Connection::open(&file)?;
        // It is not kept until the caller has seen to it, and needs no journal of its own beside it.
        copy.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
        Ok(make_backup(&copy)?)
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
        let version = self.check("sessions", MIGRATIONS.len());
        let version = version.map_err(|error| DatabaseError::Unusable(Arc::new(error)))?;
        self.read(|connection| match (version, floor(connection)?) {
            (2.., Some(floor)) => row::walk(connection, after, limit, now, floor),
            (2.., None) => Err(DatabaseError::Damaged { what: "commit" }),
            // Its next owner brings it up to date, and finds them all ended.
            (_, Some(0..)) => Ok(Vec::new()),
            _ => row::walk_before_checksums(connection, after, limit, now),
        })
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, SqliteStore};
    use super::*;
    use crate::session::{Lifetime, Login, UserId};
    use crate::store::{Created, Store as _};

    #[tokio::test]
    async fn it_sees_what_the_owner_commits_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(Beside::open(&path).is_err() && !path.exists());
        let owner = SqliteStore::open(&path).unwrap();
        let beside = Beside::open(&path).unwrap();
        let now = Timestamp::from_micros(1_000_000);
        let user = UserId::new("anna").unwrap();
        let (_, record) = Record::new(user, now, &Lifetime::default(), Login::default());
        assert_eq!(beside.walk(None, 10, now).unwrap(), []);
        assert!(matches!(owner.create(&record, 9).await.unwrap(), Created::Yes { .. }));
        assert_eq!(beside.walk(None, 10, now).unwrap().len(), 1);
        let writes = |connection: &Connection| connection.execute("DELETE FROM session", []);
        beside.read(writes).unwrap_err();
        drop(owner);
        // Nor does it keep the file from its next owner, or fold the log.
        let owner = SqliteStore::open(&path).unwrap();
        assert_eq!(beside.walk(None, 10, now).unwrap(), [record]);
        drop((owner, beside));
        assert_eq!(Beside::open(&path).unwrap().walk(None, 10, now).unwrap().len(), 1);
    }

    #[test]
    fn a_file_of_a_newer_version_or_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let database = Database::open(&path).unwrap();
        assert_eq!(Beside::open(&path).unwrap().check("sessions", 1).unwrap(), 0);
        database.migrate("sessions", &[MIGRATIONS, &["SELECT 1"]].concat()).unwrap();
        assert!(matches!(Beside::open(&path), Err(OpenError::Newer { found: 3, known: 2, .. })));
        let other = folder.path().join("b.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE session (id)").unwrap();
        assert!(matches!(Beside::open(other), Err(OpenError::Foreign { .. })));
    }
}
