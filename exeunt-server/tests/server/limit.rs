//! The limit of sessions of one account: exact, whoever logs in at the same time and on which node.

use crate::common::Kept;
use crate::support::{PASSWORD, Place, Server};

const LIMIT: usize = 3;
const LOGINS: usize = 8;
const ROUNDS: usize = 3;

/// `LOGINS` at once, spread over the nodes. All are answered before anybody looks.
fn of_simultaneous_logins_exactly_the_limit_stay(kept: Kept, nodes: usize) {
    // R56
    let place = Place::with_alice(kept);
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let servers: Vec<Server> =
        (0..nodes).map(|_| place.serve_with(&["--sessions-per-account", &LIMIT.to_string()])).collect();
    let at = |number: usize| servers.get(number % nodes).unwrap();
    let bob = at(0).try_login("bob", PASSWORD).token();
    for round in 0..ROUNDS {
        let logins = std::thread::scope(|scope| {
            let login = |number| scope.spawn(move || at(number).try_login("alice", PASSWORD));
            let running: Vec<_> = (0..LOGINS).map(login).collect();
            running.into_iter().map(|login| login.join().unwrap()).collect::<Vec<_>>()
        });
        let tokens: Vec<String> = logins.iter().map(|login| login.token()).collect();
        for server in &servers {
            let live: Vec<_> = tokens.iter().filter(|token| server.me(token) == 200).collect();
            assert_eq!(live.len(), LIMIT, "round {round}");
            let listed = server.call("GET", "/api/auth/sessions", live.first().unwrap());
            let listed: Vec<serde_json::Value> = serde_json::from_str(&listed.body).unwrap();
            assert_eq!(listed.len(), LIMIT, "round {round}: the list and the doors agree");
        }
        // One by one: the one unseen the longest goes, and the newest never.
        let next = at(round).login();
        assert_eq!(at(round + 1).me(&next), 200);
        assert_eq!(tokens.iter().filter(|token| at(0).me(token) == 200).count(), LIMIT - 1);
    }
    assert_eq!(at(1).me(&bob), 200, "of an account, and not of all");
}

#[test]
fn of_simultaneous_logins_exactly_the_limit_stay_on_two_nodes_over_postgres() {
    // R56
    of_simultaneous_logins_exactly_the_limit_stay(Kept::Postgres, 2);
}

#[test]
fn of_simultaneous_logins_exactly_the_limit_stay_on_two_nodes_over_redis() {
    // R56
    of_simultaneous_logins_exactly_the_limit_stay(Kept::RedisAndPostgres, 2);
}

#[test]
fn of_simultaneous_logins_exactly_the_limit_stay_in_one_file() {
    // R56
    of_simultaneous_logins_exactly_the_limit_stay(Kept::OneFile, 1);
}
