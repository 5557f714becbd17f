//! The tables.
//!
//! Must never leave out what a reader needs to doubt them: machine, versions, date, command, spread.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::measure::{NearBytes, Window};
use crate::process::output;
use crate::redis::{Cost, Round};
use crate::tables;

const BEGIN: &str = "<!-- tables: begin, written by cargo xtask bench -->";
const END: &str = "<!-- tables: end -->";

/// Pairs of windows, bare and protected.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    /// The highest ratio that was aimed for.
    pub(crate) goal: Option<f64>,
    pub(crate) pairs: Vec<(Window, Window)>,
}

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) command: String,
    pub(crate) sessions: usize,
    pub(crate) requests: usize,
    pub(crate) pairs: usize,
    pub(crate) sync: (f64, f64),
    pub(crate) logins: f64,
    pub(crate) rows: Vec<Row>,
    pub(crate) near: NearBytes,
    pub(crate) disk: f64,
    pub(crate) instructions: (f64, f64),
    pub(crate) opened: Vec<f64>,
    pub(crate) log_bytes: u64,
    pub(crate) destroy_all: Vec<f64>,
    pub(crate) logouts: Vec<Vec<f64>>,
    pub(crate) redis: Vec<Round>,
}

/// The tables as Markdown.
pub(crate) fn tables(found: &Found) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}", setting(found)?)?;
    requests(&mut text, found)?;
    text.push_str(&over_redis(&found.redis)?);
    durable(&mut text, found)?;
    space(&mut text, found)?;
    Ok(text)
}

fn requests(text: &mut String, found: &Found) -> Result<()> {
    let head = [
        "requests",
        "bare µs",
        "protected µs",
        "ratio: median",
        "goal",
        "lowest",
        "highest",
        "protected a second",
    ];
    table(text, "A protected `GET`", &head)?;
    for row in &found.rows {
        let ratio = sorted(row, |bare, protected| protected.cpu / bare.cpu);
        let bare = median(&sorted(row, |bare, _| bare.cpu));
        let protected = median(&sorted(row, |_, protected| protected.cpu));
        let a_second = median(&sorted(row, |_, protected| protected.a_second));
        let (low, high) = (ratio.first().unwrap_or(&0.0), ratio.last().unwrap_or(&0.0));
        let (what, middle) = (&row.what, median(&ratio));
        let goal = row.goal.map_or(String::new(), |goal| format!("≤ {goal}"));
        writeln!(
            text,
            "| {what} | {bare:.2} | {protected:.2} | {middle:.2} | {goal} | {low:.2} | {high:.2} | {a_second:.0} |"
        )?;
    }
    table(text, "Instructions of one request, by callgrind", &["bare", "protected", "above bare", "goal"])?;
    let (bare, protected) = found.instructions;
    writeln!(text, "| {bare:.0} | {protected:.0} | {:.0} | ≤ 9000 |", protected - bare)?;
    Ok(())
}

/// The table of requests over Redis.
pub(crate) fn over_redis(rounds: &[Round]) -> Result<String> {
    let mut text = String::new();
    let head = ["who", "bare µs", "server µs", "Redis µs", "server and Redis µs"];
    table(&mut text, "A protected `GET` over Redis, 10,000 sessions", &head)?;
    let middle = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (median(&values), values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0))
    };
    let mut line = |who: &str, of: fn(&Round) -> &Cost| {
        let bare = middle(&|round| of(round).bare).0;
        let server = middle(&|round| of(round).server).0;
        let redis = middle(&|round| of(round).redis).0;
        let sum = middle(&|round| of(round).sum()).0;
        writeln!(text, "| {who} | {bare:.2} | {server:.2} | {redis:.2} | {sum:.2} |")
    };
    line("exeunt", |round| &round.ours)?;
    line("axum-login 0.18 with tower-sessions-redis-store 0.16", |round| &round.theirs)?;
    let (ratio, low, high) = middle(&|round| round.ours.sum() / round.theirs.sum());
    writeln!(
        text,
        "\nThe sums, exeunt to axum-login: {ratio:.2} (goal ≤ 0.75; lowest {low:.2}, highest {high:.2})."
    )?;
    Ok(text)
}

fn durable(text: &mut String, found: &Found) -> Result<()> {
    table(text, "Durable writes", &["what", "a second", "goal", "p50 ms", "p99 ms", "longest ms"])?;
    for (number, round) in found.logouts.iter().enumerate() {
        let [a_second, p50, p99, longest] = round.as_slice() else { bail!("a round gives four numbers") };
        let round = number + 1;
        writeln!(
            text,
            "| `Sessions::logout`, 64 waiting, round {round} | {a_second:.0} | ≥ 20000 | {p50:.2} | {p99:.2} | {longest:.2} |"
        )?;
    }
    let [middle, longest] = found.destroy_all.as_slice() else {
        bail!("log out everywhere gives two numbers")
    };
    writeln!(
        text,
        "| `Sessions::logout_all` of 100 sessions, 20 users one after another | | < 10 ms | {middle:.2} | | {longest:.2} |"
    )?;
    writeln!(
        text,
        "| `Sessions::login`, 512 waiting, while the store was filled | {:.0} | | | | |",
        found.logins
    )?;
    Ok(())
}

fn space(text: &mut String, found: &Found) -> Result<()> {
    table(text, "Space, and opening", &["what", "value", "goal"])?;
    let NearBytes { counted, grown } = found.near;
    writeln!(text, "| near cache, bytes a session, as it counts them | {counted:.0} | ≤ 350 |")?;
    writeln!(text, "| near cache, bytes a session, as the process grew | {grown:.0} | ≤ 350 |")?;
    writeln!(text, "| disk, bytes a session | {:.0} | ≤ 400 |", found.disk)?;
    let opened: Vec<String> = found.opened.iter().map(|ms| format!("{ms:.0}")).collect();
    writeln!(
        text,
        "| after `kill -9` with a log of {} MiB: from the start of the process to the first answered request, ms, three times | {} | < 500 |",
        found.log_bytes / 1_048_576,
        opened.join(", ")
    )?;
    Ok(())
}

fn table(text: &mut String, title: &str, head: &[&str]) -> Result<()> {
    let numbers = " ---: |".repeat(head.len().saturating_sub(1));
    writeln!(text, "\n### {title}\n\n| {} |\n| --- |{}", head.join(" | "), numbers)?;
    Ok(())
}

fn setting(found: &Found) -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("MemTotal")?;
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse()?;
    let said = |program: &str, argument: &str| output(Command::new(program).arg(argument));
    let (sync, sync99) = found.sync;
    Ok(format!(
        "Command: `{}`. Date: {}. exeunt {}, {}, SQLite {}, {}.\n\
         Machine: {cores} cores ({model}), {} GiB, Linux {}. A 4 KiB append with its sync takes {sync:.0} µs here (p99 {sync99:.0}).\n\n\
         {} live sessions. Each row of requests: {} pairs of windows of up to {} requests over 64 connections.",
        found.command,
        said("date", "+%F")?,
        env!("CARGO_PKG_VERSION"),
        said("rustc", "--version")?,
        exeunt::store::sqlite::rusqlite::version(),
        said("valgrind", "--version")?,
        memory.div_ceil(1024 * 1024),
        said("uname", "-r")?,
        found.sessions,
        found.pairs,
        found.requests,
    ))
}

fn sorted(row: &Row, of: impl Fn(&Window, &Window) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = row.pairs.iter().map(|(bare, protected)| of(bare, protected)).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Puts the tables between the two marks of a file.
pub(crate) fn write(file: &Path, tables: &str) -> Result<()> {
    tables::write(file, (BEGIN, END), tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(&[1.0, 2.0, 9.0]) - 2.0).abs() < f64::EPSILON);
    }
}
