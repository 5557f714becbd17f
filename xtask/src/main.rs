//! One way to do each thing: `cargo xtask test | ci | tidy | soak | fuzz | races | mutants | services | screenshots | bench`.
//!
//! Must never pass because a tool was missing: what cannot be checked is a failure.

mod bench;
mod ci;
mod dependencies;
mod deploy;
mod fuzz;
mod licence;
mod logs;
mod mutants;
mod packages;
mod races;
mod screenshots;
mod services;
mod soak;
mod steps;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Builds, tests and checks exeunt.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Installs what the tests need (Debian and Ubuntu, as root), then runs all of them.
    Test,
    /// Everything that a change must pass: format, tidy, lints, tests, docs, features, packages.
    Ci,
    /// Checks what compilers do not: the arrows between modules, the words, the table of requirements.
    Tidy,
    /// Hunts for faults for hours: the tests that draw lots, with many more rounds.
    Soak(soak::Options),
    /// Feeds hostile bytes to everything that reads bytes.
    Fuzz(fuzz::Options),
    /// Starts one of each server on free loopback ports, until Ctrl-C or the end of standard input.
    Services,
    /// Takes a picture of every page, in light and dark, on a phone and on a desktop.
    Screenshots {
        /// Where to.
        #[arg(default_value = "target/screenshots")]
        folder: PathBuf,
    },
    /// Breaks the library in one place after another, and asks whether a test notices.
    Mutants(mutants::Options),
    /// Attacks the logout of exeunt and of its peers in the same way, and writes the tables of EVIDENCE.md.
    #[command(disable_help_flag = true)]
    Races {
        /// Told to attack otherwise, it only prints: `--only express --rounds 20`; `--help` lists all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measures speed and memory, and writes the tables of bench/README.md.
    #[command(disable_help_flag = true)]
    Bench {
        /// Told to measure otherwise, it only prints: `--sessions 50000 --requests 50000`; `--help` lists all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without the backtrace that anyhow adds: what failed is said last.
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let root = root()?;
    match task {
        Task::Test => test::run(&root),
        Task::Ci => ci::run(&root),
        Task::Tidy => tidy::run(&root),
        Task::Soak(options) => soak::run(&root, options),
        Task::Fuzz(options) => fuzz::run(&root, options),
        Task::Mutants(options) => mutants::run(&root, options),
        Task::Races { arguments } => races::run(&root, arguments),
        Task::Screenshots { folder } => screenshots::run(&root, folder),
        Task::Services => services::run(),
        Task::Bench { arguments } => bench::run(&root, arguments),
    }
}

/// The workspace's folder, wherever the command was called.
fn root() -> Result<PathBuf> {
    // What cargo says now, not what it said at the build: clones may share a target folder.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("this runs as `cargo xtask`")?;
    Ok(Path::new(&here).parent().context("xtask lies in the workspace's folder")?.to_owned())
}
