//! Who is let in, and what set-ups are refused.

use exeunt::store::redis::ConnectError;
use services::{Redis, Sentinel};

use super::*;

async fn refused(url: &str) -> ConnectError {
    RedisStore::connect(url).await.unwrap_err()
}

#[tokio::test]
async fn users_and_passwords_are_taken_from_the_address_and_shown_nowhere() {
    // R39
    let users = ["user anna on >p@ss:/#? ~* &* +@all", "user default off"];
    let server = Redis::start(&["requirepass secret"]).unwrap();
    let port = server.port();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    assert_serves(&store, &live).await;
    assert!(store.address().contains(&port.to_string()) && !store.address().contains("secret"));
    assert!(!format!("{store:?}").contains("secret"));
    for rule in users {
        let words: Vec<_> = rule.split(' ').skip(1).collect();
        server.cli(&[["acl", "setuser"].as_slice(), &words].concat()).unwrap();
        if rule == users[0] {
            let anna = format!("redis://anna:p%40ss%3A%2F%23%3F@127.0.0.1:{port}");
            assert!(lives(&connected(&anna).await, &live).await);
        }
    }
    for login in ["", ":wr0ng@", "anna:wr0ng@", "nobody:wr0ng@"] {
        let error = refused(&format!("redis://{login}127.0.0.1:{port}")).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{login}: {error:?}");
        assert!(!format!("{error:?} {}", told(&error)).contains("wr0ng"), "{error:?}");
    }
}

#[tokio::test]
async fn a_user_without_the_rights_is_told_which() {
    let server = Redis::start(&[]).unwrap();
    server.cli(&["acl", "setuser", "anna", "on", ">pw", "~*", "+@all", "-info"]).unwrap();
    let error = refused(&format!("redis://anna:pw@127.0.0.1:{}", server.port())).await;
    assert!(matches!(&error, ConnectError::Setup { reason, .. } if reason.contains("info")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_are_named_suffice() {
    let server = Redis::start(&[]).unwrap();
    let _replica = server.start_replica().unwrap();
    let rights = "evalsha eval get getex getdel getrange set setrange del hget hset hdel hscan pttl pexpireat info \
                  time role scan wait";
    let rights = rights.split_whitespace().map(|right| format!("+{right}"));
    let rule: Vec<_> = ["acl", "setuser", "anna", "on", ">pw", "~exeunt:*", "-@all"]
        .map(str::to_owned)
        .into_iter()
        .chain(rights)
        .collect();
    server.cli(&rule.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    for options in ["", "?wait_replicas=1&deadline=5s"] {
        let store = connected(&format!("redis://anna:pw@127.0.0.1:{}{options}", server.port())).await;
        let live = created(&store, 1).await;
        assert_serves(&store, &live).await;
        assert!(store.destroy(&live.id()).await.unwrap());
        let again = created(&store, 1).await;
        assert_eq!(
            store.create(&record(1, now()), 1).await.unwrap(),
            Created::Yes { ended: vec![again.id()] }
        );
        let last = record(1, now());
        let parts = Parts { expires_at: now(), ..last.into_parts() };
        let expired = Record::restore(parts);
        assert_eq!(store.create(&expired, 10).await.unwrap(), Created::Yes { ended: vec![] });
        assert_eq!(store.purge(None, 10, now()).await.unwrap().ended, [expired.id()]);
        assert_eq!(store.destroy_all(&user(1), None).await.unwrap().len(), 1);
        server.cli(&["del", "exeunt:purge"]).unwrap();
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_counts_only_if_somebody_trusted_signed_it() {
    let server = Redis::start_tls(&[]).unwrap();
    let (url, ca) = server.tls().unwrap();
    let ca = ca.display().to_string();
    let store = connected(&format!("{url}?ca={ca}")).await;
    let live = created(&store, 1).await;
    assert_serves(&store, &live).await;
    server.cut_connections().unwrap();
    assert!(lives(&store, &live).await);
    let valkeys = url.replace("rediss://", "valkeys://");
    assert!(lives(&connected(&format!("{valkeys}?ca={ca}")).await, &live).await);

    let error = refused(&url).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(told(&error).contains("certificate"), "{}", told(&error));
    // Without TLS at the port that wants it, and with TLS at the one that has none.
    let plain = url.replace("rediss://", "redis://");
    assert!(matches!(refused(&plain).await, ConnectError::Unreachable { .. }));
    let other = format!("rediss://127.0.0.1:{}/?ca={ca}", server.port());
    assert!(matches!(refused(&other).await, ConnectError::Unreachable { .. }));
}

#[tokio::test]
async fn a_set_up_that_voids_the_promises_is_refused() {
    let server = Redis::start(&["maxmemory-policy volatile-lru"]).unwrap();
    let error = refused(&server.url()).await;
    assert!(told(&error).contains("run `CONFIG SET maxmemory-policy noeviction`"), "{error}");
    server.cli(&["config", "set", "maxmemory-policy", "noeviction"]).unwrap();
    let replica = server.start_replica().unwrap();
    assert!(told(&refused(&replica.url()).await).contains("it is a replica"));
    let store = connected(&server.url()).await;
    let report = store.check().await.unwrap();
    assert_eq!(report.problems, [""; 0]);
    for fact in [("mode", "standalone"), ("eviction", "noeviction"), ("replicas", "1")] {
        assert!(report.facts.contains(&(fact.0, fact.1.to_owned())), "{report:?}");
    }
    assert!(
        report.facts.contains(&("persistence", "append-only file, appendfsync always".to_owned())),
        "{report:?}"
    );

    server.cli(&["config", "set", "appendonly", "no"]).unwrap();
    server.cli(&["config", "set", "save", "3600 1"]).unwrap();
    let report = store.check().await.unwrap();
    assert!(report.problems.concat().contains("set `appendonly yes`"), "{report:?}");
}

#[tokio::test]
async fn an_address_where_nobody_answers_says_so() {
    let mut server = Redis::start(&[]).unwrap();
    let url = server.url();
    server.kill();
    let error = refused(&url).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(told(&error).contains(&server.port().to_string()), "{}", told(&error));
    assert!(matches!(refused("redis://h?secret=1").await, ConnectError::BadUrl { .. }));

    let server = Redis::start(&[]).unwrap();
    server.pause();
    let error = refused(&format!("{}?deadline=100ms", server.url())).await;
    assert!(told(&error).contains("100ms"), "{}", told(&error));
    server.go_on();
    let no_cluster = format!("redis+cluster://127.0.0.1:{}", server.port());
    let error = refused(&no_cluster).await;
    assert!(told(&error).contains("cluster"), "{}", told(&error));

    let sentinel = Sentinel::start(&[]).unwrap();
    let error = refused(&sentinel.url().replace("master=mymaster", "master=other")).await;
    assert!(told(&error).contains("No such master"), "{}", told(&error));
}

#[tokio::test]
async fn two_prefixes_share_a_server_and_see_nothing_of_each_other() {
    let server = Redis::start(&[]).unwrap();
    let one = connected(&format!("{}?prefix=a*:", server.url())).await;
    let other = connected(&format!("{}?prefix=ab:", server.url())).await;
    let (mine, theirs) = (created(&one, 1).await, created(&other, 1).await);
    assert_eq!(one.walk(None, 10, now()).await.unwrap(), std::slice::from_ref(&mine));
    assert_eq!(other.walk(None, 10, now()).await.unwrap(), std::slice::from_ref(&theirs));
    assert_eq!(one.destroy_all(&user(1), None).await.unwrap(), [mine.id()]);
    assert!(lives(&other, &theirs).await);
}
