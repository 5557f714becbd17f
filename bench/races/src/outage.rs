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

impl Round {
    /// What was said to be over is over, and a second logout does it where the first did not.
    pub(crate) fn holds(&self) -> bool {
        let acknowledged = self.logout.starts_with(['2', '3']);
        let lived = self.replay.contains("200");
        match self.replay.ends_with("200") {
            true => !acknowledged && self.again.ends_with("then 401"),
            false => self.replay.ends_with("401") && !(acknowledged && lived),
        }
    }
}

/// A store that goes away and comes back, and the server before it.
trait Away {
    fn start(&self) -> Result<Server>;
    fn goes(&mut self) -> Result<()>;
    fn comes_back(&mut self) -> Result<()>;
}

/// One of the targets, with its store in an engine.
struct Engine<'a> {
    target: &'a Target,
    options: &'a Options,
    place: Place,
    kind: Kind,
}

/// One outage of that target's store.
pub(crate) fn round(target: &Target, options: &Options, kind: Kind) -> Result<Round> {
    across(&mut Engine { target, options, place: Place::of(target)?, kind }, ONCE_MORE)
}

/// Logs in, lets the store fail, logs out, lets the store come back, and replays the cookie, twice.
fn across(store: &mut impl Away, once_more: Duration) -> Result<Round> {
    let mut server = store.start()?;
    // Every connection has been in use once.
    for _ in 0..8 {
        let other = server.login()?;
        server.logout(&other);
    }
    let cookie = server.login()?;
    ensure!(server.is_live(&cookie)?, "a fresh session lives");
    store.goes()?;
    let asked = Instant::now();
    let heard = server.logout(&cookie);
    let took = asked.elapsed();
    store.comes_back()?;
    let mut logout = heard.words();
    if server.has_ended()? {
        logout += ", the process ended";
        server = store.start()?;
    }
    let replay = replay(&server, &cookie, once_more);
    let again = match replay.ends_with("200") {
        true => format!("{}, then {}", server.logout(&cookie).words(), server.me(&cookie).words()),
        false => String::new(),
    };
    Ok(Round { logout, took, replay, again })
}

/// Asks until it is known whether the cookie is somebody's; then once more.
fn replay(server: &Server, cookie: &str, once_more: Duration) -> String {
    let since = Instant::now();
    while since.elapsed() < BACK_WITHIN {
        let heard = server.me(cookie);
        if !is_known(&heard) {
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        thread::sleep(once_more);
        let later = server.me(cookie);
        let back = match since.elapsed().saturating_sub(once_more).as_secs() {
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

impl Away for Engine<'_> {
    fn start(&self) -> Result<Server> {
        self.place.start(self.target, self.options)
    }

    fn goes(&mut self) -> Result<()> {
        let Place { postgres, redis, .. } = &mut self.place;
        match (self.target.kept, self.kind) {
            (Kept::Postgres, Kind::Paused) => postgres.as_ref().context(NO_ENGINE)?.pause()?,
            (Kept::Postgres, Kind::Killed) => postgres.as_mut().context(NO_ENGINE)?.kill(),
            (_, Kind::Paused) => redis.as_ref().context(NO_ENGINE)?.pause(),
            (_, Kind::Killed) => redis.as_mut().context(NO_ENGINE)?.kill(),
        }
        Ok(())
    }

    fn comes_back(&mut self) -> Result<()> {
        let Place { postgres, redis, .. } = &mut self.place;
        match (self.target.kept, self.kind) {
            (Kept::Postgres, Kind::Paused) => postgres.as_ref().context(NO_ENGINE)?.go_on()?,
            (Kept::Postgres, Kind::Killed) => postgres.as_mut().context(NO_ENGINE)?.restart()?,
            (_, Kind::Paused) => redis.as_ref().context(NO_ENGINE)?.go_on(),
            (_, Kind::Killed) => redis.as_mut().context(NO_ENGINE)?.restart()?,
        }
        Ok(())
    }
}

const NO_ENGINE: &str = "only what has an engine stands an outage of it";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::Router;
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::http::header::SET_COOKIE;
    use axum::response::AppendHeaders;
    use axum::routing::{get, post};

    use super::*;
    use crate::server::tests::serve;

    /// A server with one session, whose store can be away.
    #[derive(Clone, Default)]
    struct One {
        live: Arc<AtomicBool>,
        away: Arc<AtomicBool>,
        /// Says that somebody is logged out although the store is away.
        lies: bool,
    }

    impl Away for One {
        fn start(&self) -> Result<Server> {
            let login = async |State(server): State<Self>| {
                server.live.store(true, Ordering::SeqCst);
                AppendHeaders([(SET_COOKIE, "id=one")])
            };
            let app = Router::new().route("/login", post(login));
            let app = app.route("/logout", post(logout)).route("/me", get(me));
            Ok(serve(app.with_state(self.clone())))
        }

        fn goes(&mut self) -> Result<()> {
            self.away.store(true, Ordering::SeqCst);
            Ok(())
        }

        fn comes_back(&mut self) -> Result<()> {
            self.away.store(false, Ordering::SeqCst);
            Ok(())
        }
    }

    async fn logout(State(server): State<One>) -> StatusCode {
        match server.away.load(Ordering::SeqCst) {
            true if server.lies => StatusCode::OK,
            true => StatusCode::BAD_REQUEST,
            false => {
                server.live.store(false, Ordering::SeqCst);
                StatusCode::OK
            }
        }
    }

    async fn me(State(server): State<One>) -> StatusCode {
        let live = server.live.load(Ordering::SeqCst);
        if live { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    }

    fn said(mut server: One) -> (String, String, String, bool) {
        let round = across(&mut server, Duration::ZERO).unwrap();
        let holds = round.holds();
        (round.logout, round.replay, round.again, holds)
    }

    #[test]
    fn a_logout_that_was_acknowledged_while_the_store_was_away_is_found_out() {
        let (logout, replay, again, holds) = said(One { lies: true, ..One::default() });
        assert_eq!((&*logout, &*replay, &*again, holds), ("200", "200", "200, then 401", false));
    }

    #[test]
    fn who_was_told_that_it_is_over_may_not_be_let_in_once() {
        let round = |logout: &str, replay: &str| Round {
            logout: logout.to_owned(),
            took: Duration::ZERO,
            replay: replay.to_owned(),
            again: String::new(),
        };
        assert!(!round("200", "200, then 401").holds());
        assert!(!round("200", "after 3 s: 200, then 401").holds());
        assert!(!round("400", "not back in 30 s").holds());
        assert!(round("200", "401").holds() && round("no answer", "200, then 401").holds());
    }

    #[test]
    fn who_says_that_it_failed_is_not_accused() {
        let (logout, replay, again, holds) = said(One::default());
        assert_eq!((&*logout, &*replay, &*again, holds), ("400", "200", "200, then 401", true));
    }
}
