//! A fixed pool of read connections, used inline.
//!
//! Must never hand a read to another thread, which costs more than the read, nor hand on a connection in a transaction:
//! that would go on seeing the sessions that have ended since it began.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::super::super::Causes;

pub(super) struct Readers {
    pool: Box<[Mutex<Connection>]>,
}

/// One for each thread that may read at once, within reason.
pub(super) fn count() -> usize {
    std::thread::available_parallelism().map_or(4, usize::from).clamp(2, 16)
}

impl Readers {
    pub(super) fn new(pool: Vec<Connection>) -> Self {
        Self { pool: pool.into_iter().map(Mutex::new).collect() }
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&Lent(self.take()).0)
    }

    fn take(&self) -> MutexGuard<'_, Connection> {
        let start = home();
        let order = self.pool.iter().cycle().skip(start % self.pool.len()).take(self.pool.len());
        let free = order.clone().find_map(|connection| match connection.try_lock() {
            Ok(connection) => Some(connection),
            // A reader that panicked left no transaction behind: see `Lent`.
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| {
            let first = order.into_iter().next().expect("the pool is never empty");
            first.lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

/// A connection in use. Ends what `work` began and did not end, be it by an error or a panic.
struct Lent<'a>(MutexGuard<'a, Connection>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %Causes(&error), "a read could not be ended");
        }
    }
}

/// Each thread goes to its own connection first, whose page cache is then warm for it.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    HOME.with(|home| *home)
}
