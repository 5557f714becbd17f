//! Measures exeunt on this machine and writes the tables of bench/README.md.
//!
//! Must never measure itself: the server under test, the load and this program are processes of their own.

mod durable;
mod load;
mod measure;
mod population;
mod process;
mod redis;
mod report;
mod server;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", about = "Measures exeunt and writes the tables of bench/README.md")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs all of it.
    Run(measure::Options),
    /// Makes a store full of sessions, with a file of their tokens.
    Populate {
        /// The folder for both.
        #[arg(long)]
        folder: PathBuf,
        /// How many sessions.
        #[arg(long)]
        sessions: usize,
    },
    /// Fills a Redis with sessions, and writes a file of their tokens.
    PopulateRedis {
        /// Its address.
        #[arg(long)]
        url: String,
        /// The file of tokens.
        #[arg(long)]
        tokens: PathBuf,
        /// How many sessions.
        #[arg(long)]
        sessions: usize,
    },
    /// The server under test, over Redis.
    ServeRedis {
        /// Its address.
        #[arg(long)]
        url: String,
    },
    /// The server under test; told what to do on its standard input.
    Serve {
        /// The store's file.
        #[arg(long)]
        store: PathBuf,
        /// The bytes of the near cache.
        #[arg(long)]
        near: usize,
        /// What time it is, in microseconds since 1970.
        #[arg(long)]
        at: i64,
    },
    /// The load; told what to do on its standard input.
    Load {
        /// The file of tokens.
        #[arg(long)]
        tokens: PathBuf,
    },
    /// Logs sessions out, so many at a time, and prints what that took.
    Logouts {
        /// The folder of the store and its tokens.
        #[arg(long)]
        folder: PathBuf,
        /// How many.
        #[arg(long)]
        count: usize,
        /// How many wait at a time.
        #[arg(long, default_value_t = 64)]
        waiting: usize,
        /// The how-manieth time: other sessions than the times before.
        #[arg(long, default_value_t = 0)]
        round: usize,
    },
    /// Ends all sessions of users who have 100, and prints what that took.
    DestroyAll {
        /// The folder of the store and its tokens.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Fills the log, says so, and waits to be killed.
    FillLog {
        /// The store's file.
        #[arg(long)]
        store: PathBuf,
        /// The bytes of the log.
        #[arg(long)]
        bytes: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Run(options) => measure::run(&options),
        Task::Populate { folder, sessions } => population::make(&folder, sessions),
        Task::PopulateRedis { url, tokens, sessions } => population::make_in_redis(&url, &tokens, sessions),
        Task::ServeRedis { url } => server::serve_redis(&url),
        Task::Serve { store, near, at } => server::serve(&store, near, at),
        Task::Load { tokens } => load::serve(&tokens),
        Task::Logouts { folder, count, waiting, round } => durable::logouts(&folder, count, waiting, round),
        Task::DestroyAll { folder } => durable::destroy_all(&folder),
        Task::FillLog { store, bytes } => durable::fill_log(&store, bytes),
    }
}
