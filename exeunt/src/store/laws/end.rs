//! The laws of `destroy`, `destroy_all` and `purge`: what is over is over.

use std::sync::Arc;

use super::{
    ANSWERS, MICROSECOND, MINUTE, NO_LIMIT, assert_gone, assert_stored, created, data, destroy, destroy_all,
    fresh_verifier, ids, list, load, record, renew, save, sorted, start, touch, user, walk,
};
use crate::session::{SessionId, Timestamp};
use crate::store::{Saved, Store};

/// A destroyed session is gone at every instant, and destroying it again is no error.
pub async fn destroy_is_final_and_idempotent(store: Arc<dyn Store>) {
    // R01, R08
    let now = start();
    let never = record(&user(1), now);
    assert!(!destroy(&*store, &never.id()).await);
    assert_gone(&*store, &never, now).await;

    let fresh = created(&*store, &user(1), now).await;
    let seen = created(&*store, &user(1), now).await;
    assert_stored(&*store, &seen, now).await;
    let touched = created(&*store, &user(1), now).await;
    assert!(touch(&*store, &touched, now.plus(MINUTE), now.plus(40 * MINUTE)).await);
    let saved = created(&*store, &user(1), now).await;
    assert_eq!(save(&*store, &saved, 0, &data("more"), now).await, Saved::At(1));
    let renewed = created(&*store, &user(1), now).await;
    assert!(renew(&*store, &renewed, &fresh_verifier(renewed.id()), now).await);
    for record in [fresh, seen, touched, saved, renewed] {
        assert!(destroy(&*store, &record.id()).await);
        for at in [now, now.plus(MINUTE), record.ends_at()] {
            assert_gone(&*store, &record, at).await;
        }
        assert!(!destroy(&*store, &record.id()).await, "a session ends once");
        assert_gone(&*store, &record, now).await;
    }
    assert_eq!(destroy_all(&*store, &user(1), None).await, []);
}

/// Ending one session leaves its user's others and everybody else's as they were.
pub async fn destroy_ends_one_session_alone(store: Arc<dyn Store>) {
    let now = start();
    let ended = created(&*store, &user(1), now).await;
    let mine = created(&*store, &user(1), now).await;
    let theirs = created(&*store, &user(2), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    assert_stored(&*store, &mine, now).await;
    assert_stored(&*store, &theirs, now).await;
    assert_eq!(list(&*store, &user(1), now).await, [mine]);
}

/// All sessions of one user end, expired ones too, and each is named once; other people keep theirs.
pub async fn destroy_all_ends_and_names_exactly_the_sessions_of_one_user(store: Arc<dyn Store>) {
    // R16
    let now = start();
    let later = now.plus(20 * MINUTE);
    let expired = created(&*store, &user(1), now).await;
    let mut mine = vec![expired];
    for _ in 0..10 {
        mine.push(created(&*store, &user(1), later).await);
    }
    let gone = created(&*store, &user(1), later).await;
    assert!(destroy(&*store, &gone.id()).await);
    let theirs = created(&*store, &user(2), later).await;
    for record in &mine {
        load(&*store, &record.id(), later).await.expect("it lives");
    }
    let at = now.plus(30 * MINUTE);
    assert_eq!(destroy_all(&*store, &user(1), None).await, ids(&mine));
    for record in &mine {
        assert_gone(&*store, record, at).await;
        assert_gone(&*store, record, now).await;
        assert!(!destroy(&*store, &record.id()).await);
    }
    assert_eq!(destroy_all(&*store, &user(1), None).await, []);
    assert_eq!(destroy_all(&*store, &user(3), None).await, []);
    assert_stored(&*store, &theirs, at).await;
    assert_eq!(list(&*store, &user(2), at).await, [theirs]);

    let again = created(&*store, &user(1), at).await;
    assert_eq!(list(&*store, &user(1), at).await, [again], "a user may log in again");
}

/// `except` stays, as it was. If it is not the user's or nobody's, it spares nothing.
pub async fn destroy_all_spares_one_session(store: Arc<dyn Store>) {
    // R16
    let now = start();
    let theirs = created(&*store, &user(2), now).await;
    let (a, b) = (created(&*store, &user(1), now).await, created(&*store, &user(1), now).await);
    let c = created(&*store, &user(1), now).await;
    assert_eq!(destroy_all(&*store, &user(1), Some(&b.id())).await, [a.id(), c.id()]);
    assert_stored(&*store, &b, now).await;
    assert_eq!(destroy_all(&*store, &user(1), Some(&b.id())).await, []);
    assert_eq!(destroy_all(&*store, &user(1), Some(&a.id())).await, [b.id()]);

    let d = created(&*store, &user(1), now).await;
    assert_eq!(destroy_all(&*store, &user(1), Some(&theirs.id())).await, [d.id()]);
    assert_eq!(list(&*store, &user(1), now).await, []);
    assert_stored(&*store, &theirs, now).await;
}

/// What lives at the instant of the purge stays, by a microsecond too; what has expired is named once.
pub async fn purge_drops_only_the_expired(store: Arc<dyn Store>) {
    // R60
    let now = start();
    let expired = created(&*store, &user(1), now).await;
    let alive = created(&*store, &user(1), now.plus(MICROSECOND)).await;
    let touched = created(&*store, &user(1), now).await;
    assert!(touch(&*store, &touched, now.plus(MINUTE), now.plus(31 * MINUTE)).await);
    let ended = created(&*store, &user(1), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    let touched = touched.touched(now.plus(MINUTE), now.plus(31 * MINUTE));

    assert_eq!(purge(&*store, NO_LIMIT, now).await, []);
    let at = expired.expires_at();
    assert_eq!(purge(&*store, NO_LIMIT, at).await, [expired.id()]);
    assert_stored(&*store, &alive, at).await;
    assert_stored(&*store, &touched, at).await;
    assert_eq!(purge(&*store, NO_LIMIT, at).await, []);
    assert_eq!(destroy_all(&*store, &user(1), None).await, [alive.id(), touched.id()]);
}

/// Going on from `next` comes to an end, whatever the size of a step, and then all that expired was dropped.
pub async fn purge_goes_through_pages_to_the_end(store: Arc<dyn Store>) {
    // R60
    let now = start();
    for limit in [1, 3, 10, 11, 1_000] {
        let (mut expired, mut live) = (Vec::new(), Vec::new());
        for number in 0..5 {
            expired.push(created(&*store, &user(number), now).await);
            live.push(created(&*store, &user(number), now.plus(20 * MINUTE)).await);
        }
        let at = now.plus(30 * MINUTE);
        assert_eq!(purge(&*store, limit, at).await, ids(&expired), "by steps of {limit}");
        assert_eq!(walk(&*store, at).await, live);
        for number in 0..5 {
            assert_eq!(destroy_all(&*store, &user(number), None).await.len(), 1);
        }
    }
}

/// A purged session stays gone, also by a clock that is behind.
pub async fn purge_revives_nothing(store: Arc<dyn Store>) {
    // R05, R60
    let now = start();
    let ended = created(&*store, &user(1), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    let expired = created(&*store, &user(1), now).await;
    assert_stored(&*store, &expired, now).await;
    assert_eq!(purge(&*store, NO_LIMIT, expired.expires_at()).await, [expired.id()]);
    for record in [&ended, &expired] {
        assert_gone(&*store, record, now).await;
        assert!(!destroy(&*store, &record.id()).await);
        assert_gone(&*store, record, record.expires_at()).await;
    }
}

/// Purges in steps to the end, and names what that ended.
async fn purge(store: &dyn Store, limit: usize, now: Timestamp) -> Vec<SessionId> {
    let (mut ended, mut after) = (Vec::new(), None::<SessionId>);
    for _ in 0..100 {
        let purged = store.purge(after.as_ref(), limit, now).await.expect(ANSWERS);
        assert!(purged.ended.len() <= limit, "more were dropped than were asked for");
        assert!(
            purged.ended.iter().all(|id| Some(*id) > after),
            "an id was dropped that is not after `after`"
        );
        ended.extend(purged.ended);
        match purged.next {
            None => return sorted(ended),
            Some(next) => {
                assert!(Some(next) > after, "a purge does not come forward");
                after = Some(next);
            }
        }
    }
    unreachable!("a purge of a few sessions does not come to its end")
}
