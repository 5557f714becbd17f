//! What a session costs in Redis: bytes, and commands.

use services::Redis;

use super::*;

const GOAL: i64 = 300;
/// How many logins are under way at once.
const AT_ONCE: i64 = 64;

fn used(server: &Redis) -> i64 {
    let info = server.cli(&["info", "memory"]).unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse().unwrap()
}

/// Bytes of Redis for each of so many sessions, of users who have so many each, without data.
async fn bytes_a_session(sessions: i64, sessions_of_a_user: i64) -> i64 {
    // Without the buffers of the append-only file.
    let server = Redis::start(&["appendonly no"]).unwrap();
    let store = shared(connected(&format!("{}?deadline=10s", server.url())).await);
    drop(created(&store, 0).await);
    let before = used(&server);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..AT_ONCE {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in (0..sessions).filter(|number| number % AT_ONCE == task) {
                drop(created(&store, 1_000_000 + number / sessions_of_a_user).await);
            }
        });
    }
    tasks.join_all().await;
    (used(&server) - before) / sessions
}

/// In Debian's Redis 7.0, whose allocator takes steps of 16 bytes. Redis makes room for its keys in powers of two.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_at_most_300_bytes_with_its_share_of_the_index() {
    // In the soak as many sessions as many sites have.
    let (many, few) = if services::rounds(0, 1) == 0 { (100_000, 15_000) } else { (1_000_000, 100_000) };
    for (sessions, sessions_of_a_user) in [(many, 1), (few, 3), (few, 5)] {
        let bytes = bytes_a_session(sessions, sessions_of_a_user).await;
        println!("{sessions} sessions, {sessions_of_a_user} a user: {bytes} bytes a session");
        assert!(bytes <= GOAL, "{bytes} bytes a session, {sessions_of_a_user} a user");
    }
}

/// Those that a client sends, and those that scripts run.
fn commands(server: &Redis) -> String {
    let stats = server.cli(&["info", "commandstats"]).unwrap();
    let mut commands: Vec<_> = stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="))
        .filter(|(name, _)| !["info", "config|resetstat", "ping", "role", "replconf"].contains(name))
        .map(|(name, rest)| format!("{name} {}", rest.split(',').next().unwrap()))
        .collect();
    commands.sort();
    server.cli(&["config", "resetstat"]).unwrap();
    commands.join(", ")
}

#[tokio::test]
async fn a_login_is_three_commands_and_a_logout_two() {
    let server = Redis::start(&[]).unwrap();
    let store = connected(&server.url()).await;
    // Scripts are known then, and the user is in the index.
    let live = [created(&store, 1).await, created(&store, 1).await];
    assert!(store.destroy(&live[0].id()).await.unwrap());
    let _ = commands(&server);
    let _ = created(&store, 1).await;
    assert_eq!(commands(&server), "evalsha 2, hget 2, hset 2, pttl 1, set 1, time 1");
    assert!(store.destroy(&live[1].id()).await.unwrap());
    assert_eq!(commands(&server), "evalsha 1, getdel 1, hget 1, hset 1");
    // One that is not there needs no more than that to be found out.
    assert!(!store.destroy(&live[1].id()).await.unwrap());
    assert_eq!(commands(&server), "getdel 1");
}
