//! Bodies for the routes of the server that read one with something in it: JSON and forms.
//!
//! Must never send a form in vain: each brings the token of its session, so that what is behind that check is reached.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use exeunt::store::sqlite::Database;
use exeunt::{CookieConfig, ManualClock, MemoryStore, SessionLayer, Sessions, UserId};
use exeunt_server::accounts::{Accounts, Cost, Hasher};
use exeunt_server::app;
use exeunt_server::config::{Config, Options};
use exeunt_server::site::{AppState, Site};
use tower::ServiceExt as _;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSWORD: &str = "correct horse battery staple";
const ROOT: i64 = 1;
const ALICE: i64 = 2;
const BEN: i64 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
}

/// Method, path, what is read there, and who asks.
const ROUTES: [(&str, &str, Kind, i64); 16] = [
    ("POST", "/api/auth/login", Kind::Json, ALICE),
    ("POST", "/api/auth/reauthenticate", Kind::Json, ALICE),
    ("POST", "/api/auth/password", Kind::Json, ALICE),
    ("POST", "/api/auth/reset", Kind::Json, ALICE),
    ("POST", "/api/auth/reset/confirm", Kind::Json, ALICE),
    ("POST", "/api/admin/accounts", Kind::Json, ROOT),
    ("PATCH", "/api/admin/accounts/2", Kind::Json, ROOT),
    ("POST", "/login", Kind::Form, ALICE),
    ("POST", "/again", Kind::Form, ALICE),
    ("POST", "/password", Kind::Form, ALICE),
    ("POST", "/sessions/end", Kind::Form, ALICE),
    ("POST", "/reset", Kind::Form, ALICE),
    ("POST", "/setup", Kind::Form, ALICE),
    ("POST", "/admin/accounts", Kind::Form, ROOT),
    ("POST", "/admin/account", Kind::Form, ROOT),
    ("POST", "/admin/sessions", Kind::Form, ROOT),
];

struct Server {
    runtime: tokio::runtime::Runtime,
    router: Router,
    layer: SessionLayer,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(MemoryStore::new()).clock(Arc::<ManualClock>::clone(&clock));
        let config = Config::decide(Options::default()).expect("all is left as it is");
        let site = Arc::new(Site::new(&config, sessions.now()).expect("the pages are ours"));
        let accounts = runtime.block_on(async {
            let database = Database::open(folder.path().join("accounts.db")).expect("a fresh file opens");
            let hasher = Hasher::with(CHEAP, 1, 100).expect("it is cheap");
            let accounts = Accounts::open(database, hasher).await.expect("tables are made");
            let accounts = accounts.apart_from(sessions.clone());
            for (name, admin) in [("root", true), ("alice", false), ("ben", false)] {
                accounts.add(name, PASSWORD, admin, sessions.now()).await.expect("it is added");
            }
            accounts
        });
        let cookie = CookieConfig::default().name("session").secure(false);
        let layer = SessionLayer::new(sessions).cookie(cookie).expect("such a cookie can be");
        let router = app::router(AppState { layer: layer.clone(), accounts, site });
        Self { runtime, router, layer, clock, _folder: folder }
    }

    /// A new session's cookie.
    async fn login(&self, user: i64) -> String {
        let request = exeunt::testing::logged_in(&self.layer, UserId::from(user), Request::new(())).await;
        let request = request.expect("the memory store answers");
        request.headers()["cookie"].to_str().expect("a cookie is text").to_owned()
    }

    async fn send(&self, method: &str, path: &str, kind: Kind, cookie: &str, body: Vec<u8>) -> (u16, String) {
        let kind = if kind == Kind::Json { "application/json" } else { "application/x-www-form-urlencoded" };
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request.header("content-type", kind).body(Body::from(body)).expect("a request");
        let answer = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a page is not long");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn me(&self, cookie: &str) -> u16 {
        self.send("GET", "/api/me", Kind::Json, cookie, Vec::new()).await.0
    }

    /// What the forms of this session send along.
    async fn form(&self, cookie: &str) -> String {
        let (_, page) = self.send("GET", "/password", Kind::Form, cookie, Vec::new()).await;
        let token = page.split(r#"name="form" value=""#).nth(1).and_then(|rest| rest.split('"').next());
        format!("form={}&", token.expect("the page has a form"))
    }
}

/// The first byte chooses the route, the others are the body: whatever it is, the server has an answer that is none of its
/// own faults, who asks is somebody still where a refusal says so, and a bystander stays logged in.
pub fn body(bytes: &[u8]) {
    thread_local!(static SERVER: OnceCell<Server> = const { OnceCell::new() });
    let Some((route, body)) = bytes.split_first() else { return };
    let (method, path, kind, who) = ROUTES[usize::from(*route) % ROUTES.len()];
    SERVER.with(|server| {
        let server = server.get_or_init(Server::new);
        // Wrong tries of a while ago are forgotten.
        server.clock.advance(Duration::from_secs(2 * 60 * 60));
        server.runtime.block_on(async {
            let (cookie, bystander) = (server.login(who).await, server.login(BEN).await);
            let mut sent =
                if kind == Kind::Form { server.form(&cookie).await.into_bytes() } else { Vec::new() };
            sent.extend_from_slice(body);
            let (status, said) = server.send(method, path, kind, &cookie, sent).await;
            assert!(status < 500, "{method} {path}: {status} {said}");
            if [400, 413, 422].contains(&status) {
                assert_eq!(
                    server.me(&cookie).await,
                    200,
                    "{method} {path} refused, {status}, and ended a session"
                );
            }
            if who != ROOT {
                assert_eq!(server.me(&bystander).await, 200, "{method} {path}, {status}: a bystander is out");
            }
        });
    });
}
