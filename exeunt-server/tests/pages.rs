//! Pages for whoever is logged in, over a clock that a test moves: forms of a session, and the password once more.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "pages/events.rs"]
mod events;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use exeunt::http::ClientAddress;
use exeunt::store::sqlite::Database;
use exeunt::{CookieConfig, ManualClock, MemoryStore, SessionLayer, Sessions, Timestamp};
use exeunt_server::accounts::{Accounts, Audit, Cost, Hasher};
use exeunt_server::app;
use exeunt_server::config::{Config, Options};
use exeunt_server::site::{AppState, Site};
use tower::ServiceExt as _;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
/// Where requests come from.
const ADDRESS: &str = "192.0.2.7";
const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "quite another horse altogether";

struct Server {
    router: Router,
    accounts: Accounts,
    clock: Arc<ManualClock>,
    sessions: Sessions,
    database: Database,
    audit: Option<Audit>,
    address: IpAddr,
    /// What the browser asks for.
    language: &'static str,
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
        let accounts = Accounts::open(database.clone(), Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let accounts = accounts.apart_from(sessions.clone()).reporting_to(sessions.events().clone());
        let audit = Some(accounts.audit());
        for name in ["alice", "bob", "root"] {
            accounts.add(name, PASSWORD, name == "root", sessions.now()).await.unwrap();
        }
        let site = Arc::new(Site::new(&Config::decide(Options::default()).unwrap(), sessions.now()).unwrap());
        let cookie = CookieConfig::default().name("session").secure(false);
        let layer = SessionLayer::new(sessions.clone()).cookie(cookie).unwrap();
        let router = app::router(AppState { layer, accounts: accounts.clone(), site });
        let address = ADDRESS.parse().unwrap();
        Self { router, clock, sessions, accounts, database, audit, address, language: "en", _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::builder().method(method).uri(path).header("accept", "text/html");
        request = request.extension(ClientAddress(self.address)).header("user-agent", "curl/8");
        request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-site", "same-origin");
        request = request.header("content-type", "application/x-www-form-urlencoded");
        request = request.header("accept-language", self.language);
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

    /// What is told beside that field, which has the focus; marks around names left out.
    fn told_beside(&self, field: &str) -> &str {
        let (_, rest) =
            self.body.split_once(&format!("id=\"{field}-error\">")).unwrap_or_else(|| panic!("{self:?}"));
        let focused = self.body.split('<').filter(|tag| tag.contains(" autofocus"));
        let focused: Vec<_> = focused.collect();
        let described = format!("aria-describedby=\"{field}-error\"");
        assert!(focused.len() == 1 && focused.iter().all(|tag| tag.contains(&described)), "{focused:?}");
        rest.split('<').next().unwrap()
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

#[tokio::test] // R52, R12, R41
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
    for path in [
        "/admin/accounts",
        "/admin/account?id=1",
        "/admin/sessions",
        "/admin/events",
        "/admin/events?account=2",
        "/admin/nothing",
        "/admin",
    ] {
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
    assert!(list.status == 200 && list.body.contains("bob") && !list.body.contains(">eve<"), "{}", list.body);
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
    assert!(found.body.contains("carol") && !found.body.contains("bob"), "{}", found.body);

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
    assert!(list.contains("alice") && !list.contains(">eve<"));
}

impl Server {
    async fn change(&self, token: &str, id: i64, fields: &[(&str, &str)]) -> Answer {
        let id = id.to_string();
        let fields: Vec<_> = fields.iter().copied().chain([("id", id.as_str())]).collect();
        self.submit("/admin/accounts", "/admin/account", token, &fields).await
    }

    async fn number(&self, name: &str) -> i64 {
        self.accounts.find(name).await.unwrap().unwrap().id
    }
}

#[tokio::test] // R12, R19, R20
async fn an_administrator_changes_a_role_and_the_sessions_of_the_account_end_with_it() {
    let server = Server::new().await;
    let root = server.login("root").await;
    let alice = server.number("alice").await;
    let page = format!("/admin/account?id={alice}");
    for (change, is_admin) in [("make_admin", true), ("make_user", false)] {
        let session = server.login("alice").await;
        let fields = [("change", change)];
        assert_eq!(server.change(&root, alice, &fields).await.leads_to(), (303, page.as_str()), "{change}");
        assert!(!server.lives(&session).await, "{change}");
        let session = server.login("alice").await;
        let status = server.get("/admin/accounts", &session).await.status;
        assert_eq!(status, if is_admin { 200 } else { 403 }, "{change}");
        // What is so already ends nothing.
        assert_eq!(server.change(&root, alice, &fields).await.status, 303);
        assert!(server.lives(&session).await, "{change}");
    }
    assert!(server.lives(&root).await);
}

#[tokio::test] // R20
async fn the_last_administrator_is_told_beside_the_button_that_they_stay_one() {
    let mut server = Server::new().await;
    let root = server.login("root").await;
    let (alice, id) = (server.number("alice").await, server.number("root").await);
    for (language, said) in [
        ("en", "This is the last administrator who may log in. Make another one first."),
        ("de", "Das ist der letzte Verwalter, der sich anmelden darf. Machen Sie erst jemand anderen dazu."),
    ] {
        server.language = language;
        let refused = server.change(&root, id, &[("change", "make_user")]).await;
        assert_eq!((refused.status, refused.told_beside("role")), (409, said));
        assert_eq!(refused.cookie, None);
    }
    assert_eq!(server.get("/admin/accounts", &root).await.status, 200, "nothing was done");

    // Now there is another one, and it is themself who they demote.
    assert_eq!(server.change(&root, alice, &[("change", "make_admin")]).await.status, 303);
    let other = server.login("root").await;
    let gone = server.change(&root, id, &[("change", "make_user")]).await;
    assert_eq!((gone.leads_to(), gone.cookie.as_deref()), ((303, "/login?out"), Some("session=")));
    assert!(!server.lives(&root).await && !server.lives(&other).await);
    let root = server.login("root").await;
    assert_eq!(server.get("/admin/accounts", &root).await.status, 403);
}

#[tokio::test]
async fn an_administrator_sets_and_clears_an_address_and_a_mistake_loses_nothing_that_was_typed() {
    let mut server = Server::new().await;
    let root = server.login("root").await;
    for name in ["alice", "root"] {
        let id = server.number(name).await;
        let page = format!("/admin/account?id={id}");
        let session = server.login(name).await;
        for (email, kept) in [("alice@example.org", Some("alice@example.org")), ("", None)] {
            let fields = [("change", "email"), ("email", email)];
            assert_eq!(server.change(&root, id, &fields).await.leads_to(), (303, page.as_str()));
            assert_eq!(server.accounts.get(id).await.unwrap().unwrap().email.as_deref(), kept);
            let shown = format!("name=\"email\" value=\"{email}\" autocomplete=\"off\"");
            assert!(server.get(&page, &root).await.body.contains(&shown), "{email}");
        }
        assert!(server.lives(&session).await && server.lives(&root).await, "an address is no credential");
    }
    let id = server.number("alice").await;
    let page = format!("/admin/account?id={id}");
    server.change(&root, id, &[("change", "email"), ("email", "kept@example.org")]).await;
    for (language, email, said) in [
        ("en", "alice", "An e-mail address has an @ in it."),
        ("en", "a b@example.org", "An e-mail address has no white space and no control characters."),
        ("en", "alice@", "An e-mail address is like name@example.org."),
        ("de", "alice", "Eine E-Mail-Adresse hat ein @."),
    ] {
        server.language = language;
        let refused = server.change(&root, id, &[("change", "email"), ("email", email)]).await;
        assert_eq!((refused.status, refused.told_beside("email")), (422, said));
        assert!(refused.body.contains(&format!("name=\"email\" value=\"{email}\"")), "{refused:?}");
    }
    assert!(server.get(&page, &root).await.body.contains("value=\"kept@example.org\""));
}

#[tokio::test]
async fn what_was_typed_of_an_account_that_cannot_be_added_is_still_there_but_for_the_password() {
    let server = Server::new().await;
    let root = server.login("root").await;
    let add = async |username: &str, email: &str, password: &str, admin: bool| {
        let mut fields = vec![("username", username), ("email", email), ("password", password)];
        fields.extend(admin.then_some(("admin", "yes")));
        server.submit("/admin/accounts", "/admin/accounts", &root, &fields).await
    };
    for (username, email, password, admin, field, said) in [
        ("alice", "a@example.org", OTHER, true, "username", "An account of that name exists already."),
        ("carol", "nowhere", OTHER, false, "email", "An e-mail address has an @ in it."),
        ("carol", "a@example.org", "", true, "password", "Choose a password."),
    ] {
        let refused = add(username, email, password, admin).await;
        assert_eq!((refused.status, refused.told_beside(field)), (422, said));
        for typed in
            [format!("name=\"username\" value=\"{username}\""), format!("name=\"email\" value=\"{email}\"")]
        {
            assert!(refused.body.contains(&typed), "{typed}: {refused:?}");
        }
        assert_eq!(refused.body.contains("value=\"yes\" checked"), admin);
        assert!(!refused.body.contains(OTHER));
    }
    assert_eq!(add("carol", "", OTHER, false).await.status, 303);
    assert_eq!(add("dave", "dave@example.org", OTHER, true).await.status, 303);
    let find = async |name: &str| server.accounts.find(name).await.unwrap().unwrap();
    let (carol, dave) = (find("carol").await, find("dave").await);
    assert_eq!((carol.email, carol.admin), (None, false));
    assert_eq!((dave.email.as_deref(), dave.admin), (Some("dave@example.org"), true));
}

#[tokio::test]
async fn a_change_is_of_the_account_that_was_looked_at_and_not_of_who_has_its_name_now() {
    let server = Server::new().await;
    let root = server.login("root").await;
    let old = server.number("alice").await;
    server.accounts.remove("alice").await.unwrap();
    let new = server.accounts.add("alice", OTHER, false, Timestamp::default()).await.unwrap();
    for fields in [
        &[("change", "disable")][..],
        &[("change", "enable")],
        &[("change", "end_sessions")],
        &[("change", "email"), ("email", "a@example.org")],
        &[("change", "make_admin")],
        &[("change", "make_user")],
        &[("change", "password"), ("password", PASSWORD)],
        &[("change", "remove")],
    ] {
        assert_eq!(server.change(&root, old, fields).await.status, 404, "{fields:?}");
    }
    assert_eq!(server.accounts.find("alice").await.unwrap().unwrap(), new);
    assert!(server.login_with("alice", OTHER).await.cookie.is_some());
}

impl Answer {
    /// The accounts of a list, by name.
    fn listed(&self) -> Vec<String> {
        let names = self.body.split("<a href=\"/admin/account?id=").skip(1);
        let names = names.map(|rest| rest.split("<bdi>").nth(1).unwrap().split('<').next().unwrap());
        names.map(str::to_owned).collect()
    }

    /// Where the link to the page before or after leads, if there is one.
    fn neighbour(&self, rel: &str) -> Option<String> {
        let (before, _) = self.body.split_once(&format!("\" rel=\"{rel}\""))?;
        Some(before.rsplit_once("href=\"").unwrap().1.replace("&amp;", "&"))
    }
}

#[tokio::test]
async fn accounts_are_searched_and_leafed_through_in_both_directions() {
    let server = Server::new().await;
    let root = server.login("root").await;
    let mut all: Vec<String> = ["alice", "bob", "root"].map(str::to_owned).into();
    for number in 0..117 {
        let name = format!("User {number:03} & Co");
        server.accounts.add(&name, PASSWORD, false, Timestamp::default()).await.unwrap();
        all.push(name.replace('&', "&amp;"));
    }
    for (search, all) in [("", all.clone()), ("user", all.get(3..).unwrap().to_vec())] {
        let mut pages = vec![server.get(&format!("/admin/accounts?q={search}"), &root).await];
        assert_eq!(pages[0].neighbour("prev"), None);
        while let Some(next) = pages.last().unwrap().neighbour("next") {
            pages.push(server.get(&next, &root).await);
            assert!(pages.len() < 10, "it goes in a circle");
        }
        let listed: Vec<Vec<String>> = pages.iter().map(Answer::listed).collect();
        assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, all.len() - 100]);
        assert_eq!(listed.concat(), all);
        // And back again.
        let mut page = pages.pop().unwrap();
        for earlier in [&listed[1], &listed[0]] {
            page = server.get(&page.neighbour("prev").unwrap(), &root).await;
            assert_eq!(page.listed(), *earlier);
            assert!(page.neighbour("next").is_some());
        }
        // Somebody may have come in between, or the address be made up: the first page is a whole one.
        for before in ["", "User%20003", "alice"] {
            let first = server.get(&format!("/admin/accounts?q={search}&before={before}"), &root).await;
            assert_eq!((first.listed(), first.neighbour("prev")), (listed[0].clone(), None), "{before}");
        }
        let past = server.get(&format!("/admin/accounts?q={search}&after=zzz"), &root).await;
        assert_eq!((past.listed().len(), past.neighbour("next")), (0, None));
        let back = server.get(&past.neighbour("prev").unwrap(), &root).await;
        assert_eq!(back.listed().last(), all.last());
    }
    for (search, found) in [("SER%20116", 1), ("%26", 117), ("%25", 0), ("_", 0), ("nobody", 0), ("o", 119)] {
        let page = server.get(&format!("/admin/accounts?q={search}"), &root).await;
        assert_eq!(page.listed().len(), found.min(50), "{search}");
        assert_eq!(page.body.contains("No account has this in its name."), found == 0, "{search}");
    }
}

#[tokio::test] // R62
async fn of_two_passwords_that_differ_the_second_has_the_error_and_the_focus() {
    let mut server = Server::new().await;
    let alice = server.login("alice").await;
    for (language, said) in [
        ("en", "The two passwords are not the same. Type both again."),
        ("de", "Die beiden Passw\u{f6}rter sind nicht gleich. Geben Sie beide noch einmal ein."),
    ] {
        server.language = language;
        let fields = [("current", PASSWORD), ("password", OTHER), ("again", "x")];
        let refused = server.submit("/password", "/password", &alice, &fields).await;
        assert_eq!((refused.status, refused.told_beside("again")), (422, said));
    }
    let fields = [("current", PASSWORD), ("password", "short"), ("again", "short")];
    let refused = server.submit("/password", "/password", &alice, &fields).await;
    assert!(refused.told_beside("password").contains("15"), "{refused:?}");
    let fields = [("current", "wrong"), ("password", OTHER), ("again", OTHER)];
    let refused = server.submit("/password", "/password", &alice, &fields).await;
    assert_eq!(refused.told_beside("current"), "Das ist nicht Ihr jetziges Passwort.");
}

#[tokio::test] // R21
async fn whoever_is_logged_in_can_log_out_on_pages_that_need_no_session_too() {
    let server = Server::new().await;
    let (alice, root) = (server.login("alice").await, server.login("root").await);
    let over = server.login("bob").await;
    server.send("POST", "/logout", Some(&over), &[]).await;
    let form = [("secret", "x"), ("password", OTHER), ("again", OTHER), ("username", "eve")];
    for (method, path, status) in [
        ("GET", "/reset?secret=x", 404),
        ("POST", "/reset", 404),
        ("GET", "/reset/ask", 404),
        ("PUT", "/reset/ask", 405),
        ("GET", "/setup?secret=x", 404),
        ("POST", "/setup", 404),
    ] {
        for (token, name) in [(Some(&alice), "alice"), (Some(&root), "root"), (Some(&over), ""), (None, "")] {
            let page = server.send(method, path, token.map(String::as_str), &form).await;
            assert_eq!(page.status, status, "{method} {path}");
            let shown =
                page.body.contains("action=\"/logout\"") && page.body.contains(&format!("<bdi>{name}</bdi>"));
            assert_eq!(shown, !name.is_empty(), "{method} {path} {name}: {}", page.body);
        }
    }
}

#[tokio::test] // R41
async fn what_an_administrator_asked_for_is_done_once_the_password_was_right_and_by_an_administrator_alone() {
    let server = Server::new().await;
    let (mut root, alice) = (server.login("root").await, server.number("alice").await);
    let bob = server.number("bob").await;
    for (fields, leads) in [
        (&[("change", "email"), ("email", "a@example.org")][..], format!("/admin/account?id={alice}")),
        (&[("change", "make_admin")], format!("/admin/account?id={alice}")),
        (&[("change", "disable")], format!("/admin/account?id={alice}")),
        (&[("change", "remove")], "/admin/accounts".to_owned()),
    ] {
        server.clock.advance(Duration::from_secs(301));
        let before = server.accounts.get(alice).await.unwrap().unwrap();
        let asked = server.change(&root, alice, fields).await;
        let (form, then) = (asked.field("form"), asked.field("then").replace("&quot;", "\""));
        let with = |password| [("form", form.as_str()), ("then", then.as_str()), ("password", password)];
        let wrong = server.send("POST", "/again", Some(&root), &with("wrong")).await;
        assert_eq!((asked.status, wrong.status, wrong.field("then")), (403, 403, asked.field("then")));
        assert_eq!(server.accounts.get(alice).await.unwrap().unwrap(), before, "{fields:?}");
        let right = server.send("POST", "/again", Some(&root), &with(PASSWORD)).await;
        assert_eq!(right.leads_to(), (303, leads.as_str()), "{fields:?}");
        assert_ne!(server.accounts.get(alice).await.unwrap(), Some(before), "{fields:?}");
        root = right.cookie.unwrap();
    }

    // The password of an account to add does not go along: all else that was typed does.
    server.clock.advance(Duration::from_secs(301));
    let fields = [("username", "eve"), ("email", "eve@example.org"), ("password", OTHER), ("admin", "yes")];
    let asked = server.submit("/admin/accounts", "/admin/accounts", &root, &fields).await;
    assert!(!asked.body.contains(OTHER), "{asked:?}");
    let (form, then) = (asked.field("form"), asked.field("then").replace("&quot;", "\""));
    let with = [("form", form.as_str()), ("then", then.as_str()), ("password", PASSWORD)];
    let shown = server.send("POST", "/again", Some(&root), &with).await;
    assert_eq!(shown.status, 200);
    assert!(server.accounts.find("eve").await.unwrap().is_none());
    for typed in [r#"value="eve" "#, r#"value="eve@example.org""#, r#"value="yes" checked"#] {
        assert!(shown.body.contains(typed), "{typed}: {}", shown.body);
    }

    // Who is no administrator (any more) cannot ask for it that way.
    let user = server.login("bob").await;
    let root = server.number("root").await;
    let then = format!("{{\"change\":{{\"id\":{root},\"change\":\"remove\",\"email\":\"\"}}}}");
    let fields = [("then", then.as_str()), ("password", PASSWORD)];
    let refused = server.submit("/sessions", "/again", &user, &fields).await;
    assert!(refused.status == 403 && refused.body.contains("for administrators"), "{refused:?}");
    assert!(
        server.accounts.get(root).await.unwrap().is_some()
            && server.accounts.get(bob).await.unwrap().is_some()
    );
}
