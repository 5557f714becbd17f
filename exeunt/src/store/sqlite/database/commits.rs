//! The number of a database's last commit, and since which commit its sessions count: one row.
//!
//! Must never go on in silence where acknowledged commits are missing, or where nobody can tell whether they are: then
//! everything that was created so far has ended, which is one number, the floor, and durable before anybody is served.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::checksum::checksum;
use super::error::{DatabaseError, Loss, OpenError};
use super::log;
use super::mark::{self, FileId, Found, Mark};
use crate::session::{Clock as _, SystemClock};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS exeunt_commits (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    file   BLOB NOT NULL,
    number INTEGER NOT NULL,
    floor  INTEGER NOT NULL,
    loss   INTEGER NOT NULL,
    sum    INTEGER NOT NULL
) STRICT";

/// The row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Commits {
    /// Which database this is.
    file: FileId,
    /// The last commit.
    number: i64,
    /// What was created in this commit or before it has ended.
    floor: i64,
    /// What nobody has accepted yet.
    loss: Option<Loss>,
}

/// What a file has for it.
enum Stored {
    Nothing,
    Damaged,
    Row(Commits),
}

/// What a database and its mark say together.
enum Verdict {
    /// It is new, or older than marks.
    New,
    Sound(Commits),
    Lost(Loss),
}

impl Commits {
    pub(in super::super) fn floor(&self) -> i64 {
        self.floor
    }

    pub(in super::super) fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// The number of the next commit. Never one that was given before, whatever became of that.
    pub(super) fn next(&mut self) -> i64 {
        self.number = self.number.saturating_add(1);
        self.number
    }

    /// Writes the row, in the transaction of that commit.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let Self { file, number, floor, .. } = self;
        let sql = "INSERT OR REPLACE INTO exeunt_commits VALUES (1, ?1, ?2, ?3, ?4, ?5)";
        let params = (file, number, floor, code(self.loss), self.sum());
        connection.prepare_cached(sql)?.execute(params).map(drop)
    }

    fn sum(&self) -> i64 {
        let Self { file, number, floor, loss } = self;
        let numbers = [*number, *floor, code(*loss)].map(ValueRef::Integer);
        checksum(std::iter::once(ValueRef::Blob(file)).chain(numbers))
    }
}

/// What is beside a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    mark: Found,
    log_has_commit: bool,
}

impl Beside {
    /// What is there before SQLite opens the database, which changes the log.
    pub(super) fn find(path: &Path) -> std::io::Result<Self> {
        // The mark first: an owner goes on, and writes it last.
        Ok(Self { mark: mark::find(path)?, log_has_commit: log::has_commit(path)? })
    }

    fn is_half_folded(&self) -> bool {
        matches!(self.mark, Found::Mark { is_folding: true, .. })
    }
}

/// Finds out whether the database at `path` has every commit that was acknowledged. If it may not, ends what was created
/// in it so far. Then takes up its mark.
pub(super) fn take_up(
    connection: &Connection,
    path: &Path,
    beside: Beside,
) -> Result<(Commits, Mark), OpenError> {
    let io = |error| OpenError::io(path, error);
    let sqlite = |error| OpenError::sqlite(path, error);
    let stored = read(connection).map_err(sqlite)?;
    let found = beside.mark;
    match judge(&stored, &beside) {
        Verdict::Sound(commits) => {
            if let Some(loss) = commits.loss {
                say(path, loss);
            }
            let mark = Mark::open(path, commits.file, beside.is_half_folded()).map_err(io)?;
            // A power loss may have left it behind what was acknowledged.
            mark.set(commits.number).and_then(|()| mark.sync()).map_err(io)?;
            Ok((commits, mark))
        }
        Verdict::New => {
            let commits =
                Commits { file: new_id(connection).map_err(sqlite)?, number: 0, floor: -1, loss: None };
            // The mark first: whoever dies in between leaves a mark that nothing was acknowledged under.
            let mark = Mark::make(path, commits.file, commits.number).map_err(io)?;
            put(connection, &commits).map_err(sqlite)?;
            Ok((commits, mark))
        }
        Verdict::Lost(loss) => {
            say(path, loss);
            let file = match (&stored, &found) {
                (Stored::Row(row), Found::Mark { file, .. }) if row.file == *file => row.file,
                _ => new_id(connection).map_err(sqlite)?,
            };
            let number = past(&stored, &found);
            let commits = Commits { file, number, floor: number, loss: Some(loss) };
            // The row first: until the mark fits, the same is found again.
            put(connection, &commits).map_err(sqlite)?;
            Ok((commits, Mark::make(path, file, number).map_err(io)?))
        }
    }
}

/// Ends what was created so far once more, and forgets the loss. The caller owns the file.
pub(super) fn accept_loss(
    connection: &Connection,
    path: &Path,
    commits: Commits,
    mark: &Mark,
) -> Result<(), OpenError> {
    let number = commits.number.saturating_add(1);
    let commits = Commits { number, floor: number, loss: None, ..commits };
    commits.write(connection).map_err(|error| OpenError::sqlite(path, error))?;
    mark.set(number).and_then(|()| mark.sync()).map_err(|error| OpenError::io(path, error))
}

/// What the database at `path` may lack, while somebody else owns it or nobody does.
pub(in super::super) fn look(connection: &Connection, path: &Path) -> Result<Option<Loss>, OpenError> {
    let find = || Beside::find(path).map_err(|error| OpenError::io(path, error));
    let mut beside = find()?;
    let stored = read(connection).map_err(|error| OpenError::sqlite(path, error))?;
    if beside.is_half_folded() {
        // An owner that is at work may have folded all of it, and have begun it anew.
        beside.log_has_commit |= find()?.log_has_commit;
    }
    Ok(match judge(&stored, &beside) {
        Verdict::New => None,
        Verdict::Sound(commits) => commits.loss,
        Verdict::Lost(loss) => Some(loss),
    })
}

/// The floor that a database has, `None` if it was written before there was one.
pub(in super::super) fn floor(connection: &Connection) -> Result<Option<i64>, DatabaseError> {
    match read(connection)? {
        Stored::Nothing => Ok(None),
        Stored::Row(commits) => Ok(Some(commits.floor)),
        Stored::Damaged => Err(DatabaseError::Damaged { what: "commit" }),
    }
}

/// Makes a copy known as one: a database of its own, in which nothing lives.
pub(in super::super) fn make_backup(copy: &Connection) -> Result<(), rusqlite::Error> {
    let number = past(&read(copy)?, &Found::Nothing);
    let commits = Commits { file: new_id(copy)?, number, floor: number, loss: Some(Loss::Backup) };
    put(copy, &commits)
}

/// In one transaction: a table without its row would count as damaged.
fn put(connection: &Connection, commits: &Commits) -> Result<(), rusqlite::Error> {
    let tx = connection.unchecked_transaction()?;
    tx.execute(TABLE, [])?;
    commits.write(&tx)?;
    tx.commit()
}

fn judge(stored: &Stored, beside: &Beside) -> Verdict {
    match (stored, &beside.mark) {
        (Stored::Nothing, Found::Nothing | Found::Mark { number: 0, .. }) => Verdict::New,
        (Stored::Nothing, Found::Mark { .. }) => Verdict::Lost(Loss::Commits),
        (Stored::Row(row), Found::Mark { file, .. }) if row.file != *file => Verdict::Lost(Loss::Backup),
        (Stored::Row(row), Found::Mark { number, .. }) if row.number < *number => {
            Verdict::Lost(Loss::Commits)
        }
        // Where the log begins with a commit, the row was read from it, or from what follows: each commit writes it.
        (Stored::Row(_), Found::Mark { is_folding: true, .. }) if !beside.log_has_commit => {
            Verdict::Lost(Loss::Commits)
        }
        (Stored::Row(row), Found::Mark { .. }) => Verdict::Sound(*row),
        (Stored::Row(row), Found::Nothing) if row.loss == Some(Loss::Backup) => Verdict::Lost(Loss::Backup),
        _ => Verdict::Lost(Loss::Unknown),
    }
}

/// A number after every commit that there was, as far as anybody can tell.
fn past(stored: &Stored, found: &Found) -> i64 {
    let marked = if let Found::Mark { number, .. } = found { *number } else { 0 };
    let last = match stored {
        Stored::Row(row) => row.number.max(marked),
        // No database commits once in a microsecond, so this is past what it could have counted to since it was made,
        // and past what was counted from such a number.
        Stored::Nothing | Stored::Damaged => SystemClock::new().now().as_micros().max(marked),
    };
    last.saturating_add(1)
}

fn read(connection: &Connection) -> Result<Stored, rusqlite::Error> {
    let there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'exeunt_commits'";
    if !connection.prepare(there)?.exists([])? {
        return Ok(Stored::Nothing);
    }
    let mut select =
        connection.prepare_cached("SELECT file, number, floor, loss, sum FROM exeunt_commits")?;
    let row =
        select.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    let row: Option<(FileId, i64, i64, i64, i64)> = match row.optional() {
        // A value that is not even of its type.
        Err(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)) => None,
        row => row?,
    };
    Ok(row.and_then(sound).map_or(Stored::Damaged, Stored::Row))
}

fn sound((file, number, floor, loss, sum): (FileId, i64, i64, i64, i64)) -> Option<Commits> {
    let commits = Commits { file, number, floor, loss: decode(loss)? };
    (commits.sum() == sum).then_some(commits)
}

fn code(loss: Option<Loss>) -> i64 {
    match loss {
        None => 0,
        Some(Loss::Commits) => 1,
        Some(Loss::Unknown) => 2,
        Some(Loss::Backup) => 3,
    }
}

fn decode(code: i64) -> Option<Option<Loss>> {
    [None, Some(Loss::Commits), Some(Loss::Unknown), Some(Loss::Backup)]
        .into_iter()
        .find(|loss| self::code(*loss) == code)
}

fn new_id(connection: &Connection) -> Result<FileId, rusqlite::Error> {
    connection.query_row("SELECT randomblob(16)", [], |row| row.get(0))
}

fn say(path: &Path, loss: Loss) {
    tracing::error!(
        event = "changes_missing",
        file = %path.display(),
        "{loss}. Every session that began before has ended. Look at what else the file keeps, then run \
         `exeunt store accept-loss`, or in a program of your own call `Database::accept_loss`"
    );
}
