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
    ///
    /// Nor does a second one in front of the same store, where that can tell only one of its changes; the log says so.
    pub fn new(store: S, bytes: usize) -> Self {
        let mut cache = Arc::new(Cache::new(bytes));
        if !store.announce_to(Arc::clone(&cache) as Arc<dyn Watcher>) {
            tracing::warn!("a second near cache in front of one store caches nothing: share the first");
            cache = Arc::new(Cache::new(0));
        }
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
            shard.move_epoch();
        }
    }

    fn changed(&self, ids: &[SessionId]) {
        for id in ids {
            let hash = hash(id);
            let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
            // Of a change that was under way when the cache began to listen, only this end is heard.
            shard.remove(hash, id);
            shard.unmark(id);
            shard.move_epoch();
        }
    }
}

/// Ids are ordered by time, so their low bits say little and their high bits are alike: spread both.
fn hash(id: &SessionId) -> u64 {
    let mixed = id.to_i64().unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Mutants: `<<` spreads ids as well.
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

    /// What was read before this is not kept any more.
    fn move_epoch(&mut self) {
        self.epoch += 1;
    }

    fn unmark(&mut self, id: &SessionId) {
        if let Entry::Occupied(mut marks) = self.marks.entry(*id) {
            *marks.get_mut() -= 1;
            if *marks.get() == 0 {
                marks.remove();
            }
        }
        // The room for the marks of a large change is not counted, so it is given back.
        // Mutants: `>=` is the same, since a map has room for 56 or 112, never for just 64.
        if self.marks.is_empty() && self.marks.capacity() > MARKS_KEPT {
            self.marks = HashMap::new();
        }
    }

    /// Takes out the next record that was not used since the hand last passed it (CLOCK).
    fn evict(&mut self) -> bool {
        let slots = self.slots.len();
        // Twice around at most: the first round clears every mark of use.
        for _ in (0..2).flat_map(|_| 0..slots) {
            self.hand = if self.hand + 1 < slots { self.hand + 1 } else { 0 };
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
    const COUNTS: usize = size_of::<[usize; 2]>();
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

    fn purge_pause(&self) -> std::time::Duration {
        self.store.purge_pause()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::session::{Lifetime, Login, Token};

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
    const ROOM: usize = 64 * 1024 * 1024;

    fn record() -> Arc<Record> {
        Arc::new(Record::new(UserId::from(1), NOW, &Lifetime::default(), Login::default()).1)
    }

    fn keep(cache: &Cache, record: &Arc<Record>) {
        cache.refill(&cache.before(&record.id()), record);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it_began() {
        // R03: the reader has asked the store, and puts in what it got at each of the points that the writer passes.
        let cache = Cache::new(ROOM);
        let stale = record();
        let id = stale.id();

        let before = cache.before(&id);
        cache.changing(&[id]);
        cache.refill(&before, &stale);
        assert_eq!(cache.get(&id, NOW), None, "between the two, having asked before");
        let between = cache.before(&id);
        cache.refill(&between, &stale);
        assert_eq!(cache.get(&id, NOW), None, "between the two, having asked between");
        cache.changed(&[id]);
        cache.refill(&before, &stale);
        assert_eq!(cache.get(&id, NOW), None, "after both, having asked before");
        cache.refill(&between, &stale);
        assert_eq!(cache.get(&id, NOW), None, "after both, having asked between");

        keep(&cache, &stale);
        assert_eq!(cache.get(&id, NOW), Some(stale), "after both, having asked after");
    }

    #[test]
    fn a_change_takes_out_what_is_kept() {
        let cache = Cache::new(ROOM);
        let kept = record();
        keep(&cache, &kept);
        cache.changing(&[kept.id()]);
        assert_eq!(cache.get(&kept.id(), NOW), None);
        cache.changed(&[kept.id()]);
        assert_eq!(cache.get(&kept.id(), NOW), None);

        // The beginning of this one was before the cache listened.
        keep(&cache, &kept);
        cache.changed(&[kept.id()]);
        assert_eq!(cache.get(&kept.id(), NOW), None);
    }

    #[test]
    fn a_session_is_learned_again_only_after_the_last_of_its_changes() {
        let cache = Cache::new(ROOM);
        let kept = record();
        cache.changing(&[kept.id()]);
        cache.changing(&[kept.id()]);
        cache.changed(&[kept.id()]);
        keep(&cache, &kept);
        assert_eq!(cache.get(&kept.id(), NOW), None);
        cache.changed(&[kept.id()]);
        keep(&cache, &kept);
        assert!(cache.get(&kept.id(), NOW).is_some());
        assert_eq!(cache.sum(|shard| shard.marks.len()), 0);
    }

    #[test]
    fn the_room_for_the_marks_of_a_large_change_is_given_back() {
        let cache = Cache::new(ROOM);
        let ids: Vec<_> = (0..64_000).filter_map(SessionId::from_i64).collect();
        cache.changing(&ids);
        assert_eq!(cache.sum(|shard| shard.marks.len()), ids.len());
        let (some, others) = ids.split_at(40_000);
        cache.changed(some);
        assert_eq!(cache.sum(|shard| shard.marks.len()), others.len(), "the others are still changing");
        cache.changed(others);
        assert!(cache.sum(|shard| shard.marks.capacity()) <= SHARDS * MARKS_KEPT);
    }

    #[test]
    fn an_expired_copy_is_asked_for_again() {
        let cache = Cache::new(ROOM);
        let kept = record();
        keep(&cache, &kept);
        assert_eq!(cache.get(&kept.id(), kept.expires_at()), None);
        let later = NOW.plus(Duration::from_secs(60));
        let expires_at = kept.expires_at().plus(Duration::from_secs(60));
        cache.touch(&kept.id(), kept.verifier(), later, expires_at);
        assert_eq!(
            cache.get(&kept.id(), kept.expires_at()).map(|found| found.expires_at()),
            Some(expires_at)
        );
    }

    #[test]
    fn a_touch_under_an_old_secret_moves_nothing() {
        let cache = Cache::new(ROOM);
        let kept = record();
        keep(&cache, &kept);
        let other = Token::generate(kept.id()).verifier();
        cache.touch(&kept.id(), &other, kept.ends_at(), kept.ends_at());
        assert_eq!(cache.get(&kept.id(), NOW), Some(kept));
    }

    #[test]
    fn by_default_it_takes_64_mib_and_does_not_show_what_it_holds() {
        assert_eq!(DEFAULT_NEAR_BYTES, 67_108_864);
        let near = Near { store: "the store", cache: Arc::new(Cache::new(ROOM)) };
        keep(&near.cache, &record());
        assert_eq!(format!("{near:?}"), r#"Near("the store")"#);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        for bytes in [0, 1, 64, SHARDS * 64] {
            let cache = Cache::new(bytes);
            let kept = record();
            keep(&cache, &kept);
            assert_eq!(cache.get(&kept.id(), NOW), None);
            assert_eq!(cache.sum(Shard::bytes), 0);
        }
    }

    fn is_kept(record: &Arc<Record>, shard_limit: usize) -> bool {
        let cache = Cache::new(shard_limit * SHARDS);
        keep(&cache, record);
        cache.get(&record.id(), NOW).is_some()
    }

    #[test]
    fn a_record_is_kept_where_it_just_fits_and_where_it_takes_no_more_than_half() {
        let small = record();
        let bytes = bytes_of(&small) + Shard::default().growth();
        assert!(is_kept(&small, bytes) && !is_kept(&small, bytes - 1));

        let mut data = Data::default();
        data.set("text", &"x".repeat(4_000)).unwrap();
        let large = Arc::new(small.saved(&data));
        let bytes = bytes_of(&large) * 2;
        assert!(is_kept(&large, bytes) && !is_kept(&large, bytes - 1));
    }

    #[test]
    fn a_shard_grows_by_no_more_than_it_foresaw() {
        let mut shard = Shard::default();
        let (mut foreseen, mut grown, mut times) = (0, 0, 0);
        for record in (0..2_000).map(|_| record()) {
            let (before, growth) = (shard.bytes(), shard.growth());
            let room = shard.slots.capacity();
            shard.insert(hash(&record.id()), &record, ROOM);
            let more = shard.bytes() - before - bytes_of(&record);
            assert!(more <= growth, "{more} instead of {growth} for record {}", shard.index.len());
            (foreseen, grown) = (foreseen + growth, grown + more);
            times += usize::from(shard.slots.capacity() > room);
        }
        assert!(foreseen < 2 * grown, "{foreseen} foreseen, {grown} needed");
        assert!(grown < 2_000 * 50 && times < 40, "{grown} for 2000 records, in {times} steps");
    }

    #[test]
    fn records_in_use_stay_and_unused_ones_make_room() {
        let cache = Cache::new(1 << 20);
        let hot: Vec<_> = (0..500).map(|_| record()).collect();
        hot.iter().for_each(|record| keep(&cache, record));
        for _ in 0..100 {
            // Fewer at a time than half of what fits: a hot one is used again before the hand comes by twice.
            (0..500).map(|_| record()).for_each(|cold| keep(&cache, &cold));
            hot.iter().for_each(|record| drop(cache.get(&record.id(), NOW)));
            assert!(cache.sum(Shard::bytes) <= 1 << 20);
        }
        let left = hot.iter().filter(|record| cache.get(&record.id(), NOW).is_some()).count();
        assert!(left > 490, "{left} of 500 in use are left");

        // Where all are in use, a new one still finds room.
        let all: Vec<_> = (0..10_000).map(|_| record()).collect();
        for record in &all {
            keep(&cache, record);
            assert_eq!(cache.get(&record.id(), NOW).as_ref(), Some(record));
        }
    }

    #[test]
    fn the_records_of_a_shard_differ_in_their_tags_and_places() {
        // A table asks for a record only if seven bits, the tag, agree: alike tags are comparisons for nothing.
        let ids: Vec<_> = (0..100_000).map(|_| record().id()).collect();
        for shard in 0..SHARDS {
            let here: Vec<_> = ids.iter().map(hash).filter(|hash| shard_of(*hash) == shard).collect();
            assert!((1_200..2_000).contains(&here.len()), "{} of 100000 ids in one of 64 shards", here.len());
            let tags: HashSet<_> = here.iter().map(|hash| hash >> 57).collect();
            assert!(tags.len() > 120, "{} of 128 tags", tags.len());
            let places: HashSet<_> = here.iter().map(|hash| hash % 4_096).collect();
            assert!(places.len() > 1_000, "{} places for {} records", places.len(), here.len());
        }
    }

    #[test]
    fn many_threads_keep_the_books_right() {
        let cache = Cache::new(1 << 20);
        let records: Vec<_> = (0..8_000).map(|_| record()).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, records) = (&cache, &records);
                scope.spawn(move || {
                    for (number, record) in records.iter().enumerate().skip(thread) {
                        let id = record.id();
                        match (number + thread) % 4 {
                            0 => {
                                cache.changing(&[id]);
                                cache.changed(&[id]);
                            }
                            1 => cache.touch(&id, record.verifier(), NOW, record.ends_at()),
                            _ => keep(cache, record),
                        }
                        drop(cache.get(&id, NOW));
                    }
                });
            }
        });
        for shard in &cache.shards {
            let shard = shard.read().unwrap();
            let held: Vec<_> = shard.slots.iter().filter_map(|slot| slot.record.as_ref()).collect();
            assert_eq!(shard.record_bytes, held.iter().map(|record| bytes_of(record)).sum::<usize>());
            assert_eq!((held.len(), shard.slots.len() - held.len()), (shard.index.len(), shard.free.len()));
            assert!(shard.marks.is_empty() && shard.bytes() <= (1 << 20) / SHARDS);
            for record in held {
                assert!(shard.slot(hash(&record.id()), &record.id()).is_some());
            }
        }
    }
}
