//! The attacks that need no outage: a slow request across a logout, and a replay on another node.
//!
//! Must never count what was not asked: a round whose answers make no sense ends the run.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::client::Heard;
use crate::server::{Server, slow};

/// How long a slow request takes, in milliseconds.
const SLOW: std::ops::Range<u64> = 20..60;
/// After so long a cookie that was alive on another node is asked for once more.
pub(crate) const LATER: Duration = Duration::from_secs(10);

/// SplitMix64: the same lots for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Lots(u64);

impl Lots {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        range.start + (mixed ^ (mixed >> 31)) % (range.end - range.start)
    }
}

/// What came of slow requests across logouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) rounds: u32,
    /// The slow request was answered after the logout was.
    pub(crate) across: u32,
    /// The cookie that was logged out is somebody's afterwards.
    pub(crate) revived: u32,
    /// The slow request's answer brings a cookie that is somebody's: the browser is logged in again.
    pub(crate) logged_in_again: u32,
}

impl InFlight {
    pub(crate) fn holds(&self) -> bool {
        (self.revived, self.logged_in_again) == (0, 0)
    }
}

/// Logs in, begins a slow request, logs out in the middle of it, lets it finish, and replays the cookie.
pub(crate) fn in_flight(server: &Server, seed: u64, rounds: u32, write: bool) -> Result<InFlight> {
    let mut lots = Lots::new(seed);
    let mut found = InFlight { rounds, ..InFlight::default() };
    for round in 0..rounds {
        let (ms, id) = (lots.draw(SLOW), u64::from(round));
        let before_logout = lots.draw(0..ms);
        let cookie = server.login()?;
        let (slow, late) = thread::scope(|scope| -> Result<(Heard, bool)> {
            let (address, cookie) = (server.address, cookie.as_str());
            let slow = scope.spawn(move || (slow(address, cookie, id, ms, write), Instant::now()));
            server.began(id)?;
            thread::sleep(Duration::from_millis(before_logout));
            let logout = server.logout(cookie);
            let acknowledged = Instant::now();
            let said = logout.status().context("a logout is answered while everything is well")?;
            ensure!(said < 400, "a logout is a success while everything is well: {said}");
            let (slow, finished) = slow.join().map_err(|_| anyhow::anyhow!("the slow request's thread"))?;
            Ok((slow, finished > acknowledged))
        })
        .with_context(|| format!("round {round}"))?;
        ensure!(slow.status().is_some(), "round {round}: the slow request is answered: {slow:?}");
        found.across += u32::from(late);
        found.revived += u32::from(server.is_live(&cookie)?);
        if let Some(again) = slow.cookie().filter(|again| *again != cookie) {
            found.logged_in_again += u32::from(server.is_live(again)?);
        }
    }
    Ok(found)
}

/// What came of logouts on one node and replays on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TwoNodes {
    pub(crate) rounds: u32,
    /// The other node took the cookie right after the logout was acknowledged.
    pub(crate) at_once: u32,
    /// It did so again, a while after the last logout.
    pub(crate) later: u32,
}

impl TwoNodes {
    pub(crate) fn holds(&self) -> bool {
        (self.at_once, self.later) == (0, 0)
    }
}

/// Both nodes serve a session; one ends it; the other is asked.
pub(crate) fn two_nodes(a: &Server, b: &Server, rounds: u32, later: Duration) -> Result<TwoNodes> {
    let mut found = TwoNodes { rounds, at_once: 0, later: 0 };
    let mut alive = Vec::new();
    for round in 0..rounds {
        let cookie = a.login()?;
        ensure!(a.is_live(&cookie)? && b.is_live(&cookie)?, "round {round}: both nodes share their sessions");
        let logout = a.logout(&cookie);
        ensure!(logout.status().is_some_and(|said| said < 400), "round {round}: {logout:?}");
        if b.is_live(&cookie)? {
            alive.push(cookie);
        }
    }
    found.at_once = u32::try_from(alive.len())?;
    if !alive.is_empty() {
        thread::sleep(later);
        for cookie in &alive {
            found.later += u32::from(b.is_live(cookie)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use axum::Router;
    use axum::extract::{Query, State};
    use axum::http::StatusCode;
    use axum::http::header::SET_COOKIE;
    use axum::response::{AppendHeaders, IntoResponse};
    use axum::routing::{get, post};
    use serde::Deserialize;

    use super::*;
    use crate::server::tests::{serve, serve_saying};

    /// A server with one session, whose slow request writes back what it loaded, under the old cookie or a new one.
    #[derive(Clone)]
    struct Broken {
        live: Arc<AtomicBool>,
        saves: bool,
        new_cookie: bool,
        began: Sender<String>,
    }

    #[derive(Deserialize)]
    struct Slow {
        id: u64,
        ms: u64,
    }

    async fn slow_and_saving(State(server): State<Broken>, Query(slow): Query<Slow>) -> impl IntoResponse {
        server.began.send(format!("began {}", slow.id)).unwrap();
        tokio::time::sleep(Duration::from_millis(slow.ms)).await;
        if server.saves {
            server.live.store(true, Ordering::SeqCst);
        }
        let cookie = if server.new_cookie { "id=new" } else { "id=old" };
        AppendHeaders([(SET_COOKIE, cookie)])
    }

    fn attacked(saves: bool, new_cookie: bool) -> InFlight {
        let (began, lines) = channel();
        let state = Broken { live: Arc::default(), saves, new_cookie, began };
        let app = Router::new()
            .route(
                "/login",
                post(async |State(server): State<Broken>| {
                    server.live.store(true, Ordering::SeqCst);
                    AppendHeaders([(SET_COOKIE, "id=old")])
                }),
            )
            .route(
                "/logout",
                post(async |State(server): State<Broken>| server.live.store(false, Ordering::SeqCst)),
            )
            .route(
                "/me",
                get(async |State(server): State<Broken>| match server.live.load(Ordering::SeqCst) {
                    true => StatusCode::OK,
                    false => StatusCode::UNAUTHORIZED,
                }),
            )
            .route("/slow", get(slow_and_saving))
            .with_state(state);
        in_flight(&serve_saying(app, lines), 1, 20, true).unwrap()
    }

    #[test]
    fn a_server_that_writes_back_is_found_out() {
        let found = attacked(true, false);
        assert!(found.across > 0 && found.revived > 0 && !found.holds(), "{found:?}");
        assert_eq!(found.logged_in_again, 0);
        assert!(attacked(true, true).logged_in_again > 0);
    }

    #[test]
    fn a_server_that_writes_nothing_back_is_not_accused() {
        let found = attacked(false, true);
        assert!(found.across > 0, "{found:?}");
        assert_eq!((found.revived, found.logged_in_again, found.holds()), (0, 0, true));
    }

    /// One of two servers with one session, which may remember that it was there.
    #[derive(Clone, Default)]
    struct Node {
        live: Arc<AtomicBool>,
        remembered: Arc<AtomicBool>,
        remembers: bool,
    }

    impl Node {
        fn serve(self) -> Server {
            let login = async |State(node): State<Self>| {
                node.live.store(true, Ordering::SeqCst);
                AppendHeaders([(SET_COOKIE, "id=one")])
            };
            let logout = async |State(node): State<Self>| {
                node.live.store(false, Ordering::SeqCst);
                node.remembered.store(false, Ordering::SeqCst);
            };
            let me = async |State(node): State<Self>| {
                if node.live.load(Ordering::SeqCst) {
                    node.remembered.store(node.remembers, Ordering::SeqCst);
                }
                match node.live.load(Ordering::SeqCst) || node.remembered.load(Ordering::SeqCst) {
                    true => StatusCode::OK,
                    false => StatusCode::UNAUTHORIZED,
                }
            };
            let app = Router::new().route("/login", post(login)).route("/logout", post(logout));
            serve(app.route("/me", get(me)).with_state(self))
        }
    }

    #[test]
    fn a_node_that_remembers_what_another_one_ended_is_found_out() {
        let found = |remembers| {
            let live = Arc::<AtomicBool>::default();
            let node = || Node { live: Arc::clone(&live), remembers, ..Node::default() }.serve();
            two_nodes(&node(), &node(), 3, Duration::ZERO).unwrap()
        };
        assert_eq!(found(true), TwoNodes { rounds: 3, at_once: 3, later: 3 });
        assert_eq!(found(false), TwoNodes { rounds: 3, at_once: 0, later: 0 });
        assert_eq!([true, false].map(|remembers| found(remembers).holds()), [false, true]);
    }

    #[test]
    fn the_same_seed_draws_the_same_lots() {
        let drawn = |seed| {
            let mut lots = Lots::new(seed);
            (0..20).map(|_| lots.draw(SLOW)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).iter().all(|ms| SLOW.contains(ms)));
    }
}
