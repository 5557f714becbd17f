//! Pages for whoever is logged in, over a clock that a test moves: forms of a session, and the password once more.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use exeunt::store::sqlite::Database;
use exeunt::{CookieConfig, ManualClock, MemoryStore, SessionLayer, Sessions};
use exeunt_server::accounts::{Accounts, Cost, Hasher};
use exeunt_server::app;
use exeunt_server::config::{Config, Options};
use exeunt_server::site::{AppState, Site};
use tower::ServiceExt as _;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "quite another horse altogether";

struct Server {
    router: Router,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    location: Option<String>,
    cookie: Option<String>,
    body: String,
}

impl Server {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(MemoryStore::new()).clock(Arc::<ManualClock>::clone(&clock));
        let database = Database::open(folder.path().join("accounts.db")).unwrap();
        let accounts = Accounts::open(database, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let accounts = accounts.apart_from(sessions.clone());
        for name in ["alice", "bob", "root"] {
            accounts.add(name, PASSWORD, name == "root", sessions.now()).await.unwrap();
        }
        let site = Arc::new(Site::new(&Config::decide(Options::default()).unwrap(), sessions.now()).unwrap());
        let cookie = CookieConfig::default().name("session").secure(false);
        let layer = SessionLayer::new(sessions).cookie(cookie).unwrap();
        Self { router: app::router(AppState { layer, accounts, site }), clock, _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::builder().method(method).uri(path).header("accept", "text/html");
        request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-site", "same-origin");
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(token) = token {
            request = request.header("cookie", token);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, cookie) = (header("location"), header("set-cookie"));
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
        Answer { status, location, cookie, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn login(&self, name: &str) -> String {
        self.login_with(name, PASSWORD).await.cookie.unwrap()
    }

    async fn login_with(&self, name: &str, password: &str) -> Answer {
        self.send("POST", "/login", None, &[("username", name), ("password", password)]).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, Some(token), &[]).await
    }

    async fn lives(&self, token: &str) -> bool {
        self.get("/", token).await.status == 200
    }

    /// Sends a form with the token of the page that it stands on.
    async fn submit(&self, page: &str, path: &str, token: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.get(page, token).await.field("form");
        let fields: Vec<_> = fields.iter().copied().chain([("form", form.as_str())]).collect();
        self.send("POST", path, Some(token), &fields).await
    }
}

impl Answer {
    /// The value of the first hidden field of that name.
    fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&start).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        rest.split_once('"').unwrap().0.to_owned()
    }

    fn leads_to(&self) -> (u16, &str) {
        (self.status, self.location.as_deref().unwrap_or_default())
    }
}

#[tokio::test] // R53
async fn a_form_without_the_token_of_its_session_does_nothing() {
    let server = Server::new().await;
    let (alice, alice_too, bob) =
        (server.login("alice").await, server.login("alice").await, server.login("bob").await);
    let of_bob = server.get("/sessions", &bob).await.field("form");
    let of_alice_too = server.get("/sessions", &alice_too).await.field("form");
    let end = server.get("/sessions", &alice).await.field("session");
    for (path, fields) in [
        ("/sessions/end", vec![("session", end.as_str())]),
        ("/sessions/others", vec![]),
        ("/sessions/all", vec![]),
        ("/again", vec![("password", PASSWORD), ("then", "all")]),
        ("/password", vec![("current", PASSWORD), ("password", OTHER), ("again", OTHER)]),
    ] {
        for form in [None, Some(""), Some("x"), Some(of_bob.as_str()), Some(of_alice_too.as_str())] {
            let fields: Vec<_> = fields.iter().copied().chain(form.map(|form| ("form", form))).collect();
            let answer = server.send("POST", path, Some(&alice), &fields).await;
            assert_eq!((answer.status, answer.cookie), (403, None), "{path} {form:?}");
            assert!(answer.body.contains("page of an earlier session"), "{}", answer.body);
        }
    }
    assert!(server.lives(&alice).await && server.lives(&alice_too).await);
    assert!(server.login_with("alice", PASSWORD).await.cookie.is_some());
    // Logging out takes none: R31 keeps others from it, and nothing may keep its owner from it.
    assert_eq!(server.send("POST", "/logout", Some(&alice), &[]).await.leads_to(), (303, "/login?out"));
    assert!(!server.lives(&alice).await);
}

#[tokio::test] // R17
async fn somebody_elses_session_cannot_be_ended_from_the_page() {
    let server = Server::new().await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    server.login("bob").await;
    let of_bob = server.get("/sessions", &bob).await.field("session");
    for id in [of_bob.as_str(), "x", ""] {
        let answer = server.submit_without_page(&alice, &[("session", id)]).await;
        assert!([303, 404].contains(&answer.status) && answer.location.is_none_or(|to| to == "/sessions"));
    }
    assert!(server.lives(&bob).await);
    assert_eq!(server.get("/sessions", &bob).await.body.matches("name=\"session\"").count(), 1);
}

impl Server {
    async fn submit_without_page(&self, token: &str, fields: &[(&str, &str)]) -> Answer {
        self.submit("/password", "/sessions/end", token, fields).await
    }
}

#[tokio::test]
async fn a_notice_of_an_end_is_believed_only_where_it_is_so() {
    let server = Server::new().await;
    let alice = server.login("alice").await;
    let other = server.login("alice").await;
    let id = server.get("/sessions", &alice).await.field("session");
    for path in ["/sessions?others", &format!("/sessions?ended={id}"), "/sessions?ended=x"] {
        assert!(!server.get(path, &alice).await.body.contains("ended."), "{path}");
    }
    let ended = server.submit("/sessions", "/sessions/end", &alice, &[("session", &id)]).await;
    assert!(
        server.get(ended.location.as_deref().unwrap(), &alice).await.body.contains("That session has ended.")
    );
    assert!(!server.lives(&other).await);
}

#[tokio::test] // R52, R12
async fn ending_other_sessions_asks_for_the_password_once_the_login_is_old_and_then_goes_on() {
    let server = Server::new().await;
    let (alice, other) = (server.login("alice").await, server.login("alice").await);
    server.clock.advance(Duration::from_secs(301));
    for path in ["/sessions/others", "/sessions/all"] {
        let asked = server.submit("/sessions", path, &alice, &[]).await;
        assert_eq!((asked.status, asked.cookie.clone()), (403, None), "{path}");
        assert!(asked.body.contains("Confirm that it is you"), "{}", asked.body);
        assert!(server.lives(&other).await && server.lives(&alice).await, "{path}");
    }
    let asked = server.submit("/sessions", "/sessions/others", &alice, &[]).await;
    let (form, then) = (asked.field("form"), asked.field("then"));
    let fields = |password| [("form", form.as_str()), ("then", then.as_str()), ("password", password)];
    let wrong = server.send("POST", "/again", Some(&alice), &fields("wrong")).await;
    assert_eq!((wrong.status, wrong.cookie.clone()), (403, None));
    assert!(wrong.body.contains("This is not your current password."));
    assert_eq!(wrong.field("then"), "others");
    assert!(server.lives(&other).await && server.lives(&alice).await);

    let right = server.send("POST", "/again", Some(&alice), &fields(PASSWORD)).await;
    assert_eq!(right.leads_to(), (303, "/sessions?others"));
    let renewed = right.cookie.unwrap();
    assert!(server.lives(&renewed).await && !server.lives(&alice).await && !server.lives(&other).await);
    assert!(server.get("/sessions?others", &renewed).await.body.contains("All other sessions have ended."));

    // A page that was open before still works, and now asks for nothing.
    let open_before = server.send("POST", "/sessions/all", Some(&renewed), &[("form", &form)]).await;
    assert_eq!(open_before.leads_to(), (303, "/login?out"));
    assert!(!server.lives(&renewed).await);
}

#[tokio::test] // R44
async fn logging_in_again_leads_back_to_what_was_asked_for_on_this_site() {
    let server = Server::new().await;
    let mut alice = server.login("alice").await;
    for (next, leads) in [("/sessions", "/sessions"), ("//evil.example", "/"), ("https://evil.example", "/")]
    {
        let page = server.get(&format!("/again?next={next}"), &alice).await;
        assert_eq!(page.field("next"), leads);
        let fields = [("password", PASSWORD), ("next", next), ("then", "")];
        let answer = server.submit("/again", "/again", &alice, &fields).await;
        assert_eq!(answer.leads_to(), (303, leads));
        alice = answer.cookie.unwrap();
    }
    assert!(server.lives(&alice).await);
}

#[tokio::test] // R18, R41
async fn a_password_is_changed_with_the_old_one_and_the_other_sessions_end() {
    let server = Server::new().await;
    let (alice, other) = (server.login("alice").await, server.login("alice").await);
    for (fields, said) in [
        ([("current", "wrong"), ("password", OTHER), ("again", OTHER)], "This is not your current password."),
        ([("current", PASSWORD), ("password", OTHER), ("again", "x")], "The two passwords are not the same."),
        ([("current", PASSWORD), ("password", ""), ("again", "")], "Choose a password."),
    ] {
        let answer = server.submit("/password", "/password", &alice, &fields).await;
        assert_eq!((answer.status, answer.cookie), (422, None), "{said}");
        assert!(answer.body.contains(said) && !answer.body.contains(PASSWORD), "{said}: {}", answer.body);
        assert!(server.lives(&other).await);
    }
    let fields = [("current", PASSWORD), ("password", OTHER), ("again", OTHER)];
    let answer = server.submit("/password", "/password", &alice, &fields).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("Your password is changed") && answer.body.contains("action=\"/logout\""));
    let renewed = answer.cookie.unwrap();
    assert!(server.lives(&renewed).await && !server.lives(&alice).await && !server.lives(&other).await);
    assert_eq!(server.login_with("alice", PASSWORD).await.status, 401);
    assert!(server.login_with("alice", OTHER).await.cookie.is_some());
}

#[tokio::test] // R15, R24
async fn whoever_comes_back_after_the_session_ended_is_told_so_and_goes_on_after_login() {
    let server = Server::new().await;
    let alice = server.login("alice").await;
    server.clock.advance(Duration::from_secs(60 * 60));
    let sent = server.get("/sessions?x=1", &alice).await;
    assert_eq!(sent.leads_to(), (303, "/login?next=/sessions%3Fx%3D1&ended"));
    let page = server.send("GET", sent.location.as_deref().unwrap(), None, &[]).await;
    assert!(page.body.contains("Your session has ended."), "{}", page.body);
    assert_eq!(page.field("next"), "/sessions?x=1");
    // Who never had one is not told so.
    let sent = server.send("GET", "/sessions", None, &[]).await;
    assert_eq!(sent.leads_to(), (303, "/login?next=/sessions"));
}

#[tokio::test] // R20, R25
async fn the_administrators_pages_are_for_administrators_alone_asked_each_time() {
    let server = Server::new().await;
    let (alice, root) = (server.login("alice").await, server.login("root").await);
    for path in ["/admin/accounts", "/admin/account?id=1", "/admin/sessions", "/admin/nothing", "/admin"] {
        let refused = server.get(path, &alice).await;
        assert!([403, 404].contains(&refused.status), "{path}: {}", refused.status);
        assert!(!refused.body.contains("bob") && !refused.body.contains("root"), "{path}");
        assert_eq!(server.send("GET", path, None, &[]).await.status, 303, "{path}");
    }
    let form = server.get("/sessions", &alice).await.field("form");
    for (path, fields) in [
        ("/admin/account", vec![("id", "2"), ("change", "remove")]),
        ("/admin/accounts", vec![("username", "eve"), ("password", PASSWORD), ("admin", "yes")]),
    ] {
        let fields: Vec<_> = fields.into_iter().chain([("form", form.as_str())]).collect();
        assert_eq!(server.send("POST", path, Some(&alice), &fields).await.status, 403, "{path}");
    }
    assert!(!server.get("/", &alice).await.body.contains("/admin/accounts"));
    assert!(server.get("/", &root).await.body.contains("/admin/accounts"));
    let list = server.get("/admin/accounts", &root).await;
    assert!(list.status == 200 && list.body.contains("bob") && !list.body.contains("eve"), "{}", list.body);
}

#[tokio::test] // R19, R20
async fn an_administrator_adds_disables_enables_and_removes_accounts_and_ends_sessions() {
    let server = Server::new().await;
    let root = server.login("root").await;
    let add = |name: &'static str, password: &'static str| {
        let fields = [("username", name), ("password", password)];
        let (server, root) = (&server, &root);
        async move { server.submit("/admin/accounts", "/admin/accounts", root, &fields).await }
    };
    for (name, password, said) in [
        ("ALICE", PASSWORD, "An account of that name exists already."),
        (" x", PASSWORD, "A name does not start or end with white space."),
        ("carol", "", "Choose a password."),
    ] {
        let refused = add(name, password).await;
        assert!(refused.status == 422 && refused.body.contains(said), "{name}: {}", refused.body);
    }
    let added = add("carol", PASSWORD).await;
    let page = added.location.unwrap();
    let id = page.strip_prefix("/admin/account?id=").unwrap();
    let found = server.get("/admin/accounts?q=CAR", &root).await;
    assert!(found.body.contains("1\u{2069} account") && !found.body.contains("bob"), "{}", found.body);

    let change = |change: &'static str, password: &'static str| {
        let fields = [("id", id), ("change", change), ("password", password)];
        let (server, root) = (&server, &root);
        async move { server.submit("/admin/accounts", "/admin/account", root, &fields).await }
    };
    let carol = server.login("carol").await;
    assert!(server.get(&page, &root).await.body.contains("End all sessions"));
    assert_eq!(change("end_sessions", "").await.leads_to(), (303, page.as_str()));
    assert!(!server.lives(&carol).await);

    let carol = server.login("carol").await;
    assert_eq!(change("disable", "").await.status, 303);
    assert!(!server.lives(&carol).await);
    assert_eq!(server.login_with("carol", PASSWORD).await.status, 401);
    assert_eq!(change("enable", "").await.status, 303);
    assert_eq!(change("password", "").await.status, 422);
    assert_eq!(change("password", OTHER).await.status, 303);
    assert_eq!(server.login_with("carol", PASSWORD).await.status, 401);

    let carol = server.login_with("carol", OTHER).await.cookie.unwrap();
    let all = server.get("/admin/sessions", &root).await;
    let (user, session) = (all.field("user"), all.field("session"));
    assert_eq!(user, id);
    let ended = server
        .submit("/admin/accounts", "/admin/sessions", &root, &[("user", &user), ("session", &session)])
        .await;
    assert_eq!(ended.leads_to(), (303, "/admin/sessions"));
    assert!(!server.lives(&carol).await);
    assert_eq!(change("remove", "").await.leads_to(), (303, "/admin/accounts"));
    assert_eq!(change("remove", "").await.status, 404);
    assert_eq!(server.get(&page, &root).await.status, 404);
}

#[tokio::test] // R41
async fn an_administrator_proves_who_they_are_before_they_change_anything_and_keeps_their_own_account() {
    let server = Server::new().await;
    let root = server.login("root").await;
    for change in ["disable", "remove", "password"] {
        let fields = [("id", "3"), ("change", change), ("password", OTHER)];
        let refused = server.submit("/admin/accounts", "/admin/account", &root, &fields).await;
        assert!(refused.status == 403 && refused.body.contains("your own account"), "{}", refused.body);
    }
    server.clock.advance(Duration::from_secs(301));
    for (path, fields) in [
        ("/admin/account", vec![("id", "1"), ("change", "remove")]),
        ("/admin/accounts", vec![("username", "eve"), ("password", PASSWORD)]),
        ("/admin/sessions", vec![("user", "1"), ("session", "x")]),
    ] {
        let asked = server.submit("/admin/accounts", path, &root, &fields).await;
        assert!(asked.status == 403 && asked.body.contains("Confirm that it is you"), "{path}");
        assert!(asked.field("next").starts_with(path), "{path}");
    }
    let list = server.get("/admin/accounts", &root).await.body;
    assert!(list.contains("alice") && !list.contains("eve"));
}
