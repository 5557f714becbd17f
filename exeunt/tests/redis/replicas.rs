//! `wait_replicas`: a logout is acknowledged once the replicas have it.

use exeunt::auth::LoginOptions;
use exeunt::{ErrorKind, Sessions, Token, Users, UsersError, Verified};
use services::Redis;

use super::*;

fn marker(record: &Record) -> String {
    format!("exeunt:w:{{exeunt:s:{}}}", record.id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_no_replica_has_could_not_be_done_and_its_retry_waits_too() {
    let server = Redis::start(&[]).unwrap();
    let replica = server.start_replica().unwrap();
    let store = connected(&format!("{}?wait_replicas=1&deadline=300ms", server.url())).await;
    let (before, live) = (created(&store, 1).await, created(&store, 1).await);
    until_ok(async || store.destroy(&before.id()).await).await;

    replica.pause();
    assert!(store.destroy(&live.id()).await.is_err());
    assert!(!lives(&store, &live).await, "the primary has done it");
    assert_eq!(server.cli(&["exists", &marker(&live)]).unwrap().trim(), "0");
    // It is over already, and yet nobody may be told so.
    assert!(store.destroy(&live.id()).await.is_err());
    assert_eq!(server.cli(&["exists", &marker(&live)]).unwrap().trim(), "1");
    assert!(store.destroy_all(live.user(), None).await.is_err(), "its name is in the index");

    replica.go_on();
    assert!(!until_ok(async || store.destroy(&live.id()).await).await);
    let (session, marker) = (format!("exeunt:s:{}", live.id()), marker(&live));
    assert_eq!(replica.cli(&["exists", &session]).unwrap().trim(), "0");
    assert_eq!(replica.cli(&["exists", &marker]).unwrap().trim(), "1");
    let ttl: i64 = server.cli(&["pttl", &marker]).unwrap().trim().parse().unwrap();
    assert!((1..=60_000).contains(&ttl));
}

struct Everybody;

impl Users for Everybody {
    type Credentials = ();

    async fn verify(&self, (): ()) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(user(1), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_logged_out_while_no_replica_has_it() {
    // R02: the second time there is no session to load any more.
    let server = Redis::start(&[]).unwrap();
    let replica = server.start_replica().unwrap();
    let store = connected(&format!("{}?wait_replicas=1&deadline=300ms", server.url())).await;
    let sessions = Sessions::new(store);
    let login = sessions.login(&Everybody, (), LoginOptions::default()).await.unwrap().unwrap();
    let token = Token::parse(&login.token.expose()).unwrap();
    let id = login.record.id();
    replica.pause();
    for _ in 0..2 {
        assert_eq!(sessions.logout(&token).await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(sessions.end(&user(1), &id).await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(sessions.logout_all(&user(1), None).await.unwrap_err().kind(), ErrorKind::Store);
    }
    replica.go_on();
    assert!(!until_ok(async || sessions.logout(&token).await).await);
    assert_eq!(replica.cli(&["exists", &format!("exeunt:s:{id}")]).unwrap().trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_everywhere_and_the_limit_wait_for_replicas_too() {
    let server = Redis::start(&[]).unwrap();
    let replica = server.start_replica().unwrap();
    let store = connected(&format!("{}?wait_replicas=1&deadline=300ms", server.url())).await;
    let (one, other) = (created(&store, 1).await, created(&store, 1).await);
    replica.pause();
    assert!(store.destroy_all(one.user(), None).await.is_err());
    assert!(store.create(&record(1, now()), 1).await.is_err());
    replica.go_on();
    until_ok(async || store.destroy_all(one.user(), None).await).await;
    for record in [&one, &other] {
        assert_eq!(replica.cli(&["exists", &format!("exeunt:s:{}", record.id())]).unwrap().trim(), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_replicas_than_are_waited_for_let_nobody_log_out() {
    let server = Redis::start(&[]).unwrap();
    let _replica = server.start_replica().unwrap();
    let store = connected(&format!("{}?wait_replicas=2&deadline=2s", server.url())).await;
    let live = created(&store, 1).await;
    let error = store.destroy(&live.id()).await.unwrap_err();
    assert!(told(&error).contains("of 2 replicas have confirmed it"), "{}", told(&error));
    let problems = store.check().await.unwrap().problems;
    assert!(problems.concat().contains("it has 1 replicas, but a logout waits for 2"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_replicas_holds_up_nobody_else() {
    let server = Redis::start(&[]).unwrap();
    let replica = server.start_replica().unwrap();
    let store = shared(connected(&format!("{}?wait_replicas=1&deadline=10s", server.url())).await);
    let (waits, live) = (created(&store, 1).await, created(&store, 2).await);
    replica.pause();
    let waiting = tokio::spawn({
        let (store, id) = (Arc::clone(&store), waits.id());
        async move { store.destroy(&id).await }
    });
    while lives(&store, &waits).await {}
    for _ in 0..100 {
        assert!(lives(&store, &live).await);
    }
    assert!(!waiting.is_finished(), "it was answered before the replica had it");
    replica.go_on();
    assert!(waiting.await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_logouts_at_once_open_few_connections_and_keep_fewer() {
    // One for each would be refused.
    let server = Redis::start(&["maxclients 100"]).unwrap();
    let replica = server.start_replica().unwrap();
    let store = shared(connected(&format!("{}?wait_replicas=1&deadline=10s", server.url())).await);
    let connections = || server.cli(&["client", "list", "type", "normal"]).unwrap().lines().count();
    replica.pause();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.destroy(&record(1, now()).id()).await });
    }
    while connections() < 64 {}
    replica.go_on();
    while let Some(done) = tasks.join_next().await {
        assert!(!done.unwrap().unwrap());
    }
    // The server takes a moment to see the end of them.
    while connections() > 20 {}
}

/// A replica that was paused takes a moment; each attempt has the deadline, and there are few.
async fn until_ok<T, E: std::fmt::Debug>(attempt: impl AsyncFn() -> Result<T, E>) -> T {
    for _ in 0..20 {
        if let Ok(answer) = attempt().await {
            return answer;
        }
    }
    attempt().await.unwrap()
}
