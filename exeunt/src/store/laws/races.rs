//! The laws of what happens at once. Each outcome asserted here is the only one allowed, whatever the schedule.

#![expect(clippy::panic, reason = "a law that is broken panics")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::{
    ANSWERS, MINUTE, assert_gone, assert_stored, created, data, destroy, destroy_all, fresh_verifier, ids,
    list, load, record, renew, save, sorted, start, touch, user, walk,
};
use crate::session::{Parts, Record, SessionId, Timestamp, UserId, Verifier};
use crate::store::{Created, Saved, Store};

/// More than any changer needs before the session under it ends.
const ENDLESS: u32 = 20_000;

/// "Log out everywhere" among logins: what was acknowledged before it is over after it, and each end is named once.
pub async fn destroy_all_ends_every_acknowledged_session(store: Arc<dyn Store>) {
    // R16
    let (now, owner) = (start(), user(1));
    let acknowledged = Arc::new(Mutex::new(Vec::<Record>::new()));
    let so_far = || acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut logins = JoinSet::new();
    for _ in 0..6 {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        logins.spawn(async move {
            for _ in 0..25 {
                let record = created(&*store, &user(1), now).await;
                acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            }
        });
    }
    let mut named = Vec::new();
    for _ in 0..10 {
        let before = so_far();
        named.extend(destroy_all(&*store, &owner, None).await);
        for record in &before {
            assert_eq!(store.peek(&record.id(), now), None, "at hand after all were ended");
            assert_eq!(
                store.load(&record.id(), now).await.expect(ANSWERS),
                None,
                "alive after all were ended"
            );
        }
        yield_now().await;
    }
    logins.join_all().await;
    named.extend(destroy_all(&*store, &owner, None).await);
    assert_eq!(sorted(named), sorted(ids(&so_far())), "each session is named by exactly one call");
    assert_eq!(list(&*store, &owner, now).await, []);
    assert_eq!(walk(&*store, now).await, []);
}

/// Saves, touches, renewals and loads that go on around a destroy bring nothing back.
pub async fn concurrent_changes_leave_nothing_alive(store: Arc<dyn Store>) {
    // R05
    let now = start();
    let mut rounds = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&store);
        rounds.spawn(async move {
            let record = created(&*store, &user(number), now).await;
            let (mut changers, under_way) = changing(&store, &record, now);
            under_way.wait().await;
            assert!(destroy(&*store, &record.id()).await);
            assert_gone(&*store, &record, now).await;
            while let Some(ended) = changers.join_next().await {
                ended.expect("a changer ends with its session");
            }
            assert_gone(&*store, &record, now).await;
            assert!(!destroy(&*store, &record.id()).await, "something made it again");
        });
    }
    rounds.join_all().await;
    assert_eq!(walk(&*store, now).await, []);
}

/// As with one destroy, so with all of a user's sessions at once.
pub async fn concurrent_changes_outlive_no_destroy_all(store: Arc<dyn Store>) {
    // R05, R16
    let (now, owner) = (start(), user(1));
    let mut records = Vec::new();
    let mut all = Vec::new();
    for _ in 0..6 {
        let record = created(&*store, &owner, now).await;
        all.push(changing(&store, &record, now));
        records.push(record);
    }
    let spared = created(&*store, &owner, now).await;
    for (_, under_way) in &all {
        under_way.wait().await;
    }
    assert_eq!(destroy_all(&*store, &owner, Some(&spared.id())).await, ids(&records));
    for record in &records {
        assert_gone(&*store, record, now).await;
    }
    for (changers, _) in all {
        changers.join_all().await;
    }
    assert_eq!(walk(&*store, now).await, std::slice::from_ref(&spared));
    assert_stored(&*store, &spared, now).await;
    assert_eq!(destroy_all(&*store, &owner, None).await, [spared.id()]);
}

/// Of many renewals of one secret one succeeds, and the session is under that one's.
pub async fn concurrent_renews_have_one_winner(store: Arc<dyn Store>) {
    // R12
    let now = start();
    let mut record = created(&*store, &user(1), now).await;
    for _ in 0..8 {
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            let (store, record) = (Arc::clone(&store), record.clone());
            let new = fresh_verifier(record.id());
            tasks.spawn(async move { (renew(&*store, &record, &new, now).await, new) });
        }
        let answers = tasks.join_all().await;
        let won: Vec<Verifier> = answers.into_iter().filter(|(won, _)| *won).map(|(_, new)| new).collect();
        let [new] = &*won else { panic!("{} renewals of one secret succeeded", won.len()) };
        record = record.renewed(*new, now, now.plus(30 * MINUTE));
        assert_stored(&*store, &record, now).await;
    }
}

/// Of many saves under one revision one succeeds, the others are stale, and what that one wrote is there.
pub async fn concurrent_saves_have_one_winner_for_each_revision(store: Arc<dyn Store>) {
    let now = start();
    let mut record = created(&*store, &user(1), now).await;
    for _ in 0..8 {
        let mut tasks = JoinSet::new();
        for number in 0..16 {
            let (store, record) = (Arc::clone(&store), record.clone());
            let data = data(&format!("number {number}"));
            tasks.spawn(async move { (save(&*store, &record, record.revision(), &data, now).await, data) });
        }
        let answers = tasks.join_all().await;
        let won: Vec<_> = answers.iter().filter(|(saved, _)| *saved != Saved::Stale).collect();
        let [(saved, data)] = &*won else { panic!("{} saves under one revision were not stale", won.len()) };
        assert_eq!(*saved, Saved::At(record.revision() + 1));
        record = record.saved(data);
        assert_stored(&*store, &record, now).await;
    }
}

/// Of many who destroy a session, by itself or with all of its user's, one is told that it did.
pub async fn concurrent_destroys_have_one_winner(store: Arc<dyn Store>) {
    // R08
    let now = start();
    for round in 0..8 {
        let owner = user(round);
        let record = created(&*store, &owner, now).await;
        let mut tasks = JoinSet::new();
        for number in 0..16 {
            let (store, owner, id) = (Arc::clone(&store), owner.clone(), record.id());
            tasks.spawn(async move {
                let ended = match number % 4 {
                    0 => destroy_all(&*store, &owner, None).await == [id],
                    _ => destroy(&*store, &id).await,
                };
                assert_eq!(
                    store.load(&id, now).await.expect(ANSWERS),
                    None,
                    "alive after a destroy answered"
                );
                ended
            });
        }
        let winners = tasks.join_all().await.into_iter().filter(|ended| *ended).count();
        assert_eq!(winners, 1);
        assert_gone(&*store, &record, now).await;
    }
}

/// Whoever begins to ask after the end was acknowledged finds nothing, however many were just asking (R01, R03).
pub async fn nobody_reads_a_session_after_its_end_was_acknowledged(store: Arc<dyn Store>) {
    let now = start();
    for round in 0..24 {
        let record = created(&*store, &user(1), now).await;
        let over = Arc::new(AtomicBool::new(false));
        let under_way = Arc::new(Barrier::new(4));
        let mut readers = JoinSet::new();
        for _ in 0..3 {
            let (store, over, under_way) = (Arc::clone(&store), Arc::clone(&over), Arc::clone(&under_way));
            let id = record.id();
            readers.spawn(async move {
                under_way.wait().await;
                loop {
                    let was_over = over.load(Ordering::SeqCst);
                    let at_hand = store.peek(&id, now);
                    let loaded = store.load(&id, now).await.expect(ANSWERS);
                    if was_over {
                        assert_eq!((at_hand, loaded), (None, None), "read after its end was acknowledged");
                        return;
                    }
                    yield_now().await;
                }
            });
        }
        under_way.wait().await;
        match round % 2 {
            0 => assert!(destroy(&*store, &record.id()).await),
            _ => assert_eq!(destroy_all(&*store, &user(1), None).await, [record.id()]),
        }
        over.store(true, Ordering::SeqCst);
        readers.join_all().await;
        assert_gone(&*store, &record, now).await;
    }
}

/// Whoever begins to ask after a save was acknowledged reads that one's data or later, on the way back too.
pub async fn nobody_reads_what_an_acknowledged_change_replaced(store: Arc<dyn Store>) {
    const SAVES: u32 = 60;
    let now = start();
    let record = created(&*store, &user(1), now).await;
    let acknowledged = Arc::new(AtomicU32::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (store, acknowledged, id) = (Arc::clone(&store), Arc::clone(&acknowledged), record.id());
        readers.spawn(async move {
            loop {
                let at_least = acknowledged.load(Ordering::SeqCst);
                let at_hand = store.peek(&id, now).map(|record| record.revision());
                let loaded = store.load(&id, now).await.expect(ANSWERS).expect("it lives").revision();
                assert!(at_hand.unwrap_or(at_least) >= at_least, "at hand: {at_hand:?} after {at_least}");
                assert!(loaded >= at_least, "loaded: {loaded} after {at_least}");
                if at_least == SAVES {
                    return;
                }
                yield_now().await;
            }
        });
    }
    for revision in 0..SAVES {
        let data = data(&format!("revision {}", revision + 1));
        assert_eq!(save(&*store, &record, revision, &data, now).await, Saved::At(revision + 1));
        acknowledged.store(revision + 1, Ordering::SeqCst);
        yield_now().await;
    }
    readers.join_all().await;
    let found = load(&*store, &record.id(), now).await.expect("it lives");
    assert_eq!(found.data(), data(&format!("revision {SAVES}")));
}

/// Whoever begins to ask after a renewal was acknowledged finds the session under the new secret (R12).
pub async fn nobody_reads_an_old_secret_after_an_acknowledged_renew(store: Arc<dyn Store>) {
    let now = start();
    for _ in 0..24 {
        let record = created(&*store, &user(1), now).await;
        let new = fresh_verifier(record.id());
        let renewed = Arc::new(AtomicBool::new(false));
        let under_way = Arc::new(Barrier::new(4));
        let mut readers = JoinSet::new();
        for _ in 0..3 {
            let (store, renewed, under_way) =
                (Arc::clone(&store), Arc::clone(&renewed), Arc::clone(&under_way));
            let id = record.id();
            readers.spawn(async move {
                under_way.wait().await;
                loop {
                    let was_renewed = renewed.load(Ordering::SeqCst);
                    let at_hand = store.peek(&id, now);
                    let loaded = store.load(&id, now).await.expect(ANSWERS).expect("it lives");
                    if was_renewed {
                        assert!(at_hand.is_none_or(|record| *record.verifier() == new), "at hand as it was");
                        assert!(*loaded.verifier() == new, "loaded as it was");
                        return;
                    }
                    yield_now().await;
                }
            });
        }
        under_way.wait().await;
        assert!(renew(&*store, &record, &new, now).await);
        renewed.store(true, Ordering::SeqCst);
        readers.join_all().await;
        assert!(destroy(&*store, &record.id()).await);
    }
}

/// Tasks that save, touch and renew a session, and log others in and out, until it is gone, and the barrier at
/// which each of them has changed it once.
fn changing(store: &Arc<dyn Store>, record: &Record, now: Timestamp) -> (JoinSet<()>, Arc<Barrier>) {
    let under_way = Arc::new(Barrier::new(5));
    let mut changers = JoinSet::new();
    for kind in [Kind::Save, Kind::Touch, Kind::Renew, Kind::Neighbour] {
        let (store, record) = (Arc::clone(store), record.clone());
        let under_way = Arc::clone(&under_way);
        changers.spawn(async move {
            assert!(kind.change(&*store, &record, now).await, "it lives until all have changed it");
            under_way.wait().await;
            for _ in 0..ENDLESS {
                if !kind.change(&*store, &record, now).await {
                    return;
                }
                yield_now().await;
            }
        });
    }
    (changers, under_way)
}

#[derive(Clone, Copy)]
enum Kind {
    Save,
    Touch,
    Renew,
    /// Somebody else logs in and out.
    Neighbour,
}

impl Kind {
    /// Changes the session as somebody does who has just loaded it. `false`: it was gone by then.
    async fn change(self, store: &dyn Store, record: &Record, now: Timestamp) -> bool {
        let id: SessionId = record.id();
        let Some(found) = store.load(&id, now).await.expect(ANSWERS) else { return false };
        match self {
            Self::Save => _ = save(store, &found, found.revision(), &data("changed"), now).await,
            Self::Touch => _ = touch(store, &found, now.plus(MINUTE), now.plus(31 * MINUTE)).await,
            Self::Renew => _ = renew(store, &found, &fresh_verifier(id), now).await,
            Self::Neighbour => {
                let other = neighbour(now);
                assert_eq!(store.create(&other, 1).await.expect(ANSWERS), Created::Yes { ended: vec![] });
                assert!(destroy(store, &other.id()).await);
            }
        }
        true
    }
}

/// A session of somebody else, who logs in meanwhile.
fn neighbour(now: Timestamp) -> Record {
    let parts = record(&user(0), now).into_parts();
    let user = UserId::new(format!("neighbour {}", parts.id)).expect("it is short");
    Record::restore(Parts { user, ..parts })
}
