//! The tables: whom was attacked, how often, and what came of it.
//!
//! Must never leave out what a reader needs to doubt them: command, date, seed, versions, machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Options;
use crate::attack::{InFlight, LATER, TwoNodes, in_flight, two_nodes};
use crate::outage::{Kind, Round, round};
use crate::tables;
use crate::targets::{Attack, Place, TARGETS, Target};

const BEGIN: &str = "<!-- races: begin, written by cargo xtask races -->";
const END: &str = "<!-- races: end -->";

/// Packages of npm and of crates.io whose versions matter.
const FROM_NPM: &[&str] =
    &["express", "express-session", "connect-redis", "redis", "passport", "passport-local"];
const FROM_CRATES: &[&str] = &[
    "axum",
    "axum-login",
    "tower-sessions",
    "tower-sessions-redis-store",
    "fred",
    "tower-sessions-moka-store",
    "moka",
    "actix-web",
    "actix-session",
    "redis",
];

/// Attacks everyone, and gives the tables as Markdown.
pub(crate) fn tables(options: &Options) -> Result<String> {
    let mut text = setting(options)?;
    let chosen: Vec<_> = TARGETS.iter().filter(|target| is_chosen(target, options)).collect();
    ensure!(!chosen.is_empty(), "nobody has that name");
    text.push_str(&slow_requests(&chosen, options)?);
    text.push_str(&nodes(&chosen, options)?);
    text.push_str(&outages(&chosen, options)?);
    Ok(text)
}

fn is_chosen(target: &Target, options: &Options) -> bool {
    options.only.as_ref().is_none_or(|part| target.name.contains(part))
}

fn standing<'a>(chosen: &[&'a Target], attack: Attack) -> impl Iterator<Item = &'a Target> {
    chosen.iter().copied().filter(move |target| target.attacks.contains(&attack))
}

/// An error where a logout does not hold that has to.
fn judge(holds: bool, target: &Target, options: &Options) -> Result<()> {
    ensure!(holds || !options.hold, "{}: the logout does not hold", target.name);
    Ok(())
}

fn slow_requests(chosen: &[&Target], options: &Options) -> Result<String> {
    let mut text = String::from(
        "\n### A slow request in flight across a logout\n\n\
         | server | rounds | the slow request | finished after the logout | old cookie alive | logged in again |\n\
         | --- | ---: | --- | ---: | ---: | ---: |\n",
    );
    for target in standing(chosen, Attack::InFlight) {
        for write in [true, false] {
            println!("{}: a slow request that {}", target.name, does(write));
            let place = Place::of(target)?;
            let server = place.start(target, options)?;
            let found = in_flight(&server, options.seed, options.rounds, write).context(target.name)?;
            println!("    {found:?}");
            judge(found.holds(), target, options)?;
            let InFlight { rounds, across, revived, logged_in_again } = found;
            let (name, does) = (target.name, does(write));
            writeln!(text, "| {name} | {rounds} | {does} | {across} | {revived} | {logged_in_again} |")?;
        }
    }
    Ok(text)
}

fn does(write: bool) -> &'static str {
    if write { "notes something in its session" } else { "only reads" }
}

fn nodes(chosen: &[&Target], options: &Options) -> Result<String> {
    let mut text = String::from(
        "\n### A logout on one node, a replay on the other\n\n\
         | server | rounds | taken at once | still taken, at least 10 s later |\n| --- | ---: | ---: | ---: |\n",
    );
    for target in standing(chosen, Attack::TwoNodes) {
        println!("{}: two nodes", target.name);
        let place = Place::of(target)?;
        let (a, b) = (place.start(target, options)?, place.start(target, options)?);
        let found = two_nodes(&a, &b, options.rounds, LATER).context(target.name)?;
        println!("    {found:?}");
        judge(found.holds(), target, options)?;
        let TwoNodes { rounds, at_once, later } = found;
        writeln!(text, "| {} | {rounds} | {at_once} | {later} |", target.name)?;
    }
    Ok(text)
}

fn outages(chosen: &[&Target], options: &Options) -> Result<String> {
    let mut text = String::from(
        "\n### A logout while the store is away\n\n\
         | server | the store | logout | in at most | replay, once the store is back | a second logout, then a replay |\n\
         | --- | --- | --- | ---: | --- | --- |\n",
    );
    for target in standing(chosen, Attack::Outage) {
        for (kind, name) in [(Kind::Paused, "paused"), (Kind::Killed, "killed")] {
            println!("{}: its store is {name}", target.name);
            let mut rounds = Vec::new();
            for _ in 0..options.outages {
                let round = round(target, options, kind).context(target.name)?;
                println!("    {round:?}");
                judge(round.holds(), target, options)?;
                rounds.push(round);
            }
            let longest = rounds.iter().map(|round| round.took.as_secs_f64()).fold(0.0, f64::max);
            let (logout, replay) =
                (count(&rounds, |round| &round.logout), count(&rounds, |round| &round.replay));
            let again = count(&rounds, |round| &round.again);
            writeln!(text, "| {} | {name} | {logout} | {longest:.1} s | {replay} | {again} |", target.name)?;
        }
    }
    Ok(text)
}

/// Each thing that was said, and how often.
fn count(rounds: &[Round], of: impl Fn(&Round) -> &str) -> String {
    let mut counted = BTreeMap::new();
    for said in rounds.iter().map(of).filter(|said| !said.is_empty()) {
        *counted.entry(said).or_insert(0_u32) += 1;
    }
    let said: Vec<_> = counted.iter().map(|(said, times)| format!("{said} (×{times})")).collect();
    if said.is_empty() { "–".to_owned() } else { said.join("; ") }
}

/// Command, date, versions and machine.
fn setting(options: &Options) -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("MemTotal")?;
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse()?;
    let psql = said("psql", "--version")?;
    let redis = said("redis-server", "--version")?;
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown");
    Ok(format!(
        "Command: `{}` (seed {}). Date: {}.\n\
         Machine: {cores} cores ({model}), {} GiB, Linux {}. {}, Redis {redis}, {}, SQLite {}, Node {}.\n\
         From npm: {}.\nFrom crates.io: {}. exeunt {}.\n",
        options.command,
        options.seed,
        said("date", "+%F")?,
        memory.div_ceil(1024 * 1024),
        said("uname", "-r")?,
        said("rustc", "--version")?,
        psql.replace("psql (PostgreSQL)", "PostgreSQL"),
        exeunt::store::sqlite::rusqlite::version(),
        said("node", "--version")?,
        from_npm(&read(&options.root.join("bench/races/node/package-lock.json"))?)?,
        from_crates(&read(&options.root.join("bench/races/peers/Cargo.lock"))?)?,
        env!("CARGO_PKG_VERSION"),
    ))
}

fn said(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} {argument}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn from_npm(lock: &str) -> Result<String> {
    let lock: serde_json::Value = serde_json::from_str(lock).context("package-lock.json")?;
    let versions = FROM_NPM.iter().map(|name| {
        let place = format!("/packages/node_modules~1{name}/version");
        let version = lock.pointer(&place).and_then(serde_json::Value::as_str);
        version.map(|version| format!("{name} {version}")).with_context(|| format!("{name} is locked"))
    });
    Ok(versions.collect::<Result<Vec<_>>>()?.join(", "))
}

fn from_crates(lock: &str) -> Result<String> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("packages are locked")?;
    let versions = FROM_CRATES.iter().map(|name| {
        let named = |package: &&toml::Value| package.get("name").and_then(toml::Value::as_str) == Some(name);
        let version = packages.iter().find(named).and_then(|package| package.get("version")?.as_str());
        version.map(|version| format!("{name} {version}")).with_context(|| format!("{name} is locked"))
    });
    Ok(versions.collect::<Result<Vec<_>>>()?.join(", "))
}

/// Puts the tables between the two marks of a file.
pub(crate) fn write(file: &Path, tables: &str) -> Result<()> {
    tables::write(file, (BEGIN, END), tables)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_said_is_counted() {
        let round = |logout: &str| Round {
            logout: logout.to_owned(),
            took: Duration::ZERO,
            replay: String::new(),
            again: String::new(),
        };
        let rounds = [round("no answer"), round("500"), round("no answer")];
        assert_eq!(count(&rounds, |round| &round.logout), "500 (×1); no answer (×2)");
        assert_eq!(count(&rounds, |round| &round.again), "–");
    }

    #[test]
    fn every_version_is_found_in_the_locks() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let npm = from_npm(&read(Path::new(&format!("{root}node/package-lock.json"))).unwrap()).unwrap();
        assert!(npm.starts_with("express 5.") && npm.contains("connect-redis 9."), "{npm}");
        let crates = from_crates(&read(Path::new(&format!("{root}peers/Cargo.lock"))).unwrap()).unwrap();
        assert!(crates.contains("axum-login 0.18.0") && crates.contains("fred 10."), "{crates}");
        assert!(from_npm("{}").is_err() && from_crates("").is_err());
    }
}
