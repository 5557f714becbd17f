//! A store in which whatever is asked may fail, hang, come late, or happen without an answer.
//!
//! Must never let a hang outlive its deadline, which is each store's own to keep; but for the broken ones below, which the
//! tests of the tests are for.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exeunt::store::{Created, Purged, Saved, Store, StoreError, async_trait};
use exeunt::{Data, MemoryStore, Record, SessionId, Timestamp, UserId, Verifier};

/// How long a step may take; after that the store says that it does not know.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// Longer than any test.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Create,
    Load,
    Renew,
    Save,
    Touch,
    Destroy,
    DestroyAll,
    List,
    Walk,
    Purge,
    Ping,
}

/// What becomes of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// How long until it happens.
    pub(crate) wait: Duration,
    /// Whether it does.
    pub(crate) happens: bool,
    /// How long until the answer comes.
    pub(crate) then: Duration,
    /// Whether one does.
    pub(crate) answers: bool,
}

impl Fate {
    pub(crate) const FINE: Self =
        Self { wait: Duration::ZERO, happens: true, then: Duration::ZERO, answers: true };
}

/// A fault that no store may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    No,
    /// It waits for as long as it takes.
    NoDeadline,
    /// "I do not know" becomes "there is none".
    SaysGone,
    /// It says that a session is over before it is.
    DestroysLater,
}

type Plan = Box<dyn FnMut(Step) -> Fate + Send>;

/// The memory store behind a plan.
pub(crate) struct FaultyStore {
    memory: Arc<MemoryStore>,
    plan: Mutex<Plan>,
    broken: Broken,
    /// For tests in which real files are asked beside it, whose answers no clock may overtake: tokio's clock stands, and so
    /// runs ahead, only while a step waits.
    pub(crate) in_real_time: bool,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl FaultyStore {
    pub(crate) fn new(broken: Broken) -> Self {
        Self {
            memory: Arc::default(),
            plan: Mutex::new(Box::new(|_| Fate::FINE)),
            broken,
            in_real_time: false,
        }
    }

    /// From now on steps go as the plan says.
    pub(crate) fn plan(&self, plan: impl FnMut(Step) -> Fate + Send + 'static) {
        *self.plan.lock().expect("no test panics in here") = Box::new(plan);
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        self.plan(|_| Fate::FINE);
    }

    /// A step goes on by itself, whether or not anybody still waits: that is what makes an error mean "not known".
    async fn ask<T, F>(&self, step: Step, work: impl FnOnce(Arc<MemoryStore>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let fate = (self.plan.lock().expect("no test panics in here"))(step);
        let work = work(Arc::clone(&self.memory));
        let step = tokio::spawn(async move {
            sleep(fate.wait).await;
            if !fate.happens {
                return Err(StoreError::new("faulty", "it was refused"));
            }
            let answer = work.await;
            sleep(fate.then).await;
            if fate.answers { answer } else { Err(StoreError::new("faulty", "the answer was lost")) }
        });
        let deadline = if self.broken == Broken::NoDeadline { FOR_EVER } else { DEADLINE };
        let stands = self.in_real_time && !(fate.wait + fate.then).is_zero();
        if stands {
            tokio::time::pause();
        }
        let answer = tokio::time::timeout(deadline, step).await;
        if stands {
            tokio::time::resume();
        }
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(StoreError::new("faulty", error)),
            Err(late) => Err(StoreError::new("faulty", late)),
        }
    }
}

/// Not the millisecond that a timer takes at least, where there is nothing to wait for.
async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl Store for FaultyStore {
    // Nothing is at hand, so that whoever asks comes by.

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let record = record.clone();
        self.ask(Step::Create, |memory| async move { memory.create(&record, limit).await }).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let id = *id;
        let answer = self.ask(Step::Load, |memory| async move { memory.load(&id, now).await }).await;
        if self.broken == Broken::SaysGone { Ok(answer.unwrap_or_default()) } else { answer }
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (id, old, new) = (*id, *old, *new);
        let renew =
            |memory: Arc<MemoryStore>| async move { memory.renew(&id, &old, &new, now, expires_at).await };
        self.ask(Step::Renew, renew).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let (id, verifier, data) = (*id, *verifier, data.clone());
        let save =
            |memory: Arc<MemoryStore>| async move { memory.save(&id, &verifier, revision, &data, now).await };
        self.ask(Step::Save, save).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (id, verifier) = (*id, *verifier);
        let touch =
            |memory: Arc<MemoryStore>| async move { memory.touch(&id, &verifier, now, expires_at).await };
        self.ask(Step::Touch, touch).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = *id;
        if self.broken == Broken::DestroysLater {
            let later = |memory: Arc<MemoryStore>| async move {
                tokio::spawn(async move {
                    tokio::time::sleep(2 * DEADLINE).await;
                    let _ = memory.destroy(&id).await;
                });
                Ok(true)
            };
            return self.ask(Step::Destroy, later).await;
        }
        self.ask(Step::Destroy, |memory| async move { memory.destroy(&id).await }).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let (user, except) = (user.clone(), except.copied());
        let destroy =
            |memory: Arc<MemoryStore>| async move { memory.destroy_all(&user, except.as_ref()).await };
        self.ask(Step::DestroyAll, destroy).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let user = user.clone();
        self.ask(Step::List, |memory| async move { memory.list(&user, now).await }).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        let after = after.copied();
        let walk = |memory: Arc<MemoryStore>| async move { memory.walk(after.as_ref(), limit, now).await };
        self.ask(Step::Walk, walk).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        let after = after.copied();
        let purge = |memory: Arc<MemoryStore>| async move { memory.purge(after.as_ref(), limit, now).await };
        self.ask(Step::Purge, purge).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask(Step::Ping, |memory| async move { memory.ping().await }).await
    }
}
