//! A login on its way against those who look for all sessions of its user, and values that others wrote.

use services::Redis;
use tokio::task::JoinHandle;

use super::index::{BUCKET, add, members};
use super::*;
use crate::gate::{Cut, Gate, Held};

pub(crate) async fn behind(server: &Redis) -> (RedisStore, Gate) {
    let gate = Gate::to(server.port()).await;
    (connected(&format!("redis://127.0.0.1:{}?deadline=10s", gate.port())).await, gate)
}

/// A login that is in the index, and whose session is not there yet.
pub(crate) struct OnItsWay {
    pub(crate) login: Record,
    pub(crate) held: Held,
    pub(crate) creating: JoinHandle<Result<Created, StoreError>>,
    gate: Gate,
}

pub(crate) async fn on_its_way(server: &Redis) -> OnItsWay {
    let (slow, gate) = behind(server).await;
    let login = record(1, now());
    let mut held = gate.hold("PXAT");
    let creating = tokio::spawn({
        let login = login.clone();
        async move { slow.create(&login, 10).await }
    });
    held.reached().await;
    OnItsWay { login, held, creating, gate }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_and_log_out_everywhere_leave_a_login_on_its_way_alone() {
    // R16
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let OnItsWay { login, held, creating, .. } = on_its_way(&server).await;
    assert_eq!(store.list(&user(1), now()).await.unwrap(), []);
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), []);
    assert_eq!(members(&server), [!login.id().to_i64()], "the login was struck out");
    held.go_on();
    assert_eq!(creating.await.unwrap().unwrap(), Created::Yes { ended: vec![] });
    // From here on it is acknowledged.
    assert_eq!(store.list(&user(1), now()).await.unwrap(), std::slice::from_ref(&login));
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [login.id()]);
    assert!(!lives(&store, &login).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_loses_its_name_on_the_way_enters_it_again() {
    // R16: between the two an index may be lost, on a server of its own.
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let OnItsWay { login, held, creating, .. } = on_its_way(&server).await;
    server.cli(&["del", BUCKET]).unwrap();
    held.go_on();
    assert_eq!(creating.await.unwrap().unwrap(), Created::Yes { ended: vec![] });
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [login.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_name_is_struck_out_late_by_a_clock_that_is_ahead_is_not_missed() {
    // R16: who lists saw the name before the session, takes the login for an old one, and takes the name out after the
    // login was acknowledged. Whatever comes of that request then, the session has a name.
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let OnItsWay { login, held, creating, .. } = on_its_way(&server).await;
    let (slow, gate) = behind(&server).await;
    let mut looking = gate.hold("GETEX");
    let mut listing = tokio::spawn(async move { slow.list(&user(1), now().plus(11 * MINUTE)).await });
    looking.reached().await;
    let mut striking = gate.hold("EVALSHA");
    looking.go_on();
    striking.reached().await;
    held.go_on();
    assert_eq!(creating.await.unwrap().unwrap(), Created::Yes { ended: vec![] });
    let mut more = gate.hold("GETEX");
    striking.go_on();
    tokio::select! {
        listed = &mut listing => assert_eq!(listed.unwrap().unwrap(), []),
        () = more.reached() => (),
    }
    assert_eq!(members(&server), [login.id().to_i64()]);
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [login.id()]);
    assert!(!lives(&store, &login).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_everywhere_ends_a_login_that_is_there_and_not_yet_acknowledged() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let OnItsWay { login, held, creating, gate } = on_its_way(&server).await;
    // The second entry: the first one went by before the session was made.
    let mut second = gate.hold("EVALSHA");
    held.go_on();
    second.reached().await;
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [login.id()]);
    second.go_on();
    assert_eq!(creating.await.unwrap().unwrap(), Created::Yes { ended: vec![] });
    assert!(!lives(&store, &login).await, "its second entry brought it back");
    assert_eq!(store.list(&user(1), now()).await.unwrap(), []);
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), []);
}

#[tokio::test]
async fn a_name_without_a_session_goes_once_it_is_older_than_any_login() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let (live, gone) = (created(&store, 1).await, record(1, now()));
    add(&server, gone.id().to_i64());
    let later = |minutes: u32| now().plus(minutes * MINUTE);
    assert_eq!(store.list(&user(1), later(9)).await.unwrap(), std::slice::from_ref(&live));
    assert_eq!(members(&server).len(), 2);
    assert_eq!(store.list(&user(1), later(11)).await.unwrap(), std::slice::from_ref(&live));
    assert_eq!(members(&server), [live.id().to_i64()]);
    // And so does that of a login that never came to its session.
    add(&server, !gone.id().to_i64());
    assert_eq!(store.list(&user(1), later(9)).await.unwrap(), std::slice::from_ref(&live));
    assert_eq!(members(&server).len(), 2);
    assert_eq!(store.list(&user(1), later(11)).await.unwrap(), std::slice::from_ref(&live));
    assert_eq!(members(&server), [live.id().to_i64()]);
}

#[tokio::test]
async fn a_login_that_looks_for_room_takes_out_old_names_without_sessions() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let eleven_minutes_ago = Timestamp::from_micros(now().as_micros() - 11 * 60 * 1_000_000);
    let (old, young) = (record(1, eleven_minutes_ago), record(1, now()));
    for gone in [&old, &young] {
        add(&server, gone.id().to_i64());
    }
    let live = record(1, now());
    assert_eq!(store.create(&live, 1).await.unwrap(), Created::Yes { ended: vec![] });
    let mut names = members(&server);
    names.sort_unstable();
    assert_eq!(names, [young.id().to_i64(), live.id().to_i64()]);
}

#[tokio::test]
async fn a_value_of_a_newer_version_is_neither_nothing_nor_written_over() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    let key = format!("exeunt:s:{}", live.id());
    server.cli(&["setrange", &key, "0", "\u{2}"]).unwrap();
    let value = server.cli(&["get", &key]).unwrap();
    for (operation, answer) in ask_everything(&store, &live).await {
        let others = ["ping", "create"].contains(&operation);
        match answer {
            Ok(found) => assert!(others && found, "{operation} answered {found}"),
            Err(error) => assert!(told(&error).contains("newer exeunt"), "{operation}: {}", told(&error)),
        }
    }
    assert_eq!(server.cli(&["get", &key]).unwrap(), value);
    // A logout holds all the same, here and everywhere.
    assert!(store.destroy(&live.id()).await.unwrap());
    assert_eq!(server.cli(&["exists", &key]).unwrap().trim(), "0");
    let (other, key) = (created(&store, 1).await, |id| format!("exeunt:s:{id}"));
    let damaged = created(&store, 1).await;
    server.cli(&["set", &key(damaged.id()), "garbage", "keepttl"]).unwrap();
    let ended = store.destroy_all(&user(1), None).await.unwrap();
    assert!(ended.len() == 2 && ended.contains(&other.id()) && ended.contains(&damaged.id()), "{ended:?}");
    assert_eq!(server.cli(&["exists", &key(damaged.id()), &key(other.id())]).unwrap().trim(), "0");
}

#[tokio::test]
async fn redis_frees_sessions_an_hour_late_and_the_index_days_after_the_last_of_them() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    let key = format!("exeunt:s:{}", live.id());
    let freed = |key: &str| server.cli(&["pexpiretime", key]).unwrap().trim().parse::<i64>().unwrap();
    let ms = |at: Timestamp, minutes: u32| at.plus(minutes * MINUTE).as_micros() / 1_000;
    assert_eq!(freed(&key), ms(live.expires_at(), 60));
    let day = 24 * 60 * 60 * 1_000;
    let kept = freed(BUCKET);
    assert!((ms(live.ends_at(), 24 * 60)..ms(live.ends_at(), 48 * 60)).contains(&kept) && kept % day == 0);
    assert!(store.touch(&live.id(), live.verifier(), now(), now().plus(45 * MINUTE)).await.unwrap());
    let touched = store.load(&live.id(), now()).await.unwrap().unwrap();
    assert!(touched.expires_at() > live.expires_at());
    assert_eq!(freed(&key), ms(touched.expires_at(), 60));
    assert_eq!(
        store
            .save(&live.id(), live.verifier(), 0, &Data::from_json("{\"a\":1}").unwrap(), now())
            .await
            .unwrap(),
        exeunt::store::Saved::At(1)
    );
    assert_eq!(freed(&key), ms(touched.expires_at(), 60));
    // A longer session keeps the index longer, and a shorter one takes nothing from that.
    let mut parts = record(1, now()).into_parts();
    parts.ends_at = now().plus(3 * 24 * 60 * MINUTE);
    assert_eq!(store.create(&Record::restore(parts), 10).await.unwrap(), Created::Yes { ended: vec![] });
    let long = freed(BUCKET);
    assert!([2 * day, 3 * day].contains(&(long - kept)));
    let mut parts = record(1, now()).into_parts();
    parts.ends_at = now().plus(31 * MINUTE);
    assert_eq!(store.create(&Record::restore(parts), 10).await.unwrap(), Created::Yes { ended: vec![] });
    assert_eq!(freed(BUCKET), long);
}

#[tokio::test]
async fn one_node_at_a_time_purges() {
    let server = Redis::start(&[]).unwrap();
    let (one, other) = (connected(&server.url()).await, connected(&server.url()).await);
    let live = created(&one, 1).await;
    let over = live.expires_at();
    assert_eq!(one.purge(None, 10, live.created_at()).await.unwrap().ended, []);
    assert_eq!(other.purge(None, 10, over).await.unwrap(), exeunt::store::Purged::default());
    assert_eq!(one.purge(None, 10, over).await.unwrap().ended, [live.id()]);
    assert_eq!(members(&server), [0; 0], "its name stays");
    server.cli(&["del", "exeunt:purge"]).unwrap();
    let live = created(&one, 1).await;
    assert_eq!(other.purge(None, 10, over.plus(MINUTE)).await.unwrap().ended, [live.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_touched_while_a_purge_looks_at_it_stays() {
    // R60
    let server = Redis::start(&[]).unwrap();
    let (slow, gate) = behind(&server).await;
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    let over = live.expires_at();
    let mut held = gate.hold("GETEX");
    let purging = tokio::spawn(async move { slow.purge(None, 10, over).await });
    held.reached().await;
    let mut last = gate.hold("EVALSHA");
    held.go_on();
    last.reached().await;
    assert!(store.touch(&live.id(), live.verifier(), now(), over.plus(MINUTE)).await.unwrap());
    last.go_on();
    assert_eq!(purging.await.unwrap().unwrap().ended, []);
    assert!(store.load(&live.id(), over).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_asked_again_when_its_connection_is_cut() {
    let server = Redis::start(&[]).unwrap();
    let (store, gate) = behind(&server).await;
    let live = created(&store, 1).await;
    for cut in [Cut::Before, Cut::After] {
        gate.cut(0, cut);
        assert!(lives(&store, &live).await);
        gate.cut(0, cut);
        assert_eq!(store.list(&user(1), now()).await.unwrap().len(), 1);
        // What was, or was not, done cannot be told apart, so nobody says "there was none".
        gate.cut(0, cut);
        assert!(store.destroy(&record(1, now()).id()).await.is_err());
    }
}
