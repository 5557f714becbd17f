//! Guessing passwords gets slower and slower, at names that somebody has as at others, on all nodes together.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use exeunt::store::sqlite::rusqlite;
use exeunt::{Clock as _, ManualClock, MemoryStore, Sessions, SystemClock, Users as _};
use exeunt_server::accounts::{AccountError, Accounts, Cost, Credentials, Hasher};
use exeunt_server::engines::Engines;
use tempfile::TempDir;

use crate::common::{Kept, Places, on_every_engine, postgres};

on_every_engine!(async
    wrong_tries_make_the_next_one_wait_longer_and_end_in_a_stop_whoevers_name_it_is,
    a_burst_of_guesses_on_two_nodes_gets_no_more_tries_than_one_after_the_other,
    the_right_password_a_new_one_and_an_operator_end_the_count,
);

const RIGHT: &str = "correct horse battery staple";
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const HOUR: Duration = Duration::from_secs(3_600);

/// One node, whose clock moves when it is told to.
struct Node {
    accounts: Accounts,
    hasher: Hasher,
    clock: Arc<ManualClock>,
    engines: Engines,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Right,
    Wrong,
    /// Not taken; what the next one has to wait for is told in whole seconds, rounded up.
    Throttled(u64),
}

impl Node {
    async fn over(engines: Engines, clock: Arc<ManualClock>) -> Self {
        let hasher = Hasher::with(CHEAP, 2, 1_000).unwrap();
        let sessions = Sessions::over(engines.store(0).await.unwrap());
        let sessions = sessions.clock(Arc::<ManualClock>::clone(&clock));
        let accounts = engines.accounts(&sessions, hasher.clone()).await.unwrap();
        Self { accounts, hasher, clock, engines }
    }

    /// With an account `alice`.
    async fn new(kept: Kept) -> (Self, Places, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
        let node = Self::over(places.open().await, clock).await;
        node.accounts.add("alice", RIGHT, false, node.clock.now()).await.unwrap();
        (node, places, folder)
    }

    /// What a try is told, and how many hashes it took.
    async fn try_as(&self, name: &str, password: &str) -> (Heard, u64) {
        let before = self.hasher.hashed();
        let given = Credentials { username: name.to_owned(), password: password.to_owned() };
        let heard = match self.accounts.verify(given).await {
            Ok(Some(_)) => Heard::Right,
            Ok(None) => Heard::Wrong,
            Err(error) if error.is_throttled() => {
                let error = exeunt::Error::from(error);
                Heard::Throttled(error.retry_after().unwrap().as_secs_f64().ceil() as u64)
            }
            Err(error) => panic!("{error:?}"),
        };
        (heard, self.hasher.hashed() - before)
    }

    async fn guess(&self, name: &str) -> Heard {
        let (heard, hashes) = self.try_as(name, "wrong").await;
        assert_eq!(hashes, u64::from(heard == Heard::Wrong), "{name}: a try that is not taken costs nothing");
        heard
    }
}

async fn wrong_tries_make_the_next_one_wait_longer_and_end_in_a_stop_whoevers_name_it_is(kept: Kept) {
    // R32, R33, R35
    let (node, _places, _folder) = Node::new(kept).await;
    node.accounts.add("mallory", RIGHT, false, node.clock.now()).await.unwrap();
    node.accounts.disable("mallory").await.unwrap();
    // Whose account it is, whose account is disabled, nobody's, what can be nobody's.
    let names = ["alice", "mallory", "nobody", "no\nbody"];
    let all = async || {
        let mut heard = Vec::new();
        for name in names {
            heard.push(node.guess(name).await);
        }
        assert!(heard.iter().all(|one| Some(one) == heard.first()), "{heard:?}");
        heard[0]
    };
    for _ in 0..10 {
        assert_eq!(all().await, Heard::Wrong);
    }
    let mut failures = 10;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600] {
        assert_eq!(all().await, Heard::Throttled(wait), "after {failures}");
        assert_eq!(all().await, Heard::Throttled(wait), "who asks meanwhile makes it no longer");
        assert_eq!(node.try_as("alice", RIGHT).await, (Heard::Throttled(wait), 0), "not even the right one");
        node.clock.advance(Duration::from_secs(wait) - Duration::from_millis(1));
        assert_eq!(all().await, Heard::Throttled(1));
        node.clock.advance(Duration::from_millis(1));
        assert_eq!(all().await, Heard::Wrong);
        failures += 1;
    }
    while failures < 80 {
        node.clock.advance(HOUR);
        assert_eq!(all().await, Heard::Wrong, "after {failures}");
        failures += 1;
    }
    // Fewer than 100, whatever time passes.
    for _ in 0..3 {
        node.clock.advance(HOUR * 24 * 30);
        assert_eq!(all().await, Heard::Throttled(3_600));
    }
}

async fn a_burst_of_guesses_on_two_nodes_gets_no_more_tries_than_one_after_the_other(kept: Kept) {
    // R35
    let (one, places, _folder) = Node::new(kept).await;
    let in_a_file = places.accounts.as_ref().unwrap_or(&places.store).starts_with('/');
    // A file is one process's: there, the two share it.
    let engines = if in_a_file || !places.store.contains("://") { None } else { Some(places.open().await) };
    let two = match engines {
        Some(engines) => Node::over(engines, Arc::clone(&one.clock)).await.accounts,
        None => one.accounts.clone(),
    };
    for name in ["alice", "nobody"] {
        let tries: Vec<_> = (0..60)
            .map(|number| {
                let accounts = if number % 2 == 0 { one.accounts.clone() } else { two.clone() };
                let given = Credentials { username: name.to_owned(), password: format!("guess {number}") };
                tokio::spawn(async move { accounts.verify(given).await })
            })
            .collect();
        let (mut wrong, mut throttled) = (0, 0);
        for tried in tries {
            match tried.await.unwrap() {
                Ok(None) => wrong += 1,
                Err(error) if error.is_throttled() => throttled += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((wrong, throttled), (10, 50), "{name}");
    }
}

async fn the_right_password_a_new_one_and_an_operator_end_the_count(kept: Kept) {
    // R35
    let (node, _places, _folder) = Node::new(kept).await;
    let lock = async || {
        for _ in 0..10 {
            assert_eq!(node.guess("ALICE").await, Heard::Wrong);
        }
        assert!(matches!(node.guess("alice").await, Heard::Throttled(_)));
    };
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(node.guess("alice").await, Heard::Wrong);
        }
        assert_eq!(node.try_as("alice", RIGHT).await, (Heard::Right, 1));
    }
    lock().await;
    node.accounts.unlock("Alice").await.unwrap();
    lock().await;
    node.accounts.set_password("alice", "another horse, another staple").await.unwrap();
    assert_eq!(node.try_as("alice", "another horse, another staple").await, (Heard::Right, 1));
    assert!(matches!(node.accounts.unlock("nobody").await, Err(AccountError::NoSuchAccount)));
    assert!(matches!(node.accounts.unlock("").await, Err(AccountError::NoSuchAccount)));
}

#[tokio::test]
async fn a_try_that_is_refused_writes_nothing() {
    // R35: who is held back must not hold up those who write, such as a logout.
    for kept in [Kept::OneFile, Kept::Postgres] {
        let (node, places, _folder) = Node::new(kept).await;
        // What is written last: of a file the number of its commits, in PostgreSQL who wrote or locked which count.
        let written = || match kept {
            Kept::OneFile => {
                let file = rusqlite::Connection::open(&places.store).unwrap();
                let number: i64 =
                    file.query_row("SELECT number FROM exeunt_commits", [], |row| row.get(0)).unwrap();
                number.to_string()
            }
            _ => {
                let schema = places.store.rsplit("%3D").next().unwrap();
                let sql = format!("SELECT xmin, xmax FROM {schema}.exeunt_throttle ORDER BY hash");
                postgres().psql("postgres", &sql).unwrap()
            }
        };
        for name in ["alice", "nobody"] {
            for _ in 0..10 {
                let before = written();
                assert_eq!(node.guess(name).await, Heard::Wrong);
                assert_ne!(written(), before, "a try that is taken is kept");
            }
        }
        let before = written();
        for name in ["alice", "nobody", "alice"] {
            assert_eq!(node.guess(name).await, Heard::Throttled(1), "{kept:?}");
        }
        assert_eq!(written(), before, "{kept:?}");
    }
}

#[tokio::test]
async fn where_tries_cannot_be_counted_no_password_is_checked() {
    // R35: who can make the count fail must not guess freely.
    let (node, places, _folder) = Node::new(Kept::OneFile).await;
    let file = rusqlite::Connection::open(&places.store).unwrap();
    file.execute_batch("ALTER TABLE throttle RENAME TO gone").unwrap();
    let given = Credentials { username: "alice".to_owned(), password: RIGHT.to_owned() };
    let before = node.hasher.hashed();
    let error = node.accounts.verify(given).await.unwrap_err();
    assert!(!error.is_throttled(), "that is 503, and not 429");
    assert_eq!(node.hasher.hashed(), before);
    file.execute_batch("ALTER TABLE gone RENAME TO throttle").unwrap();
    assert_eq!(node.try_as("alice", RIGHT).await, (Heard::Right, 1));
}

#[tokio::test]
async fn a_try_that_the_machine_had_no_room_for_does_not_count() {
    // R34, R35
    let (node, _places, _folder) = Node::new(Kept::OneFile).await;
    let slow = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    let hasher = Hasher::with(slow, 1, 0).unwrap();
    let sessions = Sessions::new(MemoryStore::new()).clock(Arc::<ManualClock>::clone(&node.clock));
    let accounts = node.engines.accounts(&sessions, hasher.clone()).await.unwrap();
    let holding = {
        let hasher = hasher.clone();
        tokio::spawn(async move { hasher.hash("has the only place").await })
    };
    while hasher.hashed() == 0 {
        tokio::task::yield_now().await;
    }
    let (mut wrong, mut busy) = (0, 0);
    loop {
        let given = Credentials { username: "nobody".to_owned(), password: "wrong".to_owned() };
        match accounts.verify(given).await {
            Ok(_) => wrong += 1,
            Err(error) if error.is_throttled() => break,
            Err(_) => busy += 1,
        }
    }
    holding.await.unwrap().unwrap();
    assert!(busy > 0, "there was no room at first");
    assert_eq!(wrong, 10, "as many as without those {busy}");
}
