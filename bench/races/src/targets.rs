//! Who is attacked: how each is started, where its sessions are, and what it is asked.
//!
//! Must never start one on what another has used.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use services::{Postgres, Redis};
use tempfile::TempDir;

use crate::Options;
use crate::client::Request;
use crate::server::{Requests, Server};

const FORM: &str = "application/x-www-form-urlencoded";
const PASSWORD: &str = "correct horse battery staple";

/// What the small servers understand.
pub(crate) const REQUESTS: Requests = Requests {
    login: Request { method: "POST", path: "/login", body: Some((FORM, "username=alice&password=horse")) },
    logout: Request { method: "POST", path: "/logout", body: None },
    me: Request { method: "GET", path: "/me", body: None },
};

/// What the program `exeunt` understands.
const OF_THE_PROGRAM: Requests = Requests {
    login: Request {
        method: "POST",
        path: "/api/auth/login",
        body: Some(("application/json", r#"{"username":"alice","password":"correct horse battery staple"}"#)),
    },
    logout: Request { method: "DELETE", path: "/api/auth/logout", body: None },
    me: Request { method: "GET", path: "/api/me", body: None },
};

/// A server to attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    program: Program,
    pub(crate) kept: Kept,
    /// Which attacks it stands.
    pub(crate) attacks: &'static [Attack],
}

/// The attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    InFlight,
    TwoNodes,
    Outage,
}

#[derive(Clone, Copy, Debug)]
enum Program {
    /// `node server.mjs`, with these words.
    Node(&'static str, &'static str),
    /// A Rust program among the peers, with this word.
    Peer(&'static str, &'static str),
    /// The small application on our library.
    Library,
    /// The program `exeunt`.
    Exeunt,
}

/// Where sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Memory,
    File,
    Redis,
    Postgres,
}

use Attack::{InFlight, Outage, TwoNodes};

const ALL: &[Attack] = &[InFlight, TwoNodes, Outage];

/// Everyone, in the order of the tables.
pub(crate) const TARGETS: &[Target] = &[
    of("express-session, MemoryStore", Program::Node("express", "memory"), Kept::Memory, &[InFlight]),
    of("express-session, connect-redis", Program::Node("express", "redis"), Kept::Redis, ALL),
    of(
        "express-session, connect-redis, with an error listener",
        Program::Node("express", "redis-listening"),
        Kept::Redis,
        &[Outage],
    ),
    of("passport, MemoryStore", Program::Node("passport", "memory"), Kept::Memory, &[InFlight]),
    of("passport, connect-redis", Program::Node("passport", "redis"), Kept::Redis, ALL),
    of("axum-login, MemoryStore", Program::Peer("axum-login", "memory"), Kept::Memory, &[InFlight]),
    of("axum-login, RedisStore", Program::Peer("axum-login", "redis"), Kept::Redis, ALL),
    of(
        "axum-login, RedisStore, with time-outs and reconnects",
        Program::Peer("axum-login", "redis-tuned"),
        Kept::Redis,
        &[Outage],
    ),
    of(
        "axum-login, CachingSessionStore (moka over Redis)",
        Program::Peer("axum-login", "cached"),
        Kept::Redis,
        ALL,
    ),
    of("actix-session, RedisSessionStore", Program::Peer("actix-session", "redis"), Kept::Redis, ALL),
    of("exeunt, the library, memory", Program::Library, Kept::Memory, &[InFlight]),
    of("exeunt, the library, SQLite", Program::Library, Kept::File, &[InFlight]),
    of("exeunt, the library, Redis", Program::Library, Kept::Redis, &[InFlight]),
    of("exeunt, the library, PostgreSQL", Program::Library, Kept::Postgres, &[InFlight]),
    of("exeunt, the server, Redis", Program::Exeunt, Kept::Redis, &[TwoNodes, Outage]),
    of("exeunt, the server, PostgreSQL", Program::Exeunt, Kept::Postgres, &[TwoNodes, Outage]),
];

const fn of(name: &'static str, program: Program, kept: Kept, attacks: &'static [Attack]) -> Target {
    Target { name, program, kept, attacks }
}

/// The engines, and a folder for files; of one attack on one target.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) redis: Option<Redis>,
    pub(crate) postgres: Option<Postgres>,
    store: String,
    /// Of the program, where they cannot be with the sessions.
    accounts: Option<String>,
    folder: TempDir,
}

impl Place {
    /// Starts what the target needs.
    pub(crate) fn of(target: &Target) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (mut redis, mut postgres) = (None, None);
        let store = match target.kept {
            Kept::Memory => "memory".to_owned(),
            Kept::File => text(&folder.path().join("sessions.db"))?,
            Kept::Redis => redis.insert(Redis::start(&[])?).url(),
            Kept::Postgres => postgres.insert(Postgres::start(&[])?).new_database()?,
        };
        let is_exeunt = matches!(target.program, Program::Exeunt);
        let accounts = match target.kept {
            // Two nodes share them, and a file would belong to one of them.
            Kept::Redis if is_exeunt => Some(postgres.insert(Postgres::start(&[])?).new_database()?),
            _ => None,
        };
        let place = Self { redis, postgres, store, accounts, folder };
        if is_exeunt {
            place.add_alice()?;
        }
        Ok(place)
    }

    /// Starts the target here: a node more.
    pub(crate) fn start(&self, target: &Target, options: &Options) -> Result<Server> {
        let (command, requests) = match target.program {
            Program::Node(framework, kept) => {
                let mut command = Command::new("node");
                command.current_dir(options.root.join("bench/races/node"));
                command.args(["server.mjs", framework, kept, &self.store]);
                (command, REQUESTS)
            }
            Program::Peer(name, kept) => {
                let mut command = Command::new(options.peers.join(name));
                command.args([kept, &self.store]);
                (command, REQUESTS)
            }
            Program::Library => {
                let mut command = Command::new(this_program()?);
                command.args(["serve", &self.store]);
                (command, REQUESTS)
            }
            Program::Exeunt => {
                let mut command = self.exeunt(&["serve", "--listen", "127.0.0.1:0"])?;
                // What it logs of an outage is not asked for here.
                command.stderr(Stdio::null());
                (command, OF_THE_PROGRAM)
            }
        };
        Server::start(command, requests)
    }

    /// A call of the program `exeunt`, which is built beside this one.
    fn exeunt(&self, words: &[&str]) -> Result<Command> {
        let program = this_program()?.with_file_name("exeunt");
        ensure!(program.exists(), "`cargo build --package exeunt-server` makes {}", program.display());
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EXEUNT_"))
        {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).args(words).args(["--store", &self.store]);
        if let Some(accounts) = &self.accounts {
            command.args(["--accounts", accounts]);
        }
        Ok(command)
    }

    fn add_alice(&self) -> Result<()> {
        let mut command = self.exeunt(&["account", "add", "alice", "--password-stdin"])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        child.stdin.take().context("it has an input")?.write_all(PASSWORD.as_bytes())?;
        ensure!(child.wait()?.success(), "alice has an account");
        Ok(())
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("the file of this program")
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("a folder of ours has a name in UTF-8")
}
