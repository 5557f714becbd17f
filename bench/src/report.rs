//! The tables.
//!
//! Must never leave out what a reader needs to doubt them: machine, versions, date, command, spread.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::measure::{NearBytes, Window};
use crate::process::output;

const BEGIN: &str = "<!-- tables: begin, written by cargo xtask bench -->";
const END: &str = "<!-- tables: end -->";

/// Pairs of windows, bare and protected.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
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
}

/// The tables as Markdown.
pub(crate) fn tables(found: &Found) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}\n", setting(found)?)?;
    writeln!(text, "### A protected `GET`\n")?;
    writeln!(
        text,
        "| requests | bare µs | protected µs | ratio: median | lowest | highest | protected a second |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for row in &found.rows {
        let ratio = sorted(row, |bare, protected| protected.cpu / bare.cpu);
        let bare = median(&sorted(row, |bare, _| bare.cpu));
        let protected = median(&sorted(row, |_, protected| protected.cpu));
        let a_second = median(&sorted(row, |_, protected| protected.a_second));
        let (low, high) = (ratio.first().unwrap_or(&0.0), ratio.last().unwrap_or(&0.0));
        let what = &row.what;
        let middle = median(&ratio);
        writeln!(
            text,
            "| {what} | {bare:.2} | {protected:.2} | {middle:.2} | {low:.2} | {high:.2} | {a_second:.0} |"
        )?;
    }
    let (bare, protected) = found.instructions;
    writeln!(text, "\n### Instructions of one request, by callgrind\n")?;
    writeln!(text, "| bare | protected | above bare |\n| ---: | ---: | ---: |")?;
    writeln!(text, "| {bare:.0} | {protected:.0} | {:.0} |", protected - bare)?;
    writeln!(text, "\n### Durable writes\n")?;
    writeln!(
        text,
        "| what | a second | p50 ms | p99 ms | longest ms |\n| --- | ---: | ---: | ---: | ---: |"
    )?;
    for (number, round) in found.logouts.iter().enumerate() {
        let cells: Vec<String> = round
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{value:.*}", if at == 0 { 0 } else { 2 }))
            .collect();
        writeln!(text, "| `Sessions::logout`, 64 waiting, round {} | {} |", number + 1, cells.join(" | "))?;
    }
    writeln!(
        text,
        "| `Sessions::login`, 512 waiting, while the store was filled | {:.0} | | | |",
        found.logins
    )?;
    let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or_default();
    writeln!(
        text,
        "| `Sessions::logout_all` of 100 sessions, one at a time | | {:.2} | | {:.2} |",
        at(&found.destroy_all, 0),
        at(&found.destroy_all, 1)
    )?;
    writeln!(text, "\n### Space, and opening\n")?;
    writeln!(text, "| what | value |\n| --- | ---: |")?;
    writeln!(text, "| near cache, bytes a session, as it counts them | {:.0} |", found.near.counted)?;
    writeln!(text, "| near cache, bytes a session, as the process grew | {:.0} |", found.near.grown)?;
    writeln!(text, "| disk, bytes a session | {:.0} |", found.disk)?;
    let opened: Vec<String> = found.opened.iter().map(|ms| format!("{ms:.0}")).collect();
    writeln!(
        text,
        "| from the start of the process to the first answered request, after `kill -9` with a log of {} MB, three times, ms | {} |",
        found.log_bytes / 1_000_000,
        opened.join(", ")
    )?;
    Ok(text)
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
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    std::fs::write(file, between_marks(&text, tables)?).with_context(|| file.display().to_string())
}

fn between_marks(text: &str, tables: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the file has the mark where tables begin")?;
    let (_, after) = rest.split_once(END).context("the file has the mark where tables end")?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_only_what_is_between_the_marks() {
        let file = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let written = between_marks(&file, "new\n").unwrap();
        assert_eq!(written, format!("above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"));
        assert_eq!(between_marks(&written, "new").unwrap(), written);
        assert!(between_marks("no marks", "new").is_err());
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(&[1.0, 2.0, 9.0]) - 2.0).abs() < f64::EPSILON);
    }
}
