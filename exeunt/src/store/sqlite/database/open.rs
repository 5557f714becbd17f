//! Takes the lock, opens the file, and brings its tables up to date.
//!
//! Must never open a file that another process owns, that is something else, or that a newer version wrote.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::checksum;
use super::commits::{self, Beside, Commits};
use super::error::{DatabaseError, OpenError};
use super::mark::Mark;

/// Marks the file as ours in its header ("exeu" in ASCII).
const APPLICATION_ID: i32 = 0x6578_6575;
/// How long SQLite waits for a lock of another program before it gives up.
pub(super) const FOREIGN_LOCK: Duration = Duration::from_secs(1);
/// Readers wait on a thread that serves requests.
const FOREIGN_LOCK_READING: Duration = Duration::from_millis(250);
const STATEMENTS: usize = 64;

pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) lock: Lock,
    pub(super) commits: Commits,
    pub(super) mark: Mark,
}

/// That this process owns the file.
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    /// Says so, and does not merely close: until a process that the application starts runs its program, it has all that
    /// is open here, and would hold the lock for that while.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Which file was opened, whatever is at its path now.
pub(super) struct Identity {
    path: PathBuf,
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Identity {
    pub(super) fn of(path: PathBuf) -> std::io::Result<Self> {
        #[cfg(unix)]
        let inode = inode(&path)?;
        Ok(Self {
            path,
            #[cfg(unix)]
            inode,
        })
    }

    /// What is written to a file that was deleted or moved is lost with it, or missing from the one in its place.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        #[cfg(unix)]
        if !inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            return Err(DatabaseError::Moved);
        }
        Ok(())
    }
}

/// Asks about the path, and opens nothing.
#[cfg(unix)]
fn inode(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

pub(super) fn open(given: &Path) -> Result<Opened, OpenError> {
    let path = real_path(given)?;
    let lock = take_lock(&path)?;
    create(&path)?;
    let beside = Beside::find(&path).map_err(|error| OpenError::io(&path, error))?;
    let connection = connection(&path)?;
    let sqlite = |error| OpenError::sqlite(&path, error);
    if connection.is_readonly("main").map_err(sqlite)? {
        let source = "SQLite could open it for reading alone".into();
        return Err(OpenError::Unwritable { path, source });
    }
    recognise(&connection, &path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(sqlite)?;
    if mode != "wal" {
        let source = "its file system cannot share memory between connections, which the log needs".into();
        return Err(OpenError::Unwritable { path, source });
    }
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migration (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), beats INTEGER NOT NULL) STRICT;
             INSERT OR IGNORE INTO heartbeat VALUES (1, 0);",
        )
        .map_err(sqlite)?;
    let (commits, mark) = commits::take_up(&connection, &path, beside)?;
    let identity = Identity::of(path.clone()).map_err(|error| OpenError::io(&path, error))?;
    Ok(Opened { connection, path, identity, lock, commits, mark })
}

/// The path with links followed, so that two names of one file meet at one lock.
fn real_path(given: &Path) -> Result<PathBuf, OpenError> {
    let io = |error| OpenError::io(given, error);
    if given.exists() {
        return given.canonicalize().map_err(io);
    }
    let name = given.file_name().ok_or_else(|| io(std::io::Error::other("the path names no file")))?;
    let folder = match given.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize().map_err(io)?.join(name))
}

fn take_lock(path: &Path) -> Result<Lock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(name)
        .map_err(|error| OpenError::io(path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(path, error)),
    }
}

/// Creates the file with mode 0600; its log and index inherit that. Done before SQLite opens it, never after.
fn create(path: &Path) -> Result<(), OpenError> {
    match private(OpenOptions::new().create_new(true).write(true)).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::io(path, error)),
    }
}

pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A connection that may write: the writer's, the checkpointer's.
pub(super) fn connection(path: &Path) -> Result<Connection, OpenError> {
    // What ended is overwritten, so that no damage to a page can bring it back.
    let connection = connect(path, FOREIGN_LOCK, "PRAGMA cache_size = -65536; PRAGMA secure_delete = ON;")?;
    checksum::teach(&connection).map_err(|error| OpenError::sqlite(path, error))?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    connect(path, FOREIGN_LOCK_READING, "PRAGMA query_only = ON; PRAGMA cache_size = -16384;")
}

/// A connection that cannot write, to a file that another process may own. It makes no file.
pub(in super::super) fn unowned_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepare = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(FOREIGN_LOCK)?;
        connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
        Ok(connection)
    };
    prepare().map_err(|error| OpenError::sqlite(path, error))
}

/// Whether the file is marked as ours.
pub(in super::super) fn recognised(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    Ok(id.map_err(|error| OpenError::sqlite(path, error))? == APPLICATION_ID)
}

fn connect(path: &Path, wait: Duration, more: &str) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepare = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(wait)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Only with a note of it in the mark.
        fold_on_close(&connection, false)?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
             PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
        )?;
        connection.execute_batch(more)?;
        Ok(connection)
    };
    prepare().map_err(|error| OpenError::sqlite(path, error))
}

/// Whether SQLite folds the log into the file, and removes it, when the last connection closes.
pub(super) fn fold_on_close(connection: &Connection, folds: bool) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !folds).map(drop)
}

/// Refuses what is not ours; marks what is empty as ours.
fn recognise(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let foreign = |what| OpenError::Foreign { path: path.to_owned(), what };
    let read = || {
        let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((id, tables))
    };
    match read().map_err(|error| OpenError::sqlite(path, error))? {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(|error| OpenError::sqlite(path, error)),
        (0, _) => Err(foreign("it is a SQLite file with other tables")),
        _ => Err(foreign("it is a SQLite file of another application")),
    }
}

/// Runs the steps that the file has not seen. The caller's savepoint undoes all of them if one fails.
pub(super) fn migrate(
    connection: &Connection,
    path: &Path,
    component: &str,
    steps: &[String],
) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::sqlite(path, error);
    let version = "SELECT version FROM migration WHERE component = ?1";
    let seen: Option<u32> =
        connection.query_row(version, [component], |row| row.get(0)).optional().map_err(sqlite)?;
    let (seen, known) = (seen.unwrap_or(0), u32::try_from(steps.len()).unwrap_or(u32::MAX));
    if seen > known {
        let component = component.to_owned();
        return Err(OpenError::Newer { path: path.to_owned(), component, found: seen, known });
    }
    for (number, step) in (1..).zip(steps).skip(seen as usize) {
        connection.execute_batch(step).map_err(|source| OpenError::Migration {
            path: path.to_owned(),
            component: component.to_owned(),
            step: number,
            source,
        })?;
    }
    if seen < known {
        connection
            .execute("INSERT OR REPLACE INTO migration VALUES (?1, ?2)", (component, known))
            .map_err(sqlite)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_let_go_is_free_whoever_has_a_copy_of_it_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let lock = take_lock(&path).unwrap();
        assert!(matches!(take_lock(&path), Err(OpenError::Locked { .. })));
        // What a process has that was forked off a moment ago.
        let _copy = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(take_lock(&path).is_ok());
    }
}
