//! PostgreSQL that is killed, paused, cut off or held up: errors in time, and service again as soon as it is back.

#![cfg(feature = "postgres")]

#[path = "common/gate.rs"]
#[expect(dead_code, reason = "each of the tests uses a part of it")]
mod gate;

use std::time::Duration;

use exeunt::session::{Client, Parts};
use exeunt::store::postgres::{ConnectError, Database, PostgresStore};
use exeunt::store::{Created, Saved, Store, StoreError};
use exeunt::{Data, Record, SessionId, Timestamp, UserId, Verifier};
use services::{PgBouncer, Postgres};

use crate::gate::{Cut, Gate};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const LATER: Timestamp = Timestamp::from_secs(1_767_229_200);
const POOL: usize = 4;
/// Within this every request has its answer, whatever happened to the store.
const ANSWERED: Duration = Duration::from_secs(3);

fn record(id: i64) -> Record {
    Record::restore(Parts {
        id: SessionId::from_i64(id).expect("it is positive"),
        verifier: Verifier::from_bytes([1; 32]),
        previous: None,
        user: UserId::new("alice").expect("it is short"),
        created_at: NOW,
        authenticated_at: NOW,
        seen_at: NOW,
        expires_at: LATER,
        ends_at: LATER,
        remembered: false,
        revision: 0,
        client: Client::new("curl/8.5.0"),
        data: Data::default(),
    })
}

async fn connected(url: &str, further: &str) -> PostgresStore {
    let url = format!("{url}?pool={POOL}&deadline=1s{further}");
    PostgresStore::connect(&url).await.expect("the server answers")
}

async fn behind(server: &Postgres) -> (PostgresStore, Gate) {
    let gate = Gate::to(server.port()).await;
    let url = server.url("postgres").replace(&server.port().to_string(), &gate.port().to_string());
    (connected(&url, "").await, gate)
}

/// R02: nobody is told "there was none" of an end that is on this server alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_retry_of_a_logout_that_no_standby_confirmed_waits_for_them_too() {
    let server = Postgres::start(&[]).expect("it starts");
    let store = connected(&server.new_database().expect("it answers"), "").await;
    let live = record(1);
    assert_eq!(store.create(&live, 100).await.expect("it serves"), Created::Yes { ended: vec![] });
    let names = |names: &str| {
        server
            .psql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"))
            .expect("it answers");
        server.psql("postgres", "SELECT pg_reload_conf()").expect("it answers");
        while server.psql("postgres", "SHOW synchronous_standby_names").expect("it answers").trim() != names {
        }
    };
    names("far_away");
    store.destroy(&live.id()).await.expect_err("no standby has it");
    // Those that wait are over, and what they did is seen from now on.
    server.cut_connections().expect("it answers");
    let mut found = store.load(&live.id(), NOW).await;
    while !matches!(found, Ok(None)) {
        found = store.load(&live.id(), NOW).await;
    }
    store.destroy(&live.id()).await.expect_err("no standby has it still");
    store.destroy_all(live.user(), None).await.expect_err("no standby has it still");
    names("");
    server.cut_connections().expect("it answers");
    let _ = store.ping().await;
    assert!(!store.destroy(&live.id()).await.expect("nothing is waited for"));
    assert_eq!(store.destroy_all(live.user(), None).await.expect("nothing is waited for"), []);
}

/// With as many connections as it may have, all of them used.
async fn warm(store: &PostgresStore) {
    let all = (0..POOL).map(|_| {
        let database = store.database().clone();
        tokio::spawn(async move { database.query("SELECT pg_sleep(0.02)", &[]).await.map(drop) })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.expect("the server answers").expect("the server answers");
    }
}

/// One of each operation, on a session that does not exist, all at once.
async fn all_operations(store: &PostgresStore, id: i64) -> Vec<Result<(), StoreError>> {
    let record = record(id);
    let (id, verifier, user) = (record.id(), record.verifier(), record.user());
    let (data, other) = (Data::default(), Verifier::from_bytes([2; 32]));
    let answers = async {
        tokio::join!(
            store.create(&record, 100),
            store.load(&id, NOW),
            store.renew(&id, verifier, &other, NOW, LATER),
            store.save(&id, verifier, 0, &data, NOW),
            store.touch(&id, verifier, NOW, LATER),
            store.destroy(&id),
            store.destroy_all(user, None),
            store.list(user, NOW),
            store.walk(None, 10, NOW),
            store.purge(None, 10, NOW),
            store.ping(),
        )
    };
    let (a, b, c, d, e, f, g, h, i, j, k) =
        tokio::time::timeout(ANSWERED, answers).await.expect("each has an answer in time");
    vec![
        a.map(drop),
        b.map(drop),
        c.map(drop),
        d.map(drop),
        e.map(drop),
        f.map(drop),
        g.map(drop),
        h.map(drop),
        i.map(drop),
        j.map(drop),
        k,
    ]
}

async fn nothing_is_answered(store: &PostgresStore) {
    for answer in all_operations(store, 1_000).await {
        answer.expect_err("nothing is known of a store that is silent");
    }
}

/// That it serves again: the connections that died meanwhile cost one call at most.
async fn serves_again(store: &PostgresStore, kept: &Record) {
    let first = store.load(&kept.id(), NOW).await;
    let loaded = match first {
        Ok(loaded) => loaded,
        Err(_) => store.load(&kept.id(), NOW).await.expect("it serves again"),
    };
    assert_eq!(loaded.as_deref(), Some(kept), "all sessions live on");
    for answer in all_operations(store, 2_000).await {
        answer.expect("it serves again");
    }
    let _ = store.create(kept, 100).await.expect("it serves again");
}

async fn kept(store: &PostgresStore) -> Record {
    let kept = record(1);
    assert_eq!(store.create(&kept, 100).await.expect("the server answers"), Created::Yes { ended: vec![] });
    kept
}

/// The server's processes for clients, without the one that asks.
fn backends(server: &Postgres, further: &str) -> usize {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() {further}"
    );
    server.psql("postgres", &sql).expect("the server answers").trim().parse().expect("a number")
}

#[tokio::test]
async fn a_server_that_was_killed_is_used_again_once_it_is_back() {
    let mut server = Postgres::start(&[]).unwrap();
    let store = connected(&server.url("postgres"), "").await;
    let kept = kept(&store).await;
    for _ in 0..2 {
        warm(&store).await;
        server.kill();
        nothing_is_answered(&store).await;
        server.restart().unwrap();
        serves_again(&store, &kept).await;
    }
    assert!(backends(&server, "") <= POOL);
}

#[tokio::test]
async fn a_server_that_was_paused_is_used_again_once_it_goes_on() {
    let server = Postgres::start(&[]).unwrap();
    let store = connected(&server.url("postgres"), "").await;
    let kept = kept(&store).await;
    warm(&store).await;
    server.pause().unwrap();
    for _ in 0..4 {
        nothing_is_answered(&store).await;
    }
    let error = Database::connect(&format!("{}?deadline=200ms", server.url("postgres"))).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    server.go_on().unwrap();
    // What was asked of it meanwhile it does now, perhaps; what was kept is kept unless that was to end it.
    let first = store.load(&kept.id(), NOW).await;
    if first.is_err() {
        store.ping().await.expect("it serves again");
    }
    for answer in all_operations(&store, 2_000).await {
        answer.expect("it serves again");
    }
    // The many that were given up are gone as soon as the server has noticed.
    let fewer = async {
        while backends(&server, "") > POOL {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(20), fewer).await.expect("nothing piles up");
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced() {
    let server = Postgres::start(&[]).unwrap();
    let store = connected(&server.url("postgres"), "").await;
    let kept = kept(&store).await;
    for _ in 0..3 {
        warm(&store).await;
        server.cut_connections().unwrap();
        serves_again(&store, &kept).await;
    }
}

#[tokio::test]
async fn connections_that_fell_silent_cost_one_call_and_not_one_each() {
    let server = Postgres::start(&[]).unwrap();
    let (store, gate) = behind(&server).await;
    let kept = kept(&store).await;
    for _ in 0..2 {
        warm(&store).await;
        gate.fall_silent();
        store.load(&kept.id(), NOW).await.expect_err("it waits for what never comes");
        serves_again(&store, &kept).await;
    }
}

#[tokio::test]
async fn a_logout_whose_answer_was_lost_is_unknown_and_final() {
    // R05
    let server = Postgres::start(&[]).unwrap();
    let (store, gate) = behind(&server).await;
    let record = record(1);
    let _ = store.create(&record, 100).await.unwrap();
    assert!(store.destroy(&SessionId::from_i64(9).unwrap()).await.is_ok_and(|hit| !hit), "it is prepared");
    gate.cut(0, Cut::After);
    store.destroy(&record.id()).await.expect_err("its answer was lost");
    assert_eq!(store.load(&record.id(), NOW).await.unwrap(), None);
    assert!(!store.destroy(&record.id()).await.unwrap());
    let saved = store.save(&record.id(), record.verifier(), 0, &Data::default(), NOW).await.unwrap();
    assert_eq!(saved, Saved::Gone);

    let _ = store.create(&record, 100).await.unwrap();
    gate.cut(0, Cut::Before);
    store.destroy(&record.id()).await.expect_err("it was never heard");
    assert!(store.load(&record.id(), NOW).await.unwrap().is_some(), "so that the session lives on");

    gate.cut(0, Cut::During);
    store.destroy(&record.id()).await.expect_err("nobody knows");
    // Who asks again knows.
    store.destroy(&record.id()).await.unwrap();
    assert_eq!(store.load(&record.id(), NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_that_somebody_locks_holds_up_nobody_else_and_for_no_longer_than_the_deadline() {
    let server = Postgres::start(&[]).unwrap();
    let store = connected(&server.url("postgres"), "").await;
    let (locked, free) = (record(1), record(2));
    let _ = (store.create(&locked, 100).await.unwrap(), store.create(&free, 100).await.unwrap());
    let (other, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    other.batch_execute("BEGIN; SELECT 1 FROM exeunt_sessions WHERE id = 1 FOR UPDATE").await.unwrap();
    for _ in 0..3 {
        let id = locked.id();
        let ends = async { tokio::join!(store.destroy(&id), store.destroy_all(locked.user(), None)) };
        let (one, all) = tokio::time::timeout(ANSWERED, ends).await.expect("each has an answer in time");
        let said = format!("{:?}", (one.unwrap_err(), all.unwrap_err()));
        assert!(said.contains("57014"), "the server itself gave up: {said}");
        assert!(store.load(&locked.id(), NOW).await.unwrap().is_some(), "reading does not wait");
        assert!(store.touch(&free.id(), free.verifier(), NOW, LATER).await.unwrap());
    }
    assert_eq!(backends(&server, "AND wait_event_type = 'Lock'"), 0, "nothing waits for nobody");
    assert!(backends(&server, "") <= POOL + 1);
    other.batch_execute("COMMIT").await.unwrap();
    assert!(store.destroy(&locked.id()).await.unwrap());
}

#[tokio::test]
async fn behind_a_pooler_too_what_was_given_up_does_not_go_on() {
    let server = Postgres::start(&[]).unwrap();
    let mut pooler = PgBouncer::start(&server, &["default_pool_size = 3"]).unwrap();
    let store = connected(&pooler.url("postgres"), "&pooler=transaction").await;
    let locked = record(1);
    let _ = store.create(&locked, 100).await.unwrap();
    let (other, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    other.batch_execute("BEGIN; SELECT 1 FROM exeunt_sessions WHERE id = 1 FOR UPDATE").await.unwrap();
    // More than the pooler has connections to the server.
    for _ in 0..6 {
        let one = tokio::time::timeout(ANSWERED, store.destroy(&locked.id())).await;
        let said = format!("{:?}", one.expect("it has an answer in time").unwrap_err());
        assert!(said.contains("57014"), "the server itself gave up: {said}");
    }
    assert_eq!(backends(&server, "AND wait_event_type = 'Lock'"), 0, "nothing waits for nobody");
    assert!(store.load(&locked.id(), NOW).await.unwrap().is_some(), "and the others are served");
    other.batch_execute("COMMIT").await.unwrap();
    assert!(store.destroy(&locked.id()).await.unwrap());

    let kept = kept(&store).await;
    pooler.kill();
    nothing_is_answered(&store).await;
    pooler.restart().unwrap();
    serves_again(&store, &kept).await;
}

#[tokio::test]
async fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let (mut first, second) = (Postgres::start(&[]).unwrap(), Postgres::start(&[]).unwrap());
    let both = |further: &str| {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
        format!("postgres://postgres@{hosts}/postgres?deadline=1s{further}")
    };
    let url = both("");
    first.psql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    first.restart().unwrap();
    let port = async |database: &Database| {
        let rows = database.query("SELECT current_setting('port')", &[]).await.unwrap();
        rows[0].get::<_, String>(0)
    };
    let there = second.port().to_string();
    let database = Database::connect(&url).await.unwrap();
    assert_eq!(port(&database).await, there, "the first takes no writes");
    first.pause().unwrap();
    let database = Database::connect(&url).await.unwrap();
    assert_eq!(port(&database).await, there, "the first is silent");
    first.go_on().unwrap();
    first.kill();
    assert_eq!(port(&Database::connect(&url).await.unwrap()).await, there, "the first is gone");

    // A failover: what takes writes no more is left for what does.
    first.restart().unwrap();
    first.psql("postgres", "ALTER SYSTEM RESET default_transaction_read_only").unwrap();
    second.psql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    first.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    second.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    let there = first.port().to_string();
    let moved = async {
        // The server's processes hear of it one after the other.
        while database.ping().await.is_ok() && port(&database).await != there {}
        while database.ping().await.is_err() {}
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await.expect("it goes over");
    assert_eq!(port(&database).await, there);
}
