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
