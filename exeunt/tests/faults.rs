//! Whatever a store does to one step of a request: the answer is that of the table, it comes within the deadline, and it is
//! true.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "common/faulty.rs"]
mod faulty;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use exeunt::{
    AuthRouter, Error, ManualClock, Session, SessionLayer, Sessions, UserId, Users, UsersError, Verified,
};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower::ServiceExt as _;

use self::faulty::{Broken, DEADLINE, FOR_EVER, Fate, FaultyStore, Step};

/// What may become of a step.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It fails, and nothing happened.
    Refused,
    /// It happens, and the answer is lost.
    Lost,
    /// It never happens, and nobody says so.
    Silent,
    /// It happens, and nobody says so.
    SilentAfter,
    /// It happens after the deadline.
    Late,
}

const FAULTS: [Fault; 5] = [Fault::Refused, Fault::Lost, Fault::Silent, Fault::SilentAfter, Fault::Late];

impl Fault {
    fn fate(self) -> Fate {
        match self {
            Self::Refused => Fate { happens: false, ..Fate::FINE },
            Self::Lost => Fate { answers: false, ..Fate::FINE },
            Self::Silent => Fate { wait: FOR_EVER, ..Fate::FINE },
            Self::SilentAfter => Fate { then: FOR_EVER, ..Fate::FINE },
            Self::Late => Fate { wait: 3 * DEADLINE, ..Fate::FINE },
        }
    }
}

const STEPS: [Step; 9] = [
    Step::Create,
    Step::Load,
    Step::Renew,
    Step::Save,
    Step::Touch,
    Step::Destroy,
    Step::DestroyAll,
    Step::List,
    Step::Ping,
];

/// A request, the steps without which it fails, and its answers: all is well, or one of those steps is not.
struct Route {
    method: &'static str,
    path: &'static str,
    cookie: bool,
    body: &'static str,
    needs: &'static [Step],
    fine: u16,
    fails: u16,
    /// Whether the accounts say, once the session is there, that the password changed meanwhile.
    overtaken: bool,
}

const LOGIN: &str = r#"{"username":"alice"}"#;

const fn route(method: &'static str, path: &'static str, needs: &'static [Step]) -> Route {
    Route { method, path, cookie: true, body: "", needs, fine: 200, fails: 503, overtaken: false }
}

/// The table of statuses.
fn table() -> Vec<Route> {
    use Step::{Create, Destroy, DestroyAll, List, Load, Renew, Save};
    let logout = |method, path| Route { fails: 400, ..route(method, path, &[Load, Destroy]) };
    vec![
        route("GET", "/public", &[]),
        route("GET", "/me", &[Load]),
        route("GET", "/maybe", &[Load]),
        Route { body: "a note", ..route("POST", "/note", &[Load, Save]) },
        route("GET", "/api/auth/sessions", &[Load, List]),
        Route { fine: 204, ..route("DELETE", "/api/auth/sessions/{other}", &[Load, Destroy]) },
        route("DELETE", "/api/auth/sessions?others", &[Load, DestroyAll]),
        route("DELETE", "/api/auth/sessions", &[Load, DestroyAll]),
        Route { body: LOGIN, cookie: false, ..route("POST", "/api/auth/login", &[Create]) },
        Route { body: LOGIN, ..route("POST", "/api/auth/login", &[Create, Load, Destroy]) },
        Route {
            body: LOGIN,
            overtaken: true,
            fine: 401,
            ..route("POST", "/api/auth/login", &[Create, Destroy])
        },
        Route { body: LOGIN, ..route("POST", "/api/auth/reauthenticate", &[Load, Renew]) },
        Route {
            body: LOGIN,
            overtaken: true,
            fine: 401,
            ..route("POST", "/api/auth/reauthenticate", &[Load, Renew, Destroy])
        },
        logout("DELETE", "/api/auth/logout"),
        logout("POST", "/api/auth/logout"),
        Route { cookie: false, ..route("DELETE", "/api/auth/logout", &[]) },
    ]
}

#[derive(Debug, Default)]
struct Accounts {
    overtaken: AtomicBool,
}

#[derive(serde::Deserialize)]
struct Credentials {
    username: String,
}

impl Users for Accounts {
    type Credentials = Credentials;

    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        Ok((given.username == "alice").then(|| Verified::new(UserId::from(1), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(!self.overtaken.load(Ordering::SeqCst))
    }
}

struct App {
    router: Router,
    store: Arc<FaultyStore>,
    clock: Arc<ManualClock>,
    accounts: Arc<Accounts>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    cookie: Option<String>,
    retry_after: bool,
    body: String,
    took: Duration,
}

async fn write_note(mut session: Session, body: String) -> Result<String, Error> {
    session.update(|data| data.set("note", &body)).await?;
    Ok(body)
}

impl App {
    fn new(broken: Broken) -> Self {
        let (store, clock) = (Arc::new(FaultyStore::new(broken)), Arc::new(ManualClock::default()));
        let accounts = Arc::new(Accounts::default());
        let sessions =
            Sessions::over(Arc::<FaultyStore>::clone(&store)).clock(Arc::<ManualClock>::clone(&clock));
        let auth: Router = AuthRouter::<Accounts>::new(Arc::clone(&accounts)).into_router();
        let router = Router::new()
            .nest("/api/auth", auth)
            .route("/public", get(|| async { "public" }))
            .route("/me", get(|session: Session| async move { session.id().to_string() }))
            .route("/maybe", get(|session: Option<Session>| async move { session.is_some().to_string() }))
            .route("/note", post(write_note))
            .layer(SessionLayer::new(sessions));
        Self { router, store, clock, accounts }
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        let (answer, response) = self.head(method, path, token, body).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { body: String::from_utf8(body.to_vec()).unwrap(), ..answer }
    }

    async fn head(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (Answer, Response) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("cookie", token);
        }
        if body.starts_with('{') {
            request = request.header("content-type", "application/json");
        }
        let began = Instant::now();
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let took = began.elapsed();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let cookie = header("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
        let (status, retry_after) = (response.status().as_u16(), header("retry-after").is_some());
        (Answer { status, cookie, retry_after, body: String::new(), took }, response)
    }

    async fn login(&self) -> String {
        let answer = self.send("POST", "/api/auth/login", None, LOGIN).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.cookie.unwrap()
    }

    async fn me(&self, token: &str) -> u16 {
        self.send("GET", "/me", Some(token), "").await.status
    }
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// One request while one step of the store is at fault, the first time or each time. Whether it met the fault.
async fn one(broken: Broken, route: &Route, step: Step, fault: Fault, always: bool) -> Result<bool, String> {
    let app = App::new(broken);
    let (mine, other) = (app.login().await, app.login().await);
    let other_id = app.send("GET", "/me", Some(&other), "").await.body;
    // So that a touch is due.
    app.clock.advance(Duration::from_secs(60));
    app.accounts.overtaken.store(route.overtaken, Ordering::SeqCst);
    let mut left = if always { u32::MAX } else { 1 };
    let met = Arc::new(AtomicBool::new(false));
    let meets = Arc::clone(&met);
    app.store.plan(move |asked| {
        if asked != step || left == 0 {
            return Fate::FINE;
        }
        meets.store(true, Ordering::SeqCst);
        left -= 1;
        fault.fate()
    });
    let path = route.path.replace("{other}", &other_id);
    let token = route.cookie.then_some(mine.as_str());
    let answer = app.send(route.method, &path, token, route.body).await;
    let shown = || format!("{} {} with {step:?} {fault:?}: {answer:?}", route.method, route.path);

    let failed = route.needs.contains(&step);
    check(answer.status == if failed { route.fails } else { route.fine }, shown)?;
    check(answer.took <= if always { 2 * DEADLINE } else { DEADLINE }, || format!("it hung: {}", shown()))?;
    check(!failed || answer.cookie.is_none(), || format!("a cookie with a failure: {}", shown()))?;
    check(answer.status != 503 || answer.retry_after, shown)?;
    check(route.fails != 400 || !failed || answer.body == "Unable to log out", shown)?;

    app.store.heal();
    let met = met.load(Ordering::SeqCst);
    check(met || !failed, || format!("never asked for {step:?}: {}", shown()))?;
    let logs_out = path.ends_with("/logout") && route.cookie;
    if logs_out && failed {
        // R02: the cookie stayed, and trying again works.
        let again = app.send(route.method, &path, token, "").await;
        check(again.status == 200, || format!("again: {again:?}"))?;
    }
    let ended_mine = logs_out || (!failed && path == "/api/auth/sessions" && route.method == "DELETE");
    let ended_other = !failed && route.method == "DELETE" && path.contains("/sessions");
    for _ in 0..2 {
        check(!ended_mine || app.me(&mine).await == 401, || format!("alive: {}", shown()))?;
        check(!ended_other || app.me(&other).await == 401, || format!("alive: {}", shown()))?;
        // What came too late has come by then.
        tokio::time::sleep(5 * DEADLINE).await;
    }
    Ok(met)
}

/// How many requests met their fault, and how many there were.
async fn all(broken: Broken) -> Result<(u32, u32), String> {
    let (mut met, mut count) = (0, 0);
    for route in table() {
        for step in STEPS {
            for fault in FAULTS {
                for always in [false, true] {
                    met += u32::from(one(broken, &route, step, fault, always).await?);
                    count += 1;
                }
            }
        }
    }
    Ok((met, count))
}

#[tokio::test(start_paused = true)] // R02, R11
async fn every_route_answers_by_the_table_in_time_and_truly_whatever_a_store_does() {
    let (met, count) = all(Broken::No).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{met} of {count} requests met a store at fault");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_deadline_or_with_a_lie_is_noticed() {
    for (broken, said) in
        [(Broken::NoDeadline, "it hung"), (Broken::SaysGone, "status: 401"), (Broken::DestroysLater, "alive")]
    {
        let wrong = all(broken).await.unwrap_err();
        println!("{broken:?}: {wrong}");
        assert!(wrong.contains(said), "{broken:?}: {wrong}");
    }
}

/// What was acknowledged, in the order of a counter: the moment before a request, and the one after its answer.
#[derive(Default)]
struct Ledger {
    /// Each token, and when its login was answered.
    tokens: Vec<(String, u64)>,
    /// Tokens that were logged out, and when that was answered.
    over: BTreeMap<String, u64>,
}

/// Several people at once on one account, over a store whose steps take as long as they like and end in any order.
async fn crowd(broken: Broken, seed: u64) -> Result<u32, String> {
    let app = Arc::new(App::new(broken));
    let draws = Arc::new(AtomicU64::new(seed << 32));
    let below = move |most: u32| mixed(draws.fetch_add(1, Ordering::SeqCst)) % most;
    let fates = below.clone();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for _ in 0..3 {
        let token = app.login().await;
        ledger.lock().unwrap().tokens.push((token, 0));
    }
    app.store.plan(move |_| Fate {
        wait: Duration::from_millis(fates(1_200).into()),
        happens: fates(12) > 0,
        // Now and then past the deadline.
        then: Duration::from_millis(fates(1_200).into()),
        answers: fates(12) > 0,
    });
    let time = Arc::new(AtomicU64::new(1));
    let mut people = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (app, below, ledger, time) =
            (Arc::clone(&app), below.clone(), Arc::clone(&ledger), Arc::clone(&time));
        people.spawn(async move {
            for _ in 0..6 {
                act(&app, &below, &ledger, &time).await?;
            }
            Ok::<_, String>(6)
        });
    }
    let mut count = 0;
    while let Some(done) = people.join_next().await {
        count += done.unwrap()?;
    }
    app.store.heal();
    tokio::time::sleep(5 * DEADLINE).await;
    let over: Vec<String> = ledger.lock().unwrap().over.keys().cloned().collect();
    for token in over {
        let status = app.me(&token).await;
        check(status == 401, || format!("seed {seed}: {status} in the end for what was logged out"))?;
    }
    Ok(count)
}

/// One request of one of them.
async fn act(
    app: &App,
    below: &impl Fn(u32) -> u32,
    ledger: &Mutex<Ledger>,
    time: &AtomicU64,
) -> Result<(), String> {
    let known = ledger.lock().unwrap().tokens.clone();
    let (token, _) = &known[usize::try_from(below(known.len().try_into().unwrap())).unwrap()];
    let tick = || time.fetch_add(1, Ordering::SeqCst);
    let began = tick();
    let over_before = ledger.lock().unwrap().over.get(token).copied();
    let (method, path, cookie, body) = match below(6) {
        0 => ("POST", "/api/auth/login", None, LOGIN),
        1 | 2 => ("DELETE", "/api/auth/logout", Some(token), ""),
        3 => ("DELETE", "/api/auth/sessions", Some(token), ""),
        4 => ("POST", "/note", Some(token), "text"),
        _ => ("GET", "/me", Some(token), ""),
    };
    let answer = app.send(method, path, cookie.map(String::as_str), body).await;
    let ended = tick();
    let shown = || format!("{method} {path}: {answer:?}");
    check([200, 400, 401, 409, 503].contains(&answer.status), shown)?;
    // Of the steps of one request each may take its time, but no single one more than the deadline.
    check(answer.took <= 12 * DEADLINE, shown)?;
    let mut ledger = ledger.lock().unwrap();
    match (method, path, answer.status) {
        ("POST", "/api/auth/login", 200) => {
            ledger.tokens.push((answer.cookie.clone().ok_or_else(shown)?, ended));
        }
        ("DELETE", "/api/auth/logout", 200) => {
            ledger.over.entry(token.clone()).or_insert(ended);
        }
        ("DELETE", "/api/auth/sessions", 200) => {
            let before: Vec<_> = ledger
                .tokens
                .iter()
                .filter(|(_, login)| *login < began)
                .map(|(token, _)| token.clone())
                .collect();
            for token in before {
                ledger.over.entry(token).or_insert(ended);
            }
        }
        ("GET" | "POST", "/me" | "/note", 200) => {
            check(over_before.is_none(), || format!("{} after its logout was answered", shown()))?;
        }
        _ => (),
    }
    Ok(())
}

/// SplitMix64: the same lots for the same seed.
fn mixed(number: u64) -> u32 {
    let seed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()
}

#[tokio::test(start_paused = true)] // R01, R02
async fn what_was_logged_out_stays_so_however_late_and_in_whatever_order_a_store_answers() {
    let (seeds, mut requests) = (services::rounds(150, 20_000), 0);
    for seed in 0..seeds {
        requests +=
            crowd(Broken::No, seed.into()).await.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    println!("{seeds} crowds, {requests} requests");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_notices_a_session_that_is_over_later_than_was_said() {
    let mut found = None;
    for seed in 0..50 {
        if let Err(wrong) = crowd(Broken::DestroysLater, seed).await {
            found = Some((seed, wrong));
            break;
        }
    }
    println!("found: {found:?}");
    assert!(found.is_some());
}
