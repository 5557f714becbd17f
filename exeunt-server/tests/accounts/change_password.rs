//! A password changed by its owner, over HTTP: nothing of it half, whatever comes in between.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use exeunt::store::{Created, Purged, Saved, Store, StoreError, async_trait};
use exeunt::{Data, Record, SessionId, SessionLayer, Sessions, Timestamp, UserId, Verifier};
use exeunt_server::accounts::{Accounts, Cost, Hasher};
use exeunt_server::app::router;
use exeunt_server::config::{Config, Options};
use exeunt_server::site::{AppState, Site};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::common::{Kept, Places, on_every_engine};
use crate::pausing::Side::{After, Before};
use crate::pausing::{At, PausingStore, Points};

on_every_engine!(async
    the_other_sessions_end_and_this_one_gets_a_new_token,
    a_wrong_current_or_a_bad_new_password_changes_nothing,
    a_session_logged_out_while_its_password_is_checked_stays_so_and_changes_nothing,
    of_two_changes_at_once_one_is_done,
    a_closed_tab_stops_no_change_half_way,
    a_login_under_the_old_password_that_is_under_way_gets_no_session,
);

const OLD: &str = "correct horse battery staple";
const NEW: &str = "another horse battery staple";
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// What happened, and why.
type Heard = (&'static str, Option<&'static str>);

struct Server {
    router: Router,
    points: Arc<Points>,
    accounts: Accounts,
    sessions: Sessions,
    heard: Arc<Mutex<Vec<Heard>>>,
    _folder: TempDir,
}

impl Server {
    /// With an account `alice`, whose password is [`OLD`].
    async fn new(kept: Kept) -> (Self, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        let engines = places.open().await;
        let (store, points) = PausingStore::over(Opened(engines.store(1 << 20).await.unwrap()));
        let sessions = Sessions::new(store);
        let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let hears = Arc::clone(&heard);
        sessions.on_event(move |event| hears.lock().unwrap().push((event.kind.as_str(), event.reason)));
        accounts.add("alice", OLD, false, sessions.now()).await.unwrap();
        let site = Site::new(&Config::decide(Options::default()).unwrap(), sessions.now()).unwrap();
        let layer = SessionLayer::new(sessions.clone());
        let router = router(AppState { layer, accounts: accounts.clone(), site: Arc::new(site) });
        (Self { router, points, accounts, sessions, heard, _folder: folder }, places)
    }

    async fn send(&self, method: &str, path: &str, cookie: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        let (parts, body) = self.router.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn try_login(&self, password: &str) -> Answer {
        let given = json!({"username": "alice", "password": password});
        self.send("POST", "/api/auth/login", "", Some(given)).await
    }

    async fn login(&self, password: &str) -> String {
        self.try_login(password).await.cookie().unwrap()
    }

    async fn change(&self, cookie: &str, current: &str, new: &str) -> Answer {
        let given = json!({"current": current, "new": new});
        self.send("POST", "/api/auth/password", cookie, Some(given)).await
    }

    async fn me(&self, cookie: &str) -> u16 {
        self.send("GET", "/api/me", cookie, None).await.status
    }

    /// What happened since this was asked last, and why.
    async fn heard(&self) -> Vec<Heard> {
        self.sessions.events().told().await;
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    async fn live(&self) -> usize {
        self.sessions.list(&UserId::from(1)).await.unwrap().len()
    }

    /// Does that at the same time.
    fn start<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        doing: impl FnOnce(Arc<Self>) -> F,
    ) -> tokio::task::JoinHandle<T> {
        tokio::spawn(doing(Arc::clone(self)))
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The cookie that it sets, as a browser sends it back.
    fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        let pair = cookie.split(';').next().unwrap();
        (!pair.ends_with('=')).then(|| pair.to_owned())
    }

    fn detail(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.get("status"), Some(&self.status.into()));
        problem.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

async fn the_other_sessions_end_and_this_one_gets_a_new_token(kept: Kept) {
    // R12, R18, R41
    let (server, _places) = Server::new(kept).await;
    let (this, other, third) = (server.login(OLD).await, server.login(OLD).await, server.login(OLD).await);
    server.heard().await;
    let changed = server.change(&this, OLD, NEW).await;
    assert_eq!((changed.status, changed.body.as_str()), (200, r#"{"ended":2}"#));
    // R38: each once.
    let ended = ("session_ended", Some("password_changed"));
    assert_eq!(server.heard().await, [("session_renewed", None), ("password_changed", None), ended, ended]);
    let new = changed.cookie().unwrap();
    assert_eq!(server.me(&new).await, 200);
    for dead in [&this, &other, &third] {
        assert_eq!(server.me(dead).await, 401);
    }
    assert_eq!(server.live().await, 1);
    assert_eq!(server.try_login(OLD).await.status, 401);
    assert_eq!(server.try_login(NEW).await.status, 200);
    assert_eq!(server.send("DELETE", "/api/auth/logout", &this, None).await.body, "Logout successful");
    assert_eq!(server.me(&new).await, 401, "the old token logs out");
    assert_eq!(server.change("", NEW, "one more horse, and a staple").await.status, 401);
}

async fn a_wrong_current_or_a_bad_new_password_changes_nothing(kept: Kept) {
    // R36, R41, R38
    let (server, _places) = Server::new(kept).await;
    let (this, other) = (server.login(OLD).await, server.login(OLD).await);
    server.heard().await;
    let wrong = server.change(&this, "wrong", NEW).await;
    assert_eq!(server.heard().await, [("login_refused", Some("current_password"))]);
    assert_eq!((wrong.status, wrong.cookie()), (403, None));
    assert!(wrong.body.contains("Wrong password"), "{wrong:?}");
    for (bad, reason) in [
        ("", "empty"),
        (&*"x".repeat(1025), "1024 bytes"),
        ("too short", "15 characters"),
        ("alice alice alice", "password"),
    ] {
        let refused = server.change(&this, OLD, bad).await;
        assert_eq!((refused.status, refused.cookie()), (422, None));
        assert!(refused.detail().contains(reason), "{refused:?}");
    }
    for body in [json!({"current": OLD}), json!({"current": OLD, "new": NEW, "old": ""}), json!([])] {
        let refused = server.send("POST", "/api/auth/password", &this, Some(body)).await;
        assert_eq!(refused.status, 422);
        assert!(!refused.body.contains(OLD) && !refused.body.contains(NEW), "{refused:?}");
    }
    assert_eq!((server.me(&this).await, server.me(&other).await), (200, 200));
    assert_eq!(server.try_login(OLD).await.status, 200);
}

async fn a_session_logged_out_while_its_password_is_checked_stays_so_and_changes_nothing(kept: Kept) {
    // R05, R18
    let server = Arc::new(Server::new(kept).await.0);
    let (this, other) = (server.login(OLD).await, server.login(OLD).await);
    let pause = server.points.pause(At::Renew(Before));
    let cookie = this.clone();
    let change = server.start(|server| async move { server.change(&cookie, OLD, NEW).await });
    pause.reached().await;
    assert_eq!(server.send("DELETE", "/api/auth/logout", &this, None).await.body, "Logout successful");
    pause.go_on();
    let change = change.await.unwrap();
    assert_eq!((change.status, change.cookie()), (401, None));
    assert_eq!((server.me(&this).await, server.me(&other).await), (401, 200));
    assert_eq!(server.try_login(OLD).await.status, 200, "the password is as it was");
    assert_eq!(server.live().await, 2);
}

async fn of_two_changes_at_once_one_is_done(kept: Kept) {
    // R18: each from a session of its own, both with the right password.
    let server = Arc::new(Server::new(kept).await.0);
    let (one, two) = (server.login(OLD).await, server.login(OLD).await);
    let pause = server.points.pause(At::Renew(After));
    let cookie = one.clone();
    let first =
        server.start(|server| async move { server.change(&cookie, OLD, "the first of two horses").await });
    pause.reached().await;
    let second = server.change(&two, OLD, "the other of two horses").await;
    assert_eq!((second.status, second.body.as_str()), (200, r#"{"ended":1}"#));
    pause.go_on();
    let first = first.await.unwrap();
    assert_eq!((first.status, first.cookie()), (409, None), "{first:?}");
    assert!(first.detail().contains("somebody else"));
    assert_eq!(server.try_login("the first of two horses").await.status, 401);
    assert_eq!(server.live().await, 1);
    assert_eq!(server.me(&second.cookie().unwrap()).await, 200);
}

async fn a_closed_tab_stops_no_change_half_way(kept: Kept) {
    // R18
    let server = Arc::new(Server::new(kept).await.0);
    let (this, other) = (server.login(OLD).await, server.login(OLD).await);
    let pause = server.points.pause(At::Renew(Before));
    let change = server.start(|server| async move { server.change(&this, OLD, NEW).await });
    pause.reached().await;
    change.abort();
    assert!(change.await.is_err_and(|error| error.is_cancelled()));
    pause.go_on();
    let done = async {
        while server.me(&other).await != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), done).await.unwrap();
    assert_eq!((server.try_login(OLD).await.status, server.try_login(NEW).await.status), (401, 200));
}

async fn a_login_under_the_old_password_that_is_under_way_gets_no_session(kept: Kept) {
    // R18
    let server = Arc::new(Server::new(kept).await.0);
    let mut this = server.login(OLD).await;
    for point in [At::Create(Before), At::Create(After)] {
        let pause = server.points.pause(point);
        let login = server.start(|server| async move { server.try_login(OLD).await });
        pause.reached().await;
        let changed = server.change(&this, OLD, NEW).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        pause.go_on();
        let login = login.await.unwrap();
        assert_eq!((login.status, login.cookie()), (401, None), "{point:?}");
        // The next round begins with the old password again.
        let back = server.change(&changed.cookie().unwrap(), NEW, OLD).await;
        assert_eq!((back.status, back.body.as_str()), (200, r#"{"ended":0}"#));
        this = back.cookie().unwrap();
    }
}

/// The engine's store, as it was opened.
#[derive(Debug)]
struct Opened(Arc<dyn Store>);

#[async_trait]
impl Store for Opened {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.0.create(record, limit).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.0.load(id, now).await
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.renew(id, old, new, now, expires_at).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.0.save(id, verifier, revision, data, now).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.touch(id, verifier, now, expires_at).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.0.destroy(id).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.0.destroy_all(user, except).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.0.list(user, now).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        self.0.walk(after, limit, now).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        self.0.purge(after, limit, now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
}

mod apart {
    use exeunt::store::sqlite::rusqlite::Connection;

    use super::*;

    /// The sessions' file is silent from where the change is committed on.
    async fn a_change_whose_sessions_cannot_be_ended_says_that_it_is_done(kept: Kept) {
        // R18
        let (server, places) = Server::new(kept).await;
        let server = Arc::new(server);
        let (this, other) = (server.login(OLD).await, server.login(OLD).await);
        let pause = server.points.pause(At::DestroyAll(Before));
        let cookie = this.clone();
        let change = server.start(|server| async move { server.change(&cookie, OLD, NEW).await });
        pause.reached().await;
        let lock = Connection::open(&places.store).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        pause.go_on();
        let change = change.await.unwrap();
        assert_eq!((change.status, change.cookie()), (503, None), "{change:?}");
        assert!(change.body.contains("Done, but"), "{change:?}");
        assert!(change.detail().starts_with("the password is changed, but the sessions"), "{change:?}");
        drop(lock);
        assert_eq!(server.me(&this).await, 401, "the old token is dead already");
        server.accounts.work_off(&server.sessions).await.unwrap();
        assert_eq!((server.me(&other).await, server.live().await), (401, 0));
        assert_eq!((server.try_login(OLD).await.status, server.try_login(NEW).await.status), (401, 200));
    }

    #[tokio::test]
    async fn two_files() {
        a_change_whose_sessions_cannot_be_ended_says_that_it_is_done(Kept::TwoFiles).await;
    }

    #[tokio::test]
    async fn file_and_postgres() {
        a_change_whose_sessions_cannot_be_ended_says_that_it_is_done(Kept::FileAndPostgres).await;
    }
}
