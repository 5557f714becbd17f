//! Requests, logouts and logins over a session from several clients at once on two servers that share a store: for every
//! session there is one order in which all of it can have happened.
//!
//! Where two servers share an engine, its connections are cut now and then, so that some outcomes are not known.

mod history;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use services::{Postgres, Redis, minutes};

use self::history::{Operation, Told, check};
use crate::common::{Kept, postgres};
use crate::support::{Answer, PASSWORD, Place, Server};

/// How long each store is tried with every change.
const SHORTLY: Duration = Duration::from_secs(3);
/// Sessions that are there when the clients begin.
const SESSIONS: usize = 2;
const CLIENTS: usize = 4;
/// What each client asks of them together.
const ASKED: usize = 40;
/// One of so many operations of a client is a logout: each session sees a few, most of which find it gone.
const A_LOGOUT_IN: u64 = 40;
/// One of so many is a login over one of them, which is one more from then on.
const A_LOGIN_IN: u64 = 40;
/// In one of so many batches the engine's connections are cut, again and again.
const A_CUT_IN: u64 = 2;
const CUTS: usize = 5;
/// Batches without one overlap: then there is something wrong with the test.
const ENOUGH: u64 = 200;
/// So short that sessions are touched while they are in use, and much longer than a batch takes.
const IDLE: [&str; 2] = ["--idle-timeout", "12s"];

/// SplitMix64.
struct Lots(u64);

impl Lots {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// One of them, and which it is.
    fn one_of<'a, T>(&mut self, all: &'a [T]) -> (usize, &'a T) {
        let chosen = self.below(all.len() as u64) as usize;
        (chosen, all.get(chosen).unwrap())
    }
}

/// How much was done.
#[derive(Debug, Default)]
struct Total {
    sessions: usize,
    operations: usize,
    logouts: usize,
    logins_over: usize,
    unknown: usize,
    /// Requests that were told "live" or "gone" while a logout, or a login over the session, was on its way: without these
    /// nothing was put to the test.
    overlapping: usize,
}

/// A session, and all that was asked of it.
struct Session {
    token: String,
    history: Mutex<Vec<Operation>>,
}

impl Session {
    fn new(token: String) -> Arc<Self> {
        Arc::new(Self { token, history: Mutex::default() })
    }
}

/// R01, R02, R03
fn every_session_has_one_order(nodes: &[Server], cut: &(dyn Fn() + Sync)) {
    let began = Instant::now();
    let total = tried(nodes, cut).unwrap_or_else(|broken| panic!("{broken}"));
    let test = thread::current().name().unwrap_or_default().to_owned();
    println!("{test}: {total:?} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(total.is_a_test(), "{total:?}");
}

/// How much was tried, or a session without an order.
fn tried(nodes: &[Server], cut: &(dyn Fn() + Sync)) -> Result<Total, String> {
    let (began, mut total) = (Instant::now(), Total::default());
    let long = minutes(SHORTLY);
    for seed in 0.. {
        // Shortly or not: on a busy machine, until something was put to the test at all.
        if began.elapsed() > long && (total.is_a_test() || seed > ENOUGH) {
            break;
        }
        let mut lots = Lots::new(seed);
        // A login that fails because connections were cut gives no session to look at.
        let logins = nodes.iter().cycle().take(SESSIONS).map(|node| node.try_login("alice", PASSWORD));
        let logins = logins.filter(|login| login.status == 200);
        let sessions: Vec<_> = logins.map(|login| Session::new(login.token())).collect();
        if sessions.is_empty() {
            continue;
        }
        let sessions = Mutex::new(sessions);
        let cuts = lots.below(A_CUT_IN) == 0;
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut lots = Lots::new(seed << 8 | client as u64);
                let (sessions, began) = (&sessions, &began);
                scope.spawn(move || {
                    for _ in 0..ASKED {
                        let session = Arc::clone(lots.one_of(&sessions.lock().unwrap()).1);
                        let (node, server) = lots.one_of(nodes);
                        let from = began.elapsed();
                        let (told, new) = ask(server, &session.token, &mut lots);
                        let operation = Operation { told, node, from, to: began.elapsed() };
                        session.history.lock().unwrap().push(operation);
                        sessions.lock().unwrap().extend(new.map(Session::new));
                    }
                });
            }
            if cuts {
                scope.spawn(|| (0..CUTS).for_each(|_| cut()));
            }
        });
        for session in sessions.into_inner().unwrap() {
            let history = session.history.lock().unwrap();
            check(&history).map_err(|why| format!("seed {seed}: {why}\n{history:#?}"))?;
            total.add(&history);
        }
    }
    Ok(total)
}

/// What came of one operation with this token, and the token of another session if there is one more.
fn ask(server: &Server, token: &str, lots: &mut Lots) -> (Told, Option<String>) {
    if lots.below(A_LOGIN_IN) == 0 {
        let answer = server.try_login_over(token);
        let told = replaced(&answer);
        (told, (told == Told::Replaced).then(|| answer.token()))
    } else if lots.below(A_LOGOUT_IN) == 0 {
        (logged_out(&server.call("DELETE", "/api/auth/logout", token)), None)
    } else {
        (resumed(&server.call("GET", "/api/me", token)), None)
    }
}

fn replaced(answer: &Answer) -> Told {
    match answer.status {
        200 => Told::Replaced,
        503 => Told::Perhaps,
        _ => panic!("no such answer to a login: {answer:?}"),
    }
}

fn logged_out(answer: &Answer) -> Told {
    match (answer.status, answer.body.as_str()) {
        (200, "Logout successful") => Told::Ended,
        (200, "") => Told::Gone,
        (400, "Unable to log out") => Told::Perhaps,
        _ => panic!("no such answer to a logout: {answer:?}"),
    }
}

fn resumed(answer: &Answer) -> Told {
    match answer.status {
        200 => Told::Live,
        401 => Told::Gone,
        503 => Told::Nothing,
        _ => panic!("no such answer to a request: {answer:?}"),
    }
}

impl Total {
    /// Whether anything was put to the test.
    fn is_a_test(&self) -> bool {
        self.logouts > 0 && self.logins_over > 0 && self.overlapping > 0
    }

    fn add(&mut self, history: &[Operation]) {
        let ends: Vec<_> = history
            .iter()
            .filter(|it| matches!(it.told, Told::Ended | Told::Replaced | Told::Perhaps))
            .collect();
        self.sessions += 1;
        self.operations += history.len();
        self.logouts += history.iter().filter(|it| it.told == Told::Ended).count();
        self.logins_over += history.iter().filter(|it| it.told == Told::Replaced).count();
        self.unknown += history.iter().filter(|it| matches!(it.told, Told::Perhaps | Told::Nothing)).count();
        let overlaps = |it: &&Operation| ends.iter().any(|end| it.from < end.to && end.from < it.to);
        let told = history.iter().filter(|it| matches!(it.told, Told::Live | Told::Gone));
        self.overlapping += told.filter(overlaps).count();
    }
}

#[test]
fn every_session_on_one_sqlite_file_has_one_order() {
    let place = Place::with_alice(Kept::OneFile);
    every_session_has_one_order(&[place.serve_with(&IDLE)], &|| ());
}

#[test]
fn every_session_of_two_servers_on_redis_has_one_order() {
    let redis = Redis::start(&[]).unwrap();
    let accounts = postgres().new_database().unwrap();
    let place = Place::with_alice_on(&redis.url(), Some(&accounts));
    let nodes = [place.serve_with(&IDLE), place.serve_with(&IDLE)];
    every_session_has_one_order(&nodes, &|| redis.cut_connections().unwrap());
}

#[test]
fn every_session_of_two_servers_on_postgres_has_one_order() {
    let postgres = Postgres::start(&[]).unwrap();
    let place = Place::with_alice_on(&postgres.new_database().unwrap(), None);
    let nodes = [place.serve_with(&IDLE), place.serve_with(&IDLE)];
    every_session_has_one_order(&nodes, &|| postgres.cut_connections().unwrap());
}

#[test]
fn two_servers_that_share_no_sessions_are_found_out() {
    let places = [Place::with_alice(Kept::OneFile), Place::with_alice(Kept::OneFile)];
    let broken = tried(&places.each_ref().map(Place::serve), &|| ()).unwrap_err();
    println!("{}", broken.lines().next().unwrap());
    assert!(broken.contains("last seen live Some"), "{broken}");
}
