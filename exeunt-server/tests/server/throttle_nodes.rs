//! Guessing on two nodes at once gets nobody more tries than on one: what is counted lies in the accounts' database.
//!
//! No test waits for a wait to end: counts are made as old, or as high, as it takes.

use std::sync::Barrier;
use std::time::Instant;

use crate::common::{Kept, postgres};
use crate::support::{Answer, PASSWORD, Place, Server};
use crate::throttle::{THE_PROXY, from, is_429};

const STRANGERS: u8 = 1;
const CLIENTS: u8 = 2;
const SOURCE: u8 = 3;
const A_DAY: u64 = 24 * 3_600;

/// Two processes on one store, with an account `alice`.
struct Nodes {
    place: Place,
    servers: [Server; 2],
    table: String,
}

impl Nodes {
    fn on(kept: Kept) -> Self {
        let place = Place::with_alice(kept);
        let servers = [place.serve_with(&THE_PROXY), place.serve_with(&THE_PROXY)];
        let accounts = place.places.accounts.as_ref().unwrap_or(&place.places.store);
        let schema = accounts.rsplit("%3D").next().unwrap();
        let table = format!("{schema}.exeunt_throttle");
        Self { place, servers, table }
    }

    fn server(&self, number: usize) -> &Server {
        &self.servers[number % 2]
    }

    /// The failures of each count of that kind, in all.
    fn counts(&self, kind: u8) -> Vec<u64> {
        let sql = format!("SELECT level / 1000000 FROM {} WHERE kind = {kind} ORDER BY 1", self.table);
        postgres().psql("postgres", &sql).unwrap().lines().map(|line| line.trim().parse().unwrap()).collect()
    }

    /// Makes every count of that kind so high, and so many seconds old.
    fn make(&self, kind: u8, failures: u64, age: u64) {
        let sql = format!(
            "UPDATE {} SET level = {failures} * 1000000, tried_at = tried_at - {age}::BIGINT * 1000000 WHERE kind = {kind}",
            self.table
        );
        postgres().psql("postgres", &sql).unwrap();
    }

    /// So many wrong tries at the same moment, every second one on the other node: the statuses.
    fn burst(&self, many: usize, guess: impl Fn(&Server, usize) -> Answer + Sync) -> Vec<u16> {
        let barrier = &Barrier::new(many);
        let guess = &guess;
        std::thread::scope(|scope| {
            let one = |number: usize| {
                scope.spawn(move || {
                    barrier.wait();
                    guess(self.server(number), number)
                })
            };
            let all: Vec<_> = (0..many).map(one).collect();
            let status = |answer: Answer| {
                assert!(answer.is_401() || is_429(&answer), "{answer:?}");
                answer.status
            };
            all.into_iter().map(|guess| status(guess.join().unwrap())).collect()
        })
    }
}

fn taken(statuses: &[u16]) -> u64 {
    statuses.iter().filter(|status| **status == 401).count() as u64
}

/// From an address of its own, as a stranger.
fn guess_at<'a>(name: &'a str, round: usize) -> impl Fn(&Server, usize) -> Answer + Sync + 'a {
    move |server, number| from(server, &format!("2001:db8:{round:x}:{number:x}::1"), name, "wrong", None)
}

fn tries_on_one_node_count_on_the_other_and_the_free_ones_are_not_doubled(kept: Kept) {
    // R35
    let nodes = Nodes::on(kept);
    for (names, name) in ["alice", "nobody"].into_iter().enumerate() {
        for number in 0..10 {
            let answer = guess_at(name, 0)(nodes.server(number), number);
            assert!(answer.is_401(), "try {number} at {name}: {answer:?}");
        }
        assert_eq!(nodes.counts(STRANGERS), vec![10; names + 1], "five on each node, in one count");
    }
    // Where the wait is an hour, whoever asks on either node has all of it before them.
    nodes.make(STRANGERS, 30, 0);
    for (number, name) in ["alice", "nobody", "alice", "nobody"].into_iter().enumerate() {
        let answer = from(nodes.server(number / 2), "192.0.2.1", name, PASSWORD, None);
        assert!(is_429(&answer), "{name}: {answer:?}");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    }
    // What ends the count on one node ends it on the other.
    nodes.place.run(["account", "unlock", "alice"], "");
    for number in 0..9 {
        assert_eq!(guess_at("alice", 1)(nodes.server(1), number).status, 401);
    }
    assert_eq!(nodes.counts(STRANGERS), [9, 30]);
    assert_eq!(from(nodes.server(0), "192.0.2.1", "alice", PASSWORD, None).status, 200);
    assert_eq!(nodes.counts(STRANGERS), [30], "of nobody");
}

fn a_burst_on_two_nodes_gets_as_many_tries_as_on_one(kept: Kept) {
    // R35
    let nodes = Nodes::on(kept);
    for (round, name) in ["alice", "nobody"].into_iter().enumerate() {
        let began = Instant::now();
        let statuses = nodes.burst(60, guess_at(name, round));
        let seconds = began.elapsed().as_secs_f64();
        // Ten, and one more after waits of 1, 2, 4 s and so on, on a machine that is as slow as that.
        let at_most = 10 + (seconds + 1.0).log2().floor() as u64;
        let taken = taken(&statuses);
        assert!((10..=at_most).contains(&taken), "{name}: {taken} of at most {at_most}");
        assert!(nodes.counts(STRANGERS).contains(&taken), "{name}: each that was taken counts, and no other");
        nodes.make(STRANGERS, 30, 0);
        assert_eq!(taken_in(&nodes, name, round + 2), 0);
        nodes.make(STRANGERS, 30, A_DAY);
        assert_eq!(taken_in(&nodes, name, round + 4), 1, "one of both nodes, once the wait is over");
        nodes.make(STRANGERS, 0, 0);
    }
}

fn taken_in(nodes: &Nodes, name: &str, round: usize) -> u64 {
    taken(&nodes.burst(20, guess_at(name, round)))
}

fn no_account_gets_a_hundred_wrong_tries_in_a_row_on_two_nodes(kept: Kept) {
    // R35
    let nodes = Nodes::on(kept);
    let login = from(nodes.server(0), "192.0.2.1", "alice", PASSWORD, None);
    let badge = login.badge().unwrap().to_owned();
    let as_client =
        |server: &Server, _: usize| from(server, "192.0.2.1", "alice", "wrong", Some(badge.as_str()));
    assert_eq!(as_client(nodes.server(1), 0).status, 401, "the badge of one node is good on the other");
    assert_eq!(nodes.counts(CLIENTS), [1]);
    assert_eq!(taken_in(&nodes, "alice", 0).min(10), 10);

    // The last ones, however many ask for them on both, whatever time went by.
    nodes.make(STRANGERS, 79, A_DAY);
    nodes.make(CLIENTS, 18, A_DAY);
    assert_eq!(taken_in(&nodes, "alice", 1), 1);
    assert_eq!(taken(&nodes.burst(20, as_client)), 1);
    for round in 2..4 {
        nodes.make(STRANGERS, 80, 30 * A_DAY);
        nodes.make(CLIENTS, 19, 30 * A_DAY);
        assert_eq!(taken_in(&nodes, "alice", round), 0);
        assert_eq!(taken(&nodes.burst(20, as_client)), 0);
    }
    assert_eq!((nodes.counts(STRANGERS), nodes.counts(CLIENTS)), (vec![80], vec![19]), "99 in all");
}

fn one_address_is_held_back_on_two_nodes_together(kept: Kept) {
    // R35
    let nodes = Nodes::on(kept);
    let guess = |server: &Server, number: usize| {
        from(server, &format!("2001:db8::{number:x}"), &format!("name {number}"), "wrong", None)
    };
    for number in 0..6 {
        assert_eq!(guess(nodes.server(number), number).status, 401);
    }
    // A little of them is forgotten already.
    assert!(matches!(nodes.counts(SOURCE)[..], [5 | 6]), "{:?}", nodes.counts(SOURCE));
    nodes.make(SOURCE, 200, 0);
    assert_eq!(taken(&nodes.burst(10, guess)), 0);
    // The longest wait of a source is over, once.
    nodes.make(SOURCE, 200, 301);
    assert_eq!(taken(&nodes.burst(10, guess)), 1);
    let elsewhere = from(nodes.server(1), "2001:db8:0:1::1", "alice", PASSWORD, None);
    assert_eq!(elsewhere.status, 200, "there alone");
}

macro_rules! on_shared_engines {
    ($($test:ident),* $(,)?) => {
        mod postgres {
            $(#[test] fn $test() { super::$test(super::Kept::Postgres); })*
        }
        mod redis_and_postgres {
            $(#[test] fn $test() { super::$test(super::Kept::RedisAndPostgres); })*
        }
    };
}

on_shared_engines!(
    tries_on_one_node_count_on_the_other_and_the_free_ones_are_not_doubled,
    a_burst_on_two_nodes_gets_as_many_tries_as_on_one,
    no_account_gets_a_hundred_wrong_tries_in_a_row_on_two_nodes,
    one_address_is_held_back_on_two_nodes_together,
);
