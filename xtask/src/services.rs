//! `cargo xtask services`: one of each server, to try things out by hand.
//!
//! Must never leave one behind, nor stop one by its name: each is stopped by its pid when this process ends, however it
//! ends.

use std::io::{Read as _, Write as _};

use anyhow::Result;
use services::{Cluster, PgBouncer, Postgres, Redis, Sentinel};

use crate::test;

/// What starts them, and asks whether they are there: of what tests need, that is all.
const COMMANDS: &[&str] = &["redis-server", "redis-cli", "initdb", "psql", "pgbouncer"];

/// Starts them, says where they are, and waits for the end of standard input. Ctrl-C ends this process, and so them.
pub(crate) fn run() -> Result<()> {
    let needs = test::FOR_TESTS.iter().filter(|need| COMMANDS.contains(&need.command));
    test::provide(&needs.copied().collect::<Vec<_>>())?;
    let redis = Redis::start(&[])?;
    print("redis", &redis.url())?;
    let sentinel = Sentinel::start(&[])?;
    print("sentinel", &sentinel.url())?;
    let cluster = Cluster::start(&[])?;
    print("cluster", &cluster.url())?;
    let postgres = Postgres::start(&[])?;
    let url = postgres.new_database()?;
    print("postgres", &url)?;
    let bouncer = PgBouncer::start(&postgres, &[])?;
    let database = url.rsplit('/').next().unwrap_or_default();
    print("pgbouncer", &format!("{}?pooler=transaction", bouncer.url(database)))?;
    println!("\nAll of them stop, and forget, at Ctrl-C or at the end of standard input.");
    let mut ignored = [0; 256];
    while std::io::stdin().read(&mut ignored)? > 0 {}
    Ok(())
}

fn print(name: &str, url: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name:9}  {url}")?;
    Ok(out.flush()?)
}
