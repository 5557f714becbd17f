//! Every interleaving of two and three requests: the real `Sessions`, over a store that stops at each of its steps.
//!
//! At every moment one request takes its next step, or a connection is lost, a process crashes, time passes, or what
//! a request left behind takes effect late. All choices are taken, equal moments once, and at each moment every token that a
//! client was given is presented. So a promise that any schedule breaks is found, and the schedule is printed.
//!
//! The executor is our own, since the code that it runs is the code that is shipped. A model checker such as
//! stateright wants states that can be copied and compared, which a future is not: `Sessions` would have to be written down
//! a second time, and what is proved would be about that. shuttle and loom run real code, but they play threads: they do not
//! drop a handler, take no two moments for equal, and so come to the end of far fewer requests. What is missing to them
//! is little: poll a future by hand, lay down its next step, and go the way anew for the next choice.
//!
//! Must never look at what a store did, but at what clients were told; and a schedule must never rest on chance.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

mod act;
mod desk;
mod explore;
mod facts;
mod people;
mod redis;
mod requests;
mod setup;
mod shared;
mod store;
mod world;

use crate::explore::{Explored, explore, played};
use crate::facts::{
    ABSOLUTE_TIMEOUT, ACCOUNT, BYSTANDER, Broken, EVERYWHERE, LIMIT, LOGOUT, LOST, PURGED, UNTRUE, USERS,
};
use crate::requests::{ALL, Op};
use crate::setup::Setup;
use crate::store::{Fault, Kind};
use crate::world::{Bounds, Case, Choice, World};

const KINDS: [Kind; 5] = [Kind::Memory, Kind::Sqlite, Kind::Postgres, Kind::Redis, Kind::Cluster];
/// What can go wrong in a schedule: one connection or process is lost, or time passes once. Both in one, in the soak.
const ONE_OF_EACH: Bounds = Bounds { faults: 1, ticks: 1 };
const A_FAULT: Bounds = Bounds { faults: 1, ticks: 0 };
const A_TICK: Bounds = Bounds { faults: 0, ticks: 1 };

#[test]
fn every_interleaving_of_two_requests_keeps_every_promise_on_memory() {
    // R05
    pairs(Kind::Memory);
}

#[test]
fn every_interleaving_of_two_requests_keeps_every_promise_on_sqlite() {
    // R05
    pairs(Kind::Sqlite);
}

#[test]
fn every_interleaving_of_two_requests_keeps_every_promise_on_postgres() {
    // R05
    pairs(Kind::Postgres);
}

#[test]
fn every_interleaving_of_two_requests_keeps_every_promise_on_redis() {
    // R05, R16, R18
    pairs(Kind::Redis);
    if soak() {
        pairs(Kind::Cluster);
    }
}

fn pairs(kind: Kind) {
    let pairs = ALL.iter().enumerate().flat_map(|(at, one)| ALL[at..].iter().map(|two| vec![*one, *two]));
    let pairs: Vec<_> = pairs.collect();
    if soak() {
        all_of(kind, ONE_OF_EACH, &pairs);
    } else {
        all_of(kind, A_FAULT, &pairs);
        all_of(kind, A_TICK, &pairs);
    }
}

fn soak() -> bool {
    services::rounds(0, 1) == 1
}

fn all_of(kind: Kind, bounds: Bounds, cases: &[Vec<Op>]) {
    // R01, R02, R03, R04, R05, R06, R12, R14, R16, R18, R19, R60
    let (setup, mut explored) = (Setup::of(kind), Explored::default());
    for ops in cases {
        let case = Case { setup: &setup, fault: Fault::None, ops, bounds };
        match explore(case) {
            Ok(found) => {
                explored += found;
                // A run of hours that is stopped has then said how far it came.
                if soak() {
                    println!("{kind:?}, {bounds:?}: {ops:?}, {found}");
                }
            }
            Err(violation) => panic!("{kind:?}, {ops:?}: {violation}"),
        }
    }
    println!("{kind:?}, {bounds:?}: {} groups of requests, {explored}", cases.len());
}

#[test]
fn every_interleaving_of_three_requests_keeps_every_promise() {
    // A Cluster's commands are those of Redis, one server after the other: too many moments for all groups.
    all_of(Kind::Cluster, A_TICK, &SOME.map(Vec::from));
    for kind in [Kind::Memory, Kind::Sqlite, Kind::Postgres] {
        threes(kind, A_TICK);
        threes(kind, A_FAULT);
    }
}

#[test]
fn every_interleaving_of_three_requests_keeps_every_promise_on_redis() {
    threes(Kind::Redis, A_TICK);
}

#[test]
fn every_interleaving_of_three_requests_keeps_every_promise_on_redis_with_a_fault() {
    threes(Kind::Redis, A_FAULT);
}

/// Tried with every change.
const SOME: [[Op; 3]; 7] = {
    use Op::*;
    [
        [Login, List, LogoutAll],
        [LoginOver, Resume, Logout],
        [Resume, Update, LogoutAll],
        [Update, Renew, Logout],
        [Update, Update, Other],
        [Renew, Password, List],
        [Resume, Logout, Purge],
    ]
};

/// All groups of three in the soak, which takes hours; of these just those with one operation, if `EXEUNT_WITH` names one.
fn threes(kind: Kind, bounds: Bounds) {
    if !soak() {
        return all_of(kind, bounds, &SOME.map(Vec::from));
    }
    let mut threes = Vec::new();
    for (one, first) in ALL.iter().enumerate() {
        for (two, second) in ALL.iter().enumerate().skip(one) {
            threes.extend(ALL[two..].iter().map(|third| vec![*first, *second, *third]));
        }
    }
    if let Ok(with) = std::env::var("EXEUNT_WITH") {
        threes.retain(|ops| ops.iter().any(|op| format!("{op:?}") == with));
        assert!(!threes.is_empty(), "no operation is called {with}");
    }
    all_of(kind, bounds, &threes);
}

/// Stores, and a login, with one fault each: a check that cannot fail proves nothing.
#[test]
fn what_is_broken_is_found() {
    use Fault::*;
    use Op::*;
    let broken: [(Fault, Kind, &[Op], Broken); 25] = [
        (SaveInserts, Kind::Memory, &[Update, Logout], LOGOUT),
        (SaveInserts, Kind::Postgres, &[Update, LogoutAll], EVERYWHERE),
        (SaveInserts, Kind::Redis, &[Update, Password], ACCOUNT),
        (RenewCreates, Kind::Memory, &[Renew, Logout], LOGOUT),
        (RenewCreates, Kind::Sqlite, &[Renew, LogoutAll], EVERYWHERE),
        (SaveIgnoresRevisions, Kind::Memory, &[Update, Update], LOST),
        (SaveCrosses, Kind::Memory, &[Update, List], USERS),
        (SaveDenies, Kind::Memory, &[Update], UNTRUE),
        (CreateForgetsTheLimit, Kind::Memory, &[Login, Login], LIMIT),
        (DestroyAllEndsAll, Kind::Memory, &[LogoutAll], BYSTANDER),
        (PurgeNamesTheLiving, Kind::Memory, &[Purge], PURGED),
        (ListLeaks, Kind::Memory, &[List], USERS),
        (TouchMovesTheEnd, Kind::Sqlite, &[Resume], ABSOLUTE_TIMEOUT),
        (LoginAsksFirst, Kind::Memory, &[Login, Password], ACCOUNT),
        (LoginAsksFirst, Kind::Sqlite, &[Login, Disable], ACCOUNT),
        (LoginKeepsTheOld, Kind::Memory, &[LoginOver], LOGOUT),
        (ForgetsFirst, Kind::Redis, &[Password], ACCOUNT),
        (ForgetsFirst, Kind::Redis, &[Disable], ACCOUNT),
        (RenewForgets, Kind::Memory, &[OwnPassword], ACCOUNT),
        (RenewForgets, Kind::Postgres, &[OwnPassword, List], ACCOUNT),
        (IndexHasOneName, Kind::Redis, &[Login, List], EVERYWHERE),
        (IndexBeforeAlone, Kind::Redis, &[Login, List], EVERYWHERE),
        (IndexAfterAlone, Kind::Redis, &[Copy], EVERYWHERE),
        (SweepTrustsTheScan, Kind::Redis, &[Login, Purge], EVERYWHERE),
        (SweepStrikesBothNames, Kind::Redis, &[Login, Purge], EVERYWHERE),
    ];
    for (fault, kind, ops, expected) in broken {
        let setup = Setup::of(kind);
        let case = Case { setup: &setup, fault, ops, bounds: ONE_OF_EACH };
        let Err(violation) = explore(case) else { panic!("{fault:?} on {kind:?} was not found by {ops:?}") };
        assert_eq!(violation.broken, expected, "{fault:?} on {kind:?}: {violation}");
        if let Err(violation) = explore(Case { fault: Fault::None, ..case }) {
            panic!("{kind:?}, {ops:?}, not broken: {violation}");
        }
    }
}

#[test]
fn all_ways_to_play_two_requests_are_counted() {
    // Two that begin, load and touch: three turns each, so 6! / (3! 3!) ways.
    let setup = Setup::of(Kind::Memory);
    let bounds = Bounds { faults: 0, ticks: 0 };
    let case = Case { setup: &setup, fault: Fault::None, ops: &[Op::Resume, Op::Resume], bounds };
    let explored = explore(case).expect("nothing is broken");
    assert_eq!(explored.schedules, 20);
    // Where each stands is all there is to a moment, but for who of the two noted it.
    assert_eq!(explored.states, 16);
}

#[test]
fn the_same_choices_lead_to_the_same_moment() {
    for kind in KINDS {
        let setup = Setup::of(kind);
        let ops = &[Op::LoginOver, Op::Renew, Op::Update];
        let case = Case { setup: &setup, fault: Fault::None, ops, bounds: ONE_OF_EACH };
        let mut path: Vec<Choice> = Vec::new();
        // Always the last but one, so that everybody gets a turn and something goes wrong.
        while let Some(choice) = next(&played(case, &path).expect("nothing is broken")) {
            path.push(choice);
            let [one, two] = [(); 2].map(|()| played(case, &path).expect("nothing is broken").key());
            assert_eq!(one, two, "{kind:?}, after {path:?}");
        }
        assert!(path.len() > 10, "{kind:?}: {path:?}");
    }
}

fn next(world: &World<'_>) -> Option<Choice> {
    let choices = world.choices();
    choices.get(choices.len().saturating_sub(2)).copied()
}
