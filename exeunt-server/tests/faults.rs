//! Whatever the sessions' store does to one step of a request, the server's own routes answer by the table: in time, and
//! never that somebody is logged out who may not be.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "../../exeunt/tests/common/faulty.rs"]
mod faulty;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use exeunt::store::sqlite::Database;
use exeunt::{CookieConfig, ManualClock, SessionLayer, Sessions};
use exeunt_server::accounts::{Accounts, Cost, Hasher};
use exeunt_server::app;
use exeunt_server::config::{Config, Options};
use exeunt_server::site::{AppState, Site};
use tower::ServiceExt as _;

use self::faulty::{Broken, DEADLINE, FOR_EVER, Fate, FaultyStore, Step};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const RIGHT: &str = "correct horse battery staple";
const FORM: &str = "username=alice&password=correct+horse+battery+staple&next=%2Fhome";
const JSON: &str = r#"{"username":"alice","password":"correct horse battery staple"}"#;

/// Fails at once, its answer is lost, or it hangs.
const FAULTS: [Fate; 3] = [
    Fate { happens: false, ..Fate::FINE },
    Fate { answers: false, ..Fate::FINE },
    Fate { wait: FOR_EVER, ..Fate::FINE },
];

const STEPS: [Step; 6] = [Step::Create, Step::Load, Step::Touch, Step::Destroy, Step::DestroyAll, Step::Ping];

/// Method, path, body, whether a cookie comes along, what the route cannot do without, and its answers.
type Route = (&'static str, &'static str, &'static str, bool, &'static [Step], u16, u16);

const TABLE: &[Route] = &[
    ("GET", "/", "", true, &[Step::Load], 200, 503),
    ("GET", "/nothing", "", true, &[Step::Load], 404, 503),
    ("GET", "/login", "", true, &[Step::Load], 303, 503),
    ("GET", "/login", "", false, &[], 200, 200),
    ("POST", "/login", FORM, false, &[Step::Create], 303, 503),
    ("POST", "/login", FORM, true, &[Step::Create, Step::Load, Step::Destroy], 303, 503),
    // Who is logged in sees it there, if anybody can tell; the page is there whoever can.
    ("GET", "/reset?secret=x", "", true, &[], 404, 404),
    ("GET", "/setup?secret=x", "", true, &[], 404, 404),
    ("POST", "/logout", "", true, &[Step::Load, Step::Destroy], 303, 502),
    ("POST", "/logout", "", false, &[], 303, 303),
    ("GET", "/api/me", "", true, &[Step::Load], 200, 503),
    ("GET", "/api/nothing", "", true, &[Step::Load], 404, 503),
    ("POST", "/api/auth/login", JSON, false, &[Step::Create], 200, 503),
    ("DELETE", "/api/auth/logout", "", true, &[Step::Load, Step::Destroy], 200, 502),
    ("DELETE", "/api/auth/sessions", "", true, &[Step::Load, Step::DestroyAll], 200, 503),
    ("GET", "/readyz", "", false, &[Step::Ping], 200, 503),
    ("GET", "/healthz", "", false, &[], 200, 200),
    ("GET", "/assets/style.css", "", false, &[], 200, 200),
];

struct Server {
    router: Router,
    store: Arc<FaultyStore>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    cookie: Option<String>,
    took: Duration,
}

impl Server {
    async fn new(broken: Broken) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("accounts.db")).unwrap();
        let (store, clock) = (Arc::new(FaultyStore::new(broken)), Arc::new(ManualClock::default()));
        let sessions =
            Sessions::over(Arc::<FaultyStore>::clone(&store)).clock(Arc::<ManualClock>::clone(&clock));
        let accounts = Accounts::open(database, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let accounts = accounts.apart_from(sessions.clone());
        accounts.add("alice", RIGHT, false, sessions.now()).await.unwrap();
        // One of its own, so that it shows that it was asked for.
        let options = Options { logout_failure_status: Some(502), ..Options::default() };
        let site = Arc::new(Site::new(&Config::decide(options).unwrap(), sessions.now()).unwrap());
        let cookie = CookieConfig::default().name("session").secure(false);
        let layer = SessionLayer::new(sessions).cookie(cookie).unwrap();
        Self { router: app::router(AppState { layer, accounts, site }), store, clock, _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &'static str) -> Answer {
        let kind =
            if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
        if let Some(token) = token {
            request = request.header("cookie", token);
        }
        let began = tokio::time::Instant::now();
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let cookie = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap());
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        Answer { status: response.status().as_u16(), cookie, took: began.elapsed() }
    }

    async fn login(&self) -> String {
        self.send("POST", "/api/auth/login", None, JSON).await.cookie.unwrap()
    }
}

async fn one(server: &Server, route: &Route, step: Step, fate: Fate) -> Result<(), String> {
    let (method, path, body, with_cookie, needs, fine, fails) = *route;
    let token = server.login().await;
    // So that a touch is due.
    server.clock.advance(Duration::from_secs(60));
    server.store.plan(move |asked| if asked == step { fate } else { Fate::FINE });
    // The accounts keep real time: theirs is a file.
    let hangs = fate.wait > DEADLINE;
    if hangs && !body.is_empty() {
        server.store.heal();
        return Ok(());
    }
    if hangs {
        tokio::time::pause();
    }
    let answer = server.send(method, path, with_cookie.then_some(token.as_str()), body).await;
    let Answer { status, cookie, took } = &answer;
    let shown = format!("{method} {path} with {step:?} {fate:?}: {status} {cookie:?} after {took:?}");
    if hangs {
        tokio::time::resume();
    }
    server.store.heal();
    let failed = needs.contains(&step);
    if *status != if failed { fails } else { fine } {
        return Err(shown);
    }
    // The clock was stopped within a millisecond.
    if hangs && *took > DEADLINE + Duration::from_millis(10) {
        return Err(format!("it hung: {shown}"));
    }
    if failed && cookie.is_some() {
        return Err(format!("a cookie with a failure: {shown}"));
    }
    if path.ends_with("/logout") && with_cookie {
        let again = server.send(method, path, Some(&token), "").await.status;
        let me = server.send("GET", "/api/me", Some(&token), "").await.status;
        if (again, me) != (fine, 401) {
            return Err(format!("again {again}, then {me}: {shown}"));
        }
    }
    Ok(())
}

async fn all(broken: Broken) -> Result<u32, String> {
    let server = Server::new(broken).await;
    let mut count = 0;
    for route in TABLE {
        for step in STEPS {
            for fate in FAULTS {
                one(&server, route, step, fate).await?;
                count += 1;
            }
        }
    }
    Ok(count)
}

#[tokio::test] // R02, R11
async fn every_page_and_route_answers_by_the_table_whatever_the_store_does() {
    let count = all(Broken::No).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{count} requests, each with a store at fault");
}

#[tokio::test]
async fn a_store_that_hangs_or_says_gone_is_noticed_in_the_servers_routes() {
    for broken in [Broken::NoDeadline, Broken::SaysGone] {
        let wrong = all(broken).await.unwrap_err();
        println!("{broken:?}: {wrong}");
    }
}
