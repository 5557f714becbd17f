//! Redis killed, paused, restarted empty, cut off, failed over: errors while it lasts, and service as soon as it is over.

use services::{Cluster, Redis, Sentinel};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_serves_as_soon_as_it_is_back() {
    let mut server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    for _ in 0..3 {
        server.kill();
        assert_silent(&store, &live).await;
        server.restart().unwrap();
        assert_serves(&store, &live).await;
    }
    assert!(store.destroy(&live.id()).await.unwrap());
    assert!(!lives(&store, &live).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_while_nobody_asked_serves_at_once() {
    let mut server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    for _ in 0..3 {
        server.kill();
        server.restart().unwrap();
        assert!(lives(&store, &live).await);
        assert!(store.touch(&live.id(), live.verifier(), now(), live.ends_at()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_silent_and_serves_when_it_goes_on() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&format!("{}?deadline=150ms", server.url())).await;
    let live = created(&store, 1).await;
    for _ in 0..3 {
        server.pause();
        assert_silent_and_undone(&store, &live).await;
        server.go_on();
        // A machine that is busy may not answer within 150 ms; a store that is stuck never does.
        let busy = connected(&server.url()).await;
        assert!(lives(&busy, &live).await);
        assert_eventually_serves(&store, &live).await;
    }
}

/// As [`assert_silent`], but without the ends: a paused server has them in its buffers and does them when it goes on.
async fn assert_silent_and_undone(store: &RedisStore, live: &Record) {
    for (operation, answer) in ask_everything(store, live).await {
        assert!(answer.is_err(), "{operation} answered {answer:?}");
    }
}

/// All operations of a round serve after at most two rounds in which one was late.
async fn assert_eventually_serves(store: &RedisStore, live: &Record) {
    for _ in 0..3 {
        let answers = ask_everything(store, live).await;
        assert!(!answers.iter().any(|(_, answer)| matches!(answer, Ok(false))), "{answers:?}");
        if answers.iter().all(|(_, answer)| answer.is_ok()) {
            return;
        }
    }
    panic!("it does not serve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_a_paused_server_did_not_answer_can_be_repeated() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&format!("{}?deadline=100ms", server.url())).await;
    let (one, other) = (created(&store, 1).await, created(&store, 1).await);
    server.pause();
    assert!(store.destroy(&one.id()).await.is_err());
    assert!(store.destroy_all(one.user(), None).await.is_err());
    server.go_on();
    let store = connected(&server.url()).await;
    let _ = store.destroy(&one.id()).await.unwrap();
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [other.id()]);
    assert!(!lives(&store, &one).await && !lives(&store, &other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_is_used_as_it_is() {
    let mut server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let before = created(&store, 1).await;
    server.restart_empty().unwrap();
    assert!(!lives(&store, &before).await);
    let after = created(&store, 1).await;
    assert_serves(&store, &after).await;
    assert_eq!(store.destroy_all(&user(1), None).await.unwrap(), [after.id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_costs_no_read_and_at_most_one_change() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    for round in 0..40 {
        server.cut_connections().unwrap();
        if round % 2 == 0 {
            assert!(lives(&store, &live).await);
        } else {
            // It may have been sent into the connection as it broke. Then nobody knows, and the next one serves.
            let _ = created_or_not(&store).await;
        }
        assert_serves(&store, &live).await;
    }
}

async fn created_or_not(store: &RedisStore) -> Result<Created, StoreError> {
    store.create(&record(2, now()), 1_000).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_outlive_connections_that_are_cut_all_the_time() {
    let server = Redis::start(&[]).unwrap();
    let store = shared(connected(&server.url()).await);
    let live = created(&store, 1).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, live) = (Arc::clone(&store), live.clone());
        tasks.spawn(async move {
            for _ in 0..200 {
                // Unknown is allowed, "gone" is not.
                assert!(!matches!(store.load(&live.id(), now()).await, Ok(None)));
            }
        });
    }
    while !tasks.is_empty() {
        server.cut_connections().unwrap();
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    assert_serves(&store, &live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_a_replica_is_not_read_from() {
    // R05: whatever it has of its own, or from its new primary, it may be old.
    let (server, other) = (Redis::start(&[]).unwrap(), Redis::start(&[]).unwrap());
    for kept in [false, true] {
        let store = connected(&server.url()).await;
        let live = created(&store, 1).await;
        // It loses what it had as soon as its new primary sends it nothing; from a port where nobody is, nothing comes.
        let port = if kept { "1".to_owned() } else { other.port().to_string() };
        server.cli(&["replicaof", "127.0.0.1", &port]).unwrap();
        while !kept && !server.cli(&["role"]).unwrap().contains("connected") {}
        // -READONLY, each on the connection that was there before.
        for operation in ["load", "touch", "list", "walk", "ping"] {
            server.cli(&["replicaof", "no", "one"]).unwrap();
            store.ping().await.unwrap();
            server.cli(&["replicaof", "127.0.0.1", &port]).unwrap();
            let silent = match operation {
                "load" => store.load(&live.id(), now()).await.is_err(),
                "touch" => store.touch(&live.id(), live.verifier(), now(), live.ends_at()).await.is_err(),
                "list" => store.list(&user(1), now()).await.is_err(),
                "walk" => store.walk(None, 10, now()).await.is_err(),
                _ => store.ping().await.is_err(),
            };
            assert!(silent, "{operation} was answered by a replica");
        }
        assert_silent(&store, &live).await;
        server.cli(&["replicaof", "no", "one"]).unwrap();
        let again = created(&store, 1).await;
        assert_serves(&store, &again).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_policy_that_came_later_is_noticed_with_the_next_connection() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    let live = created(&store, 1).await;
    server.cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]).unwrap();
    assert!(told(&store.check().await.unwrap_err()).contains("maxmemory-policy noeviction"));
    server.cut_connections().unwrap();
    assert_silent(&store, &live).await;
    server.cli(&["config", "set", "maxmemory-policy", "noeviction"]).unwrap();
    assert_serves(&store, &live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_file_is_silent_and_says_nobody_is_gone() {
    let mut server = Redis::start(&["key-load-delay 50"]).unwrap();
    let store = shared(connected(&format!("{}?deadline=10s", server.url())).await);
    let live = created(&store, 1).await;
    let many = "for number = 1, 60000 do redis.call('SET', 'other' .. number, '') end";
    server.cli(&["eval", many, "0"]).unwrap();
    server.kill();
    assert!(store.load(&live.id(), now()).await.is_err());
    let restarting = tokio::task::spawn_blocking(move || {
        server.restart().unwrap();
        server
    });
    // It listens to others now and then only, so that a connection takes its time.
    let mut loading = 0;
    let _server = loop {
        let ping = store.ping().await;
        match store.load(&live.id(), now()).await {
            Ok(found) => assert!(found.is_some(), "gone, while the file is being loaded"),
            Err(error) => {
                assert!(ping.is_err(), "a sign of life, while the file is being loaded");
                loading += usize::from(told(&error).contains("LOADING") || told(&error).contains("loading"))
            }
        }
        if restarting.is_finished() {
            break restarting.await.unwrap();
        }
    };
    assert!(loading > 0, "the server was never seen loading");
    assert_serves(&store, &live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_on_when_the_sentinels_name_another_primary() {
    let mut sentinel = Sentinel::start(&[]).unwrap();
    let (busy, idle) = (connected(&sentinel.url()).await, connected(&sentinel.url()).await);
    let mut live = Vec::new();
    for number in 0..20 {
        live.push(created(&busy, number).await);
    }
    for _ in 0..2 {
        sentinel.wait_until_all_is_well().unwrap();
        let former = sentinel.kill_primary().unwrap();
        assert_silent(&busy, &live[0]).await;
        sentinel.wait_for_another(former).unwrap();
        for store in [&busy, &idle] {
            assert_serves(store, &live[0]).await;
            for record in &live {
                assert!(lives(store, record).await);
            }
        }
        sentinel.restart_killed().unwrap();
    }
    // One sentinel that is silent holds nobody up.
    sentinel.wait_until_all_is_well().unwrap();
    sentinel.sentinels()[0].pause();
    assert_serves(&connected(&sentinel.url()).await, &live[0]).await;
    sentinel.sentinels()[0].go_on();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_primary_that_wakes_up_is_not_asked() {
    let sentinel = Sentinel::start(&[]).unwrap();
    let (busy, idle) = (connected(&sentinel.url()).await, connected(&sentinel.url()).await);
    let live = created(&busy, 1).await;
    assert!(lives(&idle, &live).await);
    let key = format!("exeunt:s:{}", live.id());
    while sentinel.replica().unwrap().cli(&["exists", &key]).unwrap().trim() != "1" {}
    let former = sentinel.pause_primary().unwrap();
    let new = sentinel.wait_for_another(former).unwrap().port();
    // Whoever asked the old one in vain knows better the next time.
    let mut ended = busy.destroy(&live.id()).await;
    if ended.is_err() {
        ended = busy.destroy(&live.id()).await;
    }
    let _ = ended.unwrap();
    assert!(!lives(&busy, &live).await);
    // Every second the idle one looks who is primary, without being asked.
    let names_the_new_one = async || {
        let facts = idle.check().await.map(|report| report.facts).unwrap_or_default();
        facts.contains(&("primary", format!("127.0.0.1:{new}")))
    };
    while !names_the_new_one().await {}
    sentinel.go_on();
    for _ in 0..50 {
        assert!(!lives(&idle, &live).await);
        assert!(!lives(&busy, &live).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_on_when_a_replica_of_a_cluster_takes_over() {
    let mut cluster = Cluster::start_with_replicas(&[]).unwrap();
    let (busy, idle) = (connected(&cluster.url()).await, connected(&cluster.url()).await);
    let mut live = Vec::new();
    for number in 0..20 {
        live.push(created(&busy, number).await);
    }
    // Each session and each index, on a primary and on its replica.
    let size = |node: &Redis| node.cli(&["dbsize"]).unwrap().trim().parse::<usize>().unwrap();
    while cluster.nodes().iter().map(size).sum::<usize>() < 4 * live.len() {}
    let key = format!("exeunt:s:{}", live[0].id());
    for paused in [false, true] {
        let former = match paused {
            true => cluster.pause_primary_of(&key).unwrap(),
            false => cluster.kill_primary_of(&key).unwrap(),
        };
        let answers = ask_everything(&busy, &live[0]).await;
        assert!(!answers.iter().any(|(_, answer)| matches!(answer, Ok(false))), "{answers:?}");
        assert!(answers[0].1.is_err(), "{answers:?}");
        if paused {
            let others = || cluster.nodes().iter().filter(|node| node.port() != former);
            let taken_over = |node: &Redis| {
                let nodes = node.cli(&["cluster", "nodes"]).unwrap();
                let slots = nodes.lines().filter(|line| !line.contains("fail") && line.contains("master"));
                slots.filter(|line| line.contains('-') && line.split_whitespace().count() > 8).count() == 3
                    && node.cli(&["cluster", "info"]).unwrap().contains("cluster_state:ok")
            };
            while !others().all(taken_over) {}
        } else {
            cluster.wait_until_ok().unwrap();
        }
        for store in [&busy, &idle] {
            assert_eventually_serves(store, &live[0]).await;
            for record in &live {
                assert!(lives(store, record).await);
            }
        }
        cluster.go_on();
        cluster.restart_killed().unwrap();
        cluster.wait_until_ok().unwrap();
        assert_eventually_serves(&idle, &live[0]).await;
    }
    assert!(busy.destroy(&live[0].id()).await.unwrap());
    assert!(!lives(&idle, &live[0]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_waits_for_the_replicas_of_the_server_that_a_slot_is_moving_to() {
    let cluster = Cluster::start_with_replicas(&[]).unwrap();
    let store = connected(&format!("{}&wait_replicas=1&deadline=5s", cluster.url())).await;
    let live = created(&store, 1).await;
    let key = format!("exeunt:s:{}", live.id());
    let from = cluster.primary_of(&key).unwrap();
    let is_other_primary =
        |node: &&Redis| node.port() != from.port() && node.cli(&["role"]).unwrap().starts_with("master");
    let to = cluster.nodes().iter().find(is_other_primary).unwrap();
    let slot = from.cli(&["cluster", "keyslot", &key]).unwrap();
    let slot = slot.trim();
    let (from_id, to_id) = (from.cli(&["cluster", "myid"]).unwrap(), to.cli(&["cluster", "myid"]).unwrap());
    to.cli(&["cluster", "setslot", slot, "importing", from_id.trim()]).unwrap();
    from.cli(&["cluster", "setslot", slot, "migrating", to_id.trim()]).unwrap();
    let port = to.port().to_string();
    from.cli(&["migrate", "127.0.0.1", &port, &key, "0", "5000"]).unwrap();
    assert!(store.destroy(&live.id()).await.unwrap());
    assert!(!store.destroy(&live.id()).await.unwrap());
    assert!(!lives(&store, &live).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_to_another_server_is_found_there() {
    let cluster = Cluster::start(&[]).unwrap();
    let store = connected(&cluster.url()).await;
    let live = created(&store, 1).await;
    let key = format!("exeunt:s:{}", live.id());
    let from = cluster.primary_of(&key).unwrap();
    let to = cluster.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    let slot = from.cli(&["cluster", "keyslot", &key]).unwrap();
    let slot = slot.trim();
    let (from_id, to_id) = (from.cli(&["cluster", "myid"]).unwrap(), to.cli(&["cluster", "myid"]).unwrap());
    let (from_id, to_id) = (from_id.trim(), to_id.trim());
    to.cli(&["cluster", "setslot", slot, "importing", from_id]).unwrap();
    from.cli(&["cluster", "setslot", slot, "migrating", to_id]).unwrap();
    assert!(lives(&store, &live).await, "not moved yet");
    let port = to.port().to_string();
    from.cli(&["migrate", "127.0.0.1", &port, &key, "0", "5000"]).unwrap();
    // -ASK
    assert!(lives(&store, &live).await, "moved, but not yet said to all");
    assert!(store.touch(&live.id(), live.verifier(), now(), live.ends_at()).await.unwrap());
    for node in [to, from] {
        node.cli(&["cluster", "setslot", slot, "node", to_id]).unwrap();
    }
    // -MOVED
    assert!(lives(&store, &live).await, "moved");
    assert!(store.destroy(&live.id()).await.unwrap());
    assert!(!lives(&store, &live).await);
}
