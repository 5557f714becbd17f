//! How long a wrong try takes says nothing about whose name it is at, nor does how long a refusal takes. Few rounds in CI, which
//! find a server that does no work for unknown names; many under `cargo xtask soak`, which find far less.
//!
//! What is compared are ranks and not means: one slow moment of the machine must not decide. In each round every kind has its
//! turn, in an order that is drawn by lot: whatever a try leaves behind for the next one is at nobody's expense in the long
//! run. Each name is tried as often as any other, so that what is counted against it is the same, too.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::time::Instant;

use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{Clock as _, ErrorKind, LoginOptions, Sessions, SystemClock};
use exeunt_server::accounts::{Accounts, Cost, Credentials, Hasher};
use services::rounds;

use crate::common::Kept;

const RIGHT: &str = "correct horse battery staple";
/// Of no difference at all, one run in a million would say that there is one.
const CHANCE: f64 = 1e-6;
/// At one name: as many as are taken without a wait, but for one.
const TRIES_AT_A_NAME: u32 = 9;

/// Whose name is tried. `Stopped`: so many tries failed there that no more are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Somebodys,
    Disabled,
    Nobodys,
    /// On a server whose stand-in for the hash of nobody costs nothing.
    NobodysWithoutWork,
    /// Whose hash was made when it cost half of what it does today: what a stand-in tells that does not cost the same.
    SomebodysAtHalfTheCost,
    StoppedSomebodys,
    StoppedDisabled,
    StoppedNobodys,
    /// On a server that asks the throttle after the hash.
    StoppedNobodysAfterWork,
}

use Whose::{
    Disabled, Nobodys, NobodysWithoutWork, Somebodys, SomebodysAtHalfTheCost, StoppedDisabled,
    StoppedNobodys, StoppedNobodysAfterWork, StoppedSomebodys,
};

const ALL: [Whose; 9] = [
    Somebodys,
    Disabled,
    Nobodys,
    NobodysWithoutWork,
    SomebodysAtHalfTheCost,
    StoppedSomebodys,
    StoppedDisabled,
    StoppedNobodys,
    StoppedNobodysAfterWork,
];

/// Which must not be told apart.
const ALIKE: [(Whose, Whose); 6] = [
    (Somebodys, Disabled),
    (Somebodys, Nobodys),
    (Disabled, Nobodys),
    (StoppedSomebodys, StoppedDisabled),
    (StoppedSomebodys, StoppedNobodys),
    (StoppedDisabled, StoppedNobodys),
];

/// Which have to be, or this hunt finds nothing; the last one takes the rounds of a soak.
const BROKEN: [(Whose, Whose); 3] = [
    (Somebodys, NobodysWithoutWork),
    (StoppedSomebodys, StoppedNobodysAfterWork),
    (Nobodys, SomebodysAtHalfTheCost),
];

/// How likely two samples differ as much as these if they are of one kind: the test of Mann and Whitney, two-sided, by its normal
/// approximation, which is good from ten values each.
fn chance(one: &[f64], other: &[f64]) -> f64 {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|value| (*value, true)).chain(other.iter().map(|value| (*value, false))).collect();
    all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut ranks = 0.0;
    let mut next = 0;
    while let Some((value, _)) = all.get(next) {
        let same = all[next..].iter().take_while(|(other, _)| other == value).count();
        // Equal values share the mean of their ranks.
        let rank = next as f64 + (same as f64 + 1.0) / 2.0;
        ranks += rank * all[next..next + same].iter().filter(|(_, first)| *first).count() as f64;
        next += same;
    }
    let u = ranks - n * (n + 1.0) / 2.0;
    let deviation = (n * m * (n + m + 1.0) / 12.0).sqrt();
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / deviation;
    // The complementary error function, to seven digits (Abramowitz and Stegun, 7.1.26).
    let x = z / 2.0_f64.sqrt();
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    poly.iter().fold(0.0, |sum, factor| (sum + factor) * t) * (-x * x).exp()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Draws lots, the same ones for the same seed (SplitMix64).
struct Lots(u64);

impl Lots {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Every kind once, each order as likely as any other (Fisher and Yates).
    fn order(&mut self) -> [Whose; ALL.len()] {
        let mut order = ALL;
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// A server as it is, and those that are broken, on the same accounts.
struct World {
    sessions: Sessions,
    accounts: Accounts,
    without_work: Accounts,
    hasher: Hasher,
}

impl World {
    /// What a wrong login takes, in microseconds.
    async fn a_try(&self, whose: Whose, round: u32) -> f64 {
        let number = round / TRIES_AT_A_NAME;
        let username = match whose {
            Somebodys => format!("alice {number}"),
            Disabled => format!("mallory {number}"),
            Nobodys => format!("nobody {number}"),
            NobodysWithoutWork => format!("without {number}"),
            SomebodysAtHalfTheCost => format!("half {number}"),
            StoppedSomebodys => "stopped alice".to_owned(),
            StoppedDisabled => "stopped mallory".to_owned(),
            StoppedNobodys => "stopped nobody".to_owned(),
            StoppedNobodysAfterWork => "stopped without".to_owned(),
        };
        let accounts = if whose == NobodysWithoutWork { &self.without_work } else { &self.accounts };
        let given = Credentials { username, password: "wrong".to_owned() };
        let began = Instant::now();
        if whose == StoppedNobodysAfterWork {
            self.hasher.check("wrong", None).await.unwrap();
        }
        let answer = self.sessions.login(accounts, given, LoginOptions::default()).await;
        let took = began.elapsed().as_secs_f64() * 1e6;
        let stopped = whose as usize >= StoppedSomebodys as usize;
        match answer {
            Ok(None) if !stopped => (),
            Err(error) if stopped && error.kind() == ErrorKind::Throttled => (),
            other => panic!("{whose:?}: {other:?}"),
        }
        took
    }
}

#[tokio::test] // R33
async fn a_wrong_try_takes_as_long_at_a_name_that_nobody_has() {
    let hunt = rounds(0, 1) == 1;
    let rounds = rounds(30, 1_000);
    let now = SystemClock::new().now();
    let seed = if hunt { now.as_micros().unsigned_abs() } else { 7 };
    println!("{rounds} rounds in an order by seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let places = Kept::OneFile.fresh(folder.path());
    let engines = places.open().await;
    let sessions = Sessions::over(engines.store(0).await.unwrap());
    let on = async |hasher: Hasher| engines.accounts(&sessions, hasher).await.unwrap();
    let cost = |cost| Hasher::with(cost, 1, 1).unwrap();
    let hasher = Hasher::new().unwrap();
    let world = World {
        sessions: sessions.clone(),
        accounts: on(hasher.clone()).await,
        without_work: on(cost(Cost { memory_kib: 8, passes: 1, lanes: 1 })).await,
        hasher,
    };
    let of_old = on(cost(Cost { passes: 1, ..Cost::default() })).await;
    for name in (0..=rounds / TRIES_AT_A_NAME).map(|number| number.to_string()) {
        world.accounts.add(&format!("alice {name}"), RIGHT, false, now).await.unwrap();
        world.accounts.add(&format!("mallory {name}"), RIGHT, false, now).await.unwrap();
        world.accounts.disable(&format!("mallory {name}")).await.unwrap();
        of_old.add(&format!("half {name}"), RIGHT, false, now).await.unwrap();
    }
    world.accounts.add("stopped alice", RIGHT, false, now).await.unwrap();
    world.accounts.add("stopped mallory", RIGHT, false, now).await.unwrap();
    world.accounts.disable("stopped mallory").await.unwrap();
    for name in ["alice", "mallory", "nobody", "without"] {
        let given = Credentials { username: format!("stopped {name}"), password: "wrong".to_owned() };
        assert!(sessions.login(&world.accounts, given, LoginOptions::default()).await.unwrap().is_none());
    }
    let file = Connection::open(&places.store).unwrap();
    assert_eq!(file.execute("UPDATE throttle SET level = 80 * 1000000", []).unwrap(), 4);

    // What a server does beside: each refusal becomes a row.
    let audit = world.accounts.audit();
    let (mut lots, mut took) = (Lots(seed), ALL.map(|_| Vec::new()));
    for round in 0..rounds {
        // Half of the cost is found in the soak alone.
        for whose in lots.order().into_iter().filter(|whose| hunt || *whose != SomebodysAtHalfTheCost) {
            took[whose as usize].push(world.a_try(whose, round).await);
        }
    }
    audit.stop().await;
    for whose in ALL.into_iter().filter(|whose| !took[*whose as usize].is_empty()) {
        println!("{whose:?}: median {:.0} us", median(&took[whose as usize]));
    }
    for (one, other) in ALIKE {
        let chance = chance(&took[one as usize], &took[other as usize]);
        println!("{one:?} and {other:?}: chance {chance:.2e}");
        assert!(chance > CHANCE, "{one:?} and {other:?} can be told apart by the time that they take");
    }
    for (one, broken) in BROKEN.into_iter().filter(|(_, broken)| !took[*broken as usize].is_empty()) {
        let chance = chance(&took[one as usize], &took[broken as usize]);
        println!("{one:?} and {broken:?}: chance {chance:.2e}");
        assert!(chance < CHANCE, "{broken:?} was not found out");
    }
}

#[test]
fn the_order_is_drawn_by_lot_and_again_the_same_for_the_same_seed() {
    let orders = |seed| {
        let mut lots = Lots(seed);
        (0..900).map(|_| lots.order()).collect::<Vec<_>>()
    };
    assert_eq!(orders(7), orders(7));
    assert_ne!(orders(7), orders(8));
    // Each kind stands at each place a hundred times, give or take.
    for whose in ALL {
        for place in 0..ALL.len() {
            let times = orders(7).iter().filter(|order| order[place] == whose).count();
            assert!((60..140).contains(&times), "{whose:?} {times} times at {place}");
        }
    }
}

#[test]
fn what_is_of_one_kind_is_not_told_apart_and_what_differs_a_little_is() {
    // A seeded generator: the same numbers each time.
    let mut state = 7_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut sample = |many: usize, shift: f64| (0..many).map(|_| draw() + shift).collect::<Vec<_>>();
    let (one, other, later) = (sample(2_000, 0.0), sample(2_000, 0.0), sample(2_000, 0.1));
    assert!(chance(&one, &other) > 0.01);
    assert!(chance(&one, &later) < CHANCE);
    assert!(chance(&later, &one) < CHANCE, "in both directions");
    // By hand: ranks 1 to 5 against 6 to 10, U = 0, z = 2.507, p = 0.0122 with the correction for continuity.
    let low = [1.0, 2.0, 3.0, 4.0, 5.0];
    let high = [6.0, 7.0, 8.0, 9.0, 10.0];
    assert!((chance(&low, &high) - 0.0122).abs() < 0.0005, "{}", chance(&low, &high));
    assert!((chance(&low, &low) - 1.0).abs() < 1e-6, "{}", chance(&low, &low));
}
