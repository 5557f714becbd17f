//! Runs one check in many orders of its threads.
//!
//! Must never count an order twice as two that differ.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, Runner};

/// What goes on in one order: the threads, on a database at that path. An error says what was found.
pub type Check = fn(&Path) -> Result<(), String>;

/// SQLite and unoptimised code want more than a checker's thread has by default.
const STACK: usize = 1024 * 1024;
/// How many times one thread is made to wait for another where priorities decide: what takes more is left to chance.
const SWITCHES: usize = 3;

/// How much was explored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Orders that were run to their end.
    pub schedules: usize,
    /// Orders that differ from all others.
    pub different: usize,
    /// Decisions in all of them.
    pub decisions: u64,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, different, decisions } = self;
        write!(f, "{schedules} schedules explored, {different} different, {decisions} decisions")
    }
}

/// What an order found, or that in it nobody could go on.
#[derive(Clone, Debug)]
pub struct Finding {
    /// In words.
    pub what: String,
    /// How many orders it took.
    pub schedules: usize,
    /// What finds it again, in as many.
    pub seed: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, schedules, seed } = self;
        write!(f, "{what} (seed {seed}, schedule {schedules})")
    }
}

/// Explores so many orders: half of them drawn step by step, half by drawn priorities that change a few times.
///
/// # Errors
///
/// What the first order found that found something.
pub fn explore(seed: u64, schedules: usize, check: Check) -> Result<Explored, Finding> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let half = schedules.div_ceil(2);
    let all = || {
        run(RandomScheduler::new_from_seed(seed, half), &seen, check);
        run(PctScheduler::new_from_seed(seed, SWITCHES, half), &seen, check);
    };
    let ended = catch_unwind(AssertUnwindSafe(all));
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.end();
    let Seen { schedules, decisions, .. } = *seen;
    match ended {
        Ok(()) => Ok(Explored { schedules, different: seen.orders.len(), decisions }),
        Err(panic) => {
            let what = panic.downcast::<String>().map_or_else(|_| "a panic".to_owned(), |what| *what);
            Err(Finding { what, schedules, seed })
        }
    }
}

#[expect(clippy::panic, reason = "so the checker hears that an order is wrong")]
fn run(scheduler: impl Scheduler + 'static, seen: &Arc<Mutex<Seen>>, check: Check) {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("exeunt-threads-").tempdir_in(place).expect("a folder");
    let path = folder.path().join("sessions.db");
    let mut config = Config::new();
    config.stack_size = STACK;
    // The seed is shorter, and says as much.
    config.failure_persistence = FailurePersistence::None;
    // It warns that weaker orders of atomics are taken as the strictest: see the crate's documentation.
    config.silence_warnings = true;
    let scheduler = Counted { scheduler, seen: Arc::clone(seen) };
    Runner::new(scheduler, config).run(move || {
        // All that the check had is gone by now, so that nothing else fails on the way out.
        if let Err(what) = check(&path) {
            panic!("{what}");
        }
    });
}

/// Which orders there were, by their hashes: that two collide is less likely than that a disk lies.
#[derive(Default)]
struct Seen {
    schedules: usize,
    orders: HashSet<u64>,
    decisions: u64,
    order: Option<DefaultHasher>,
}

impl Seen {
    fn end(&mut self) {
        let order = self.order.take();
        self.schedules += usize::from(order.is_some());
        self.orders.extend(order.map(|order| order.finish()));
    }
}

#[derive(Debug)]
struct Counted<S> {
    scheduler: S,
    seen: Arc<Mutex<Seen>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl<S: Scheduler> Scheduler for Counted<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.end();
        let next = self.scheduler.new_execution();
        seen.order = next.is_some().then(DefaultHasher::new);
        next
    }

    fn next_task(&mut self, ready: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let next = self.scheduler.next_task(ready, current, yields);
        // Where only one can go on there is nothing to decide.
        if let Some(task) = next.filter(|_| ready.len() > 1) {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.decisions += 1;
            usize::from(task).hash(seen.order.get_or_insert_default());
        }
        next
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}
