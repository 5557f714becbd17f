//! A store that stops whoever reaches a named point, so that a race is played by hand and not hoped for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use exeunt::store::{Announce, Created, Purged, Saved, Store, StoreError, Watcher, async_trait};
use exeunt::{Data, Record, SessionId, Timestamp, UserId, Verifier};
use tokio::sync::Notify;

/// A point in an operation: before the store was asked, or after it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Create(Side),
    Load(Side),
    Renew(Side),
    Save(Side),
    Touch(Side),
    Destroy(Side),
    DestroyAll(Side),
    /// Not the store's: while the accounts check a password.
    Verify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Before,
    After,
}

/// The next one who comes to a point that was asked for waits there; all others pass.
#[derive(Debug)]
pub(crate) struct PausingStore<S> {
    store: S,
    points: Arc<Points>,
}

#[derive(Debug, Default)]
pub(crate) struct Points(Mutex<HashMap<At, Pause>>);

/// One who waits, or will.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause {
    reached: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl<S> PausingStore<S> {
    pub(crate) fn over(store: S) -> (Self, Arc<Points>) {
        let points = Arc::new(Points::default());
        (Self { store, points: Arc::clone(&points) }, points)
    }
}

impl Points {
    /// Stops the next one who comes there.
    pub(crate) fn pause(&self, at: At) -> Pause {
        let pause = Pause::default();
        self.0.lock().expect("no test panics in here").insert(at, pause.clone());
        pause
    }

    pub(crate) async fn pass(&self, at: At) {
        let pause = self.0.lock().expect("no test panics in here").remove(&at);
        if let Some(Pause { reached, go_on }) = pause {
            reached.notify_one();
            go_on.notified().await;
        }
    }
}

impl Pause {
    /// Waits until somebody waits there.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets them go on.
    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }
}

impl<S: Announce> Announce for PausingStore<S> {
    fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool {
        self.store.announce_to(watcher)
    }
}

#[async_trait]
impl<S: Store> Store for PausingStore<S> {
    // Nothing is at hand, so that whoever asks comes by.

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.points.pass(At::Create(Side::Before)).await;
        let answer = self.store.create(record, limit).await;
        self.points.pass(At::Create(Side::After)).await;
        answer
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.points.pass(At::Load(Side::Before)).await;
        let answer = self.store.load(id, now).await;
        self.points.pass(At::Load(Side::After)).await;
        answer
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.points.pass(At::Renew(Side::Before)).await;
        let answer = self.store.renew(id, old, new, now, expires_at).await;
        self.points.pass(At::Renew(Side::After)).await;
        answer
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.points.pass(At::Save(Side::Before)).await;
        let answer = self.store.save(id, verifier, revision, data, now).await;
        self.points.pass(At::Save(Side::After)).await;
        answer
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.points.pass(At::Touch(Side::Before)).await;
        let answer = self.store.touch(id, verifier, now, expires_at).await;
        self.points.pass(At::Touch(Side::After)).await;
        answer
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.points.pass(At::Destroy(Side::Before)).await;
        let answer = self.store.destroy(id).await;
        self.points.pass(At::Destroy(Side::After)).await;
        answer
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.points.pass(At::DestroyAll(Side::Before)).await;
        let answer = self.store.destroy_all(user, except).await;
        self.points.pass(At::DestroyAll(Side::After)).await;
        answer
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.store.list(user, now).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.walk(after, limit, now).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        self.store.purge(after, limit, now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}
