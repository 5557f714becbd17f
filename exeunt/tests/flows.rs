//! HTTP from outside: log in, use, log out, replay, expire, over a real router, a cookie jar and a clock by hand.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use exeunt::http::{Polling, SessionRejection};
use exeunt::store::{Created, Purged, Saved, async_trait};
use exeunt::{
    AuthRouter, Clock as _, CookieConfig, Data, Error, Lifetime, ManualClock, MemoryStore, Record,
    RequireSession, Session, SessionId, SessionLayer, Sessions, Store, StoreError, Timestamp, UserId, Users,
    UsersError, Verified, Verifier, Visitor,
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const MINUTE: Duration = Duration::from_secs(60);
const ALICE: &str = r#"{"username":"alice","password":"correct horse battery staple"}"#;
const BOB: &str = r#"{"username":"bob","password":"correct horse battery staple"}"#;
const WRONG: &str = r#"{"username":"alice","password":"wrong"}"#;

/// A store that can be cut off, and counts what is asked of it.
#[derive(Debug, Default)]
struct Switched {
    memory: MemoryStore,
    down: AtomicBool,
    asked: AtomicUsize,
    touched: AtomicUsize,
    at_hand: AtomicBool,
}

impl Switched {
    fn ask(&self) -> Result<&MemoryStore, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::new("switched", "cut off")),
            false => Ok(&self.memory),
        }
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How often since last time.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    fn touched(&self) -> usize {
        self.touched.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for Switched {
    fn peek(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        self.at_hand.load(Ordering::SeqCst).then(|| self.memory.peek(id, now))?
    }

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.ask()?.create(record, limit).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let store = self.ask()?;
        // Others go on meanwhile, as they do where an answer takes its time.
        tokio::task::yield_now().await;
        store.load(id, now).await
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.ask()?.renew(id, old, new, now, expires_at).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.ask()?.save(id, verifier, revision, data, now).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.ask()?.touch(id, verifier, now, expires_at).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.ask()?.destroy(id).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.ask()?.destroy_all(user, except).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.ask()?.list(user, now).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        self.ask()?.walk(after, limit, now).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        self.ask()?.purge(after, limit, now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask()?.ping().await
    }
}

#[derive(Debug, Default)]
struct Accounts {
    busy: AtomicBool,
    disabled_meanwhile: AtomicBool,
}

#[derive(serde::Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

impl Users for Accounts {
    type Credentials = Credentials;

    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        if self.busy.load(Ordering::SeqCst) {
            return Err(UsersError::new("every core hashes").retry_in(Duration::from_secs(7)));
        }
        let user = match given.username.as_str() {
            "alice" => 1,
            "bob" => 2,
            _ => return Ok(None),
        };
        let right = given.password == "correct horse battery staple";
        Ok(right.then(|| Verified::new(UserId::from(user), 0).named(given.username)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(!self.disabled_meanwhile.load(Ordering::SeqCst))
    }
}

async fn maybe(session: Option<Session>) -> String {
    session.map_or("visitor".to_owned(), |session| session.name().to_owned())
}

async fn ask_twice(visitor: Visitor) -> Result<String, Error> {
    let (one, other) = tokio::join!(visitor.session(), visitor.session());
    Ok(format!("{} {}", one?.is_some(), other?.is_some()))
}

async fn note(session: Session) -> String {
    session.data().get("note").unwrap().unwrap_or_else(|| "none".to_owned())
}

async fn write_note(mut session: Session, body: String) -> Result<String, Error> {
    session.update(|data| data.set("note", &body)).await?;
    Ok(session.data().get("note").unwrap().unwrap())
}

/// Whether it was written, and what is there after that, in one request.
async fn write_note_and_look(mut session: Session, visitor: Visitor, body: String) -> Result<String, Error> {
    let written = session.update(|data| data.set("note", &body)).await;
    let after = visitor.session().await?.map(|session| session.data().get::<String>("note").unwrap());
    Ok(format!("{} {after:?}", written.is_ok()))
}

async fn own_401(session: Result<Session, SessionRejection>) -> Response {
    match session {
        Ok(_) => StatusCode::OK.into_response(),
        Err(_) => (StatusCode::UNAUTHORIZED, "my own words").into_response(),
    }
}

async fn own_cache(_: Session) -> impl IntoResponse {
    ([("cache-control", "private"), ("vary", "Accept")], "")
}

/// Who the visitor is before and after, in one request.
async fn login_and_look(
    State(accounts): State<Arc<Accounts>>,
    visitor: Visitor,
    Json(given): Json<Credentials>,
) -> Result<(StatusCode, String), Error> {
    let before = visitor.session().await?.map(|session| session.name().to_owned());
    visitor.login(&*accounts, given).await?;
    let after = visitor.session().await?.map(|session| session.name().to_owned());
    Ok((StatusCode::IM_A_TEAPOT, format!("{before:?} {after:?}")))
}

async fn logout_and_look(visitor: Visitor) -> Result<String, Error> {
    let before = visitor.session().await?.is_some();
    let first = visitor.logout().await;
    let second = visitor.logout().await;
    Ok(format!("{before} {first:?} {second:?} {}", visitor.session().await?.is_some()))
}

async fn login_and_logout(
    State(accounts): State<Arc<Accounts>>,
    visitor: Visitor,
    Json(given): Json<Credentials>,
) -> Result<String, Error> {
    visitor.login(&*accounts, given).await?;
    Ok(format!("{:?}", visitor.logout().await))
}

async fn typed_logout(session: Session) -> Result<(), Error> {
    session.logout().await
}

/// Renews a session, and once more as it was before, and looks what is left of it for this request.
async fn renew_twice(session: Session, visitor: Visitor, body: String) -> Result<String, Error> {
    let stale = visitor.session().await?.unwrap();
    drop(session.renew().await?);
    if body == "once" {
        return Ok(format!("{}", visitor.session().await?.is_some()));
    }
    let refused = stale.renew().await.unwrap_err();
    Ok(format!("{:?} {}", refused.kind(), visitor.session().await?.is_some()))
}

struct App {
    router: Router,
    clock: Arc<ManualClock>,
    store: Arc<Switched>,
    accounts: Arc<Accounts>,
}

impl App {
    fn new() -> Self {
        Self::with(|layer| layer, |auth| auth)
    }

    fn with(
        layer: impl FnOnce(SessionLayer) -> SessionLayer,
        auth: impl FnOnce(AuthRouter<Accounts>) -> AuthRouter<Accounts>,
    ) -> Self {
        let (clock, store) = (Arc::new(ManualClock::default()), Arc::new(Switched::default()));
        let sessions =
            Sessions::over(Arc::<Switched>::clone(&store)).clock(Arc::<ManualClock>::clone(&clock));
        let accounts = Arc::new(Accounts::default());
        let auth = auth(AuthRouter::new(Arc::clone(&accounts)).after_logout("/goodbye"));
        let guarded = Router::new()
            .route("/page", get(|| async { "private page" }))
            .route("/polled", get(maybe).layer(Extension(Polling)))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(RequireSession::or_redirect_to("/login"));
        let router = Router::new()
            .nest("/api/auth", auth.into_router())
            .nest("/guarded", guarded)
            .route("/public", get(|| async { "public" }).post(|| async { "public" }))
            .route("/me", get(|session: Session| async move { session.name().to_owned() }))
            .route("/maybe", get(maybe))
            .route("/ask-twice", get(ask_twice))
            .route("/note", get(note).post(write_note))
            .route("/note-and-look", post(write_note_and_look))
            .route("/own-401", get(own_401))
            .route("/own-cache", get(own_cache))
            .route("/polled", get(maybe).layer(Extension(Polling)))
            .route("/login-and-look", post(login_and_look))
            .route("/logout-and-look", post(logout_and_look))
            .route("/login-and-logout", post(login_and_logout))
            .route("/typed-logout", post(typed_logout))
            .route("/renew-twice", post(renew_twice))
            .with_state(Arc::clone(&accounts))
            .layer(layer(SessionLayer::new(sessions)));
        Self { router, clock, store, accounts }
    }

    fn client(&self) -> Client {
        Client { router: self.router.clone(), cookie: None, headers: HeaderMap::new() }
    }

    async fn logged_in(&self, credentials: &'static str) -> Client {
        let mut client = self.client();
        assert_eq!(client.login(credentials).await.status, 200);
        client
    }
}

/// A client with a jar for one cookie.
#[derive(Clone)]
struct Client {
    router: Router,
    cookie: Option<String>,
    headers: HeaderMap,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn set_cookie(&self) -> Option<&str> {
        assert!(self.headers.get_all("set-cookie").iter().count() <= 1, "at most one cookie of ours");
        self.header("set-cookie")
    }

    fn removes_the_cookie(&self) -> bool {
        self.set_cookie().is_some_and(|cookie| cookie.starts_with("__Host-session=;"))
    }

    fn is_problem(&self) -> bool {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        self.header("content-type") == Some("application/problem+json")
            && body.get("status") == Some(&self.status.into())
    }

    fn text(&self) -> (u16, &str) {
        (self.status, &self.body)
    }
}

impl Client {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn holding(self, cookie: impl Into<String>) -> Self {
        Self { cookie: Some(cookie.into()), ..self }
    }

    async fn login(&mut self, credentials: &'static str) -> Answer {
        self.post_json("/api/auth/login", credentials).await
    }

    async fn post_json(&mut self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json").body(body.into());
        self.send(request.unwrap()).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    async fn logout(&mut self) -> Answer {
        self.ask("DELETE", "/api/auth/logout").await
    }

    async fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    async fn send(&mut self, mut request: Request<Body>) -> Answer {
        request.headers_mut().extend(self.headers.clone());
        if let Some(cookie) = &self.cookie {
            request.headers_mut().append(header::COOKIE, cookie.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        if let Some(cookie) = answer.set_cookie() {
            let pair = cookie.split(';').next().unwrap().to_owned();
            self.cookie = (!cookie.contains("Max-Age=0")).then_some(pair);
        }
        answer
    }

    async fn sessions(&mut self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.get("/api/auth/sessions").await.body).unwrap()
    }

    /// The public id of this client's own session.
    async fn session_id(&mut self) -> String {
        let sessions = self.sessions().await;
        let current = sessions.iter().find(|session| session["current"] == true).unwrap();
        current["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn log_in_use_log_out_and_the_old_cookie_is_dead() {
    // R01
    let app = App::new();
    let mut alice = app.client();
    assert_eq!(alice.get("/me").await.status, 401);
    assert_eq!(alice.login(ALICE).await.text(), (200, r#"{"user":"alice"}"#));
    assert_eq!(alice.get("/me").await.text(), (200, "alice"));
    assert_eq!(alice.ask("HEAD", "/me").await.status, 200);
    let mut thief = alice.clone();
    assert_eq!(alice.logout().await.text(), (200, "Logout successful"));
    assert_eq!(alice.cookie, None);
    for path in ["/me", "/note", "/guarded/page", "/api/auth/sessions"] {
        assert_eq!(thief.clone().get(path).await.status, 401, "{path}");
        assert_eq!(thief.clone().ask("HEAD", path).await.status, 401, "{path}");
    }
    assert_eq!(thief.get("/maybe").await.body, "visitor");
}

#[tokio::test]
async fn every_refusal_of_a_visitor_says_how_to_log_in() {
    // R26
    let app = App::new();
    for path in ["/me", "/guarded/page", "/guarded/nothing", "/guarded", "/api/auth/sessions"] {
        let answer = app.client().get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.is_problem(), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Session realm=\"exeunt\""), "{path}");
    }
}

#[tokio::test]
async fn the_logout_contract_holds() {
    // R02, R08, R11. A status that would tell a failure as a success, or as no session, is not taken.
    for (configured, status) in [(400, 400), (503, 503), (200, 400), (302, 400), (401, 400)] {
        let configured = StatusCode::from_u16(configured).unwrap();
        let app = App::with(|layer| layer, |auth| auth.failure_status(configured));
        let mut alice = app.logged_in(ALICE).await;
        app.store.set_down(true);
        let failed = alice.logout().await;
        assert_eq!(failed.text(), (status, "Unable to log out"));
        assert_eq!(failed.set_cookie(), None, "the cookie stays, so that trying again can end the session");
        app.store.set_down(false);
        assert_eq!(alice.get("/me").await.status, 200);
        let mut again = alice.clone();
        assert_eq!(alice.ask("POST", "/api/auth/logout").await.text(), (200, "Logout successful"));
        let stale = again.logout().await;
        assert_eq!(stale.text(), (200, ""));
        assert!(stale.removes_the_cookie());
    }
}

#[tokio::test]
async fn a_page_that_cannot_stand_in_a_header_is_not_where_a_logout_leads() {
    let app = App::with(|layer| layer, |auth| auth.after_logout("/goodbye\r\nSet-Cookie: a=b"));
    let mut alice = app.logged_in(ALICE).await.with("accept", "text/html");
    let answer = alice.ask("POST", "/api/auth/logout").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/goodbye")));
}

#[tokio::test]
async fn without_a_token_logout_does_not_ask_the_store() {
    let app = App::new();
    let good = app.logged_in(ALICE).await.cookie.unwrap();
    app.store.set_down(true);
    app.store.asked();
    let twice = format!("{good}; {good}");
    for (cookie, removed) in [(None, false), (Some("__Host-session=nonsense"), true), (Some(&*twice), true)] {
        let mut client = Client { cookie: cookie.map(str::to_owned), ..app.client() };
        let answer = client.logout().await;
        assert_eq!(answer.text(), (200, ""), "{cookie:?}");
        assert_eq!(answer.removes_the_cookie(), removed, "{cookie:?}");
        assert_eq!(app.store.asked(), 0);
    }
}

#[tokio::test]
async fn a_person_with_a_browser_gets_pages_instead_of_the_text() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await.with("accept", "text/html,*/*;q=0.8");
    app.store.set_down(true);
    let failed = alice.ask("POST", "/api/auth/logout").await;
    assert_eq!(failed.status, 400);
    assert_eq!(failed.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(failed.body.contains("Unable to log out") && failed.body.contains("<form method=\"post\">"));
    assert!(!failed.body.contains("<script") && !failed.body.contains("style"));
    assert!(failed.header("content-security-policy").unwrap().contains("default-src 'none'")); // R45
    assert_eq!((failed.header("cache-control"), failed.set_cookie()), (Some("no-store"), None));
    app.store.set_down(false);
    let mut again = alice.clone();
    let done = alice.ask("POST", "/api/auth/logout").await;
    assert_eq!((done.status, done.header("location")), (303, Some("/goodbye")));
    assert!(done.removes_the_cookie());
    assert_eq!(done.header("clear-site-data"), Some("\"cache\", \"storage\"")); // R49
    let none = again.ask("POST", "/api/auth/logout").await;
    assert_eq!((none.status, none.header("location")), (303, Some("/goodbye")));
    let mut script = app.logged_in(ALICE).await.with("accept", "*/*");
    assert_eq!(script.logout().await.body, "Logout successful", "*/* does not name text/html");
}

#[tokio::test]
async fn only_delete_and_post_log_out() {
    // R09, R61
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    for (path, methods, allowed) in [
        ("/api/auth/logout", ["GET", "HEAD", "OPTIONS", "PUT"], ["DELETE", "POST"].as_slice()),
        ("/api/auth/login", ["GET", "HEAD", "DELETE", "PUT"], &["POST"]),
        ("/api/auth/sessions/AAAAAAAAAAA", ["GET", "HEAD", "POST", "PUT"], &["DELETE"]),
        ("/api/auth/sessions", ["POST", "PUT", "PATCH", "OPTIONS"], &["DELETE", "GET", "HEAD"]),
    ] {
        for method in methods {
            let answer = alice.ask(method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let mut allow: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            allow.sort_unstable();
            assert_eq!(allow, allowed, "{method} {path}");
            assert!(method == "HEAD" || answer.is_problem(), "{method} {path}");
        }
    }
    assert_eq!(alice.get("/me").await.status, 200);
}

#[tokio::test]
async fn wrong_credentials_have_one_answer() {
    // R32
    let app = App::new();
    let wrong = app.client().login(WRONG).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.is_problem());
    assert_eq!(app.client().login(r#"{"username":"nobody","password":"wrong"}"#).await, wrong);
    app.accounts.disabled_meanwhile.store(true, Ordering::SeqCst);
    assert_eq!(app.client().login(ALICE).await, wrong);
    app.accounts.disabled_meanwhile.store(false, Ordering::SeqCst);
    let mut alice = app.logged_in(ALICE).await;
    assert_eq!(alice.login(WRONG).await, wrong);
    assert_eq!(alice.get("/me").await.body, "alice", "a refused login leaves the session as it was");
    assert_eq!(alice.sessions().await.len(), 1, "the refused logins left nothing behind");
}

#[tokio::test]
async fn a_login_that_is_not_small_valid_json_is_refused() {
    // R61
    let app = App::new();
    let send = async |content_type: &str, body: &str| {
        let request = Request::post("/api/auth/login").header("content-type", content_type);
        app.client().send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let json = "application/json";
    let of_bytes = |bytes: usize| {
        let (before, after) = (r#"{"username":"alice","password":""#, r#""}"#);
        format!("{before}{}{after}", "x".repeat(bytes - before.len() - after.len()))
    };
    let (largest, too_large) = (of_bytes(16 * 1024), of_bytes(16 * 1024 + 1));
    for (content_type, body, status) in [
        ("", ALICE, 415),
        ("text/plain", ALICE, 415),
        ("application/x-www-form-urlencoded", "username=alice", 415),
        (json, "", 400),
        (json, "{", 400),
        (json, "[]", 400),
        (json, "null", 400),
        (json, r#"{"username":"alice"}"#, 400),
        (json, r#"{"username":"alice","password":7}"#, 400),
        (json, r#"{"username":"alice","password":"hunter2","remember":"hunter2"}"#, 400),
        (json, &too_large, 413),
    ] {
        let answer = send(content_type, body).await;
        assert_eq!(answer.status, status, "{content_type:?} {body:.40}");
        assert!(answer.is_problem(), "{content_type:?} {body:.40}");
        assert!(!answer.body.contains("hunter2") && !answer.body.contains("alice"));
        assert_eq!(answer.set_cookie(), None);
    }
    assert_eq!(send(json, &largest).await.status, 401, "it is read, and wrong");
    assert_eq!(send("application/json; charset=utf-8", ALICE).await.status, 200);
}

#[tokio::test]
async fn accounts_that_are_busy_are_503_and_say_when_to_come_back() {
    let app = App::new();
    app.accounts.busy.store(true, Ordering::SeqCst);
    let answer = app.client().login(ALICE).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert!(answer.is_problem());
}

#[tokio::test]
async fn while_the_store_is_down_protected_routes_are_503_and_public_ones_work() {
    // R11
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await.with("sec-fetch-mode", "navigate");
    app.store.set_down(true);
    for path in ["/me", "/maybe", "/guarded/page", "/guarded/nothing", "/api/auth/sessions", "/polled"] {
        let answer = alice.get(path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        assert!(answer.is_problem() && answer.set_cookie().is_none(), "{path}");
        assert_eq!(answer.header("www-authenticate"), None, "{path}");
        assert!(!answer.body.contains("cut off")); // R40
    }
    for (method, path) in [("DELETE", "/api/auth/sessions"), ("POST", "/typed-logout")] {
        assert_eq!(alice.ask(method, path).await.status, 503, "{method} {path}");
    }
    let login = alice.login(ALICE).await;
    assert_eq!((login.status, login.set_cookie()), (503, None));
    app.store.asked();
    assert_eq!(alice.get("/public").await.status, 200);
    assert_eq!(app.client().get("/me").await.status, 401, "who has no cookie is a visitor without asking");
    assert_eq!(app.store.asked(), 0);
    app.store.set_down(false);
    assert_eq!(alice.get("/me").await.status, 200);
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_absolute_timeout() {
    // R14, R15
    let app = App::new();
    let mut idle = app.logged_in(ALICE).await;
    let mut busy = app.logged_in(BOB).await;
    app.clock.advance(29 * MINUTE);
    assert_eq!(busy.get("/me").await.status, 200);
    app.clock.advance(MINUTE);
    assert_eq!(idle.get("/me").await.status, 401);
    assert_eq!(busy.get("/me").await.status, 200);
    for _ in 0..22 {
        app.clock.advance(20 * MINUTE);
        assert_eq!(busy.get("/guarded/page").await.status, 200);
    }
    app.clock.advance(10 * MINUTE);
    assert_eq!(busy.get("/me").await.status, 401, "8 hours after login, whatever the activity");
}

#[tokio::test]
async fn a_touch_is_written_at_most_every_sixtieth_of_the_idle_timeout() {
    for at_hand in [false, true] {
        let app = App::new();
        app.store.at_hand.store(at_hand, Ordering::SeqCst);
        let mut alice = app.logged_in(ALICE).await;
        for path in ["/me", "/maybe", "/guarded/page", "/public"] {
            alice.get(path).await;
        }
        assert_eq!(app.store.touched(), 0);
        app.clock.advance(MINUTE / 2);
        for path in ["/public", "/guarded/page", "/guarded/page", "/me", "/maybe"] {
            alice.get(path).await;
        }
        assert_eq!(app.store.touched(), 1);
        app.store.asked();
        alice.get("/me").await;
        assert_eq!(app.store.asked(), usize::from(!at_hand), "a session at hand asks the store for nothing");
        // Whoever asks first notes it, and nobody loads it a second time.
        for path in ["/guarded/page", "/me", "/maybe"] {
            app.clock.advance(MINUTE / 2);
            app.store.asked();
            alice.get(path).await;
            let asked = 1 + usize::from(!at_hand);
            assert_eq!((app.store.touched(), app.store.asked()), (1, asked), "{path}, at hand: {at_hand}");
        }
    }
}

#[tokio::test]
async fn two_who_ask_at_once_in_a_request_ask_the_store_once() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    app.store.asked();
    assert_eq!(alice.get("/ask-twice").await.body, "true true");
    assert_eq!(app.store.asked(), 1);
}

#[tokio::test]
async fn a_page_that_polls_does_not_keep_a_session_alive() {
    // R15
    for at_hand in [false, true] {
        let app = App::new();
        app.store.at_hand.store(at_hand, Ordering::SeqCst);
        let mut alice = app.logged_in(ALICE).await;
        let around = Client { router: app.router.clone().layer(Extension(Polling)), ..alice.clone() };
        let header = alice.clone().with("session-extend", "no");
        for _ in 0..3 {
            app.clock.advance(9 * MINUTE);
            for path in ["/polled", "/guarded/polled"] {
                assert_eq!(alice.get(path).await.body, "alice", "{path}");
            }
            for path in ["/me", "/guarded/page"] {
                assert_eq!(around.clone().get(path).await.status, 200);
                assert_eq!(header.clone().get(path).await.status, 200);
            }
        }
        assert_eq!(app.store.touched(), 0);
        app.clock.advance(3 * MINUTE);
        assert_eq!(alice.get("/polled").await.body, "visitor");
    }
}

#[tokio::test]
async fn login_never_adopts_what_the_browser_brought() {
    // R12: fixation
    let app = App::new();
    let mut planted = app.logged_in(BOB).await;
    let old = planted.cookie.clone().unwrap();
    planted.logout().await;
    let mut victim = app.client().holding(&old);
    assert_eq!(victim.login(ALICE).await.status, 200);
    assert_ne!(victim.cookie.as_ref(), Some(&old));
    assert_eq!(app.client().holding(&old).get("/me").await.status, 401);
}

#[tokio::test]
async fn login_over_a_live_session_ends_it_and_starts_clean() {
    // R12
    let app = App::new();
    let mut shared = app.logged_in(ALICE).await;
    assert_eq!(shared.post_json("/note", "alice's secret").await.body, "alice's secret");
    let mut old = shared.clone();
    assert_eq!(shared.login(BOB).await.status, 200);
    assert_eq!(old.get("/me").await.status, 401);
    assert_eq!(shared.get("/me").await.body, "bob");
    assert_eq!(shared.get("/note").await.body, "none");
    let mut again = app.logged_in(ALICE).await;
    assert_eq!(again.get("/note").await.body, "none");
    assert_eq!(again.sessions().await.len(), 1);
}

#[tokio::test]
async fn a_login_shows_within_its_request_and_its_cookie_goes_out_whatever_is_answered() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let mut old = alice.clone();
    let answer = alice.post_json("/login-and-look", BOB).await;
    assert_eq!(answer.text(), (418, r#"Some("alice") Some("bob")"#));
    assert_eq!(alice.get("/me").await.body, "bob");
    assert_eq!(old.get("/me").await.status, 401);
}

#[tokio::test]
async fn a_logout_shows_within_its_request() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    app.store.asked();
    let answer = alice.ask("POST", "/logout-and-look").await;
    assert_eq!(answer.body, "true Done NoSession false");
    // To show it, to find it once more for its end, and to end it; the second logout has nothing to ask for.
    assert_eq!(app.store.asked(), 3);
    assert!(answer.removes_the_cookie());
    let mut bob = app.client();
    let answer = bob.post_json("/login-and-logout", BOB).await;
    assert_eq!((answer.body.as_str(), &bob.cookie), ("Done", &None));
}

#[tokio::test]
async fn cookies_that_are_no_token_of_ours_are_a_visitors() {
    // R13, R27
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let good = alice.cookie.clone().unwrap();
    let token = good.strip_prefix("__Host-session=").unwrap();
    let (start, end) = good.split_at(good.len() - 10);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    for cookie in [
        format!("{start}{other}{}", &end[1..]),
        format!("__host-session={token}"),
        format!("{good}; {good}"),
        format!("{good}; __Host-session=x"),
        format!("{good}A"),
        format!("__Host-session={}", "A".repeat(54)),
        format!("__Host-session={}", "A".repeat(60_000)),
        "__Host-session=".to_owned(),
        "__Host-session=%00%0d%0a".to_owned(),
        "=; ; ;;=__Host-session".to_owned(),
    ] {
        assert_eq!(app.client().holding(&cookie).get("/me").await.status, 401, "{cookie:.80}");
        assert_eq!(
            app.client().holding(&cookie).get("/maybe").await.text(),
            (200, "visitor"),
            "{cookie:.80}"
        );
    }
    let mut in_two_headers = alice.clone();
    in_two_headers.headers.insert(header::COOKIE, good.parse().unwrap());
    assert_eq!(in_two_headers.get("/me").await.status, 401);
    // R30
    let elsewhere = Request::get(format!("/me?__Host-session={token}"));
    let elsewhere = elsewhere.header("authorization", format!("Bearer {token}")).body(Body::empty());
    assert_eq!(app.client().send(elsewhere.unwrap()).await.status, 401);
    assert_eq!(alice.get("/me").await.status, 200, "none of it did anything to the session");
}

#[tokio::test]
async fn a_dead_cookie_is_removed_where_no_late_echo_can_harm() {
    // R24
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let dead = alice.clone();
    alice.logout().await;
    for (mode, may) in [
        (None, true),
        (Some("navigate"), true),
        (Some("cors"), false),
        (Some("same-origin"), false),
        (Some("no-cors"), false),
        (Some("websocket"), false),
    ] {
        let client = || mode.map_or(dead.clone(), |mode| dead.clone().with("sec-fetch-mode", mode));
        for path in ["/me", "/guarded/page", "/api/auth/sessions"] {
            assert_eq!(client().get(path).await.removes_the_cookie(), may, "{mode:?} {path}");
        }
        for path in ["/maybe", "/own-401", "/public"] {
            assert_eq!(
                client().get(path).await.set_cookie(),
                None,
                "a handler's own answer: {mode:?} {path}"
            );
        }
        let refused = client().login(WRONG).await;
        assert_eq!((refused.status, refused.set_cookie()), (401, None), "{mode:?}");
        app.store.set_down(true);
        assert_eq!(client().get("/me").await.set_cookie(), None, "503: {mode:?}");
        app.store.set_down(false);
        assert!(client().logout().await.removes_the_cookie(), "logout: {mode:?}");
    }
    assert_eq!(app.client().get("/me").await.set_cookie(), None, "there is nothing to remove");
}

#[tokio::test]
async fn requests_from_other_sites_are_refused() {
    // R10, R31
    let app = App::with(|layer| layer.trust_origin("https://admin.example.org").unwrap(), |auth| auth);
    let mut alice = app.logged_in(ALICE).await;
    let cases: [(&[(&str, &str)], bool); 12] = [
        (&[], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], false),
        (&[("origin", "null")], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "https://sibling.example.org"), ("sec-fetch-site", "same-site")], false),
        (&[("origin", "https://app.example.org")], true),
        (&[("origin", "https://admin.example.org"), ("sec-fetch-site", "same-site")], true),
        (&[("origin", "https://admin.example.org.evil.example"), ("sec-fetch-site", "cross-site")], false),
    ];
    for (headers, passes) in cases {
        let request = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).header("host", "app.example.org");
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            request.body(Body::empty()).unwrap()
        };
        for path in ["/public", "/nothing"] {
            let answer = alice.send(request("POST", path)).await;
            assert_eq!(answer.status != 403, passes, "{headers:?} {path}");
        }
        if !passes {
            for (method, path) in [
                ("DELETE", "/api/auth/logout"),
                ("POST", "/api/auth/logout"),
                ("POST", "/api/auth/login"),
                ("DELETE", "/api/auth/sessions"),
            ] {
                let answer = alice.send(request(method, path)).await;
                assert_eq!(answer.status, 403, "{headers:?} {method} {path}");
                assert!(answer.is_problem() && answer.set_cookie().is_none());
                assert_eq!(answer.header("cache-control"), Some("no-store")); // R22
            }
        }
        let answer = alice.send(request("GET", "/me")).await;
        assert_eq!(answer.status, 200, "safe methods pass, and the session is untouched: {headers:?}");
    }
    let mut own_page = alice.with("sec-fetch-site", "same-origin").with("origin", "https://app.example.org");
    assert_eq!(own_page.logout().await.body, "Logout successful");
}

#[tokio::test]
async fn nothing_that_a_session_was_asked_for_is_kept_by_caches() {
    // R22
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    for (method, path) in [
        ("GET", "/me"),
        ("HEAD", "/me"),
        ("GET", "/maybe"),
        ("GET", "/guarded/page"),
        ("GET", "/guarded/nothing"),
        ("GET", "/api/auth/sessions"),
        ("POST", "/api/auth/logout"),
    ] {
        for client in [&mut app.client(), &mut alice] {
            let answer = client.ask(method, path).await;
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
            assert_eq!(answer.header("vary"), Some("Cookie"), "{method} {path}");
        }
    }
    let login = alice.login(ALICE).await;
    assert_eq!((login.header("cache-control"), login.header("vary")), (Some("no-store"), Some("Cookie")));
    let own = alice.get("/own-cache").await;
    assert_eq!(own.header("cache-control"), Some("private"));
    let vary: Vec<_> = own.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary, ["Accept", "Cookie"]);
    let public = alice.get("/public").await;
    assert_eq!((public.header("cache-control"), public.header("vary")), (None, None));
}

#[tokio::test]
async fn the_removal_has_the_attributes_that_the_cookie_was_set_with() {
    // R07
    let custom = CookieConfig::default().name("app").domain("example.org").path("/x").partitioned(true);
    for (config, attributes) in [
        (CookieConfig::default(), "Path=/; Secure; HttpOnly; SameSite=Lax"),
        (custom, "Path=/x; Domain=example.org; Secure; HttpOnly; SameSite=Lax; Partitioned"),
    ] {
        let app = App::with(|layer| layer.cookie(config).unwrap(), |auth| auth);
        let mut alice = app.client();
        let login = alice.login(ALICE).await;
        let (set, given) = login.set_cookie().unwrap().split_once("; ").unwrap();
        assert_eq!(given, attributes);
        let logout = alice.logout().await;
        let (removed, given) = logout.set_cookie().unwrap().split_once("; ").unwrap();
        assert_eq!(given, format!("{attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(removed, format!("{}=", set.split('=').next().unwrap()));
    }
}

#[tokio::test]
async fn only_who_asks_to_be_remembered_gets_a_cookie_that_outlives_the_window() {
    // R55
    let app = App::new();
    let with_remember = |remember| ALICE.replace('}', &format!(r#","remember":{remember}}}"#));
    let mut alice = app.client();
    let login = alice.post_json("/api/auth/login", with_remember(false)).await;
    assert!(!login.set_cookie().unwrap().contains("Max-Age"));
    let login = alice.post_json("/api/auth/login", with_remember(true)).await;
    assert!(login.set_cookie().unwrap().ends_with("; Max-Age=2592000"));
    app.clock.advance(29 * 24 * 60 * MINUTE);
    assert_eq!(alice.get("/me").await.set_cookie(), None);
    assert_eq!(alice.sessions().await[0]["remembered"], true);
    app.clock.advance(24 * 60 * MINUTE);
    assert_eq!(alice.get("/me").await.status, 401);
}

#[tokio::test]
async fn people_see_their_own_sessions() {
    // R17
    let app = App::new();
    app.client().with("user-agent", "Phone/1").login(ALICE).await;
    app.clock.advance(MINUTE);
    let mut laptop = app.logged_in(ALICE).await;
    app.logged_in(BOB).await;
    let listed = laptop.sessions().await;
    assert_eq!(listed.len(), 2);
    let (this, other) = (&listed[0], &listed[1]);
    assert_eq!((&this["current"], &other["current"]), (&true.into(), &false.into()));
    assert_eq!((&this["client"], &other["client"]), (&"Unknown client".into(), &"Phone".into()));
    assert_eq!((&this["user_agent"], &other["user_agent"]), (&"".into(), &"Phone/1".into()));
    assert_eq!(this["address"], serde_json::Value::Null);
    assert_eq!(other["created_at"], "2026-01-01T00:00:00Z");
    assert_eq!(this["seen_at"], "2026-01-01T00:01:00Z");
    assert_eq!(this["expires_at"], "2026-01-01T00:31:00Z");
    assert_eq!(this["remembered"], false);
    let mut keys: Vec<_> = this.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "address",
        "client",
        "created_at",
        "current",
        "expires_at",
        "id",
        "remembered",
        "seen_at",
        "user_agent",
    ];
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn people_end_one_of_their_sessions_and_nobody_elses() {
    // R17
    let app = App::new();
    let mut phone = app.logged_in(ALICE).await;
    let mut laptop = app.logged_in(ALICE).await;
    let mut bob = app.logged_in(BOB).await;
    let path = format!("/api/auth/sessions/{}", phone.session_id().await);
    let foreign = bob.ask("DELETE", &path).await;
    assert_eq!(foreign.status, 404);
    assert!(foreign.is_problem());
    for unknown in ["AAAAAAAAAAA", "nonsense", "%00", "%ff"] {
        assert_eq!(bob.ask("DELETE", &format!("/api/auth/sessions/{unknown}")).await, foreign, "{unknown}");
    }
    assert_eq!(phone.get("/me").await.status, 200);
    let ended = laptop.ask("DELETE", &path).await;
    assert_eq!((ended.status, ended.set_cookie()), (204, None));
    assert_eq!(phone.get("/me").await.status, 401);
    assert_eq!(laptop.ask("DELETE", &path).await, foreign);
    let own = laptop.session_id().await;
    let ended = laptop.ask("DELETE", &format!("/api/auth/sessions/{own}")).await;
    assert_eq!((ended.status, ended.removes_the_cookie()), (204, true));
    assert_eq!(bob.get("/me").await.status, 200);
}

#[tokio::test]
async fn people_log_out_elsewhere_and_everywhere() {
    // R16
    let app = App::new();
    let mut phone = app.logged_in(ALICE).await;
    let mut tablet = app.logged_in(ALICE).await;
    let mut laptop = app.logged_in(ALICE).await;
    let mut bob = app.logged_in(BOB).await;
    let misspelt = laptop.ask("DELETE", "/api/auth/sessions?other").await;
    assert_eq!((misspelt.status, misspelt.set_cookie()), (400, None));
    let others = laptop.ask("DELETE", "/api/auth/sessions?others").await;
    assert_eq!((others.text(), others.set_cookie()), ((200, r#"{"ended":2}"#), None));
    for client in [&mut phone, &mut tablet] {
        assert_eq!(client.get("/me").await.status, 401);
        client.login(ALICE).await;
    }
    assert_eq!(laptop.get("/me").await.status, 200);
    let all = laptop.ask("DELETE", "/api/auth/sessions").await;
    assert_eq!((all.text(), all.removes_the_cookie()), ((200, r#"{"ended":3}"#), true));
    for client in [&mut phone, &mut tablet, &mut laptop] {
        assert_eq!(client.get("/me").await.status, 401);
    }
    assert_eq!(bob.get("/me").await.body, "bob");
}

#[tokio::test]
async fn pages_send_visitors_to_the_login_page_and_everything_else_gets_a_401() {
    // R26, R44
    let app = App::new();
    let visitor = || app.client().with("accept", "text/html");
    let page = visitor().get("/guarded/page?a=b&c=/d").await;
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location"), Some("/login?next=/guarded/page%3Fa%3Db%26c%3D/d"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(visitor().get("/guarded/nothing").await.status, 303, "unknown paths are private too"); // R25
    assert_eq!(visitor().ask("HEAD", "/guarded/page").await.status, 303);
    assert_eq!(visitor().ask("POST", "/guarded/page").await.status, 401);
    assert_eq!(visitor().with("sec-fetch-mode", "cors").get("/guarded/page").await.status, 401);
    assert_eq!(app.client().with("sec-fetch-mode", "navigate").get("/guarded/page").await.status, 303);
    assert_eq!(app.client().with("accept", "*/*").get("/guarded/page").await.status, 401);
    assert_eq!(visitor().get("/me").await.status, 401, "an extractor never redirects");
    let dead = visitor().holding("__Host-session=dead").get("/guarded/page").await;
    assert_eq!((dead.status, dead.removes_the_cookie()), (303, true)); // R24
    let mut alice = app.logged_in(ALICE).await.with("accept", "text/html");
    assert_eq!(alice.get("/guarded/page").await.body, "private page");
    assert_eq!(alice.get("/guarded/nothing").await.status, 404);
}

#[tokio::test]
async fn what_is_written_is_there_and_what_is_too_large_changes_nothing() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    assert_eq!(alice.post_json("/note", "first").await.body, "first");
    assert_eq!(alice.get("/note").await.body, "first");
    let refused = alice.post_json("/note", "x".repeat(Data::LIMIT)).await;
    assert_eq!(refused.status, 413);
    assert!(refused.is_problem());
    let looked = alice.post_json("/note-and-look", "x".repeat(Data::LIMIT)).await;
    assert_eq!(looked.body, r#"false Some(Some("first"))"#);
    assert_eq!(alice.get("/note").await.body, "first");
    assert_eq!(alice.post_json("/note-and-look", "second").await.body, r#"true Some(Some("second"))"#);
}

#[tokio::test]
async fn a_logout_in_a_handler_holds() {
    // R01, R02, R07
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let mut old = alice.clone();
    app.store.set_down(true);
    assert_eq!(alice.ask("POST", "/typed-logout").await.status, 503);
    app.store.set_down(false);
    assert_eq!(alice.get("/me").await.status, 200, "it was not confirmed, so the cookie stayed");
    assert_eq!(alice.ask("POST", "/typed-logout").await.status, 200);
    assert_eq!((alice.cookie, old.get("/me").await.status), (None, 401));
    assert!(app.store.memory.list(&UserId::from(1), app.clock.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_the_layer_the_answer_is_a_500_that_tells_nothing() {
    let router: Router = Router::new()
        .route("/me", get(|_: Session| async {}))
        .route("/maybe", get(maybe))
        .route("/visitor", get(|_: Visitor| async {}))
        .nest("/guarded", Router::new().fallback(|| async {}).layer(RequireSession::new()));
    for path in ["/me", "/maybe", "/visitor", "/guarded/x"] {
        let mut client = Client { router: router.clone(), cookie: None, headers: HeaderMap::new() };
        let answer = client.get(path).await;
        assert_eq!(answer.status, 500, "{path}");
        assert!(answer.is_problem() && !answer.body.contains("SessionLayer"), "{path}");
    }
}

#[tokio::test]
async fn a_logout_whose_client_is_gone_still_ends_the_session() {
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let request = Request::delete("/api/auth/logout").header("cookie", alice.cookie.as_ref().unwrap());
    let mut answering = Box::pin(app.router.clone().oneshot(request.body(Body::empty()).unwrap()));
    // One poll starts the step; then the connection is lost.
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(answering.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    drop(answering);
    // On this one thread the step runs when this test waits.
    tokio::task::yield_now().await;
    assert_eq!(alice.get("/me").await.status, 401);
}

#[tokio::test]
async fn timeouts_and_limits_are_the_applications_to_set() {
    // R56
    let sessions = Sessions::new(MemoryStore::new()).lifetime(Lifetime::new(MINUTE, MINUTE)).limit(1);
    let router = Router::new()
        .nest("/api/auth", AuthRouter::new(Accounts::default()).into_router())
        .route("/me", get(|session: Session| async move { session.name().to_owned() }))
        .layer(SessionLayer::new(sessions));
    let client = || Client { router: router.clone(), cookie: None, headers: HeaderMap::new() };
    let (mut first, mut second) = (client(), client());
    first.login(ALICE).await;
    second.login(ALICE).await;
    assert_eq!((first.get("/me").await.status, second.get("/me").await.status), (401, 200));
}

const AGAIN: &str = "/api/auth/reauthenticate";

#[tokio::test]
async fn a_login_again_gives_a_new_token_and_the_old_one_only_logs_out() {
    // R12
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let id = alice.session_id().await;
    app.clock.advance(MINUTE);
    // Cloned for each request: a 401 takes the cookie along.
    let old = alice.clone();
    let again = alice.post_json(AGAIN, ALICE).await;
    assert_eq!(again.text(), (200, r#"{"user":"alice"}"#));
    assert_eq!(again.header("cache-control"), Some("no-store"));
    assert_ne!(alice.cookie, old.cookie);
    assert_eq!(alice.session_id().await, id, "it is the same session");
    assert_eq!(old.clone().get("/me").await.status, 401);
    assert_eq!(old.clone().post_json(AGAIN, ALICE).await.status, 401, "and cannot come back");
    assert_eq!(old.clone().logout().await.text(), (200, "Logout successful"));
    assert_eq!(alice.get("/me").await.status, 401);
}

#[tokio::test]
async fn a_login_again_with_wrong_or_other_credentials_changes_nothing() {
    // R32: and tells neither which of them it was.
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    let mut answers = Vec::new();
    for given in [WRONG, BOB, r#"{"username":"nobody","password":"wrong"}"#] {
        answers.push(alice.post_json(AGAIN, given).await);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!((answers[0].status, answers[0].set_cookie()), (403, None));
    assert!(answers[0].is_problem() && answers[0].header("www-authenticate").is_none());
    assert_eq!(alice.get("/me").await.text(), (200, "alice"));
    assert_eq!(
        app.client().post_json(AGAIN, ALICE).await.status,
        401,
        "without a session there is none to renew"
    );
    assert_eq!(alice.post_json(AGAIN, "{").await.status, 400);
}

#[tokio::test]
async fn a_login_again_moves_the_idle_timeout_and_never_the_absolute_one() {
    // R14, R15
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    for _ in 0..15 {
        app.clock.advance(29 * MINUTE);
        assert_eq!(alice.post_json(AGAIN, ALICE).await.status, 200);
    }
    app.clock.advance(29 * MINUTE);
    assert_eq!(alice.get("/me").await.status, 200, "after 464 minutes");
    app.clock.advance(16 * MINUTE);
    assert_eq!(alice.post_json(AGAIN, ALICE).await.status, 401, "after 480 minutes");
}

#[tokio::test]
async fn while_store_or_accounts_do_not_answer_nobody_gets_a_new_token() {
    // R11
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    app.accounts.busy.store(true, Ordering::SeqCst);
    let busy = alice.post_json(AGAIN, ALICE).await;
    assert_eq!((busy.status, busy.header("retry-after"), busy.set_cookie()), (503, Some("7"), None));
    app.accounts.busy.store(false, Ordering::SeqCst);
    assert_eq!(alice.get("/me").await.status, 200);
    app.store.set_down(true);
    let down = alice.post_json(AGAIN, ALICE).await;
    assert_eq!((down.status, down.set_cookie()), (503, None));
    app.store.set_down(false);
    assert_eq!(alice.post_json(AGAIN, ALICE).await.status, 200);
    // The account was disabled between the password and the new token.
    app.accounts.disabled_meanwhile.store(true, Ordering::SeqCst);
    let late = alice.post_json(AGAIN, ALICE).await;
    assert_eq!((late.status, late.set_cookie()), (401, None));
    assert_eq!(alice.get("/me").await.status, 401);
}

#[tokio::test]
async fn ending_other_sessions_asks_for_the_password_five_minutes_after_it_was_last_given() {
    // R41, R52
    assert_eq!(exeunt::RECENT, MINUTE * 5);
    let app = App::new();
    let mut phone = app.logged_in(ALICE).await;
    let mut laptop = app.logged_in(ALICE).await;
    let (other, own) = (phone.session_id().await, laptop.session_id().await);
    app.clock.advance(exeunt::RECENT + Duration::from_micros(1));
    let ways = [
        "/api/auth/sessions?others".to_owned(),
        "/api/auth/sessions".to_owned(),
        format!("/api/auth/sessions/{other}"),
    ];
    for path in &ways {
        let refused = laptop.ask("DELETE", path).await;
        assert_eq!((refused.status, refused.set_cookie()), (403, None), "{path}");
        let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(body["type"], exeunt::http::REAUTHENTICATE);
        assert_eq!(body["title"], "Log in again to do this");
        assert!(refused.is_problem());
    }
    // What may be somebody else's is not told apart, and what is misspelt is neither.
    assert_eq!(laptop.ask("DELETE", "/api/auth/sessions/AAAAAAAAAAA").await.status, 403);
    assert_eq!(laptop.ask("DELETE", "/api/auth/sessions/nonsense").await.status, 404);
    assert_eq!(laptop.ask("DELETE", "/api/auth/sessions?other").await.status, 400);
    assert_eq!(phone.get("/me").await.status, 200, "nothing ended");
    assert_eq!(laptop.post_json(AGAIN, WRONG).await.status, 403);
    assert_eq!(laptop.ask("DELETE", &ways[0]).await.status, 403, "a wrong password helps nobody");

    assert_eq!(laptop.post_json(AGAIN, ALICE).await.status, 200);
    app.clock.advance(exeunt::RECENT);
    assert_eq!(laptop.ask("DELETE", &ways[2]).await.status, 204);
    assert_eq!(laptop.ask("DELETE", &ways[0]).await.text(), (200, r#"{"ended":0}"#));
    assert_eq!(phone.get("/me").await.status, 401);

    // One's own current session never asks.
    app.clock.advance(MINUTE);
    assert_eq!(laptop.ask("DELETE", &format!("/api/auth/sessions/{own}")).await.status, 204);
    let mut tablet = app.logged_in(ALICE).await;
    app.clock.advance(MINUTE * 6);
    assert_eq!(tablet.logout().await.text(), (200, "Logout successful"));
}

/// As an application would change a password: nothing of it half.
async fn renew_and(
    State(accounts): State<Arc<Accounts>>,
    session: Session,
    body: String,
) -> Result<(StatusCode, String), Error> {
    let renewed = session.renew().await?;
    match body.as_str() {
        "send" => Ok((StatusCode::OK, renewed.send().name().to_owned())),
        "end" => renewed.end().await.map(|()| (StatusCode::OK, String::new())),
        _ => {
            drop(renewed);
            Ok((StatusCode::CONFLICT, format!("{}", accounts.busy.load(Ordering::SeqCst))))
        }
    }
}

#[tokio::test]
async fn a_new_token_that_is_not_sent_goes_to_nobody() {
    // R12
    let app = App::new();
    let router = Router::new().route("/renew", post(renew_and)).with_state(Arc::clone(&app.accounts));
    let sessions =
        Sessions::over(Arc::<Switched>::clone(&app.store)).clock(Arc::<ManualClock>::clone(&app.clock));
    let router = router.layer(SessionLayer::new(sessions));
    for (body, status, sent, listed) in
        [("send", 200, true, 1), ("drop", 409, false, 1), ("end", 200, false, 0)]
    {
        let mut alice = app.logged_in(ALICE).await;
        let old = alice.clone();
        alice.router = router.clone();
        let answer = alice.send(Request::post("/renew").body(body.into()).unwrap()).await;
        assert_eq!((answer.status, answer.set_cookie().is_some()), (status, sent), "{body}");
        assert_eq!(old.clone().get("/me").await.status, 401, "{body}");
        alice.router = app.router.clone();
        assert_eq!(alice.get("/me").await.status, if sent { 200 } else { 401 }, "{body}");
        let live = app.store.memory.list(&UserId::from(1), app.clock.now()).await.unwrap();
        assert_eq!(live.len(), listed, "{body}");
        // The old token still logs out.
        let body = if listed == 1 { "Logout successful" } else { "" };
        assert_eq!(old.clone().logout().await.body, body);
    }
}

#[tokio::test]
async fn a_session_that_was_renewed_meanwhile_is_lost_without_asking_again() {
    // R12
    let app = App::new();
    let mut alice = app.logged_in(ALICE).await;
    app.store.asked();
    assert_eq!(alice.post_json("/renew-twice", "twice").await.body, "Ended false");
    assert_eq!(app.store.asked(), 3, "one load and two renewals");
    let mut alice = app.logged_in(ALICE).await;
    assert_eq!(alice.post_json("/renew-twice", "once").await.body, "false", "the request has the old token");
}

#[tokio::test]
async fn a_session_shows_where_it_logged_in_from_if_the_application_knows() {
    // R17
    let app = App::new();
    let mut alice = app
        .client()
        .with("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:156.0) Gecko/20100101 Firefox/156.0");
    alice.router = alice.router.layer(Extension(exeunt::http::ClientAddress([192, 0, 2, 7].into())));
    alice.login(ALICE).await;
    let listed = alice.sessions().await;
    assert_eq!(
        (&listed[0]["client"], &listed[0]["address"]),
        (&"Firefox on Linux".into(), &"192.0.2.7".into())
    );
}

#[tokio::test]
async fn a_remembered_session_is_listed_as_such_and_ends_on_its_day_however_it_is_used() {
    // R14, R55: 400 days are the most (RFC 6265bis, section 5.5), whatever the application asks for.
    let day = 24 * 60 * MINUTE;
    let (clock, store) = (Arc::new(ManualClock::default()), MemoryStore::new());
    let sessions = Sessions::new(store).clock(Arc::<ManualClock>::clone(&clock));
    let sessions = sessions.lifetime(Lifetime::default().remember_for(1000 * day));
    let auth = AuthRouter::new(Accounts::default()).into_router();
    let router = Router::new().nest("/api/auth", auth).layer(SessionLayer::new(sessions));
    let mut alice = Client { router, cookie: None, headers: HeaderMap::new() };
    let login = alice
        .login(r#"{"username":"alice","password":"correct horse battery staple","remember":true}"#)
        .await;
    assert!(login.set_cookie().unwrap().contains("; Max-Age=34560000"), "{login:?}");
    assert_eq!(alice.sessions().await[0]["remembered"], true);
    for _ in 0..399 {
        clock.advance(day);
        assert_eq!(alice.get("/api/auth/sessions").await.status, 200);
    }
    // A new token is for what is left.
    let again = alice.post_json(AGAIN, ALICE).await;
    assert!(again.set_cookie().unwrap().contains("; Max-Age=86400"), "{again:?}");
    assert_eq!(alice.sessions().await[0]["remembered"], true);
    clock.advance(day);
    assert_eq!(alice.get("/api/auth/sessions").await.status, 401);
}
