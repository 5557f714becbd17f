//! The file itself: one writer thread with group commit, inline readers, migrations.
//!
//! Public, so that an application's accounts live in the same file, and change in the same transaction, as its sessions.
//!
//! Must never acknowledge a write before its COMMIT was synced, acknowledge anything after a sync failed, or touch the
//! file other than through SQLite once it is open (closing another descriptor of it drops SQLite's POSIX locks).

mod checksum;
mod commits;
mod error;
mod job;
mod log;
mod mark;
mod open;
mod readers;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub(super) use self::checksum::checksum;
pub(super) use self::commits::{floor, look, make_backup};
pub use self::error::{DatabaseError, Loss, OpenError};
pub use self::job::Tx;
use self::job::{Ask, Job};
pub(super) use self::open::{recognised, unowned_reader};
use self::readers::Readers;
use self::writer::{Shared, Workers};
use super::super::Watcher;

/// How long a caller waits for the writer. Longer than SQLite waits for a foreign lock, shorter than the 3 seconds
/// within which a request is answered.
const DEADLINE: Duration = Duration::from_secs(2);
/// How many writes may wait. One more is refused at once.
const QUEUE: usize = 4096;
/// Writes that nobody waits for leave this much of the queue to those that somebody waits for.
const KEPT_FREE: usize = QUEUE / 2;

/// One SQLite file, owned by this process. Cheap to clone.
///
/// Writes go through one thread that commits whatever has gathered while the last commit was synced, so that many
/// waiters share one sync. Reads run inline on a fixed pool of connections, in microseconds.
///
/// Other programs may read the file. They must not write to it while it is open here. Nor must the application's own
/// closures write to the table `session`: the near cache hears only of what went through the store or
/// [`destroy_all_in`](super::destroy_all_in).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use exeunt::store::sqlite::{Database, DatabaseError};
///
/// let database = Database::open(&path)?;
/// database.migrate("notes", &["CREATE TABLE note (text TEXT NOT NULL) STRICT"])?;
/// database
///     .write(|tx| {
///         tx.execute("INSERT INTO note VALUES (?1)", ["hello"])?;
///         Ok::<_, DatabaseError>(())
///     })
///     .await?;
/// let notes: i64 = database.read(|connection| {
///     Ok::<_, DatabaseError>(connection.query_row("SELECT count(*) FROM note", [], |row| row.get(0))?)
/// })?;
/// assert_eq!(notes, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    // Dropped in this order: nothing more comes in, the writer finishes, the readers close, and with the last
    // connection SQLite folds the log into the file. Only then does the lock go, which `shared` holds.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    workers: Workers,
    readers: Readers,
    shared: Arc<Shared>,
    path: PathBuf,
    floor: i64,
    loss: Option<Loss>,
}

impl Database {
    /// Opens or creates the file (mode 0600), and takes the lock that makes this process its owner.
    ///
    /// Blocks: about a millisecond, and after a crash as long as reading the log takes: 64 MB as a rule, well under
    /// half a second on a disk of today.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let opened = open::open(path.as_ref())?;
        let readers = (0..readers::count()).map(|_| open::reader(&opened.path)).collect::<Result<_, _>>()?;
        let checkpointer = open::connection(&opened.path)?;
        let shared = Arc::new(Shared::new(opened.identity, opened.mark, opened.lock));
        let (queue, jobs) = mpsc::channel(QUEUE);
        let workers =
            Workers::start(opened.connection, checkpointer, jobs, opened.commits, Arc::clone(&shared))
                .map_err(|source| OpenError::Io { path: opened.path.clone(), source })?;
        Ok(Self(Arc::new(Inner {
            queue: Mutex::new(Some(queue)),
            workers,
            readers: Readers::new(readers),
            shared,
            path: opened.path,
            floor: opened.commits.floor(),
            loss: opened.commits.loss(),
        })))
    }

    /// How many writes may wait for the writer. One more is refused at once.
    pub const MOST_WAITING: usize = QUEUE;

    /// How many writes wait for the writer now; none once it is closed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().map_or(0, |queue| QUEUE.saturating_sub(queue.capacity()))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What this file may lack of what was acknowledged, until [`Database::accept_loss`]. Sessions that it had have ended
    /// then; whatever else it keeps may be older than it was: an application with accounts in it should not serve.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.0.loss
    }

    /// Ends every session in the file, which nobody may have open, and takes what it has for all that there is to have.
    /// `None`: nothing was missing, and nothing is changed. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Database::open`].
    pub fn accept_loss(path: impl AsRef<Path>) -> Result<Option<Loss>, OpenError> {
        let opened = open::open(path.as_ref())?;
        let loss = opened.commits.loss();
        if loss.is_some() {
            commits::accept_loss(&opened.connection, &opened.path, opened.commits, &opened.mark)?;
        }
        Ok(loss)
    }

    /// Sessions that were created in this commit or before it have ended.
    pub(super) fn floor(&self) -> i64 {
        self.0.floor
    }

    /// Brings `component`'s tables up to date. Runs each of `steps` that this file has not seen, once, in order.
    ///
    /// Steps are SQL; add to their end, never change one that was released. Blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError::Newer`] if the file has seen more steps than there are, and whatever SQLite says.
    pub fn migrate(&self, component: &str, steps: &[&str]) -> Result<(), OpenError> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let component = component.to_owned();
        let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
        let path = self.0.path.clone();
        let work = move |tx: &Tx| open::migrate(tx, &path, &component, &steps);
        // A caller that is gone does not want to hear of it.
        let reply = move |result| drop(reply.send(result));
        let failed = |error| OpenError::database(&self.0.path, error);
        self.queue(Box::new(Ask::in_savepoint(work, reply)), 0).map_err(failed)?;
        answer.recv().map_err(|_| failed(DatabaseError::Closed))?.map_err(|error| match error {
            // The writer knows no path to give its own failures.
            OpenError::Database { source, .. } => failed(source),
            error => error,
        })
    }

    /// Runs `work` on the writer, in a savepoint of its own, and answers once it is committed and synced.
    ///
    /// If `work` fails or panics, what it did is undone, and nobody else's. It must not wait, and must not begin, commit
    /// or roll back a transaction; it shares one with its neighbours.
    ///
    /// # Errors
    ///
    /// What `work` returned; or a [`DatabaseError`]: then it is not known whether `work` was, or still will be, done.
    pub async fn write<T, E>(&self, work: impl FnOnce(&Tx) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // A caller that is gone does not want to hear of it.
        let reply = move |result| drop(reply.send(result));
        self.queue(Box::new(Ask::in_savepoint(work, reply)), 0)?;
        within_deadline(answer).await.map_err(E::from)?
    }

    /// As `write`, for the store's own steps: no savepoint, since an error there undoes the whole batch.
    ///
    /// `bytes` is what it carries beyond a small session.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Tx) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (reply, answer) = oneshot::channel();
        let reply = move |result| drop(reply.send(result));
        self.queue(Box::new(Ask::bare(bytes, undoing(work), reply)), 0)?;
        within_deadline(answer).await?
    }

    /// Queues a step that nobody waits for.
    pub(super) fn post(
        &self,
        work: impl FnOnce(&Tx) -> Result<(), DatabaseError> + Send + 'static,
    ) -> Result<(), DatabaseError> {
        self.queue(Box::new(Ask::bare(0, undoing(work), drop)), KEPT_FREE)
    }

    fn queue(&self, job: Box<dyn Job>, kept_free: usize) -> Result<(), DatabaseError> {
        self.0.shared.check()?;
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(DatabaseError::Closed)?;
        if queue.capacity() <= kept_free {
            return Err(DatabaseError::Busy);
        }
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DatabaseError::Busy,
            mpsc::error::TrySendError::Closed(_) => DatabaseError::Closed,
        })
    }

    /// Runs `work` inline on a read connection. It sees every write that was acknowledged before.
    ///
    /// Keep it to microseconds: it runs on the caller's thread, which in a service is one of a few. It must not read
    /// through this database again while it has the connection: it could wait for itself. A transaction that it leaves
    /// open is rolled back.
    ///
    /// # Errors
    ///
    /// What `work` returned.
    pub fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DatabaseError>,
    {
        self.0.readers.with(work)
    }

    /// Answers once the writer has committed everything that was queued before.
    ///
    /// # Errors
    ///
    /// If it cannot, which means that no write can be done now.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        // It writes for real: a transaction that changes nothing would not notice a full disk or a foreign lock.
        self.step(0, |tx| {
            Ok(tx.prepare_cached("UPDATE heartbeat SET beats = beats + 1")?.execute([]).map(drop)?)
        })
        .await
    }

    /// Checks the whole file (`PRAGMA integrity_check`): what is wrong with it, nothing if all is well. Blocks for long.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn integrity(&self) -> Result<Vec<String>, DatabaseError> {
        let connection =
            open::reader(&self.0.path).map_err(|error| DatabaseError::Unusable(Arc::new(error)))?;
        let mut statement = connection.prepare("PRAGMA integrity_check")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        let found = rows.collect::<Result<Vec<String>, _>>()?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Takes no more writes, and waits for those under way.
    ///
    /// The log is folded into the file, and the lock let go, once the last clone is gone. Called from a closure on the
    /// writer, it does not wait.
    pub fn close(&self) {
        drop(self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.0.workers.join();
    }

    /// From now on tells `watcher` of every session that is about to change.
    pub(super) fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool {
        self.0.shared.watch(watcher)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.queue.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        self.workers.join();
    }
}

/// A step that undoes the whole batch if it fails.
fn undoing<T>(
    work: impl FnOnce(&Tx) -> Result<T, DatabaseError>,
) -> impl FnOnce(&Tx) -> Result<T, DatabaseError> {
    move |tx| work(tx).inspect_err(|error| tx.undo_all(error.clone()))
}

async fn within_deadline<T>(answer: oneshot::Receiver<T>) -> Result<T, DatabaseError> {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(DatabaseError::Closed),
        Err(_) => Err(DatabaseError::Deadline),
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.0.path).finish_non_exhaustive()
    }
}
