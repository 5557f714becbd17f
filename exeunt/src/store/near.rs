//! A coherent near cache in front of any store that announces its changes.
//!
//! Must never give out a session whose end was acknowledged, and never hold more bytes than it was given.
//!
//! The one race that matters: a reader loads the old row, the writer destroys the session and takes it out of the
//! cache, and then the reader puts the stale row in. Three things prevent it. While a change is under way its sessions
//! are *marked* and not cached. Every change bumps the *epoch* of its shard when it begins and when it ends. A reader
//! notes the epoch before it asks the store and puts the answer in only if the epoch has not moved.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

use super::{Announce, Created, Purged, Saved, Store, StoreError, Watcher, async_trait};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier, allocated};

/// The bytes that a near cache may take by default: 64 MiB, some 200,000 small sessions.
pub const DEFAULT_NEAR_BYTES: usize = 64 * 1024 * 1024;

const SHARDS: usize = 64;
const MARKS_KEPT: usize = 64;
// A table takes a record's place from the lowest bits of its hash and its tag from the highest seven. The shard comes
// from between: were it taken from either end, all records of a shard would look alike there.
const SHARD_BITS_FROM: u32 = 40;

/// A store with live records of it in this process.
///
/// A hit costs well under a microsecond and neither allocates nor waits. What it holds is bounded in bytes; the
/// records used least recently make room.
pub struct Near<S> {
    store: S,
    cache: Arc<Cache>,
}

impl<S: Announce> Near<S> {
    /// A cache of at most `bytes` in front of `store`. With 0 bytes it caches nothing.
    pub fn new(store: S, bytes: usize) -> Self {
        let cache = Arc::new(Cache::new(bytes));
        store.announce_to(Arc::clone(&cache) as Arc<dyn Watcher>);
        Self { store, cache }
    }

    /// The store behind the cache.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The bytes that the cache takes now, counted as the allocator hands them out.
    pub fn bytes(&self) -> usize {
        self.cache.sum(Shard::bytes)
    }

    /// How many sessions the cache holds now.
    pub fn sessions(&self) -> usize {
        self.cache.sum(|shard| shard.index.len())
    }
}

impl<S: fmt::Debug> fmt::Debug for Near<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Near").field(&self.store).finish()
    }
}

struct Cache {
    shards: Box<[RwLock<Shard>]>,
    shard_limit: usize,
}

/// What a reader must know about a shard from before it asked the store.
struct Before {
    epoch: u64,
}

impl Cache {
    fn new(bytes: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), shard_limit: bytes / SHARDS }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        self.shards.get(shard_of(hash)).expect("a remainder is within the shards")
    }

    fn get(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        let hash = hash(id);
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let slot = shard.slot(hash, id)?;
        let record = slot.record.as_ref()?;
        if !record.is_live(now) {
            // The store may have seen a touch that this copy has not.
            return None;
        }
        // Only the first use after the hand passed writes, so that a hot record's cache line stays shared.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(record))
    }

    fn before(&self, id: &SessionId) -> Before {
        let shard = self.shard(hash(id)).read().unwrap_or_else(PoisonError::into_inner);
        Before { epoch: shard.epoch }
    }

    fn refill(&self, before: &Before, record: &Arc<Record>) {
        let hash = hash(&record.id());
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        if shard.epoch == before.epoch && !shard.marks.contains_key(&record.id()) {
            shard.insert(hash, record, self.shard_limit);
        }
    }

    /// Moves the times of a cached record, if it is cached at all and under that verifier.
    fn touch(&self, id: &SessionId, verifier: &Verifier, now: Timestamp, expires_at: Timestamp) {
        let hash = hash(id);
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = shard.slot_mut(hash, id).and_then(|slot| slot.record.as_mut())
            && record.verifier() == verifier
        {
            *record = Arc::new(record.touched(now, expires_at));
        }
    }

    fn sum(&self, of: impl Fn(&Shard) -> usize) -> usize {
        self.shards.iter().map(|shard| of(&shard.read().unwrap_or_else(PoisonError::into_inner))).sum()
    }
}

impl Watcher for Cache {
    fn changing(&self, ids: &[SessionId]) {
        for id in ids {
            let hash = hash(id);
            let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
            shard.remove(hash, id);
            *shard.marks.entry(*id).or_default() += 1;
            shard.epoch += 1;
        }
    }

    fn changed(&self, ids: &[SessionId]) {
        for id in ids {
            let hash = hash(id);
            let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
            // Of a change that was under way when the cache began to listen, only this end is heard.
            shard.remove(hash, id);
            shard.unmark(id);
            shard.epoch += 1;
        }
    }
}

/// Ids are ordered by time, so their low bits say little and their high bits are alike: spread both.
fn hash(id: &SessionId) -> u64 {
    let mixed = id.to_i64().unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn shard_of(hash: u64) -> usize {
    usize::try_from((hash >> SHARD_BITS_FROM) % SHARDS as u64).unwrap_or(0)
}

#[derive(Default)]
struct Shard {
    epoch: u64,
    marks: HashMap<SessionId, u32>,
    // Where in `slots` a record is. Four bytes a record instead of a copy of its id.
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    hand: usize,
    record_bytes: usize,
}

#[derive(Default)]
struct Slot {
    record: Option<Arc<Record>>,
    used: AtomicBool,
}

impl Shard {
    fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot>() + self.free.capacity() * size_of::<u32>();
        self.record_bytes + slots + self.index.allocation_size()
    }

    fn find(&self, hash: u64, id: &SessionId) -> Option<u32> {
        self.index.find(hash, |index| is_at(&self.slots, *index, id)).copied()
    }

    fn slot(&self, hash: u64, id: &SessionId) -> Option<&Slot> {
        self.find(hash, id).and_then(|index| self.slots.get(index as usize))
    }

    fn slot_mut(&mut self, hash: u64, id: &SessionId) -> Option<&mut Slot> {
        let index = self.find(hash, id)?;
        self.slots.get_mut(index as usize)
    }

    fn insert(&mut self, hash: u64, record: &Arc<Record>, limit: usize) {
        self.remove(hash, &record.id());
        let bytes = bytes_of(record);
        // A record that would push out half of the rest is not worth it.
        if bytes > limit / 2 {
            return;
        }
        while self.bytes() + bytes + self.growth() > limit {
            if !self.evict() {
                return;
            }
        }
        let slot = Slot { record: Some(Arc::clone(record)), used: AtomicBool::new(false) };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(free) = self.slots.get_mut(index as usize) {
                    *free = slot;
                }
                index
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact(grown(self.slots.len()));
                }
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("a shard holds fewer than 2^32 records")
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, index, |index| rehash(slots, *index));
        self.record_bytes += bytes;
    }

    /// The bytes that the tables would grow by for one more record.
    fn growth(&self) -> usize {
        let slots = match self.free.is_empty() && self.slots.len() == self.slots.capacity() {
            true => grown(self.slots.len()) * size_of::<Slot>(),
            false => 0,
        };
        let index = match self.index.len() == self.index.capacity() {
            true => self.index.allocation_size().max(64),
            false => 0,
        };
        slots + index
    }

    fn remove(&mut self, hash: u64, id: &SessionId) -> bool {
        let slots = &self.slots;
        let Ok(entry) = self.index.find_entry(hash, |index| is_at(slots, *index, id)) else { return false };
        let (index, _) = entry.remove();
        if let Some(record) = self.slots.get_mut(index as usize).and_then(|slot| slot.record.take()) {
            self.record_bytes -= bytes_of(&record);
        }
        self.free.push(index);
        true
    }

    fn unmark(&mut self, id: &SessionId) {
        if let Entry::Occupied(mut marks) = self.marks.entry(*id) {
            *marks.get_mut() -= 1;
            if *marks.get() == 0 {
                marks.remove();
            }
        }
        // The room for the marks of a large change is not counted, so it is given back.
        if self.marks.is_empty() && self.marks.capacity() > MARKS_KEPT {
            self.marks = HashMap::new();
        }
    }

    /// Takes out the next record that was not used since the hand last passed it (CLOCK).
    fn evict(&mut self) -> bool {
        // Twice around at most: the first round clears every mark of use.
        for _ in 0..self.slots.len() * 2 {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let Some(slot) = self.slots.get_mut(self.hand) else { return false };
            let Some(record) = &slot.record else { continue };
            if !std::mem::take(slot.used.get_mut()) {
                let id = record.id();
                return self.remove(hash(&id), &id);
            }
        }
        false
    }
}

fn is_at(slots: &[Slot], index: u32, id: &SessionId) -> bool {
    let record = slots.get(index as usize).and_then(|slot| slot.record.as_ref());
    record.is_some_and(|record| record.id() == *id)
}

fn rehash(slots: &[Slot], index: u32) -> u64 {
    let record = slots.get(index as usize).and_then(|slot| slot.record.as_ref());
    record.map_or(0, |record| hash(&record.id()))
}

/// Tables grow by an eighth, not by doubling: memory that is bounded should be used.
fn grown(len: usize) -> usize {
    (len / 8).max(16)
}

fn bytes_of(record: &Record) -> usize {
    const COUNTS: usize = 2 * size_of::<usize>();
    allocated(COUNTS + size_of::<Record>()) + record.heap_bytes()
}

#[async_trait]
impl<S: Announce> Store for Near<S> {
    fn peek(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        self.cache.get(id, now)
    }

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.store.create(record, limit).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        if let Some(record) = self.cache.get(id, now) {
            return Ok(Some(record));
        }
        let before = self.cache.before(id);
        let loaded = self.store.load(id, now).await?;
        if let Some(record) = &loaded {
            self.cache.refill(&before, record);
        }
        Ok(loaded)
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.renew(id, old, new, now, expires_at).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.store.save(id, verifier, revision, data, now).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let touched = self.store.touch(id, verifier, now, expires_at).await?;
        if touched {
            self.cache.touch(id, verifier, now, expires_at);
        }
        Ok(touched)
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.store.destroy(id).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.store.destroy_all(user, except).await
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
