//! The same attacks on the logout of exeunt and of today's peers: `cargo xtask races` builds all of them and runs this.
//!
//! Must never ask one of them in another way than the others: each server has the same routes, and what is counted is
//! read off its answers alone.

mod app;
mod attack;
mod client;
mod outage;
mod report;
mod server;
#[path = "../../src/tables.rs"]
mod tables;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask races", about = "Attacks the logout of exeunt and of its peers")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Attacks, and prints the tables.
    Attack(Options),
    /// The small application on the library that is attacked.
    Serve {
        /// Where its sessions are: `memory`, a file, or a URL of Redis or PostgreSQL.
        store: String,
    },
}

/// Whom, how often, and where the programs are.
#[derive(Args, Debug)]
struct Options {
    /// The workspace's folder.
    #[arg(long)]
    root: PathBuf,
    /// The folder of the peers that are Rust programs.
    #[arg(long)]
    peers: PathBuf,
    /// Only those whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Rounds of a slow request across a logout, and of a logout on another node.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Rounds of each outage.
    #[arg(long, default_value_t = 3)]
    outages: u32,
    /// What the lots are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The command to be named in the tables.
    #[arg(long, default_value = "cargo xtask races")]
    command: String,
    /// Whether it is an error if somebody's logout does not hold.
    #[arg(long)]
    hold: bool,
    /// A file with two marks; the tables replace what is between them.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Attack(options) => attack_all(&options),
        Task::Serve { store } => app::serve(&store),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn attack_all(options: &Options) -> Result<()> {
    let tables = report::tables(options)?;
    println!("\n{tables}");
    match &options.write {
        Some(file) => report::write(file, &tables),
        None => Ok(()),
    }
}
