//! The writer thread: takes what has gathered, commits it with one sync, and only then acknowledges.
//!
//! Must never acknowledge before COMMIT returned and the mark has its number, nor let a near cache keep a session that the batch changes: the
//! watcher hears of it before COMMIT, and again after it, before anybody gets an answer.
//!
//! Nothing waits for a timer: while one batch is synced, the next gathers by itself. The log is folded into the file by
//! a thread of its own; the writer does the small rest between two batches, so that the next commit starts the log
//! again in place.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;

use super::super::super::{Causes, Watcher};
use super::commits::Commits;
use super::error::DatabaseError;
use super::job::{Job, Tx};
use super::mark::Mark;
use super::open::{FOREIGN_LOCK, Identity, Lock, fold_on_close};
use crate::session::SessionId;

const BATCH: usize = 512;
const BATCH_BYTES: usize = 256 * 1024;
/// Pages in the log (4 KiB each) from which the checkpointer starts: 64 MiB.
const CHECKPOINT_AT: i32 = 16 * 1024;
/// Pages in the log from which the writer itself makes room before it goes on: four times as many.
const CHECKPOINT_NOW: i32 = 4 * CHECKPOINT_AT;
/// How long the writer then waits for reads that still need the log. Shorter than its callers wait for it.
const READS_UNDER_WAY: Duration = Duration::from_millis(500);
/// How much of the mark a power loss may take.
const SYNC_MARK_EVERY: Duration = Duration::from_secs(1);

/// What the handle, the writer and the checkpointer have in common.
pub(super) struct Shared {
    sync_failed: AtomicBool,
    checkpointed: AtomicBool,
    watcher: OnceLock<Arc<dyn Watcher>>,
    file: Identity,
    mark: Mark,
    /// Held while the log is folded into the file: whoever comes second must not say that it was, too early.
    folding: Mutex<()>,
    /// The connection that outlives all others.
    last: Mutex<Option<Connection>>,
    // Whoever holds a connection holds this, and drops the connection first.
    _lock: Lock,
}

impl Shared {
    pub(super) fn new(file: Identity, mark: Mark, lock: Lock) -> Self {
        Self {
            sync_failed: AtomicBool::new(false),
            checkpointed: AtomicBool::new(false),
            watcher: OnceLock::new(),
            file,
            mark,
            folding: Mutex::new(()),
            last: Mutex::new(None),
            _lock: lock,
        }
    }

    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        if self.sync_failed.load(Ordering::Acquire) { Err(DatabaseError::SyncFailed) } else { Ok(()) }
    }

    fn note(&self, error: &DatabaseError) {
        if error.is_io() {
            self.distrust(error);
        }
    }

    /// The kernel may have dropped what it could not write, and says so only once: never trust the disk again.
    fn distrust(&self, error: &(dyn std::error::Error + 'static)) {
        if !self.sync_failed.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error = %Causes(error),
                "the disk failed: no write is acknowledged any more"
            );
        }
    }

    fn sync_mark(&self) {
        if let Err(error) = self.mark.sync() {
            self.distrust(&error);
        }
    }

    /// Copies the log into the file as far as the mode and readers allow.
    fn fold(&self, connection: &Connection, mode: &str) -> Folded {
        let Ok(_folding) = self.folding.try_lock() else { return Folded::Elsewhere };
        if let Err(error) = self.mark.set_folding(true) {
            self.distrust(&error);
            return Folded::InPart;
        }
        let answer = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let answer: Result<(bool, i64, i64), _> = connection.query_row(mode, [], answer);
        match answer.map_err(DatabaseError::from) {
            Ok((false, pages, folded)) if pages == folded => match self.mark.set_folding(false) {
                Ok(()) => Folded::Whole,
                Err(error) => {
                    self.distrust(&error);
                    Folded::InPart
                }
            },
            Ok((true, ..)) => Folded::Busy,
            Ok(_) => Folded::InPart,
            Err(error) => {
                self.note(&error);
                tracing::warn!(error = %Causes(&error), "the log was not folded into the file");
                Folded::InPart
            }
        }
    }

    pub(super) fn watch(&self, watcher: Arc<dyn Watcher>) -> bool {
        self.watcher.set(watcher).is_ok()
    }
}

impl Drop for Shared {
    /// Nobody has a connection any more but this one.
    fn drop(&mut self) {
        let last = self.last.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(last) = last
            && self.fold(&last, PASSIVE) == Folded::Whole
            && let Err(error) = fold_on_close(&last, true)
        {
            tracing::warn!(error = %Causes(&error), "the log stays beside the file");
        }
    }
}

/// How far the log was folded into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folded {
    /// All of it.
    Whole,
    /// Not all: readers still need it, or it failed.
    InPart,
    /// Readers were in the way.
    Busy,
    /// Somebody else is at it.
    Elsewhere,
}

/// The two threads.
pub(super) struct Workers {
    writer: ThreadId,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(super) fn start(
        mut connection: Connection,
        checkpointer: Connection,
        jobs: Receiver<Box<dyn Job>>,
        commits: Commits,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        let log_pages = Arc::new(AtomicI32::new(0));
        let pages = Arc::clone(&log_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, count| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        let checkpointer = Checkpointer { connection: checkpointer, shared: Arc::clone(&shared), woken };
        let writer = Writer {
            tx: Tx::new(connection),
            commits: Cell::new(commits),
            shared,
            log_pages,
            make_room_at: Cell::new(CHECKPOINT_NOW),
            wake,
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let writer = thread("exeunt-writer").spawn(move || writer.run(jobs))?;
        let checkpointer = thread("exeunt-checkpoint").spawn(move || checkpointer.run())?;
        Ok(Self { writer: writer.thread().id(), threads: Mutex::new(vec![writer, checkpointer]) })
    }

    /// Waits until both have ended. The caller has closed the queue.
    pub(super) fn join(&self) {
        // The last handle may die inside a closure on the writer, which cannot wait for itself, nor for the
        // checkpointer, which waits for the writer, nor for whoever waits here for both. They end by themselves.
        if std::thread::current().id() == self.writer {
            return;
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

struct Checkpointer {
    connection: Connection,
    shared: Arc<Shared>,
    woken: std::sync::mpsc::Receiver<()>,
}

impl Checkpointer {
    fn run(self) {
        loop {
            match self.woken.recv_timeout(SYNC_MARK_EVERY) {
                Ok(()) => {
                    self.shared.fold(&self.connection, PASSIVE);
                    self.shared.checkpointed.store(true, Ordering::Release);
                    self.shared.sync_mark();
                }
                Err(RecvTimeoutError::Timeout) => self.shared.sync_mark(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.shared.sync_mark();
        let mut last = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(self.connection);
    }
}

struct Writer {
    tx: Tx,
    commits: Cell<Commits>,
    shared: Arc<Shared>,
    log_pages: Arc<AtomicI32>,
    make_room_at: Cell<i32>,
    wake: std::sync::mpsc::SyncSender<()>,
}

impl Writer {
    fn run(self, mut jobs: Receiver<Box<dyn Job>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = jobs.blocking_recv() {
            let mut bytes = first.bytes();
            batch.push(first);
            while batch.len() < BATCH
                && bytes < BATCH_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                bytes += job.bytes();
                batch.push(job);
            }
            let result = self.commit(&mut batch);
            for job in batch.drain(..) {
                let answer = AssertUnwindSafe(|| job.answer(result.clone()));
                if catch_unwind(answer).is_err() {
                    tracing::error!("an answer that nobody waited for panicked when it was dropped");
                }
            }
            self.keep_log_short();
        }
    }

    fn commit(&self, batch: &mut [Box<dyn Job>]) -> Result<(), DatabaseError> {
        self.shared.check()?;
        self.shared.file.check()?;
        self.tx.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        if let Err(error) = self.count() {
            self.shared.note(&error);
            self.roll_back();
            return Err(error);
        }
        for job in batch {
            // Also what is the application's outside of its closure may panic: how it makes its error of ours.
            if catch_unwind(AssertUnwindSafe(|| job.run(&self.tx))).is_err() {
                self.tx.undo_all(DatabaseError::Panicked);
            }
            if let Some(error) = self.tx.undone.take() {
                self.shared.note(&error);
                self.roll_back();
                // A closure that ended the transaction may have committed what its neighbours had changed.
                self.announce(&self.tx.changed.take(), Watcher::changed);
                return Err(DatabaseError::Undone(Arc::new(error)));
            }
        }
        let changed = self.tx.changed.take();
        self.announce(&changed, Watcher::changing);
        let committed = self.tx.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        let committed = committed.map(drop).map_err(DatabaseError::from);
        if let Err(error) = &committed {
            self.shared.note(error);
            self.roll_back();
        }
        self.announce(&changed, Watcher::changed);
        committed.and_then(|()| self.mark())
    }

    /// Gives the transaction its number, before its steps: a session keeps the one in which it was created.
    fn count(&self) -> Result<(), DatabaseError> {
        let mut commits = self.commits.get();
        self.tx.number.set(commits.next());
        self.commits.set(commits);
        Ok(commits.write(&self.tx)?)
    }

    fn mark(&self) -> Result<(), DatabaseError> {
        self.shared.mark.set(self.tx.number()).map_err(|error| {
            tracing::error!(error = %Causes(&error), "the mark beside the database could not be written");
            DatabaseError::Mark(Arc::new(error))
        })
    }

    /// Looks for the watcher each time: one that came during COMMIT may have been told the old rows since.
    fn announce(&self, ids: &[SessionId], what: impl FnOnce(&dyn Watcher, &[SessionId])) {
        if !ids.is_empty()
            && let Some(watcher) = self.shared.watcher.get()
        {
            what(&**watcher, ids);
        }
    }

    fn roll_back(&self) {
        if !self.tx.is_autocommit()
            && let Err(error) = self.tx.execute_batch("ROLLBACK")
        {
            tracing::error!(
                error = %Causes(&error),
                "a transaction could not be rolled back"
            );
        }
    }

    fn keep_log_short(&self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        let rest = self.shared.checkpointed.swap(false, Ordering::AcqRel);
        if pages < CHECKPOINT_AT {
            self.make_room_at.set(CHECKPOINT_NOW);
        }
        if pages >= self.make_room_at.get() {
            if self.make_room() != Folded::Elsewhere {
                // Another program that reads for long must not hold up every batch: the next attempt is 64 MiB later.
                self.make_room_at.set(pages.saturating_add(CHECKPOINT_AT));
            }
        } else if rest {
            self.shared.fold(&self.tx, PASSIVE);
        } else if pages >= CHECKPOINT_AT {
            // Full means that it has been told already.
            let _ = self.wake.try_send(());
        }
    }

    /// Waits for the reads under way, so that the log starts again. Those that follow do not need it: where reads always
    /// overlap, there is no moment without one, and passively it would grow for ever.
    fn make_room(&self) -> Folded {
        let wait = |time| self.tx.busy_timeout(time).is_ok();
        if !wait(READS_UNDER_WAY) {
            return Folded::InPart;
        }
        let folded = self.shared.fold(&self.tx, RESTART);
        if folded == Folded::Busy {
            tracing::warn!("the log is long and could not start again: does another program read for long?");
        }
        wait(FOREIGN_LOCK);
        folded
    }
}

const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::super::commits;
    use super::super::job::Ask;
    use super::*;

    fn in_memory(connection: Connection) -> Writer {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let beside = commits::Beside::find(&path).unwrap();
        let (commits, mark) = commits::take_up(&connection, &path, beside).unwrap();
        writer(connection, commits, mark)
    }

    fn writer(connection: Connection, commits: Commits, mark: Mark) -> Writer {
        let here = Identity::of(std::env::current_exe().unwrap()).unwrap();
        let shared = Arc::new(Shared::new(here, mark, Lock(tempfile::tempfile().unwrap())));
        let (wake, _) = std::sync::mpsc::sync_channel(1);
        let make_room_at = Cell::new(CHECKPOINT_NOW);
        let (tx, commits) = (Tx::new(connection), Cell::new(commits));
        Writer { tx, commits, shared, log_pages: Arc::default(), make_room_at, wake }
    }

    fn job(work: impl FnOnce(&Tx) -> Result<(), DatabaseError> + Send + 'static) -> Box<dyn Job> {
        Box::new(Ask::in_savepoint(work, drop))
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<SessionId>>);

    impl Watcher for Heard {
        fn changing(&self, _: &[SessionId]) {}

        fn changed(&self, ids: &[SessionId]) {
            self.0.lock().unwrap().extend(ids);
        }
    }

    #[test]
    fn a_watcher_that_comes_during_commit_hears_that_it_is_over() {
        // R03: what it was told of the session since it came may be the old row.
        let mut connection = Connection::open_in_memory().unwrap();
        let heard = Arc::new(Heard::default());
        let came = Arc::new(OnceLock::<Arc<Shared>>::new());
        let (shared, watcher) = (Arc::clone(&came), Arc::clone(&heard));
        let hook = move || shared.get().is_some_and(|shared| !shared.watch(Arc::clone(&watcher) as _));
        connection.commit_hook(Some(hook)).unwrap();
        let writer = in_memory(connection);
        assert!(came.set(Arc::clone(&writer.shared)).is_ok());
        let id = SessionId::from_i64(1).unwrap();
        let change = job(move |tx| {
            tx.announce(id);
            Ok(tx.execute_batch("CREATE TABLE t (a)")?)
        });
        writer.commit(&mut [change]).unwrap();
        assert_eq!(*heard.0.lock().unwrap(), [id]);
    }

    #[test]
    fn a_long_log_starts_again_although_reads_always_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let opened = super::super::open::open(&folder.path().join("a.db")).unwrap();
        let writer = writer(opened.connection, opened.commits, opened.mark);
        let write =
            |text: &'static str| writer.commit(&mut [job(move |tx| Ok(tx.execute_batch(text)?))]).unwrap();
        write("CREATE TABLE t (a)");
        (0..100).for_each(|_| write("INSERT INTO t VALUES (1)"));
        let (reader, prober) =
            (Connection::open(&opened.path).unwrap(), Connection::open(&opened.path).unwrap());
        prober.busy_timeout(Duration::ZERO).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        writer.log_pages.store(CHECKPOINT_NOW, Ordering::Relaxed);
        let over = AtomicBool::new(false);
        let read = std::thread::scope(|scope| {
            let over = &over;
            let read = scope.spawn(move || {
                let waits = || prober.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err();
                while !waits() {
                    if over.load(Ordering::Relaxed) {
                        return Some(reader);
                    }
                }
                drop(reader);
                None
            });
            writer.keep_log_short();
            over.store(true, Ordering::Relaxed);
            read.join().unwrap()
        });
        write("INSERT INTO t VALUES (1)");
        assert!(read.is_none(), "the writer waited for the read");
        let pages: i32 = writer.tx.query_row(PASSIVE, [], |row| row.get(1)).unwrap();
        assert!(pages < 10, "{pages} pages in the log");
    }

    #[test]
    fn a_disk_that_fails_within_a_step_is_not_trusted_again() {
        let writer = in_memory(Connection::open_in_memory().unwrap());
        let step = |code| {
            move |tx: &Tx| -> Result<(), DatabaseError> {
                let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
                tx.undo_all(error.into());
                Ok(())
            }
        };
        assert!(writer.commit(&mut [job(step(ffi::SQLITE_FULL))]).is_err());
        writer.commit(&mut [job(|_| Ok(()))]).unwrap();
        assert!(writer.commit(&mut [job(step(ffi::SQLITE_IOERR_FSYNC))]).is_err());
        let refused = writer.commit(&mut [job(|_| Ok(()))]);
        assert!(matches!(refused, Err(DatabaseError::SyncFailed)), "{refused:?}");
    }
}
