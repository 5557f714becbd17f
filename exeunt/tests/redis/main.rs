//! The Redis store where its servers fail, fail over, or are not set up as they should be.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../common/gate.rs"]
#[expect(dead_code, reason = "each of the tests uses a part of it")]
mod gate;

mod address;
mod cost;
mod index;
mod outage;
mod replicas;
mod steps;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use exeunt::session::{Client, Parts};
use exeunt::store::redis::RedisStore;
use exeunt::store::{Created, StoreError};
use exeunt::{Data, Record, SessionId, Store as _, Timestamp, UserId, Verifier};

const MINUTE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "Redis has a clock of its own")]
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since_1970.as_micros()).unwrap())
}

fn user(number: i64) -> UserId {
    UserId::from(number)
}

/// A session that begins at `now`, for half an hour.
fn record(user: i64, now: Timestamp) -> Record {
    static LATEST: AtomicI64 = AtomicI64::new(0);
    let id = ((now.as_micros() / 1_000) << 21) | LATEST.fetch_add(1, Ordering::Relaxed);
    Record::restore(Parts {
        id: SessionId::from_i64(id).unwrap(),
        verifier: Verifier::from_bytes([7; 32]),
        previous: None,
        user: UserId::from(user),
        created_at: now,
        authenticated_at: now,
        seen_at: now,
        expires_at: now.plus(30 * MINUTE),
        ends_at: now.plus(480 * MINUTE),
        remembered: false,
        revision: 0,
        client: Client::new("curl/8.5.0"),
        data: Data::default(),
    })
}

async fn connected(url: &str) -> RedisStore {
    RedisStore::connect(url).await.unwrap()
}

async fn created(store: &RedisStore, user: i64) -> Record {
    let record = record(user, now());
    assert_eq!(store.create(&record, 1_000).await.unwrap(), Created::Yes { ended: vec![] });
    record
}

async fn lives(store: &RedisStore, record: &Record) -> bool {
    store.load(&record.id(), now()).await.unwrap().is_some()
}

/// The causes of an error, in one line.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    exeunt::store::Causes(error).to_string()
}

/// What each operation says of a session and its user, in one word each: `err`, or what it found.
///
/// None of them may take longer than the deadline, with some room for a busy machine.
async fn ask_everything(store: &RedisStore, live: &Record) -> Vec<(&'static str, Result<bool, StoreError>)> {
    let (id, verifier, at) = (live.id(), *live.verifier(), now());
    let stranger = record(9, at);
    let later = at.plus(30 * MINUTE);
    let mut answers = Vec::new();
    macro_rules! ask {
        ($name:literal, $asked:expr, $found:expr) => {
            let asked = tokio::time::timeout(Duration::from_secs(3), $asked).await;
            answers
                .push(($name, asked.unwrap_or_else(|_| panic!("{} went on beyond 3 s", $name)).map($found)));
        };
    }
    ask!("load", store.load(&id, at), |found| found.is_some());
    ask!("touch", store.touch(&id, &verifier, at, later), |found| found);
    ask!("save", store.save(&id, &verifier, live.revision(), &Data::default(), at), |saved| {
        saved != exeunt::store::Saved::Gone
    });
    ask!("renew", store.renew(&id, &verifier, &verifier, at, later), |found| found);
    ask!("list", store.list(live.user(), at), |found| found.iter().any(|found| found.id() == id));
    ask!("walk", store.walk(None, usize::MAX, at), |found| found.iter().any(|found| found.id() == id));
    ask!("purge", store.purge(None, usize::MAX, at), |purged| purged.ended.is_empty());
    ask!("ping", store.ping(), |()| true);
    ask!("create", store.create(&stranger, 10), |created| created != Created::Taken);
    answers
}

/// Nobody is told "gone" or "ended" because the servers are silent.
async fn assert_silent(store: &RedisStore, live: &Record) {
    for (operation, answer) in ask_everything(store, live).await {
        assert!(answer.is_err(), "{operation} answered {answer:?}");
    }
    for (operation, answered) in [
        ("destroy", store.destroy(&live.id()).await.is_ok()),
        ("destroy_all", store.destroy_all(live.user(), None).await.is_ok()),
    ] {
        assert!(!answered, "{operation} answered");
    }
}

/// Each operation serves at once, and the session lives.
async fn assert_serves(store: &RedisStore, live: &Record) {
    for (operation, answer) in ask_everything(store, live).await {
        assert!(matches!(answer, Ok(true)), "{operation} answered {answer:?}");
    }
}

fn shared(store: RedisStore) -> Arc<RedisStore> {
    Arc::new(store)
}
