//! Sessions in one SQLite file: the embedded default.
//!
//! Must never insert a session other than in `create`: each other step is one guarded statement, and the number of rows
//! it changed is its answer.

mod beside;
mod database;
mod row;

use std::path::Path;
use std::sync::Arc;

pub use rusqlite;
use rusqlite::{Connection, params};

pub use self::beside::Beside;
pub use self::database::{Database, DatabaseError, Loss, OpenError, Tx};
use super::{Announce, Created, Purged, Saved, Store, StoreError, Watcher, async_trait};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier};

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE session (
        id               INTEGER PRIMARY KEY,
        verifier         BLOB NOT NULL,
        previous         BLOB,
        user             TEXT NOT NULL,
        created_at       INTEGER NOT NULL,
        authenticated_at INTEGER NOT NULL,
        seen_at          INTEGER NOT NULL,
        expires_at       INTEGER NOT NULL,
        ends_at          INTEGER NOT NULL,
        remembered       INTEGER NOT NULL,
        revision         INTEGER NOT NULL,
        client           TEXT NOT NULL,
        data             TEXT NOT NULL
    ) STRICT;
    CREATE INDEX session_user ON session (user);
",
    // The commit that made it, and a checksum over the rest of the row.
    concat!(
        "ALTER TABLE session ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE session ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
         UPDATE session SET sum = exeunt_checksum(",
        row::columns!(),
        ");"
    ),
];

/// A guarded UPDATE of one session: only if it lives and its row is as it was written.
macro_rules! update_live {
    (SET $set:literal, SUM $sum:literal, WHERE $guard:literal) => {
        concat!(
            "UPDATE session SET ",
            $set,
            ", sum = exeunt_checksum(",
            $sum,
            ") WHERE ",
            $guard,
            " AND sum = exeunt_checksum(",
            row::columns!(),
            ")"
        )
    };
}

/// Sessions in one SQLite file, durable when acknowledged. Cheap to clone.
///
/// Ids rise with time, so a login appends to the table; there is no index on expiry to keep, since purging walks the
/// ids. On its own it asks SQLite for every request; `exeunt::open` puts a near cache in front.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens or creates the file, takes its lock, and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::over(Database::open(path)?)
    }

    /// Keeps sessions in a database that is open already, beside an application's own tables.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`].
    pub fn over(database: Database) -> Result<Self, OpenError> {
        database.migrate("sessions", MIGRATIONS)?;
        Ok(Self { database })
    }

    /// The file, for an application's own tables.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// How many sessions are not as they were written. They have ended; that there are any says that the disk is not to
    /// be trusted. Reads all of them.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn damaged(&self) -> Result<usize, DatabaseError> {
        self.database.read(row::damaged)
    }
}

/// Ends a user's sessions within an application's own transaction, and names them.
///
/// For "change the password and end the sessions" and the like, in one step.
///
/// # Errors
///
/// What SQLite said; let it undo the transaction.
pub fn destroy_all_in(
    tx: &Tx,
    user: &UserId,
    except: Option<&SessionId>,
) -> Result<Vec<SessionId>, DatabaseError> {
    // No id is negative, so -1 spares none.
    let spared = except.map_or(-1, |id| id.to_i64());
    let mut delete = tx.prepare_cached("DELETE FROM session WHERE user = ?1 AND id <> ?2 RETURNING id")?;
    ended(tx, &mut delete, params![user.as_str(), spared])
}

/// Runs a DELETE … RETURNING id and announces what it ended.
fn ended(
    tx: &Tx,
    delete: &mut rusqlite::Statement<'_>,
    params: impl rusqlite::Params,
) -> Result<Vec<SessionId>, DatabaseError> {
    let mut ended = Vec::new();
    let mut rows = delete.query(params)?;
    while let Some(row) = rows.next()? {
        let id = row::id(row, 0)?;
        tx.announce(id);
        ended.push(id);
    }
    Ok(ended)
}

fn create(tx: &Tx, record: &Record, limit: usize, floor: i64) -> Result<Created, DatabaseError> {
    if row::insert(tx, record)? == 0 {
        return Ok(Created::Taken);
    }
    let user = record.user().as_str();
    let mut count = tx.prepare_cached("SELECT count(*) FROM session WHERE user = ?1")?;
    let stored: i64 = count.query_row([user], |row| row.get(0))?;
    if usize::try_from(stored).is_ok_and(|stored| stored <= limit) {
        return Ok(Created::Yes { ended: Vec::new() });
    }
    // The new one is never among the surplus: the others keep one place fewer than the limit.
    let mut surplus = tx.prepare_cached(
        "DELETE FROM session WHERE id IN (
             SELECT id FROM session WHERE user = ?1 AND id <> ?2 AND expires_at > ?3 AND made > ?5
             ORDER BY seen_at DESC, id DESC LIMIT -1 OFFSET ?4
         ) RETURNING id",
    )?;
    let kept = i64::try_from(limit.max(1) - 1).unwrap_or(i64::MAX);
    let params = params![user, record.id().to_i64(), record.created_at().as_micros(), kept, floor];
    Ok(Created::Yes { ended: ended(tx, &mut surplus, params)? })
}

/// Runs a guarded UPDATE of one session and announces it if it hit.
fn update(tx: &Tx, id: SessionId, sql: &str, params: impl rusqlite::Params) -> Result<bool, DatabaseError> {
    let hit = tx.prepare_cached(sql)?.execute(params)? > 0;
    if hit {
        tx.announce(id);
    }
    Ok(hit)
}

fn save(
    tx: &Tx,
    id: SessionId,
    verifier: Verifier,
    revision: u32,
    data: &str,
    now: Timestamp,
    floor: i64,
) -> Result<Saved, DatabaseError> {
    let next = revision.wrapping_add(1);
    let sql = update_live!(
        SET "data = ?1, revision = ?2",
        SUM "id, verifier, previous, user, created_at, authenticated_at, seen_at, expires_at, ends_at, remembered, ?2,
             client, ?1, made",
        WHERE "id = ?3 AND verifier = ?4 AND revision = ?5 AND expires_at > ?6 AND made > ?7"
    );
    let params = params![data, next, id.to_i64(), verifier.as_bytes(), revision, now.as_micros(), floor];
    if update(tx, id, sql, params)? {
        return Ok(Saved::At(next));
    }
    Ok(if is_live(tx, id, &verifier, now, floor)? { Saved::Stale } else { Saved::Gone })
}

const RENEW: &str = update_live!(
    SET "verifier = ?1, previous = verifier, authenticated_at = max(authenticated_at, ?2),
         seen_at = max(seen_at, ?2), expires_at = max(expires_at, min(?3, ends_at))",
    SUM "id, ?1, verifier, user, created_at, max(authenticated_at, ?2), max(seen_at, ?2),
         max(expires_at, min(?3, ends_at)), ends_at, remembered, revision, client, data, made",
    WHERE "id = ?4 AND verifier = ?5 AND expires_at > ?2 AND made > ?6"
);

const TOUCH: &str = update_live!(
    SET "seen_at = max(seen_at, ?1), expires_at = max(expires_at, min(?2, ends_at))",
    SUM "id, verifier, previous, user, created_at, authenticated_at, max(seen_at, ?1),
         max(expires_at, min(?2, ends_at)), ends_at, remembered, revision, client, data, made",
    WHERE "id = ?3 AND verifier = ?4 AND expires_at > ?1 AND made > ?5"
);

fn is_live(
    connection: &Connection,
    id: SessionId,
    verifier: &Verifier,
    now: Timestamp,
    floor: i64,
) -> Result<bool, DatabaseError> {
    let found = row::load(connection, id, floor)?;
    Ok(found.is_some_and(|record| record.verifier() == verifier && record.is_live(now)))
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let (record, record_bytes) = (record.clone(), record.data_json().len());
        let floor = self.database.floor();
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let step = move |tx: &Tx| match waiting.strong_count() {
            // The caller gave up: nobody would ever have the token, and the session would count for the limit.
            0 => Ok(Created::Taken),
            _ => create(tx, &record, limit, floor),
        };
        let created = self.database.step(record_bytes, step).await;
        drop(caller);
        Ok(created?)
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let found = self.database.read(|connection| row::load(connection, *id, self.database.floor()))?;
        Ok(found.filter(|record| record.is_live(now)).map(Arc::new))
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (id, old, new, floor) = (*id, *old, *new, self.database.floor());
        let step = move |tx: &Tx| {
            let (now, expires_at) = (now.as_micros(), expires_at.as_micros());
            let params = params![new.as_bytes(), now, expires_at, id.to_i64(), old.as_bytes(), floor];
            update(tx, id, RENEW, params)
        };
        Ok(self.database.step(0, step).await?)
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let (id, verifier, data) = (*id, *verifier, data.as_json().to_owned());
        let (bytes, floor) = (data.len(), self.database.floor());
        let step = move |tx: &Tx| save(tx, id, verifier, revision, &data, now, floor);
        Ok(self.database.step(bytes, step).await?)
    }

    /// Answers from a read and lets the writer note it with its next batch: a request does not wait for the disk.
    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (id, verifier, floor) = (*id, *verifier, self.database.floor());
        if !self.database.read(|connection| is_live(connection, id, &verifier, now, floor))? {
            return Ok(false);
        }
        self.database.post(move |tx| {
            let (now, expires_at) = (now.as_micros(), expires_at.as_micros());
            let params = params![now, expires_at, id.to_i64(), verifier.as_bytes(), floor];
            Ok(tx.prepare_cached(TOUCH)?.execute(params).map(drop)?)
        })?;
        Ok(true)
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |tx: &Tx| {
            // Whether or not it hits: nobody hears "no such session" while the near cache could still have it.
            tx.announce(id);
            let mut delete = tx.prepare_cached("DELETE FROM session WHERE id = ?1")?;
            Ok(delete.execute([id.to_i64()])? > 0)
        };
        Ok(self.database.step(0, step).await?)
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let (user, except) = (user.clone(), except.copied());
        Ok(self.database.step(0, move |tx| destroy_all_in(tx, &user, except.as_ref())).await?)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        Ok(self.database.read(|connection| row::list(connection, user, now, self.database.floor()))?)
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self
            .database
            .read(|connection| row::walk(connection, after, limit, now, self.database.floor()))?)
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        let floor = self.database.floor();
        let found = self.database.read(|connection| row::next(connection, after, limit, floor))?;
        let next = if found.len() < limit { None } else { found.last().map(|(id, _)| *id) };
        let expired = found.iter().filter(|(_, expires_at)| *expires_at <= now);
        let (Some((first, _)), Some((last, _))) = (expired.clone().next(), expired.clone().next_back())
        else {
            return Ok(Purged { ended: Vec::new(), next });
        };
        let params = [first.to_i64(), last.to_i64(), now.as_micros(), floor];
        let step = move |tx: &Tx| {
            let sql = "DELETE FROM session WHERE id BETWEEN ?1 AND ?2 AND (expires_at <= ?3 OR made <= ?4)
                       RETURNING id";
            let mut delete = tx.prepare_cached(sql)?;
            ended(tx, &mut delete, params)
        };
        Ok(Purged { ended: self.database.step(0, step).await?, next })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.ping().await?)
    }
}

impl Announce for SqliteStore {
    fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool {
        self.database.announce_to(watcher)
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self::new("SQLite", error)
    }
}
