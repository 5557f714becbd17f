//! Stores with one fault each, and the law that catches it: a law that cannot fail proves nothing.

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exeunt::session::Parts;
use exeunt::store::{Created, DEFAULT_NEAR_BYTES, Purged, Saved, Store, StoreError, async_trait, laws};
use exeunt::{Data, MemoryStore, Near, Record, SessionId, Timestamp, UserId, Verifier};
use tokio::sync::Barrier;

use crate::common::announcing::Announcing;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CreateOverwrites,
    CreateForgetsTheLimit,
    CreateEndsTheLastSeen,
    CreateLooksThenInserts,
    LoadIgnoresExpiry,
    LoadRoundsInstants,
    SaveInserts,
    SaveIgnoresRevisions,
    SaveLooksThenWrites,
    RenewIgnoresTheSecret,
    RenewForgetsThePrevious,
    RenewLooksThenSwaps,
    TouchRevives,
    TouchMovesBack,
    TouchPassesTheEnd,
    DestroySaysYesTwice,
    DestroyAllForgetsAnEntry,
    DestroyAllMissesTheExpired,
    DestroyAllNamesTheSpared,
    ListLeaks,
    ListIsUnordered,
    WalkSkips,
    WalkStops,
    PurgeDropsTheLiving,
    PurgeStopsEarly,
    DataLosesSpaces,
}

/// The memory store with one fault.
#[derive(Debug)]
struct Broken {
    fault: Fault,
    store: MemoryStore,
    known: Mutex<HashMap<SessionId, Record>>,
    two: Barrier,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self { fault, store: MemoryStore::new(), known: Mutex::default(), two: Barrier::new(2) }
    }

    fn known(&self, id: &SessionId) -> Option<Record> {
        self.known.lock().expect("no test panics in here").get(id).cloned()
    }

    /// What one looks at before one acts, where the two should be one step. Two at a time, so that the first two both
    /// look before either acts.
    async fn look(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        let found = self.store.load(id, now).await.ok()?;
        self.two.wait().await;
        found
    }

    async fn put(&self, parts: Parts) {
        let record = Record::restore(parts);
        self.store.destroy(&record.id()).await.expect("memory answers");
        let _ = self.store.create(&record, usize::MAX).await.expect("memory answers");
    }
}

const EVER: Timestamp = Timestamp::from_micros(0);

#[async_trait]
impl Store for Broken {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.known.lock().expect("no test panics in here").insert(record.id(), record.clone());
        match self.fault {
            Fault::CreateOverwrites => _ = self.store.destroy(&record.id()).await?,
            Fault::CreateForgetsTheLimit => return self.store.create(record, usize::MAX).await,
            Fault::CreateEndsTheLastSeen => {
                let others = self.store.list(record.user(), record.created_at()).await?;
                let created = self.store.create(record, usize::MAX).await?;
                if let (Created::Yes { .. }, Some(last)) = (&created, others.first())
                    && others.len() >= limit
                {
                    self.store.destroy(&last.id()).await?;
                    return Ok(Created::Yes { ended: vec![last.id()] });
                }
                return Ok(created);
            }
            Fault::CreateLooksThenInserts => {
                if self.look(&record.id(), EVER).await.is_some() {
                    return Ok(Created::Taken);
                }
                self.put(record.clone().into_parts()).await;
                return Ok(Created::Yes { ended: vec![] });
            }
            _ => {}
        }
        self.store.create(record, limit).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let now = if self.fault == Fault::LoadIgnoresExpiry { EVER } else { now };
        let found = self.store.load(id, now).await?;
        if self.fault == Fault::LoadRoundsInstants {
            let round = |at: Timestamp| Timestamp::from_secs(at.as_secs());
            return Ok(found.map(|found| {
                let parts = Arc::unwrap_or_clone(found).into_parts();
                Arc::new(Record::restore(Parts { seen_at: round(parts.seen_at), ..parts }))
            }));
        }
        Ok(found)
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.fault {
            Fault::RenewIgnoresTheSecret => {
                let Some(found) = self.store.load(id, now).await? else { return Ok(false) };
                self.store.renew(id, found.verifier(), new, now, expires_at).await
            }
            Fault::RenewForgetsThePrevious => {
                let renewed = self.store.renew(id, old, new, now, expires_at).await?;
                if let Some(found) = self.store.load(id, now).await? {
                    self.put(Parts { previous: None, ..Arc::unwrap_or_clone(found).into_parts() }).await;
                }
                Ok(renewed)
            }
            Fault::RenewLooksThenSwaps => {
                let Some(found) = self.look(id, now).await.filter(|found| found.verifier() == old) else {
                    return Ok(false);
                };
                let parts = Arc::unwrap_or_clone(found).into_parts();
                self.put(Parts { verifier: *new, previous: Some(*old), authenticated_at: now, ..parts })
                    .await;
                Ok(true)
            }
            _ => self.store.renew(id, old, new, now, expires_at).await,
        }
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        match self.fault {
            Fault::SaveInserts => {
                let saved = self.store.save(id, verifier, revision, data, now).await?;
                if let (Saved::Gone, Some(record)) = (saved, self.known(id)) {
                    self.put(Parts { data: data.clone(), ..record.into_parts() }).await;
                    return Ok(Saved::At(revision + 1));
                }
                Ok(saved)
            }
            Fault::SaveIgnoresRevisions => {
                let Some(found) = self.store.load(id, now).await? else { return Ok(Saved::Gone) };
                self.store.save(id, verifier, found.revision(), data, now).await
            }
            Fault::SaveLooksThenWrites => {
                let Some(found) = self.look(id, now).await.filter(|found| found.verifier() == verifier)
                else {
                    return Ok(Saved::Gone);
                };
                if found.revision() != revision {
                    return Ok(Saved::Stale);
                }
                let parts = Arc::unwrap_or_clone(found).into_parts();
                self.put(Parts { data: data.clone(), revision: revision + 1, ..parts }).await;
                Ok(Saved::At(revision + 1))
            }
            Fault::DataLosesSpaces => {
                let tight = Data::from_json(data.as_json().replace(' ', "")).expect("it is no longer");
                self.store.save(id, verifier, revision, &tight, now).await
            }
            _ => self.store.save(id, verifier, revision, data, now).await,
        }
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.fault {
            Fault::TouchRevives => {
                let touched = self.store.touch(id, verifier, now, expires_at).await?;
                if let (false, Some(record)) = (touched, self.known(id)) {
                    self.put(Parts { expires_at, ..record.into_parts() }).await;
                    return Ok(true);
                }
                Ok(touched)
            }
            Fault::TouchMovesBack | Fault::TouchPassesTheEnd => {
                let found = self.store.load(id, now).await?;
                let Some(found) = found.filter(|found| found.verifier() == verifier) else {
                    return Ok(false);
                };
                let parts = Arc::unwrap_or_clone(found).into_parts();
                let seen_at = if self.fault == Fault::TouchMovesBack { now } else { parts.seen_at.max(now) };
                let latest = parts.expires_at.max(expires_at);
                let ends_at = if self.fault == Fault::TouchPassesTheEnd {
                    parts.ends_at.max(latest)
                } else {
                    parts.ends_at
                };
                self.put(Parts { seen_at, expires_at: latest, ends_at, ..parts }).await;
                Ok(true)
            }
            _ => self.store.touch(id, verifier, now, expires_at).await,
        }
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let ended = self.store.destroy(id).await?;
        Ok(ended || (self.fault == Fault::DestroySaysYesTwice && self.known(id).is_some()))
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        match self.fault {
            Fault::DestroyAllForgetsAnEntry => {
                let forgotten = self.store.list(user, EVER).await?.first().map(Record::id);
                self.store.destroy_all(user, except.or(forgotten.as_ref())).await
            }
            Fault::DestroyAllMissesTheExpired => {
                let live = self.store.list(user, laws_began().plus(Duration::from_secs(31 * 60))).await?;
                let ids: Vec<_> = live.iter().map(Record::id).filter(|id| Some(id) != except).collect();
                for id in &ids {
                    self.store.destroy(id).await?;
                }
                Ok(ids)
            }
            Fault::DestroyAllNamesTheSpared => {
                let mut ended = self.store.destroy_all(user, except).await?;
                ended.extend(except);
                Ok(ended)
            }
            _ => self.store.destroy_all(user, except).await,
        }
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        match self.fault {
            Fault::ListLeaks => self.store.walk(None, usize::MAX, now).await,
            Fault::ListIsUnordered => {
                let mut found = self.store.list(user, now).await?;
                found.sort_by_key(Record::id);
                Ok(found)
            }
            _ => self.store.list(user, now).await,
        }
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        match self.fault {
            Fault::WalkSkips if after.is_some() => {
                let found = self.store.walk(after, limit, now).await?;
                Ok(found.into_iter().skip(1).collect())
            }
            Fault::WalkStops if after.is_some() => Ok(vec![]),
            _ => self.store.walk(after, limit, now).await,
        }
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        match self.fault {
            Fault::PurgeDropsTheLiving => {
                let soon = now.plus(Duration::from_micros(1));
                self.store.purge(after, limit, soon).await
            }
            Fault::PurgeStopsEarly => {
                let purged = self.store.purge(after, limit, now).await?;
                let next = purged.next.filter(|_| !purged.ended.is_empty());
                Ok(Purged { next, ..purged })
            }
            _ => self.store.purge(after, limit, now).await,
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

fn laws_began() -> Timestamp {
    use exeunt::Clock as _;
    exeunt::session::SystemClock::new().now()
}

/// Whether a law holds: a broken one panics, here in a task of its own.
async fn holds<F>(law: impl FnOnce(Arc<dyn Store>) -> F, store: impl Store) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    match tokio::spawn(law(Arc::new(store))).await {
        Ok(()) => true,
        Err(error) => {
            assert!(error.is_panic());
            false
        }
    }
}

/// One named test for each fault: the law holds for the memory store, and not with the fault.
macro_rules! catches {
    ($($law:ident: $($fault:ident)+;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $law() {
                assert!(holds(laws::$law, MemoryStore::new()).await);
                $(assert!(!holds(laws::$law, Broken::new(Fault::$fault)).await, "{:?}", Fault::$fault);)+
            }
        )+
    };
}

catches! {
    create_refuses_a_taken_id_and_leaves_it_as_it_was: CreateOverwrites;
    create_refuses_the_id_of_an_expired_session: CreateOverwrites;
    create_ends_the_sessions_unseen_longest_beyond_the_limit: CreateForgetsTheLimit CreateEndsTheLastSeen;
    create_counts_only_live_sessions_of_the_same_user: CreateForgetsTheLimit;
    create_keeps_at_least_the_new_session: CreateForgetsTheLimit;
    concurrent_creates_honour_the_limit: CreateForgetsTheLimit;
    concurrent_creates_of_one_id_make_one_session: CreateOverwrites CreateLooksThenInserts;
    load_hides_the_expired_from_the_very_instant: LoadIgnoresExpiry;
    instants_are_kept_to_the_microsecond: LoadRoundsInstants;
    data_comes_back_as_it_was_saved: DataLosesSpaces;
    save_is_stale_under_an_old_revision: SaveIgnoresRevisions;
    save_never_creates_or_revives: SaveInserts;
    concurrent_saves_have_one_winner_for_each_revision: SaveIgnoresRevisions SaveLooksThenWrites;
    renew_needs_the_current_verifier: RenewIgnoresTheSecret;
    an_old_verifier_no_longer_saves_touches_or_renews: RenewIgnoresTheSecret;
    renew_swaps_the_secret_and_keeps_the_previous_one: RenewForgetsThePrevious;
    concurrent_renews_have_one_winner: RenewIgnoresTheSecret RenewLooksThenSwaps;
    touch_never_creates_or_revives: TouchRevives;
    touch_moves_times_forward_only: TouchMovesBack;
    touch_never_passes_the_absolute_timeout: TouchPassesTheEnd;
    destroy_is_final_and_idempotent: DestroySaysYesTwice SaveInserts TouchRevives;
    concurrent_destroys_have_one_winner: DestroySaysYesTwice;
    destroy_all_ends_and_names_exactly_the_sessions_of_one_user: DestroyAllForgetsAnEntry DestroyAllMissesTheExpired;
    destroy_all_ends_every_acknowledged_session: DestroyAllForgetsAnEntry;
    destroy_all_spares_one_session: DestroyAllNamesTheSpared;
    list_is_exact_and_shows_the_last_seen_first: ListLeaks ListIsUnordered;
    walk_meets_every_live_session_once_in_order_of_ids: WalkSkips WalkStops;
    purge_drops_only_the_expired: PurgeDropsTheLiving;
    purge_goes_through_pages_to_the_end: PurgeStopsEarly;
    concurrent_changes_leave_nothing_alive: SaveInserts TouchRevives;
    concurrent_changes_outlive_no_destroy_all: SaveInserts TouchRevives;
}

/// A near cache that is not told of changes breaks the laws of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_that_is_not_told_of_changes_is_caught() {
    let untold = || {
        let mut store = Announcing::default();
        store.silent = true;
        Near::new(store, DEFAULT_NEAR_BYTES)
    };
    assert!(holds(laws::load_hides_the_expired_from_the_very_instant, untold()).await);
    assert!(!holds(laws::load_hides_the_unknown_and_the_destroyed, untold()).await);
    assert!(!holds(laws::save_writes_data_and_counts_revisions, untold()).await);
    assert!(!holds(laws::renew_swaps_the_secret_and_keeps_the_previous_one, untold()).await);
    assert!(!holds(laws::destroy_is_final_and_idempotent, untold()).await);
    assert!(!holds(laws::destroy_all_ends_and_names_exactly_the_sessions_of_one_user, untold()).await);
    assert!(!holds(laws::purge_revives_nothing, untold()).await);
    assert!(!holds(laws::nobody_reads_a_session_after_its_end_was_acknowledged, untold()).await);
    assert!(!holds(laws::nobody_reads_what_an_acknowledged_change_replaced, untold()).await);
    assert!(!holds(laws::nobody_reads_an_old_secret_after_an_acknowledged_renew, untold()).await);
}
