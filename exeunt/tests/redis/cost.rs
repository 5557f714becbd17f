//! What a session costs in Redis.

use services::Redis;

use super::*;

const SESSIONS: i64 = 20_000;
const GOAL: i64 = 300;

/// Bytes of Redis for each session of so many users, without data.
async fn bytes_a_session(sessions_of_a_user: i64) -> i64 {
    // Without the buffers of the append-only file.
    let server = Redis::start(&["appendonly no"]).unwrap();
    let store = shared(connected(&format!("{}?deadline=10s", server.url())).await);
    let used = || {
        let info = server.cli(&["info", "memory"]).unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        used.trim().parse::<i64>().unwrap()
    };
    drop(created(&store, 0).await);
    let before = used();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in (0..SESSIONS).filter(|number| number % 8 == task) {
                drop(created(&store, 1_000_000 + number / sessions_of_a_user).await);
            }
        });
    }
    tasks.join_all().await;
    (used() - before) / SESSIONS
}

/// In Debian's Redis 7.0, whose allocator takes steps of 16 bytes: 388 for one session a user, 266 for five. Each user
/// who has one session pays a whole key for the index; with three of them it is within the goal.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_at_most_300_bytes_with_its_share_of_an_index_of_three() {
    for (sessions_of_a_user, most) in [(1, 400), (3, GOAL), (5, GOAL)] {
        let bytes = bytes_a_session(sessions_of_a_user).await;
        println!("{sessions_of_a_user} a user: {bytes} bytes a session");
        assert!(bytes <= most, "{bytes} bytes a session, {sessions_of_a_user} a user");
    }
}
