//! A fixed pool of read connections, used inline.
//!
//! Must never hand a read to another thread: that costs more than the read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

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
        work(&self.take())
    }

    fn take(&self) -> MutexGuard<'_, Connection> {
        let start = home();
        let order = self.pool.iter().cycle().skip(start % self.pool.len()).take(self.pool.len());
        let free = order.clone().find_map(|connection| match connection.try_lock() {
            Ok(connection) => Some(connection),
            // A reader that panicked left no transaction behind: it only reads, statement by statement.
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| {
            let first = order.into_iter().next().expect("the pool is never empty");
            first.lock().unwrap_or_else(PoisonError::into_inner)
        })
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
