//! All that is measured, in order.
//!
//! Must never compare figures of two runs: each ratio is of neighbours in one process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use exeunt::store::DEFAULT_NEAR_BYTES;

use crate::durable::{Made, quantile};
use crate::population::{read_tokens, store, tokens};
use crate::process::{Worker, anywhere, copy, cpu_micros, on_core, output, resident_bytes, this_program};
use crate::redis;
use crate::report::{self, Found, Row};

pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const LOAD_CORE: usize = 1;
pub(crate) const CONNECTIONS: usize = 64;
pub(crate) const HOT: usize = 10_000;
const LOG_BYTES: u64 = 64 * 1024 * 1024;
const SECOND: i64 = 1_000_000;
/// A touch is due after a 60th of the idle timeout of 30 minutes.
const TOUCH: i64 = 30 * SECOND;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many sessions live.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// The requests of one window.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) requests: usize,
    /// The pairs of windows, bare and protected, of a row.
    #[arg(long, default_value_t = 7)]
    pub(crate) pairs: usize,
    /// The logouts of one of three rounds.
    #[arg(long, default_value_t = 50_000)]
    logouts: usize,
    /// Where the stores lie meanwhile; it is emptied before.
    #[arg(long, default_value = "target/bench")]
    pub(crate) folder: PathBuf,
    /// The program that serves the same route under axum-login; `cargo xtask bench` builds it.
    #[arg(long, default_value = "target/peer/release/peer")]
    pub(crate) peer: PathBuf,
    /// Measures requests over Redis alone, and only prints.
    #[arg(long, conflicts_with = "write")]
    only_redis: bool,
    /// The file whose tables are written; without it they are only printed.
    #[arg(long)]
    write: Option<PathBuf>,
    /// The command to name in the tables.
    #[arg(long, default_value = "cargo xtask bench")]
    command: String,
}

/// Measures, prints and writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.sessions >= 2 * HOT, "at least {} sessions", 2 * HOT);
    let folder = options.folder.join("store");
    if options.folder.exists() {
        std::fs::remove_dir_all(&options.folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    if options.only_redis {
        println!("{}", report::over_redis(&redis::measure(options)?)?);
        return Ok(());
    }
    let sync = sync_micros(&options.folder)?;

    say("logging in");
    let sessions = options.sessions.to_string();
    let logins = numbers(&output(&mut anywhere(&[
        "populate",
        "--folder",
        text(&folder)?,
        "--sessions",
        &sessions,
    ])?)?)?;
    let made = Made::of(&store(&folder))?;
    ensure!(usize::try_from(made.sessions)? == options.sessions, "every login is in the file");
    let disk = std::fs::metadata(store(&folder))?.len() as f64 / options.sessions as f64;

    let bench = Bench { options, folder: &folder, made };
    let (rows, near) = bench.requests()?;
    let instructions = bench.instructions()?;
    let opened = bench.after_a_crash()?;
    say("destroy_all");
    let destroy_all = numbers(&output(&mut anywhere(&["destroy-all", "--folder", text(&folder)?])?)?)?;
    let logouts = bench.logouts()?;
    let redis = redis::measure(options)?;

    let found = Found {
        command: options.command.clone(),
        sessions: options.sessions,
        requests: options.requests,
        pairs: options.pairs,
        sync,
        logins: logins.get(1).copied().unwrap_or_default(),
        rows,
        near,
        disk,
        instructions,
        opened,
        log_bytes: LOG_BYTES,
        destroy_all,
        logouts,
        redis,
    };
    let tables = report::tables(&found)?;
    println!("{tables}");
    if let Some(file) = &options.write {
        report::write(file, &tables)?;
    }
    std::fs::remove_dir_all(&options.folder)?;
    Ok(())
}

/// What the near cache takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NearBytes {
    /// As it counts itself, for one session.
    pub(crate) counted: f64,
    /// As the process grew by it, for one session.
    pub(crate) grown: f64,
}

struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    made: Made,
}

/// The server under test and the load, at work.
struct Pair {
    server: Worker,
    load: Worker,
    bare: u16,
    protected: u16,
}

impl Bench<'_> {
    fn start(&self, near: usize) -> Result<Pair> {
        let near = near.to_string();
        let at = self.made.last.to_string();
        let file = store(self.folder);
        let serve = ["serve", "--store", text(&file)?, "--near", &near, "--at", &at];
        let (server, ports) = Worker::start(on_core(SERVER_CORE, &serve)?)?;
        let (bare, protected) = ports_of(&ports)?;
        let (load, _) =
            Worker::start(on_core(LOAD_CORE, &["load", "--tokens", text(&tokens(self.folder))?])?)?;
        Ok(Pair { server, load, bare, protected })
    }

    /// The rows of protected requests, and what the near cache takes.
    fn requests(&self) -> Result<(Vec<Row>, NearBytes)> {
        let all = self.options.sessions;
        let mut rows = vec![self.spread()?];
        let (row, without_cache) = self.uniform("uniform over all, no cache", 0)?;
        rows.push(row);
        let (row, _) = self.uniform("uniform over all, default cache", DEFAULT_NEAR_BYTES)?;
        rows.push(row);

        let mut pair = self.start(all * 600)?;
        pair.tell(&format!("hold {}", self.made.first))?;
        let with_cache = pair.growth(all)?;
        let what = "uniform over all, a cache that holds them";
        let uniform = |number| format!("uniform {number} 0");
        rows.push(self.row(what, Some(1.4), &mut pair, self.options.requests, uniform)?);
        let cache = numbers(&pair.server.ask("cache")?)?;
        let [held, bytes] = cache.as_slice() else { bail!("the cache tells two numbers") };
        ensure!(*held == all as f64, "the cache holds {held} of {all} sessions");
        let near = NearBytes { counted: bytes / held, grown: (with_cache - without_cache) / held };

        pair.tell(&format!("hold {}", self.made.last + TOUCH + SECOND))?;
        let requests = self.options.requests.min(all / (self.options.pairs + 1));
        let once = |number| format!("once 0 {}", number * requests);
        rows.push(self.row("the same, and every request is due a touch", None, &mut pair, requests, once)?);
        pair.stop()?;
        Ok((rows, near))
    }

    /// Requests to the sessions of 10,000 busy people, while the clock runs.
    fn spread(&self) -> Result<Row> {
        let mut pair = self.start(DEFAULT_NEAR_BYTES)?;
        // Each was seen some time in the last 30 seconds, a thirtieth of them in each, so that touches come evenly.
        let slice = HOT.div_ceil(30);
        for second in 0..30 {
            let now = self.made.last + TOUCH + SECOND * i64::try_from(second)?;
            pair.tell(&format!("set {now}"))?;
            pair.send(pair.protected, slice, &format!("spread {HOT} {}", second * slice))?;
        }
        let hot = |_| format!("spread {HOT} 0");
        let what = "spread over 10,000, default cache";
        let row = self.row(what, Some(1.25), &mut pair, self.options.requests, hot)?;
        pair.stop()?;
        Ok(row)
    }

    /// Requests to any session at random, while no touch is due; and how much the server grew by reading all once.
    fn uniform(&self, what: &str, near: usize) -> Result<(Row, f64)> {
        let mut pair = self.start(near)?;
        pair.tell(&format!("hold {}", self.made.first))?;
        let growth = pair.growth(self.options.sessions)?;
        let uniform = |number| format!("uniform {number} 0");
        let row = self.row(what, None, &mut pair, self.options.requests, uniform)?;
        pair.stop()?;
        Ok((row, growth))
    }

    /// So many pairs of windows, bare and protected, each first in turn.
    fn row(
        &self,
        what: &str,
        goal: Option<f64>,
        pair: &mut Pair,
        requests: usize,
        choice: impl Fn(usize) -> String,
    ) -> Result<Row> {
        say(what);
        let mut row = Row { what: what.to_owned(), goal, ..Row::default() };
        // One of each goes before and is not counted.
        pair.window(pair.bare, requests.min(20_000), "spread 10000 0")?;
        for number in 0..self.options.pairs {
            let choice = choice(number);
            let (bare, protected) = if number % 2 == 0 {
                let bare = pair.window(pair.bare, requests, &choice)?;
                (bare, pair.window(pair.protected, requests, &choice)?)
            } else {
                let protected = pair.window(pair.protected, requests, &choice)?;
                (pair.window(pair.bare, requests, &choice)?, protected)
            };
            println!(
                "    bare {:.2} us, protected {:.2} us, {:.3}",
                bare.cpu,
                protected.cpu,
                protected.cpu / bare.cpu
            );
            row.pairs.push((bare, protected));
        }
        Ok(row)
    }

    /// Instructions of one request on one connection: bare, and protected.
    fn instructions(&self) -> Result<(f64, f64)> {
        say("instructions");
        const REQUESTS: usize = 5_000;
        let none = self.callgrind(0, 0)?;
        let bare = self.callgrind(REQUESTS, 0)?;
        let protected = self.callgrind(0, REQUESTS)?;
        Ok(((bare - none) / REQUESTS as f64, (protected - none) / REQUESTS as f64))
    }

    fn callgrind(&self, bare: usize, protected: usize) -> Result<f64> {
        let file = self.options.folder.join("callgrind");
        let near = DEFAULT_NEAR_BYTES.to_string();
        let at = self.made.first.to_string();
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={}", text(&file)?)])
            .arg(this_program()?)
            .args(["serve", "--store", text(&store(self.folder))?, "--near", &near, "--at", &at]);
        let (server, ports) = Worker::start(command)?;
        let (bare_port, protected_port) = ports_of(&ports)?;
        let (load, _) =
            Worker::start(on_core(LOAD_CORE, &["load", "--tokens", text(&tokens(self.folder))?])?)?;
        let mut pair = Pair { server, load, bare: bare_port, protected: protected_port };
        pair.tell(&format!("hold {}", self.made.first))?;
        let mut send = |port: u16, requests: usize| match requests {
            0 => Ok(0.0),
            _ => pair.say_load(port, 1, requests, "spread 1000 0"),
        };
        // Warm both routes, and take all that is asked for into the cache.
        send(bare_port, 1_000)?;
        send(protected_port, 2_000)?;
        send(bare_port, bare)?;
        send(protected_port, protected)?;
        pair.stop()?;
        let counted = std::fs::read_to_string(&file).context("what callgrind wrote")?;
        let total =
            counted.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
        Ok(total.context("callgrind gives a sum")?.trim().parse()?)
    }

    /// Milliseconds from the start of a server after `kill -9` to its first answer.
    fn after_a_crash(&self) -> Result<Vec<f64>> {
        say("opening after kill -9");
        let token = read_tokens(&tokens(self.folder))?.into_iter().nth(HOT).context("a session")?;
        let mut took = Vec::new();
        for _ in 0..3 {
            let crashed = self.options.folder.join("crashed");
            copy(self.folder, &crashed)?;
            let file = store(&crashed);
            let bytes = LOG_BYTES.to_string();
            let (writer, _) =
                Worker::start(anywhere(&["fill-log", "--store", text(&file)?, "--bytes", &bytes])?)?;
            writer.kill_9()?;
            let (near, at) = (DEFAULT_NEAR_BYTES.to_string(), self.made.last.to_string());
            let began = Instant::now();
            let (server, ports) =
                Worker::start(anywhere(&["serve", "--store", text(&file)?, "--near", &near, "--at", &at])?)?;
            first_answer(ports_of(&ports)?.1, &token)?;
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
            server.stop()?;
            std::fs::remove_dir_all(&crashed)?;
        }
        took.sort_by(f64::total_cmp);
        Ok(took)
    }

    /// Three rounds of durable logouts: a second, and p50, p99 and longest in milliseconds.
    fn logouts(&self) -> Result<Vec<Vec<f64>>> {
        say("logouts");
        let count = self.options.logouts.min(self.options.sessions / 10).to_string();
        let mut rounds = Vec::new();
        for round in ["0", "1", "2"] {
            let logouts = ["logouts", "--folder", text(self.folder)?, "--count", &count, "--round", round];
            rounds.push(numbers(&output(&mut anywhere(&logouts)?)?)?);
        }
        Ok(rounds)
    }
}

/// What one window took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The server's processor time for one request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests answered in a second.
    pub(crate) a_second: f64,
}

impl Pair {
    fn tell(&mut self, what: &str) -> Result<()> {
        self.server.ask(what).map(drop)
    }

    /// Sends requests, and gives the seconds that they took.
    fn send(&mut self, port: u16, requests: usize, choice: &str) -> Result<f64> {
        self.say_load(port, CONNECTIONS, requests, choice)
    }

    fn say_load(&mut self, port: u16, connections: usize, requests: usize, choice: &str) -> Result<f64> {
        Ok(self.load.ask(&format!("{port} {connections} {requests} {choice}"))?.parse()?)
    }

    /// Sends requests, and gives what they cost, with all work that they left for later.
    fn window(&mut self, port: u16, requests: usize, choice: &str) -> Result<Window> {
        let before = self.settled()?;
        let seconds = self.send(port, requests, choice)?;
        let after = self.settled()?;
        Ok(Window { cpu: (after - before) / requests as f64, a_second: requests as f64 / seconds })
    }

    fn settled(&self) -> Result<f64> {
        settled(self.server.id())
    }

    /// How many bytes the server grows by when each session was asked for once.
    fn growth(&mut self, all: usize) -> Result<f64> {
        self.send(self.protected, 2 * CONNECTIONS, "once 0 0")?;
        self.settled()?;
        let before = resident_bytes(self.server.id())?;
        self.send(self.protected, all, "once 0 0")?;
        self.settled()?;
        Ok(resident_bytes(self.server.id())? - before)
    }

    fn stop(self) -> Result<()> {
        drop(self.load);
        self.server.stop()
    }
}

/// A process's processor time, in microseconds, once it has nothing left to do.
pub(crate) fn settled(process: u32) -> Result<f64> {
    let mut spent = cpu_micros(process)?;
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(25));
        let now = cpu_micros(process)?;
        if now - spent < 250.0 {
            return Ok(now);
        }
        spent = now;
    }
    Ok(spent)
}

/// Asks until there is an answer, on a connection of its own.
fn first_answer(port: u16, token: &str) -> Result<()> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /api/me HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __Host-session={token}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "the first answer is {answer:?}");
    Ok(())
}

/// What the disk takes to write 4 KiB for good, median and p99 in microseconds: what logouts have to wait for.
fn sync_micros(folder: &Path) -> Result<(f64, f64)> {
    let path = folder.join("sync");
    let mut file = std::fs::File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    took.sort();
    let micros = |part: f64| quantile(&took, part).as_secs_f64() * 1e6;
    Ok((micros(0.5), micros(0.99)))
}

pub(crate) fn ports_of(line: &str) -> Result<(u16, u16)> {
    let (bare, protected) = line.split_once(' ').context("two ports")?;
    Ok((bare.parse()?, protected.parse()?))
}

pub(crate) fn numbers(line: &str) -> Result<Vec<f64>> {
    line.split_whitespace().map(|number| number.parse().with_context(|| format!("{line:?}"))).collect()
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

pub(crate) fn say(what: &str) {
    println!("==> {what}");
}
