//! Hashes passwords, and checks them, without letting anybody use up the machine.
//!
//! Must never change a password other than by NFC, never cut one short, and never start more work than cores.

use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{Semaphore, oneshot};
use unicode_normalization::UnicodeNormalization as _;

/// The most bytes of UTF-8 that a password has, after NFC. Longer ones are refused, none is cut short (R36).
pub const LONGEST_PASSWORD: usize = 1024;

const WAITING_PER_CORE: usize = 64;
/// Of the threads that hash: whatever else the process does goes first. At 10 they get a tenth of a core that others want,
/// so that logins go on under load, too.
const NICE: i32 = 10;

/// What one hash costs. The default is the least that R34 asks for: Argon2id with 19456 KiB, 2 passes, 1 lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

/// Makes and checks Argon2id hashes as PHC strings, a bounded number at a time (R34).
///
/// Cheap to clone; clones share the bound. At most one hash a core is at work; 64 more for each core may wait.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    /// Reads as a hash at today's cost, and is none: worked on where there is no account (R33).
    nobody: String,
    admitted: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
    threads: Threads,
    hashed: AtomicU64,
    /// How many may be at work or wait, and how many may be at work.
    room: (usize, usize),
}

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as hashes may be at work. Never more: a thread keeps the memory of its last hash, and a pool that
/// grows under load would keep that many times 19 MiB.
struct Threads(mpsc::Sender<Job>);

impl Threads {
    fn start(number: usize) -> std::io::Result<Self> {
        let (give, take) = mpsc::channel::<Job>();
        let take = Arc::new(Mutex::new(take));
        for _ in 0..number {
            let take = Arc::clone(&take);
            let next = move || take.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let work = move || {
                // Of this thread alone, on Linux. Where it is refused live sessions wait longer, and nothing else changes.
                let _ = rustix::process::setpriority_process(None, NICE);
                while let Ok(job) = next() {
                    // Whoever waits for the job hears of it, because nothing comes.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            thread::Builder::new().name("password".to_owned()).spawn(work)?;
        }
        Ok(Self(give))
    }
}

/// Why a hash could not be made or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// Too many are waiting already; try again in a few seconds.
    #[error("too many passwords are being checked at the moment")]
    Busy,
    /// The stored hash cannot be read, the cost is out of range, or there is no memory.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// What checking a password says.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is wrong.
    Wrong,
    /// It is right.
    Right,
    /// It is right, and its hash cost less than today's: make a new one.
    RightButCheap,
}

impl Hasher {
    /// A hasher at the default cost, for this machine's number of cores.
    ///
    /// # Errors
    ///
    /// [`HashError::Failed`] if the system starts no more threads.
    pub fn new() -> Result<Self, HashError> {
        Self::at_once(None)
    }

    /// A hasher at the default cost, with so many hashes at work at once, each of which takes 19 MiB; else one a core. 64
    /// more may wait for each.
    ///
    /// # Errors
    ///
    /// [`HashError::Failed`] if the system starts no more threads.
    pub fn at_once(at_work: Option<usize>) -> Result<Self, HashError> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let at_work = at_work.unwrap_or_else(cores);
        Self::with(Cost::default(), at_work, at_work.saturating_mul(WAITING_PER_CORE))
    }

    /// A hasher at another cost, with `at_work` hashes at once and `waiting` more in the queue.
    ///
    /// # Errors
    ///
    /// [`HashError::Failed`] if the cost is out of Argon2's range, or the system starts no more threads.
    pub fn with(cost: Cost, at_work: usize, waiting: usize) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            cost.memory_kib,
            cost.passes,
            cost.lanes,
            "A".repeat(22),
            "A".repeat(43)
        );
        let at_work = at_work.clamp(1, Semaphore::MAX_PERMITS / 2);
        let admitted = at_work + waiting.min(Semaphore::MAX_PERMITS / 2);
        Ok(Self(Arc::new(Inner {
            argon2,
            nobody,
            admitted: Arc::new(Semaphore::new(admitted)),
            at_work: Arc::new(Semaphore::new(at_work)),
            threads: Threads::start(at_work).map_err(failed)?,
            hashed: AtomicU64::new(0),
            room: (admitted, at_work),
        })))
    }

    /// Makes the PHC string of a password, under a fresh salt.
    ///
    /// # Errors
    ///
    /// [`HashError`].
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        let password = normalized(password);
        self.work(move |argon2| Ok(argon2.hash_password(password.as_bytes()).map_err(failed)?.to_string()))
            .await
    }

    /// Checks a password against a PHC string. `None` stands for an account that does not exist: the same work, and
    /// always wrong (R33).
    ///
    /// # Errors
    ///
    /// [`HashError`]. Nothing is known about the password then.
    pub async fn check(&self, password: &str, phc: Option<&str>) -> Result<Checked, HashError> {
        let password = normalized(password);
        let exists = phc.is_some();
        let phc = phc.unwrap_or(&self.0.nobody).to_owned();
        self.work(move |argon2| {
            let hash = PasswordHash::new(&phc).map_err(failed)?;
            let right = match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => true,
                Err(argon2::password_hash::Error::PasswordInvalid) => false,
                Err(error) => return Err(failed(error)),
            };
            Ok(match right && exists {
                false => Checked::Wrong,
                true if is_cheaper(&hash, argon2.params())? => Checked::RightButCheap,
                true => Checked::Right,
            })
        })
        .await
    }

    /// How many hashes wait for a core now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let (admitted, at_work) = self.0.room;
        let (here, busy) = (
            admitted.saturating_sub(self.0.admitted.available_permits()),
            at_work.saturating_sub(self.0.at_work.available_permits()),
        );
        here.saturating_sub(busy)
    }

    /// How many may wait. One more is refused.
    #[must_use]
    pub fn room(&self) -> usize {
        let (admitted, at_work) = self.0.room;
        admitted.saturating_sub(at_work)
    }

    /// How many hashes were computed so far, for making or checking.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.0.hashed.load(Ordering::Relaxed)
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Argon2<'static>) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let inner = Arc::clone(&self.0);
        let admitted = Arc::clone(&inner.admitted).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let at_work = Arc::clone(&inner.at_work).acquire_owned().await.map_err(|_| HashError::Busy)?;
        let (tell, done) = oneshot::channel();
        let at_it = Arc::clone(&inner);
        let job: Job = Box::new(move || {
            // Both go with the work and not with the request: who hangs up does not make room before the core is free.
            let held = (admitted, at_work);
            at_it.hashed.fetch_add(1, Ordering::Relaxed);
            let result = job(&at_it.argon2);
            drop(held);
            // Nobody may be waiting any more.
            let _ = tell.send(result);
        });
        inner.threads.0.send(job).map_err(failed)?;
        done.await.map_err(failed)?
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("params", self.0.argon2.params()).finish_non_exhaustive()
    }
}

/// NFC and nothing else, at set and at verify: a keyboard that composes differently types the same password (R36).
pub(super) fn normalized(password: &str) -> String {
    password.nfc().collect()
}

fn is_cheaper(hash: &PasswordHash, today: &Params) -> Result<bool, HashError> {
    let then = Params::try_from(hash).map_err(failed)?;
    let old = hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || hash.version != Some(Version::V0x13.into());
    Ok(old
        || then.m_cost() < today.m_cost()
        || then.t_cost() < today.t_cost()
        || then.p_cost() < today.p_cost())
}

fn failed(error: impl fmt::Display) -> HashError {
    HashError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::task::Poll;

    use tokio::task::JoinHandle;

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn hasher(at_work: usize, waiting: usize) -> Hasher {
        Hasher::with(CHEAP, at_work, waiting).unwrap()
    }

    /// Puts a job to work that stays until its sender is dropped. Ready once it is at work.
    async fn long_job(hasher: &Hasher) -> (mpsc::Sender<()>, JoinHandle<Result<(), HashError>>) {
        let (hold, held) = mpsc::channel();
        let (started, at_work) = oneshot::channel();
        let hasher = hasher.clone();
        let job = move |_: &Argon2<'static>| {
            let _ = started.send(());
            let _ = held.recv();
            Ok(())
        };
        let done = tokio::spawn(async move { hasher.work(job).await });
        at_work.await.unwrap();
        (hold, done)
    }

    fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn the_default_cost_is_what_owasp_asks_for() {
        // R34
        let hasher = Hasher::new().unwrap();
        assert!(hasher.0.nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hasher.0.nobody);
        let params = hasher.0.argon2.params();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19_456, 2, 1));
    }

    #[tokio::test]
    async fn a_hash_is_a_phc_string_under_a_fresh_salt_and_checks_the_password_alone() {
        let hasher = hasher(1, 1);
        let (one, other) = (hasher.hash("secret").await.unwrap(), hasher.hash("secret").await.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{one}");
        assert_ne!(one, other);
        assert_eq!(hasher.check("secret", Some(&one)).await.unwrap(), Checked::Right);
        assert_eq!(hasher.check("Secret", Some(&one)).await.unwrap(), Checked::Wrong);
        assert_eq!(hasher.check("", None).await.unwrap(), Checked::Wrong);
        assert!(matches!(hasher.check("secret", Some("damaged")).await, Err(HashError::Failed(_))));
    }

    #[tokio::test]
    async fn a_password_is_composed_and_otherwise_left_alone() {
        // R36
        let hasher = hasher(1, 1);
        let long = "ü".repeat(500);
        let hash = hasher.hash(&long).await.unwrap();
        assert_eq!(hasher.check(&"u\u{308}".repeat(500), Some(&hash)).await.unwrap(), Checked::Right);
        assert_eq!(hasher.check(&"ü".repeat(499), Some(&hash)).await.unwrap(), Checked::Wrong);
        let spaced = hasher.hash(" a ").await.unwrap();
        assert_eq!(hasher.check("a", Some(&spaced)).await.unwrap(), Checked::Wrong);
        // NFKC would take these two for the same.
        let ligature = hasher.hash("\u{fb01}").await.unwrap();
        assert_eq!(hasher.check("fi", Some(&ligature)).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_cheaper_hash_is_told_from_one_at_todays_cost() {
        let old = hasher(1, 1).hash("secret").await.unwrap();
        for dearer in [
            Cost { memory_kib: 16, ..CHEAP },
            Cost { passes: 2, ..CHEAP },
            Cost { memory_kib: 16, lanes: 2, ..CHEAP },
        ] {
            let today = Hasher::with(dearer, 1, 1).unwrap();
            assert_eq!(
                today.check("secret", Some(&old)).await.unwrap(),
                Checked::RightButCheap,
                "{dearer:?}"
            );
            assert_eq!(today.check("wrong", Some(&old)).await.unwrap(), Checked::Wrong);
            let new = today.hash("secret").await.unwrap();
            assert_eq!(today.check("secret", Some(&new)).await.unwrap(), Checked::Right);
        }
    }

    #[tokio::test]
    async fn no_more_are_at_work_than_cores_and_no_more_wait_than_may() {
        // R34
        let hasher = hasher(1, 1);
        let (hold, at_work) = long_job(&hasher).await;
        let mut waiting = Box::pin(hasher.hash("waits"));
        assert!(poll_once(&mut waiting).is_pending());
        assert!(matches!(hasher.hash("one too many").await, Err(HashError::Busy)));

        drop(hold);
        at_work.await.unwrap().unwrap();
        assert!(waiting.await.is_ok());
        assert!(hasher.hash("there is room again").await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_at_once_use_no_more_threads_than_may_be_at_work() {
        // R34: each thread keeps the memory of a hash.
        let hasher = hasher(2, 1_000);
        let job = |_: &Argon2<'static>| Ok(thread::current().id());
        let asked: Vec<_> = (0..500)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.work(job).await })
            })
            .collect();
        let mut threads = HashSet::new();
        for done in asked {
            threads.insert(done.await.unwrap().unwrap());
        }
        assert!(threads.len() <= 2, "{}", threads.len());
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let hasher = hasher(1, 1);
        let job = |_: &Argon2<'static>| -> Result<(), HashError> { panic!("on purpose") };
        assert!(matches!(hasher.work(job).await, Err(HashError::Failed(_))));
        assert!(hasher.hash("the thread and the room are still there").await.is_ok());
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_queue_at_once_and_the_core_when_the_work_is_done() {
        let hasher = hasher(1, 1);
        let (hold, at_work) = long_job(&hasher).await;
        at_work.abort();
        assert!(at_work.await.unwrap_err().is_cancelled());
        assert_eq!(hasher.0.at_work.available_permits(), 0, "its thread is still busy");

        let mut waiting = Box::pin(hasher.hash("waits"));
        assert!(poll_once(&mut waiting).is_pending());
        drop(waiting);
        let mut next = Box::pin(hasher.hash("takes its place"));
        assert!(poll_once(&mut next).is_pending());
        drop(hold);
        assert!(next.await.is_ok());
    }
}
