//! Sessions in this process's memory: the reference that the laws were written against.
//!
//! Must never change a session but under the lock of its user, and never take that lock while it holds a session's.
//! Forgets on restart.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Created, Purged, Saved, Store, StoreError, async_trait};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier};

const SHARDS: usize = 64;

/// Sessions in memory: for tests, and for services whose sessions may end with the process.
///
/// Purged like the others: spawn `Sessions::keep_purged`.
#[derive(Default)]
pub struct MemoryStore {
    sessions: Shards<RwLock<SessionMap>>,
    // Whoever changes a session holds its user's shard meanwhile: what is decided over several sessions of a user, such
    // as which were unseen the longest, then is one step.
    users: Shards<Mutex<UserMap>>,
    hasher: RandomState,
}

struct Shards<T>(Box<[T]>);

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| T::default()).collect())
    }
}

impl<T> Shards<T> {
    fn of(&self, hash: u64) -> &T {
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        self.0.get(index).expect("a remainder is within the shards")
    }
}

type SessionMap = BTreeMap<SessionId, Arc<Record>>;
type UserMap = HashMap<UserId, BTreeSet<SessionId>>;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self, id: &SessionId) -> RwLockReadGuard<'_, SessionMap> {
        self.sessions.of(self.hasher.hash_one(id)).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, id: &SessionId) -> RwLockWriteGuard<'_, SessionMap> {
        self.sessions.of(self.hasher.hash_one(id)).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self, user: &UserId) -> MutexGuard<'_, UserMap> {
        self.users.of(self.hasher.hash_one(user)).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever is stored under the id, expired or not.
    fn stored(&self, id: &SessionId) -> Option<Arc<Record>> {
        self.read(id).get(id).cloned()
    }

    fn live(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        self.read(id).get(id).filter(|record| record.is_live(now)).cloned()
    }

    fn live_of(&self, ids: Option<&BTreeSet<SessionId>>, now: Timestamp) -> Vec<Arc<Record>> {
        let mut found: Vec<_> = ids.into_iter().flatten().filter_map(|id| self.live(id, now)).collect();
        found.sort_by_key(|record| Reverse((record.seen_at(), record.id())));
        found
    }

    /// Inserts a record if its id is free, in one step: two users may come with the same id at once.
    fn insert(&self, record: &Record) -> bool {
        match self.write(&record.id()).entry(record.id()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(Arc::new(record.clone()));
                true
            }
        }
    }

    /// Replaces a live record by what `change` makes of it, in one step.
    fn change<T>(
        &self,
        id: &SessionId,
        now: Timestamp,
        change: impl FnOnce(&Record) -> (Option<Record>, T),
    ) -> Option<T> {
        let found = self.stored(id)?;
        let _users = self.users(found.user());
        let mut shard = self.write(id);
        let stored = shard.get_mut(id).filter(|stored| stored.user() == found.user())?;
        if !stored.is_live(now) {
            return None;
        }
        let (changed, answer) = change(stored);
        if let Some(changed) = changed {
            *stored = Arc::new(changed);
        }
        Some(answer)
    }

    /// Takes a session out, if it is that user's and `doomed`.
    fn remove(
        &self,
        users: &mut UserMap,
        user: &UserId,
        id: &SessionId,
        doomed: impl FnOnce(&Record) -> bool,
    ) -> bool {
        {
            let mut shard = self.write(id);
            let Entry::Occupied(stored) = shard.entry(*id) else { return false };
            if stored.get().user() != user || !doomed(stored.get()) {
                return false;
            }
            stored.remove();
        }
        if let Some(ids) = users.get_mut(user) {
            ids.remove(id);
            if ids.is_empty() {
                users.remove(user);
            }
        }
        true
    }

    /// The next stored records after `after`, by id, that `wanted` wants.
    ///
    /// Merges the shards, so that a page costs what it holds and not that for each shard.
    fn next(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Vec<Arc<Record>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let shards = self.sessions.0.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner));
        let shards: Vec<_> = shards.collect();
        let mut rest: Vec<_> = shards
            .iter()
            .map(|shard| shard.range::<SessionId, _>((from, Bound::Unbounded)).peekable())
            .collect();
        let heads = rest.iter_mut().enumerate();
        let mut heads: BinaryHeap<_> =
            heads.filter_map(|(shard, rest)| rest.peek().map(|(id, _)| (Reverse(**id), shard))).collect();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((_, shard)) = heads.pop()
            && let Some(rest) = rest.get_mut(shard)
        {
            found.extend(rest.next().map(|(_, record)| record).filter(|record| wanted(record)).cloned());
            heads.extend(rest.peek().map(|(id, _)| (Reverse(**id), shard)));
        }
        found
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn peek(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        self.live(id, now)
    }

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let (id, user) = (record.id(), record.user());
        let mut users = self.users(user);
        let others = self.live_of(users.get(user), record.created_at());
        if !self.insert(record) {
            return Ok(Created::Taken);
        }
        let ended: Vec<_> = others.iter().skip(limit.max(1) - 1).map(|other| other.id()).collect();
        for other in &ended {
            self.remove(&mut users, user, other, |_| true);
        }
        users.entry(user.clone()).or_default().insert(id);
        Ok(Created::Yes { ended })
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        Ok(self.live(id, now))
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewed = self.change(id, now, |record| {
            let ours = record.verifier() == old;
            (ours.then(|| record.renewed(*new, now, expires_at)), ours)
        });
        Ok(renewed.unwrap_or(false))
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let saved = self.change(id, now, |record| {
            if record.verifier() != verifier {
                return (None, Saved::Gone);
            }
            if record.revision() != revision {
                return (None, Saved::Stale);
            }
            let saved = record.saved(data);
            let revision = saved.revision();
            (Some(saved), Saved::At(revision))
        });
        Ok(saved.unwrap_or(Saved::Gone))
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let touched = self.change(id, now, |record| {
            let ours = record.verifier() == verifier;
            (ours.then(|| record.touched(now, expires_at)), ours)
        });
        Ok(touched.unwrap_or(false))
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        // The user of a session never changes, so it may be read before the locks are taken.
        let Some(record) = self.stored(id) else { return Ok(false) };
        let mut users = self.users(record.user());
        Ok(self.remove(&mut users, record.user(), id, |_| true))
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut users = self.users(user);
        let ids: Vec<_> = users.get(user).into_iter().flatten().copied().collect();
        let ended = ids.into_iter().filter(|id| Some(id) != except);
        Ok(ended.filter(|id| self.remove(&mut users, user, id, |_| true)).collect())
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let users = self.users(user);
        Ok(self.live_of(users.get(user), now).into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        let found = self.next(after, limit, |record| record.is_live(now));
        Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        let found = self.next(after, limit, |_| true);
        let next = if found.len() < limit { None } else { found.last().map(|record| record.id()) };
        let mut ended = Vec::new();
        for record in found.iter().filter(|record| !record.is_live(now)) {
            let mut users = self.users(record.user());
            // It may have been touched since it was found: only what is expired under the lock is dropped.
            if self.remove(&mut users, record.user(), &record.id(), |stored| !stored.is_live(now)) {
                ended.push(record.id());
            }
        }
        Ok(Purged { ended, next })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{Lifetime, Login};

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    async fn created(store: &MemoryStore, user: i64, now: Timestamp) -> Record {
        let (_, record) = Record::new(UserId::from(user), now, &Lifetime::default(), Login::default());
        assert_eq!(store.create(&record, 1_000).await.unwrap(), Created::Yes { ended: vec![] });
        record
    }

    /// What is in the index, and in the store, of all users together.
    fn kept(store: &MemoryStore) -> (usize, usize, usize) {
        let users = store.users.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        let entries = store
            .users
            .0
            .iter()
            .flat_map(|shard| shard.lock().unwrap().values().map(BTreeSet::len).collect::<Vec<_>>());
        let sessions = store.sessions.0.iter().map(|shard| shard.read().unwrap().len()).sum();
        (users, entries.sum(), sessions)
    }

    #[tokio::test]
    async fn however_sessions_end_nothing_of_them_is_kept() {
        let store = MemoryStore::new();
        let mut made = Vec::new();
        for number in 0..40 {
            made.push(created(&store, number % 4, NOW).await);
        }
        assert_eq!(kept(&store), (4, 40, 40));
        assert!(store.destroy(&made[0].id()).await.unwrap());
        assert_eq!(kept(&store), (4, 39, 39));
        assert_eq!(store.destroy_all(&UserId::from(1), None).await.unwrap().len(), 10);
        assert_eq!(kept(&store), (3, 29, 29));
        let later = made[0].expires_at();
        let (_, last) = Record::new(UserId::from(2), NOW, &Lifetime::default(), Login::default());
        let Created::Yes { ended } = store.create(&last, 1).await.unwrap() else { panic!("the id is fresh") };
        assert_eq!((ended.len(), kept(&store)), (10, (3, 20, 20)));
        assert_eq!(store.purge(None, 1_000, later).await.unwrap().ended.len(), 20);
        assert_eq!(kept(&store), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_is_printed_of_a_store_shows_nothing_of_its_sessions() {
        let store = MemoryStore::new();
        created(&store, 1, NOW).await;
        assert_eq!(format!("{store:?}"), "MemoryStore { .. }");
    }

    #[tokio::test]
    async fn pages_run_through_all_shards_in_the_order_of_ids() {
        let store = MemoryStore::new();
        let mut made = Vec::new();
        for number in 0..1_000 {
            made.push(created(&store, number, NOW).await.id());
        }
        let all: Vec<_> = store.next(None, usize::MAX, |_| true).iter().map(|record| record.id()).collect();
        assert_eq!(all, made);
        let some: Vec<_> =
            store.next(Some(&made[10]), 5, |_| true).iter().map(|record| record.id()).collect();
        assert_eq!(some, made[11..16]);
        let few = store.next(None, 2, |record| record.id() > made[500]);
        assert_eq!(few.iter().map(|record| record.id()).collect::<Vec<_>>(), made[501..503]);
        assert!(store.next(made.last(), 5, |_| true).is_empty());
        assert!(store.next(None, 0, |_| true).is_empty());
    }

    #[test]
    fn a_touch_is_never_acknowledged_for_a_session_that_a_purge_then_drops() {
        // R60: a clock that is a little behind touches what a clock that is ahead has found expired.
        let store = MemoryStore::new();
        for _ in 0..300 {
            let record = block_on(created(&store, 1, NOW));
            let (id, over) = (record.id(), record.expires_at());
            let behind = NOW.plus(Duration::from_secs(60));
            let (touched, purged) = std::thread::scope(|scope| {
                let touch = scope.spawn(|| {
                    block_on(store.touch(&id, record.verifier(), behind, over.plus(Duration::from_secs(60))))
                        .unwrap()
                });
                let purge = scope.spawn(|| block_on(store.purge(None, 10, over)).unwrap());
                (touch.join().unwrap(), purge.join().unwrap())
            });
            assert_eq!(touched, purged.ended.is_empty());
            assert_eq!(block_on(store.load(&id, over)).unwrap().is_some(), touched);
            block_on(store.destroy(&id)).unwrap();
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }
}
