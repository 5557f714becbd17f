//! Redis and PostgreSQL, each set up to keep what it acknowledges, and killed at any moment of their work.

use std::sync::{Arc, Mutex};

use exeunt::store::Created;
use exeunt::store::postgres::PostgresStore;
use exeunt::store::redis::RedisStore;
use exeunt::{Clock as _, Store, SystemClock, UserId};
use services::{Postgres, Redis};
use tokio::sync::Notify;

use super::chance::Chance;
use super::load::{Book, Event, record, work};

const APART: i64 = 1 << 24;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_holds_whenever_redis_is_killed() {
    // R04
    let mut server = Redis::start(&[]).unwrap();
    let rounds = services::rounds(25, 1_000);
    let mut all = Book::default();
    for round in 0..rounds {
        let store = Arc::new(RedisStore::connect(&server.url()).await.unwrap());
        let book = until(store, round, || server.kill()).await;
        server.restart().unwrap();
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let broken = book.broken(&store).await;
        assert!(broken.is_empty(), "round {round}: {broken:?}");
        all.add(book);
    }
    let (ended, live) = (all.ended(), all.live());
    assert!(ended > 0 && live > 0, "a server that nobody works on shows nothing");
    println!("Redis killed {rounds} times: {ended} acknowledged logouts and {live} acknowledged logins held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_keeps_nothing_is_found_out() {
    let mut server = Redis::start(&["appendonly no"]).unwrap();
    let store = Arc::new(RedisStore::connect(&server.url()).await.unwrap());
    // Somebody who stays: it may be that of the others all are on their way out when it is killed.
    let stays = record(1, &UserId::from(1), SystemClock::new().now());
    assert!(matches!(store.create(&stays, 100).await.unwrap(), Created::Yes { .. }));
    let mut book = until(store, 0, || server.kill()).await;
    book.note(Event::Created(stays.id()));
    server.restart().unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    assert!(!book.broken(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_brings_a_logout_back_is_found_out() {
    let mut server = Redis::start(&["appendonly no"]).unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let session = record(1, &UserId::from(1), SystemClock::new().now());
    assert!(matches!(store.create(&session, 100).await.unwrap(), Created::Yes { .. }));
    server.cli(&["save"]).unwrap();
    assert!(store.destroy(&session.id()).await.unwrap());
    let mut book = Book::default();
    book.note(Event::Created(session.id()));
    book.note(Event::Ended(session.id()));
    server.kill();
    server.restart().unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let broken = book.broken(&store).await;
    assert!(matches!(&*broken, [what] if what.contains("logout")), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_holds_whenever_postgres_is_killed() {
    // R04
    let mut server = Postgres::start(&[]).unwrap();
    let url = format!("{}?pool=8", server.url("postgres"));
    let rounds = services::rounds(25, 1_000);
    let mut all = Book::default();
    for round in 0..rounds {
        let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
        let book = until(store, round, || server.kill()).await;
        server.restart().unwrap();
        let store = PostgresStore::connect(&url).await.unwrap();
        let broken = book.broken(&store).await;
        assert!(broken.is_empty(), "round {round}: {broken:?}");
        all.add(book);
    }
    let (ended, live) = (all.ended(), all.live());
    assert!(ended > 0 && live > 0, "a server that nobody works on shows nothing");
    println!(
        "PostgreSQL killed {rounds} times: {ended} acknowledged logouts and {live} acknowledged logins held"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_answers_before_it_has_written_is_found_out() {
    // The store refuses such a server whenever it connects, so it becomes one while it is connected.
    let mut server = Postgres::start(&["wal_writer_delay=10s"]).unwrap();
    let url = format!("{}?pool=8", server.url("postgres"));
    let set = |server: &Postgres, how: &str| {
        server.psql("postgres", &format!("ALTER SYSTEM {how}")).unwrap();
        server.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    };
    for round in 0..10 {
        let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
        let asked: Vec<_> = (0..8).map(|_| tokio::spawn(ping(Arc::clone(&store)))).collect();
        for asked in asked {
            asked.await.unwrap();
        }
        set(&server, "SET synchronous_commit = off");
        let book = until(store, round, || server.kill()).await;
        server.restart().unwrap();
        set(&server, "RESET synchronous_commit");
        server.kill();
        server.restart().unwrap();
        let store = PostgresStore::connect(&url).await.unwrap();
        if !book.broken(&store).await.is_empty() {
            return;
        }
    }
    panic!("in 10 rounds nothing was lost that was acknowledged before it was written");
}

async fn ping(store: Arc<PostgresStore>) {
    store.ping().await.unwrap();
}

/// What people were told until `kill` came, at some moment of their work.
async fn until(store: Arc<dyn Store>, round: u32, kill: impl FnOnce()) -> Book {
    let mut chance = Chance::new(u64::from(round));
    let book = Arc::new(Mutex::new((Book::default(), chance.below(300))));
    let enough = Arc::new(Notify::new());
    let (noted, rung) = (Arc::clone(&book), Arc::clone(&enough));
    let tell = move |event: Event| {
        let (book, left) = &mut *noted.lock().unwrap();
        book.note(event);
        if matches!(event, Event::Ended(_)) {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => rung.notify_one(),
            }
        }
    };
    let mut working = tokio::spawn(work(store, (i64::from(round) + 1) * APART, false, tell));
    tokio::select! {
        () = enough.notified() => (),
        ended = &mut working => panic!("they ended before the server did: {ended:?}"),
    }
    chance.spin();
    kill();
    working.await.unwrap();
    let mut book = book.lock().unwrap();
    std::mem::take(&mut book.0)
}
