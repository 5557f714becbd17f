//! The bytes that a near cache says it takes, against those that the allocator handed out.
//!
//! Alone in its program: the allocator counts for all of it.

use std::alloc::System;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exeunt::session::{Client, Parts};
use exeunt::store::{Announce, Created, Purged, Saved, Store, StoreError, Watcher, async_trait};
use exeunt::{Data, Near, Record, SessionId, Timestamp, UserId, Verifier};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Has every session, each made when it is asked for, and says on demand that some change.
#[derive(Default)]
struct Endless {
    text: usize,
    watcher: Mutex<Option<Arc<dyn Watcher>>>,
}

impl std::fmt::Debug for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endless")
    }
}

impl Endless {
    fn change(&self, ids: &[SessionId]) {
        let watcher = self.watcher.lock().expect("no test panics in here").clone();
        let watcher = watcher.expect("a cache stands in front");
        watcher.changing(ids);
        watcher.changed(ids);
    }
}

impl Announce for Endless {
    fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool {
        *self.watcher.lock().expect("no test panics in here") = Some(watcher);
        true
    }
}

fn id(number: i64) -> SessionId {
    // As real ids are: they rise with time, and have random low bits.
    let random = number.wrapping_mul(0x9E37_79B9) & 0x1F_FFFF;
    SessionId::from_i64(((1_767_225_600_000 + number) << 21) | random).expect("it is positive")
}

#[async_trait]
impl Store for Endless {
    fn purge_pause(&self) -> Duration {
        Duration::from_secs(7)
    }

    async fn load(&self, id: &SessionId, _: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        Ok(Some(Arc::new(Record::restore(Parts {
            id: *id,
            verifier: Verifier::from_bytes([7; 32]),
            previous: None,
            user: UserId::new("12345678").expect("it is short"),
            created_at: NOW,
            authenticated_at: NOW,
            seen_at: NOW,
            expires_at: NOW.plus(Duration::from_secs(60)),
            ends_at: NOW.plus(Duration::from_secs(60)),
            remembered: false,
            revision: 0,
            client: Client::new(&"c".repeat(60)),
            data: Data::from_json(format!(r#"{{"d":"{}"}}"#, "d".repeat(self.text - 8))).expect("it fits"),
        }))))
    }

    async fn create(&self, _: &Record, _: usize) -> Result<Created, StoreError> {
        Err(not_asked())
    }

    async fn renew(
        &self,
        _: &SessionId,
        _: &Verifier,
        _: &Verifier,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(not_asked())
    }

    async fn save(
        &self,
        _: &SessionId,
        _: &Verifier,
        _: u32,
        _: &Data,
        _: Timestamp,
    ) -> Result<Saved, StoreError> {
        Err(not_asked())
    }

    async fn touch(
        &self,
        _: &SessionId,
        _: &Verifier,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(not_asked())
    }

    async fn destroy(&self, _: &SessionId) -> Result<bool, StoreError> {
        Err(not_asked())
    }

    async fn destroy_all(&self, _: &UserId, _: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        Err(not_asked())
    }

    async fn list(&self, _: &UserId, _: Timestamp) -> Result<Vec<Record>, StoreError> {
        Err(not_asked())
    }

    async fn walk(&self, _: Option<&SessionId>, _: usize, _: Timestamp) -> Result<Vec<Record>, StoreError> {
        Err(not_asked())
    }

    async fn purge(&self, _: Option<&SessionId>, _: usize, _: Timestamp) -> Result<Purged, StoreError> {
        Err(not_asked())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Err(not_asked())
    }
}

fn not_asked() -> StoreError {
    StoreError::new("endless", "it only loads")
}

/// What the allocator has handed out and not got back, with its header of 8 bytes for each piece.
///
/// The sessions here are of sizes that an allocator with steps of 16 bytes does not round.
fn taken() -> usize {
    let stats = ALLOCATOR.stats();
    let pieces = stats.allocations - stats.deallocations;
    stats.bytes_allocated - stats.bytes_deallocated + 8 * pieces
}

async fn fill(near: &Near<Endless>, numbers: std::ops::Range<i64>) {
    for number in numbers {
        drop(near.load(&id(number), NOW).await.expect("it loads"));
    }
}

#[track_caller]
fn assert_close(said: usize, counted: usize) {
    let ratio = said as f64 / counted as f64;
    assert!((0.98..1.02).contains(&ratio), "{said} bytes said, {counted} counted: {ratio:.3}");
}

#[tokio::test]
async fn the_bytes_of_a_near_cache_are_those_that_the_allocator_counts() {
    const LIMIT: usize = 16 << 20;
    let nothing = taken();
    let near = Near::new(Endless { text: 60, ..Endless::default() }, LIMIT);

    fill(&near, 0..20_000).await;
    assert_eq!(near.sessions(), 20_000);
    assert!(near.peek(&id(7), NOW).is_some(), "it is at hand");
    assert_eq!(near.purge_pause(), Duration::from_secs(7), "that of the store behind it");
    near.ping().await.expect_err("a store that does not answer is not hidden by what the cache knows");
    assert_close(near.bytes(), taken() - nothing);
    let each = near.bytes() / near.sessions();
    assert!(each <= 350, "{each} bytes a small session");

    // Far more than fit, and again: neither the say nor the truth passes the limit, and the room is used.
    for _ in 0..2 {
        fill(&near, 20_000..120_000).await;
        assert!(near.bytes() <= LIMIT, "{} bytes", near.bytes());
        assert!(near.bytes() > LIMIT / 100 * 95, "{} bytes", near.bytes());
        assert_close(near.bytes(), taken() - nothing);
    }

    // A change of all of them at once leaves nothing but the tables, not the room for their marks either.
    let ids: Vec<_> = (0..120_000).map(id).collect();
    near.store().change(&ids);
    drop(ids);
    assert_eq!(near.sessions(), 0);
    assert!(near.bytes() < LIMIT / 8, "{} bytes of empty tables", near.bytes());
    let counted = taken() - nothing;
    assert!(counted < near.bytes() + LIMIT / 100, "{} bytes said, {counted} counted", near.bytes());

    fill(&near, 0..20_000).await;
    assert_close(near.bytes(), taken() - nothing);
    drop(near);

    // The largest sessions there are, in a cache that holds a few of them, and in one too small for one.
    for (limit, some) in [(64 << 20, true), (4 << 20, false), (0, false)] {
        let nothing = taken();
        let near = Near::new(Endless { text: 64 * 1024 - 4, ..Endless::default() }, limit);
        fill(&near, 0..3_000).await;
        assert_eq!(near.sessions() > 0, some);
        assert!(near.bytes() <= limit);
        assert!(taken() - nothing < limit + limit / 50 + 64 * 1024);
    }
}
