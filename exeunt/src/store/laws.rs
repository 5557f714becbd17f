//! The laws that every store obeys, as tests to run on yours.
//!
//! Must never be linked into a service: a law panics when it is broken. They stand behind the feature `laws`.
//!
//! Each law is one function with a name that says it. [`store_laws!`](crate::store_laws) makes one named test of each:
//!
//! ```
//! # // A doctest has no test harness; what counts is that this compiles.
//! # fn main() {}
//! exeunt::store_laws!(memory, async || (exeunt::MemoryStore::new(), ()));
//! ```
//!
//! The closure is asked once for each law. It gives a store **without any session** and whatever must outlive it, such
//! as a temporary directory; where there is nothing, `()`. The crate of the tests needs `tokio` with its features
//! `macros` and `rt-multi-thread`.
//!
//! The laws begin at the machine's time, since a store may hand expiry to a server with a clock of its own, and move
//! from there by passing other instants. None of them sleeps. What they await ends only if the store keeps its own
//! deadlines, as [`Store`] asks.
//!
//! A store that keeps copies of records ([`Store::peek`]) obeys the same laws: each look at a session here is taken
//! four times, at hand and by loading, so that a cache is full the second time, and all answers have to agree.

mod change;
mod create;
mod end;
mod races;
mod read;

use std::sync::Arc;
use std::time::Duration;

pub use self::change::*;
pub use self::create::*;
pub use self::end::*;
pub use self::races::*;
pub use self::read::*;
use super::{Created, Saved, Store};
use crate::session::{
    Client, Clock as _, Data, Lifetime, Login, Record, SessionId, SystemClock, Timestamp, Token, UserId,
    Verifier,
};

/// One named test for each law on one store.
///
/// Takes a name for the module of the tests, and an async closure that gives an empty store and its guard; see
/// [`store::laws`](crate::store::laws).
#[macro_export]
macro_rules! store_laws {
    ($name:ident, $store:expr) => {
        mod $name {
            use super::*;

            $crate::store_laws! { @each $store;
                create_makes_a_session_that_loads_unchanged
                create_keeps_users_apart_byte_by_byte
                create_refuses_a_taken_id_and_leaves_it_as_it_was
                create_refuses_the_id_of_an_expired_session
                create_ends_the_sessions_unseen_longest_beyond_the_limit
                create_counts_only_live_sessions_of_the_same_user
                create_keeps_at_least_the_new_session
                concurrent_creates_honour_the_limit
                concurrent_creates_of_one_id_make_one_session
                load_hides_the_unknown_and_the_destroyed
                load_hides_the_expired_from_the_very_instant
                list_is_exact_and_shows_the_last_seen_first
                walk_meets_every_live_session_once_in_order_of_ids
                data_comes_back_as_it_was_saved
                too_much_data_is_refused_by_its_type
                the_texts_of_users_and_clients_come_back_as_they_were
                instants_are_kept_to_the_microsecond
                the_store_gives_a_sign_of_life
                save_writes_data_and_counts_revisions
                save_is_stale_under_an_old_revision
                save_is_gone_without_the_verifier
                save_never_creates_or_revives
                renew_swaps_the_secret_and_keeps_the_previous_one
                renew_needs_the_current_verifier
                renew_never_creates_or_revives
                an_old_verifier_no_longer_saves_touches_or_renews
                touch_moves_times_forward_only
                touch_never_passes_the_absolute_timeout
                touch_needs_the_current_verifier
                touch_never_creates_or_revives
                destroy_is_final_and_idempotent
                destroy_ends_one_session_alone
                destroy_all_ends_and_names_exactly_the_sessions_of_one_user
                destroy_all_spares_one_session
                purge_drops_only_the_expired
                purge_goes_through_pages_to_the_end
                purge_revives_nothing
                destroy_all_ends_every_acknowledged_session
                concurrent_changes_leave_nothing_alive
                concurrent_changes_outlive_no_destroy_all
                concurrent_renews_have_one_winner
                concurrent_saves_have_one_winner_for_each_revision
                concurrent_destroys_have_one_winner
                nobody_reads_a_session_after_its_end_was_acknowledged
                nobody_reads_what_an_acknowledged_change_replaced
                nobody_reads_an_old_secret_after_an_acknowledged_renew
            }
        }
    };
    (@each $store:expr; $($law:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $law() {
                let (store, _guard) = ($store)().await;
                $crate::store::laws::$law(::std::sync::Arc::new(store)).await;
            }
        )*
    };
}

const ANSWERS: &str = "the store answers";
const MINUTE: Duration = Duration::from_secs(60);
const MICROSECOND: Duration = Duration::from_micros(1);
/// As long as no law is about it.
const NO_LIMIT: usize = usize::MAX;

fn start() -> Timestamp {
    SystemClock::new().now()
}

fn user(number: i64) -> UserId {
    UserId::from(number)
}

fn data(value: &str) -> Data {
    let mut data = Data::default();
    data.set("value", value).expect("a short value fits");
    data
}

/// A session that begins at `now`: idle timeout 30 minutes, absolute timeout 8 hours.
fn record(user: &UserId, now: Timestamp) -> Record {
    let login = Login { client: Client::new("curl/8.5.0"), remembered: false, data: data("first") };
    Record::new(user.clone(), now, &Lifetime::default(), login).1
}

fn fresh_verifier(id: SessionId) -> Verifier {
    Token::generate(id).verifier()
}

async fn created(store: &dyn Store, user: &UserId, now: Timestamp) -> Record {
    let record = record(user, now);
    assert_eq!(create(store, &record, NO_LIMIT).await, Created::Yes { ended: vec![] });
    record
}

async fn create(store: &dyn Store, record: &Record, limit: usize) -> Created {
    store.create(record, limit).await.expect(ANSWERS)
}

async fn save(store: &dyn Store, record: &Record, revision: u32, data: &Data, now: Timestamp) -> Saved {
    store.save(&record.id(), record.verifier(), revision, data, now).await.expect(ANSWERS)
}

/// Touches, and waits until others see it.
async fn touch(store: &dyn Store, record: &Record, now: Timestamp, expires_at: Timestamp) -> bool {
    let touched = store.touch(&record.id(), record.verifier(), now, expires_at).await.expect(ANSWERS);
    store.ping().await.expect(ANSWERS);
    touched
}

async fn renew(store: &dyn Store, record: &Record, new: &Verifier, now: Timestamp) -> bool {
    let expires_at = now.plus(30 * MINUTE);
    store.renew(&record.id(), record.verifier(), new, now, expires_at).await.expect(ANSWERS)
}

async fn destroy(store: &dyn Store, id: &SessionId) -> bool {
    store.destroy(id).await.expect(ANSWERS)
}

async fn destroy_all(store: &dyn Store, user: &UserId, except: Option<&SessionId>) -> Vec<SessionId> {
    let mut ended = store.destroy_all(user, except).await.expect(ANSWERS);
    ended.sort();
    ended
}

async fn list(store: &dyn Store, user: &UserId, now: Timestamp) -> Vec<Record> {
    store.list(user, now).await.expect(ANSWERS)
}

async fn walk(store: &dyn Store, now: Timestamp) -> Vec<Record> {
    store.walk(None, NO_LIMIT, now).await.expect(ANSWERS)
}

/// What the store has under the id, whichever way it is asked. Only for moments when nobody changes it.
async fn load(store: &dyn Store, id: &SessionId, now: Timestamp) -> Option<Record> {
    let at_hand = store.peek(id, now);
    let loaded = store.load(id, now).await.expect(ANSWERS);
    let at_hand_then = store.peek(id, now);
    let loaded_then = store.load(id, now).await.expect(ANSWERS);
    assert!(at_hand.is_none() || at_hand == loaded, "what was at hand is not what is stored");
    assert!(at_hand_then.is_none() || at_hand_then == loaded, "what is at hand is not what was loaded");
    assert_eq!(loaded_then, loaded, "two loads without a change between them differ");
    loaded.map(Arc::unwrap_or_clone)
}

async fn assert_stored(store: &dyn Store, record: &Record, now: Timestamp) {
    let found = load(store, &record.id(), now).await;
    assert_eq!(
        found.map(Record::into_parts),
        Some(record.clone().into_parts()),
        "not stored as it should be"
    );
}

/// That no operation finds the session at `now`, and none of those that must not make one does.
async fn assert_gone(store: &dyn Store, record: &Record, now: Timestamp) {
    let (id, later) = (record.id(), now.plus(30 * MINUTE));
    for round in ["before", "after"] {
        assert_eq!(load(store, &id, now).await, None, "loaded {round} the other operations had their try");
        assert!(list(store, record.user(), now).await.iter().all(|live| live.id() != id), "listed {round}");
        assert!(walk(store, now).await.iter().all(|live| live.id() != id), "met by a walk {round}");
        assert_eq!(save(store, record, record.revision(), &data("late"), now).await, Saved::Gone, "saved");
        assert!(!touch(store, record, now, later).await, "touched");
        assert!(!renew(store, record, &fresh_verifier(id), now).await, "renewed");
    }
}

fn ids(records: &[Record]) -> Vec<SessionId> {
    records.iter().map(Record::id).collect()
}

fn sorted(mut ids: Vec<SessionId>) -> Vec<SessionId> {
    ids.sort();
    ids
}
