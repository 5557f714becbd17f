//! A store that is silent, or dies, while logout is asked: what is answered, and what the cookie is worth afterwards.
//!
//! Must never wait for ever: a logout has 5 s, and the store's return 30 s.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Options;
use crate::client::Heard;
use crate::server::Server;
use crate::targets::{Kept, Place, Target};

/// How long a server may take to be back once its store is.
pub(crate) const BACK_WITHIN: Duration = Duration::from_secs(30);
/// What was queued may still happen right after the return: the replay is done twice.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// What happens to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stopped in the middle of what it does (`SIGSTOP`).
    Paused,
    /// Killed (`SIGKILL`), and started again with all that it had acknowledged.
    Killed,
}

/// One outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// What logout said meanwhile.
    pub(crate) logout: String,
    /// How long that took.
    pub(crate) took: Duration,
    /// What a replay is told once the store is back.
    pub(crate) replay: String,
    /// What a second logout says then, and a replay after it; nothing, if the first did it.
    pub(crate) again: String,
}

/// Logs in, lets the store fail, logs out, lets the store come back, and replays the cookie.
pub(crate) fn round(target: &Target, options: &Options, kind: Kind) -> Result<Round> {
    let mut place = Place::of(target)?;
    let mut server = place.start(target, options)?;
    // Every connection has been in use once.
    for _ in 0..8 {
        let other = server.login()?;
        server.logout(&other);
    }
    let cookie = server.login()?;
    ensure!(server.is_live(&cookie)?, "a fresh session lives");
    begin(&mut place, target.kept, kind)?;
    let asked = Instant::now();
    let heard = server.logout(&cookie);
    let took = asked.elapsed();
    end(&mut place, target.kept, kind)?;
    let mut logout = heard.words();
    if server.has_ended()? {
        logout += ", the process ended";
        server = place.start(target, options)?;
    }
    let replay = replay(&server, &cookie);
    let again = match replay.ends_with("200") {
        true => format!("{}, then {}", server.logout(&cookie).words(), server.me(&cookie).words()),
        false => String::new(),
    };
    Ok(Round { logout, took, replay, again })
}

/// Asks until it is known whether the cookie is somebody's; then once more.
fn replay(server: &Server, cookie: &str) -> String {
    let since = Instant::now();
    while since.elapsed() < BACK_WITHIN {
        let heard = server.me(cookie);
        if !is_known(&heard) {
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        thread::sleep(ONCE_MORE);
        let later = server.me(cookie);
        let back = match since.elapsed().saturating_sub(ONCE_MORE).as_secs() {
            0 | 1 => String::new(),
            seconds => format!("after {seconds} s: "),
        };
        return match heard == later || heard.status() == later.status() {
            true => format!("{back}{}", heard.words()),
            false => format!("{back}{}, then {}", heard.words(), later.words()),
        };
    }
    format!("not back in {} s", BACK_WITHIN.as_secs())
}

fn is_known(heard: &Heard) -> bool {
    matches!(heard.status(), Some(200 | 401))
}

fn begin(place: &mut Place, kept: Kept, kind: Kind) -> Result<()> {
    match (kept, kind) {
        (Kept::Postgres, Kind::Paused) => place.postgres.as_ref().context(NO_ENGINE)?.pause()?,
        (Kept::Postgres, Kind::Killed) => place.postgres.as_mut().context(NO_ENGINE)?.kill(),
        (_, Kind::Paused) => place.redis.as_ref().context(NO_ENGINE)?.pause(),
        (_, Kind::Killed) => place.redis.as_mut().context(NO_ENGINE)?.kill(),
    }
    Ok(())
}

fn end(place: &mut Place, kept: Kept, kind: Kind) -> Result<()> {
    match (kept, kind) {
        (Kept::Postgres, Kind::Paused) => place.postgres.as_ref().context(NO_ENGINE)?.go_on()?,
        (Kept::Postgres, Kind::Killed) => place.postgres.as_mut().context(NO_ENGINE)?.restart()?,
        (_, Kind::Paused) => place.redis.as_ref().context(NO_ENGINE)?.go_on(),
        (_, Kind::Killed) => place.redis.as_mut().context(NO_ENGINE)?.restart()?,
    }
    Ok(())
}

const NO_ENGINE: &str = "only what has an engine stands an outage of it";
