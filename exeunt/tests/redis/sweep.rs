//! The names of sessions that are gone, of users who never come back: a purge takes them out of the index.

use services::{Cluster, Redis};

use super::index::{BUCKET, members};
use super::*;
use crate::gate::Gate;
use crate::steps::{OnItsWay, behind, on_its_way};

/// How many users have names in the index, on all of these servers.
fn users(servers: &[&Redis]) -> usize {
    let script = "local users = 0
        for _, bucket in ipairs(redis.call('KEYS', 'exeunt:i:*')) do
            for _, field in ipairs(redis.call('HKEYS', bucket)) do
                if not field:find('%z') then users = users + 1 end
            end
        end
        return users";
    servers
        .iter()
        .map(|server| server.cli(&["eval", script, "0"]).unwrap().trim().parse::<usize>().unwrap())
        .sum()
}

/// Redis freed the session by itself: nobody took its name out.
fn freed(servers: &[&Redis], session: &Record) {
    let key = format!("exeunt:s:{}", session.id());
    let freed = servers.iter().filter(|server| server.cli(&["-c", "del", &key]).unwrap().trim() == "1");
    assert_eq!(freed.count(), 1);
}

/// Purges to the end, as nodes do it.
async fn purge(store: &RedisStore, now: Timestamp) -> Vec<SessionId> {
    let (mut after, mut ended) = (None, Vec::new());
    loop {
        let purged = store.purge(after.as_ref(), 7, now).await.unwrap();
        ended.extend(purged.ended);
        after = purged.next;
        if after.is_none() {
            return ended;
        }
    }
}

async fn frees_the_names_of_users_who_never_come_back(url: &str, servers: &[&Redis]) {
    let store = connected(url).await;
    let mut live = Vec::new();
    for user in 0..40 {
        // Some have more than one field has room for.
        for number in 0..if user % 10 == 0 { 20 } else { 2 } {
            let session = created(&store, user).await;
            match user % 4 {
                // They come back.
                0 => live.push(session),
                // They have one session of several.
                1 if number == 1 => live.push(session),
                _ => freed(servers, &session),
            }
        }
    }
    assert_eq!(users(servers), 40);
    assert_eq!(purge(&store, now().plus(9 * MINUTE)).await, []);
    assert_eq!(users(servers), 40, "their logins may be on their way");
    assert_eq!(purge(&store, now().plus(11 * MINUTE)).await, []);
    assert_eq!(users(servers), 20);
    for user in 0..40 {
        let mut expected: Vec<_> =
            live.iter().filter(|session| session.user() == &self::user(user)).collect();
        expected.reverse();
        let listed = store.list(&self::user(user), now()).await.unwrap();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
        let ids: std::collections::BTreeSet<_> = expected.into_iter().map(Record::id).collect();
        let ended = store.destroy_all(&self::user(user), None).await.unwrap();
        assert_eq!(ended.into_iter().collect::<std::collections::BTreeSet<_>>(), ids);
    }
    assert_eq!(users(servers), 0);
}

#[tokio::test]
async fn a_purge_frees_the_names_of_users_who_never_come_back() {
    let server = Redis::start(&[]).unwrap();
    frees_the_names_of_users_who_never_come_back(&server.url(), &[&server]).await;
    // Where a bucket is so large that it is read by pages.
    let server = Redis::start(&["hash-max-listpack-entries 0"]).unwrap();
    frees_the_names_of_users_who_never_come_back(&server.url(), &[&server]).await;
}

#[tokio::test]
async fn a_purge_frees_the_names_of_users_who_never_come_back_to_a_cluster() {
    let cluster = Cluster::start(&[]).unwrap();
    let servers: Vec<_> = cluster.nodes().iter().collect();
    frees_the_names_of_users_who_never_come_back(&cluster.url(), &servers).await;
}

#[tokio::test]
async fn a_sweep_reads_a_bucket_of_many_users_to_its_end() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    for number in 0..600 {
        let _ = created(&store, number).await;
    }
    // All in one bucket, as it is with very many users, and larger than Redis reads out at once.
    let gather = "for _, bucket in ipairs(redis.call('KEYS', 'exeunt:i:*')) do
            if bucket ~= KEYS[1] then
                local all = redis.call('HGETALL', bucket)
                redis.call('HSET', KEYS[1], unpack(all))
                redis.call('DEL', bucket)
            end
        end
        for _, session in ipairs(redis.call('KEYS', 'exeunt:s:*')) do redis.call('DEL', session) end";
    server.cli(&["eval", gather, "1", BUCKET]).unwrap();
    assert_eq!(users(&[&server]), 600);
    assert_eq!(purge(&store, now().plus(11 * MINUTE)).await, []);
    assert_eq!(users(&[&server]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_leaves_a_login_on_its_way_alone_and_a_late_one_takes_no_session_s_name() {
    // R16
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let OnItsWay { login, held, creating, .. } = on_its_way(&server).await;
    assert_eq!(purge(&store, now()).await, []);
    assert_eq!(members(&server), [!login.id().to_i64()], "the login was struck out");
    server.cli(&["del", "exeunt:purge"]).unwrap();
    // A clock that is ahead takes the login for an old one, and strikes its name out after it was acknowledged.
    let (slow, gate) = behind(&server).await;
    let mut looking = gate.hold("GETEX");
    let purging = tokio::spawn(async move { slow.purge(None, 10, now().plus(11 * MINUTE)).await });
    looking.reached().await;
    let mut striking = gate.hold("EVALSHA");
    looking.go_on();
    striking.reached().await;
    held.go_on();
    assert_eq!(creating.await.unwrap().unwrap(), Created::Yes { ended: vec![] });
    striking.go_on();
    assert_eq!(purging.await.unwrap().unwrap().ended, []);
    assert_eq!(members(&server), [login.id().to_i64()]);
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [login.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_looks_for_the_session_of_each_name_after_it_saw_the_name() {
    // R16: it came after all keys were looked at, and its id is old: its maker's clock is behind, or it was copied.
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let before = created(&store, 1).await;
    let (slow, gate): (_, Gate) = behind(&server).await;
    let mut sweeping = gate.hold("HSCAN");
    let purging = tokio::spawn(async move { slow.purge(None, 10, now()).await });
    sweeping.reached().await;
    let behind = record(1, Timestamp::from_micros(now().as_micros() - 11 * 60 * 1_000_000));
    assert_eq!(store.create(&behind, 10).await.unwrap(), Created::Yes { ended: vec![] });
    sweeping.go_on();
    assert_eq!(purging.await.unwrap().unwrap().ended, []);
    assert_eq!(members(&server), [before.id().to_i64(), behind.id().to_i64()]);
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_sweep_that_fails_holds_up_no_purge() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    server.cli(&["set", "exeunt:i:1", "no hash"]).unwrap();
    assert_eq!(purge(&store, live.expires_at()).await, [live.id()]);
    assert_eq!(members(&server), [0; 0]);
}

#[tokio::test]
async fn a_full_server_ends_sessions_all_the_same_and_is_purged() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let mut live = Vec::new();
    for user in [1, 1, 1, 2, 2, 3, 4] {
        live.push(created(&store, user).await);
    }
    freed(&[&server], &live[6]);
    server.cli(&["config", "set", "maxmemory", "1"]).unwrap();
    assert!(store.create(&record(5, now()), 10).await.is_err());
    assert!(store.destroy(&live[0].id()).await.unwrap());
    assert!(!lives(&store, &live[0]).await);
    let ended = store.destroy_all(&user(1), None).await.unwrap();
    assert_eq!(ended, [live[1].id(), live[2].id()]);
    let over = live[5].expires_at();
    assert_eq!(purge(&store, over).await, [live[3].id(), live[4].id(), live[5].id()]);
    // What is left of a user's names can not be written now; none at all can.
    assert_eq!((users(&[&server]), members(&server)), (1, vec![]));
    server.cli(&["config", "set", "maxmemory", "0"]).unwrap();
    assert_eq!(purge(&store, over).await, []);
    assert_eq!(users(&[&server]), 0);
    let again = created(&store, 1).await;
    assert_serves(&store, &again).await;
}
