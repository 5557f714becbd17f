//! A protected request over Redis, against axum-login with its own Redis store, in turns on the same Redis.
//!
//! Must never favour one of them: same route, same answer, same load, the other one idle meanwhile.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use services::Redis;

use crate::measure::{CONNECTIONS, HOT, LOAD_CORE, Options, SERVER_CORE, ports_of, say, settled, text};
use crate::process::{Worker, anywhere, on_core, output};

/// What one request cost, in microseconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// The route without sessions, in the same process.
    pub(crate) bare: f64,
    /// The protected route: the server.
    pub(crate) server: f64,
    /// The protected route: Redis.
    pub(crate) redis: f64,
}

impl Cost {
    /// All that a protected request costs.
    pub(crate) fn sum(&self) -> f64 {
        self.server + self.redis
    }
}

/// Neighbouring windows of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) ours: Cost,
    pub(crate) theirs: Cost,
}

/// One of the two servers, with the load for it.
struct Side {
    server: Worker,
    load: Worker,
    bare: u16,
    protected: u16,
}

/// As many rounds as there are pairs elsewhere, each side first in turn.
pub(crate) fn measure(options: &Options) -> Result<Vec<Round>> {
    say("over Redis, against axum-login");
    ensure!(options.peer.is_file(), "{} is not built: `cargo xtask bench` builds it", options.peer.display());
    let redis = Redis::start(&[])?;
    let process = process_of(&redis)?;
    // With the load, so that the server has its core for itself.
    output(Command::new("taskset").args([
        "--all-tasks",
        "--cpu-list",
        "--pid",
        &LOAD_CORE.to_string(),
        &process.to_string(),
    ]))?;
    let mut ours = ours(&redis, &options.folder)?;
    let mut theirs = theirs(&redis, &options.folder, &options.peer)?;
    let requests = options.requests;
    for side in [&mut ours, &mut theirs] {
        side.send(side.bare, requests.min(20_000))?;
        side.send(side.protected, requests.min(20_000))?;
    }
    let mut rounds = Vec::new();
    for number in 0..options.pairs {
        let round = if number % 2 == 0 {
            let first = ours.cost(process, requests)?;
            Round { ours: first, theirs: theirs.cost(process, requests)? }
        } else {
            let first = theirs.cost(process, requests)?;
            Round { ours: ours.cost(process, requests)?, theirs: first }
        };
        println!("    exeunt {:.2} us, axum-login {:.2} us", round.ours.sum(), round.theirs.sum());
        rounds.push(round);
    }
    ours.server.stop()?;
    theirs.server.stop()?;
    Ok(rounds)
}

fn process_of(redis: &Redis) -> Result<u32> {
    let info = redis.cli(&["info", "server"])?;
    let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    Ok(line.context("Redis tells its process")?.trim().parse()?)
}

fn ours(redis: &Redis, folder: &Path) -> Result<Side> {
    let (url, tokens) = (redis.url(), folder.join("tokens-in-redis"));
    let sessions = HOT.to_string();
    output(&mut anywhere(&[
        "populate-redis",
        "--url",
        &url,
        "--tokens",
        text(&tokens)?,
        "--sessions",
        &sessions,
    ])?)?;
    let server = Worker::start(on_core(SERVER_CORE, &["serve-redis", "--url", &url])?)?;
    Side::new(server, &tokens)
}

fn theirs(redis: &Redis, folder: &Path, peer: &Path) -> Result<Side> {
    let tokens = folder.join("tokens-of-the-peer");
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &SERVER_CORE.to_string()]).arg(peer);
    command.args([&redis.port().to_string(), &HOT.to_string()]).arg(&tokens);
    Side::new(Worker::start(command)?, &tokens)
}

impl Side {
    fn new((server, ports): (Worker, String), tokens: &Path) -> Result<Self> {
        let (bare, protected) = ports_of(&ports)?;
        let (load, _) = Worker::start(on_core(LOAD_CORE, &["load", "--tokens", text(tokens)?])?)?;
        Ok(Self { server, load, bare, protected })
    }

    fn send(&mut self, port: u16, requests: usize) -> Result<()> {
        self.load.ask(&format!("{port} {CONNECTIONS} {requests} spread {HOT} 0")).map(drop)
    }

    /// A window of each route.
    fn cost(&mut self, redis: u32, requests: usize) -> Result<Cost> {
        let each = |after: f64, before: f64| (after - before) / requests as f64;
        let begin = settled(self.server.id())?;
        self.send(self.bare, requests)?;
        let (middle, redis_before) = (settled(self.server.id())?, settled(redis)?);
        self.send(self.protected, requests)?;
        let (end, redis_after) = (settled(self.server.id())?, settled(redis)?);
        Ok(Cost {
            bare: each(middle, begin),
            server: each(end, middle),
            redis: each(redis_after, redis_before),
        })
    }
}
