//! The laws of `save`, `renew` and `touch`: they change what lives, and make nothing.

use std::sync::Arc;

use super::{
    ANSWERS, MINUTE, assert_gone, assert_stored, created, data, destroy, fresh_verifier, load, record, renew,
    save, start, touch, user,
};
use crate::session::{Parts, Record};
use crate::store::{Saved, Store};

/// The same session as a client knows it that has the wrong secret.
fn under_another_secret(record: &Record) -> Record {
    let verifier = fresh_verifier(record.id());
    Record::restore(Parts { verifier, ..record.clone().into_parts() })
}

/// A save writes the data, counts one revision, and changes nothing else.
pub async fn save_writes_data_and_counts_revisions(store: Arc<dyn Store>) {
    let now = start();
    let mut record = created(&*store, &user(1), now).await;
    let at = now.plus(MINUTE);
    for (revision, value) in (0..).zip(["one", "two", "two", ""]) {
        assert_eq!(save(&*store, &record, revision, &data(value), at).await, Saved::At(revision + 1));
        record = record.saved(&data(value));
        assert_stored(&*store, &record, at).await;
    }
}

/// Who read before another wrote is told so, and writes nothing.
pub async fn save_is_stale_under_an_old_revision(store: Arc<dyn Store>) {
    let now = start();
    let record = created(&*store, &user(1), now).await;
    assert_eq!(save(&*store, &record, 1, &data("early"), now).await, Saved::Stale);
    assert_stored(&*store, &record, now).await;
    assert_eq!(save(&*store, &record, 0, &data("mine"), now).await, Saved::At(1));
    let saved = record.saved(&data("mine"));
    assert_eq!(save(&*store, &record, 0, &data("yours"), now).await, Saved::Stale);
    assert_stored(&*store, &saved, now).await;
}

/// Under another secret there is no such session, whatever the revision.
pub async fn save_is_gone_without_the_verifier(store: Arc<dyn Store>) {
    let now = start();
    let record = created(&*store, &user(1), now).await;
    let stranger = under_another_secret(&record);
    for revision in [0, 1] {
        assert_eq!(save(&*store, &stranger, revision, &data("theirs"), now).await, Saved::Gone);
    }
    assert_stored(&*store, &record, now).await;
}

/// A save under an unknown, expired or destroyed id is gone, and the id stays so.
pub async fn save_never_creates_or_revives(store: Arc<dyn Store>) {
    // R05
    let now = start();
    let never = record(&user(1), now);
    assert_eq!(save(&*store, &never, 0, &data("late"), now).await, Saved::Gone);
    assert_gone(&*store, &never, now).await;

    let expired = created(&*store, &user(1), now).await;
    assert_eq!(save(&*store, &expired, 0, &data("late"), expired.expires_at()).await, Saved::Gone);
    assert_gone(&*store, &expired, expired.expires_at()).await;
    assert_stored(&*store, &expired, now).await;

    let ended = created(&*store, &user(1), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    for revision in [0, 1] {
        assert_eq!(save(&*store, &ended, revision, &data("late"), now).await, Saved::Gone);
    }
    assert_gone(&*store, &ended, now).await;
}

/// A renewed session is the same one under a new secret, its owner authenticated anew.
pub async fn renew_swaps_the_secret_and_keeps_the_previous_one(store: Arc<dyn Store>) {
    // R12
    let now = start();
    let record = created(&*store, &user(1), now).await;
    assert_eq!(save(&*store, &record, 0, &data("kept"), now).await, Saved::At(1));
    let mut record = record.saved(&data("kept"));
    // The last time its expiry would pass the absolute timeout.
    for minutes in [5, 30, 59] {
        let (at, new) = (now.plus(minutes * MINUTE), fresh_verifier(record.id()));
        let expires_at = if minutes == 59 { record.ends_at().plus(MINUTE) } else { at.plus(30 * MINUTE) };
        let renewed =
            store.renew(&record.id(), record.verifier(), &new, at, expires_at).await.expect(ANSWERS);
        assert!(renewed);
        let old = *record.verifier();
        record = record.renewed(new, at, expires_at);
        assert_eq!((record.verifier(), record.previous()), (&new, Some(&old)));
        assert_eq!((record.authenticated_at(), record.seen_at()), (at, at));
        assert!(record.expires_at() <= record.ends_at());
        assert_stored(&*store, &record, at).await;
    }
}

/// Only the secret that the session is under can be swapped.
pub async fn renew_needs_the_current_verifier(store: Arc<dyn Store>) {
    let now = start();
    let record = created(&*store, &user(1), now).await;
    let new = fresh_verifier(record.id());
    assert!(!renew(&*store, &under_another_secret(&record), &new, now).await);
    assert_stored(&*store, &record, now).await;
}

/// An unknown, expired or destroyed session is not renewed, and none comes of it.
pub async fn renew_never_creates_or_revives(store: Arc<dyn Store>) {
    // R05
    let now = start();
    let never = record(&user(1), now);
    assert!(!renew(&*store, &never, &fresh_verifier(never.id()), now).await);
    assert_gone(&*store, &never, now).await;

    let expired = created(&*store, &user(1), now).await;
    assert!(!renew(&*store, &expired, &fresh_verifier(expired.id()), expired.expires_at()).await);
    assert_gone(&*store, &expired, expired.expires_at()).await;
    assert_stored(&*store, &expired, now).await;

    let ended = created(&*store, &user(1), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    assert!(!renew(&*store, &ended, &fresh_verifier(ended.id()), now).await);
    assert_gone(&*store, &ended, now).await;
}

/// A replaced secret is good for nothing that a store does by secret.
pub async fn an_old_verifier_no_longer_saves_touches_or_renews(store: Arc<dyn Store>) {
    // R12
    let now = start();
    let old = created(&*store, &user(1), now).await;
    let new = fresh_verifier(old.id());
    assert!(renew(&*store, &old, &new, now).await);
    let current = old.renewed(new, now, now.plus(30 * MINUTE));
    let later = now.plus(MINUTE);
    assert_eq!(save(&*store, &old, 0, &data("late"), later).await, Saved::Gone);
    assert!(!touch(&*store, &old, later, later.plus(30 * MINUTE)).await);
    assert!(!renew(&*store, &old, &fresh_verifier(old.id()), later).await);
    assert_stored(&*store, &current, later).await;
    assert_eq!(save(&*store, &current, 0, &data("mine"), later).await, Saved::At(1));
    assert!(touch(&*store, &current, later, later.plus(30 * MINUTE)).await);
}

/// A touch moves `seen_at` and `expires_at` forward, each for itself, and never back.
pub async fn touch_moves_times_forward_only(store: Arc<dyn Store>) {
    // R15
    let now = start();
    let mut record = created(&*store, &user(1), now).await;
    // Seen at, expires at: both later, both earlier, one of each, both the same.
    for (seen, expires) in [(10, 40), (5, 35), (12, 38), (11, 45), (12, 45)] {
        let (seen, expires) = (now.plus(seen * MINUTE), now.plus(expires * MINUTE));
        assert!(touch(&*store, &record, seen, expires).await);
        record = record.touched(seen, expires);
        assert_stored(&*store, &record, now).await;
    }
    assert_eq!((record.seen_at(), record.expires_at()), (now.plus(12 * MINUTE), now.plus(45 * MINUTE)));
    let last = now.plus(44 * MINUTE);
    assert_stored(&*store, &record, last).await;
    assert_gone(&*store, &record, now.plus(45 * MINUTE)).await;
}

/// However a session is touched, it ends with its absolute timeout.
pub async fn touch_never_passes_the_absolute_timeout(store: Arc<dyn Store>) {
    // R14
    let now = start();
    let record = created(&*store, &user(1), now).await;
    assert!(touch(&*store, &record, now, record.ends_at().plus(MINUTE)).await);
    let found = load(&*store, &record.id(), now).await.expect("it lives");
    assert_eq!(found.expires_at(), record.ends_at());
    assert_gone(&*store, &record, record.ends_at()).await;
}

/// Under another secret there is no such session to touch.
pub async fn touch_needs_the_current_verifier(store: Arc<dyn Store>) {
    let now = start();
    let record = created(&*store, &user(1), now).await;
    let later = now.plus(MINUTE);
    assert!(!touch(&*store, &under_another_secret(&record), later, later.plus(30 * MINUTE)).await);
    assert_stored(&*store, &record, later).await;
}

/// An unknown, expired or destroyed session is not touched, and none comes of it.
pub async fn touch_never_creates_or_revives(store: Arc<dyn Store>) {
    // R05
    let now = start();
    let never = record(&user(1), now);
    assert!(!touch(&*store, &never, now, now.plus(60 * MINUTE)).await);
    assert_gone(&*store, &never, now).await;

    let expired = created(&*store, &user(1), now).await;
    let at = expired.expires_at();
    assert!(!touch(&*store, &expired, at, at.plus(60 * MINUTE)).await);
    assert_gone(&*store, &expired, at).await;
    assert_stored(&*store, &expired, now).await;

    let ended = created(&*store, &user(1), now).await;
    assert!(destroy(&*store, &ended.id()).await);
    assert!(!touch(&*store, &ended, now, now.plus(60 * MINUTE)).await);
    assert_gone(&*store, &ended, now).await;
}
