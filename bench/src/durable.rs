//! What has to be on the disk: logouts, log out everywhere, and a log that a crash left behind.
//!
//! Must never count what was not acknowledged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{ManualClock, Sessions, Timestamp, Token};

use crate::population::{LARGE, LARGE_USERS, read_tokens, store, tokens, user};

/// Logs `count` sessions out with `waiting` at a time. Prints: a second, p50, p99, longest in milliseconds.
pub(crate) fn logouts(folder: &Path, count: usize, waiting: usize, round: usize) -> Result<()> {
    let tokens = read_tokens(&tokens(folder))?;
    ensure!(tokens.len() >= count + LARGE_USERS * LARGE, "as many sessions as logouts");
    // In no order, as people log out.
    let step = (tokens.len() - LARGE_USERS * LARGE) / count;
    ensure!(round < step, "no session is left for another round");
    let chosen = tokens.iter().skip(LARGE_USERS * LARGE + round).step_by(step).take(count);
    let chosen: Arc<Vec<_>> = Arc::new(shuffled(chosen.map(|token| Token::parse(token)).collect()));
    let sessions = open(folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let began = Instant::now();
    let mut took: Vec<Duration> = runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..waiting {
            let (sessions, chosen, next) = (sessions.clone(), Arc::clone(&chosen), Arc::clone(&next));
            tasks.push(tokio::spawn(async move {
                let mut took = Vec::new();
                while let Some(token) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let token = token.as_ref().context("a token")?;
                    let began = Instant::now();
                    ensure!(sessions.logout(token).await?, "it was live");
                    took.push(began.elapsed());
                }
                Ok(took)
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    took.sort();
    let at = |part: f64| milliseconds(quantile(&took, part));
    println!("{:.0} {:.2} {:.2} {:.2}", took.len() as f64 / seconds, at(0.5), at(0.99), at(1.0));
    Ok(())
}

/// The sessions, with the clock where it stood when the last of them was made, so that all are live.
fn open(folder: &Path) -> Result<Sessions> {
    let clock = ManualClock::at(Timestamp::from_micros(Made::of(&store(folder))?.last));
    Ok(Sessions::new(exeunt::open(store(folder))?).clock(Arc::new(clock)))
}

/// When the sessions of a store were made, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) sessions: i64,
}

impl Made {
    pub(crate) fn of(store: &Path) -> Result<Self> {
        let connection = Connection::open(store)?;
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
        Ok(Self {
            first: one("SELECT created_at FROM session ORDER BY id LIMIT 1")?,
            last: one("SELECT created_at FROM session ORDER BY id DESC LIMIT 1")?,
            sessions: one("SELECT count(*) FROM session")?,
        })
    }
}

fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for last in (1..items.len()).rev() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, usize::try_from((random >> 33) % (last as u64 + 1)).unwrap_or(0));
    }
    items
}

/// Ends all sessions of each user who has 100. Prints: median and longest in milliseconds.
pub(crate) fn destroy_all(folder: &Path) -> Result<()> {
    let sessions = open(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut took = Vec::new();
    for number in 0..LARGE_USERS {
        let user = user(number * LARGE);
        let began = Instant::now();
        let ended = runtime.block_on(sessions.logout_all(&user, None))?;
        took.push(began.elapsed());
        ensure!(ended.len() == LARGE, "{} of {LARGE} sessions ended", ended.len());
    }
    took.sort();
    println!("{:.2} {:.2}", milliseconds(quantile(&took, 0.5)), milliseconds(quantile(&took, 1.0)));
    Ok(())
}

/// Writes until the log is that long, without ever folding it into the file, and waits to be killed.
pub(crate) fn fill_log(store: &Path, bytes: u64) -> Result<()> {
    let log = store.with_extension("db-wal");
    let connection = Connection::open(store)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let (first, last): (i64, i64) =
        connection
            .query_row("SELECT min(id), max(id) FROM session", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut place = 0.0_f64;
    while std::fs::metadata(&log).map_or(0, |log| log.len()) < bytes {
        // As touches all over the table would.
        for _ in 0..100 {
            place = (place + 0.618_033_988_75).fract();
            let id = first + ((last - first) as f64 * place) as i64;
            // There and back: a row that is not as the store wrote it has ended.
            for by in [1, -1] {
                connection.execute(
                    "UPDATE session SET seen_at = seen_at + ?2
                     WHERE id = (SELECT min(id) FROM session WHERE id >= ?1)",
                    [id, by],
                )?;
            }
        }
    }
    println!("{}", std::fs::metadata(&log)?.len());
    loop {
        std::thread::park();
    }
}

/// The value below which `part` of the sorted values are.
pub(crate) fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let index = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
