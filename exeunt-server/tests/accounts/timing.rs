//! How long a wrong try takes says nothing about whose name it is at. Few rounds in CI, which find a server that does no work
//! for unknown names; many under `cargo xtask soak`, which would find far less.
//!
//! What is compared are ranks and not means: one slow moment of the machine must not decide.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::time::Instant;

use exeunt::store::sqlite::{Database, SqliteStore};
use exeunt::{Clock as _, SystemClock, Users as _};
use exeunt_server::accounts::{Accounts, Credentials, Hasher};
use services::rounds;

const RIGHT: &str = "correct horse battery staple";
/// Of no difference at all, one run in a million would say that there is one.
const CHANCE: f64 = 1e-6;

/// Tries that are compared: the name, and whether the server is one that does no work for unknown names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Somebodys,
    Disabled,
    Nobodys,
    NobodysWithoutWork,
}

const ALL: [Whose; 4] = [Whose::Somebodys, Whose::Disabled, Whose::Nobodys, Whose::NobodysWithoutWork];

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

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn a_try(accounts: &Accounts, whose: Whose, number: u32) -> f64 {
    let name = match whose {
        Whose::Somebodys => "alice".to_owned(),
        Whose::Disabled => "mallory".to_owned(),
        Whose::Nobodys | Whose::NobodysWithoutWork => format!("nobody {number}"),
    };
    let began = Instant::now();
    if whose == Whose::NobodysWithoutWork {
        assert!(accounts.find(&name).await.unwrap().is_none());
    } else {
        let given = Credentials { username: name.clone(), password: "wrong".to_owned() };
        assert!(accounts.verify(given).await.unwrap().is_none());
    }
    let took = began.elapsed().as_secs_f64() * 1e6;
    if matches!(whose, Whose::Somebodys | Whose::Disabled) {
        // So that each try is the first one, as at the other names.
        accounts.unlock(&name).await.unwrap();
    }
    took
}

#[tokio::test] // R33
async fn a_wrong_try_takes_as_long_at_a_name_that_nobody_has() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("a.db")).unwrap();
    // Disabling an account ends its sessions, so there have to be tables for them.
    let _sessions = SqliteStore::over(database.clone()).unwrap();
    let accounts = Accounts::open(database, Hasher::new().unwrap()).await.unwrap();
    for name in ["alice", "mallory"] {
        accounts.add(name, RIGHT, false, SystemClock::new().now()).await.unwrap();
    }
    accounts.disable("mallory").await.unwrap();
    let rounds = rounds(20, 1_000);
    let mut took = ALL.map(|_| Vec::new());
    for round in 0..rounds {
        // In turns, and each first as often as last.
        for place in 0..ALL.len() {
            let which = (place + round as usize) % ALL.len();
            took[which].push(a_try(&accounts, ALL[which], round * 4 + place as u32).await);
        }
    }
    let [known, others @ ..] = &mut took;
    for (whose, other) in ALL[1..].iter().zip(others) {
        let chance = chance(known, other);
        let (known, other) = (median(known), median(other));
        println!("{whose:?}: median {other:.0} us, of somebody's {known:.0} us, chance {chance:.2e}");
        match whose {
            Whose::NobodysWithoutWork => assert!(chance < CHANCE, "the broken one was not found out"),
            _ => assert!(chance > CHANCE, "{whose:?} can be told from somebody's by the time it takes"),
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
