//! The attacks, shortly, on all of ours: what is to be shown in public has to run, and to hold, after every change.

use std::process::Command;

#[test] // R01, R02, R03
fn no_attack_breaks_a_logout_of_ours() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut races = Command::new(env!("CARGO_BIN_EXE_races"));
    races.args(["attack", "--only", "exeunt", "--rounds", "3", "--outages", "1", "--hold"]);
    let done = races.args(["--root", root, "--peers", root]).output().expect("it starts");
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let found = |what: &str| said.matches(what).count();
    let across = said.split("across: ").skip(1).filter(|found| !found.starts_with('0')).count();
    assert!(across > 0, "a request was in flight across a logout");
    assert_eq!([found("InFlight {"), found("TwoNodes {"), found("Round {")], [8, 2, 4], "all were attacked");
}
