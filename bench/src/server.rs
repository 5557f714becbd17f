//! The server under test: one route twice, without sessions and with them.
//!
//! Must never do more for one of the two than for the other, but for what is measured.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use exeunt::store::redis::RedisStore;
use exeunt::store::sqlite::SqliteStore;
use exeunt::{Clock, Near, Session, SessionLayer, Sessions, SystemClock, Timestamp, UserId};
use serde::Serialize;
use tokio::net::TcpListener;

/// The machine's clock, which can be set and held.
///
/// Either way the machine is asked each time, so that a held clock costs as much as a running one.
#[derive(Debug)]
struct BenchClock {
    machine: SystemClock,
    ahead: AtomicI64,
    held: AtomicI64,
}

impl BenchClock {
    fn at(micros: i64) -> Self {
        let clock = Self { machine: SystemClock::new(), ahead: AtomicI64::new(0), held: AtomicI64::new(0) };
        clock.set(micros);
        clock
    }

    fn set(&self, micros: i64) {
        self.ahead.store(micros - self.machine.now().as_micros(), Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
    }
}

impl Clock for BenchClock {
    fn now(&self) -> Timestamp {
        let running = self.machine.now().as_micros() + self.ahead.load(Ordering::Relaxed);
        match self.held.load(Ordering::Relaxed) {
            0 => Timestamp::from_micros(running),
            held => Timestamp::from_micros(held),
        }
    }

    fn running(&self) -> Duration {
        self.machine.running()
    }
}

#[derive(Debug, Serialize)]
struct Me {
    user: UserId,
}

/// What the layer adds to an answer that depends on a session, so that both answers are the same bytes.
const SAME: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (VARY, "Cookie")];

async fn bare() -> ([(HeaderName, &'static str); 2], Json<Me>) {
    let user = UserId::new("u0000000").expect("eight characters are a user id");
    (SAME, Json(Me { user }))
}

async fn protected(session: Session) -> Json<Me> {
    Json(Me { user: session.user().clone() })
}

/// Serves until SIGTERM. Prints its two ports, then an answer for each line on standard input.
pub(crate) fn serve(store: &Path, near: usize, at: i64) -> Result<()> {
    let near = Arc::new(Near::new(SqliteStore::open(store)?, near));
    let clock = Arc::new(BenchClock::at(at));
    let sessions = Sessions::over(Arc::clone(&near) as Arc<dyn exeunt::Store>)
        .clock(Arc::clone(&clock) as Arc<dyn Clock>);
    one_thread()?.block_on(listen(sessions, move || obey(&near, &clock)))
}

/// Serves sessions in Redis until SIGTERM. Prints its two ports.
pub(crate) fn serve_redis(url: &str) -> Result<()> {
    one_thread()?.block_on(async {
        let sessions = Sessions::new(RedisStore::connect(url).await?);
        listen(sessions, || ()).await
    })
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn listen(sessions: Sessions, obey: impl FnOnce() + Send + 'static) -> Result<()> {
    let without = Router::new().route("/api/me", get(bare));
    let with = Router::new().route("/api/me", get(protected)).layer(SessionLayer::new(sessions));
    let (a, b) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    println!("{} {}", a.local_addr()?.port(), b.local_addr()?.port());
    std::thread::spawn(obey);
    let no_delay = |stream: &mut tokio::net::TcpStream| drop(stream.set_nodelay(true));
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = axum::serve(a.tap_io(no_delay), without) => ended.context("the bare route"),
        ended = axum::serve(b.tap_io(no_delay), with) => ended.context("the protected route"),
        _ = end.recv() => Ok(()),
    }
}

fn obey(near: &Near<SqliteStore>, clock: &BenchClock) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match command(near, clock, &line) {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("error: {error:#}"),
        }
    }
}

fn command(near: &Near<SqliteStore>, clock: &BenchClock, line: &str) -> Result<String> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("hold", micros) => {
            clock.held.store(micros.parse()?, Ordering::Relaxed);
            Ok("held".to_owned())
        }
        ("set", micros) => {
            clock.set(micros.parse()?);
            Ok("set".to_owned())
        }
        ("cache", _) => Ok(format!("{} {}", near.sessions(), near.bytes())),
        _ => bail!("no such command: {line:?}"),
    }
}
