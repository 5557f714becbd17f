//! Administration over HTTP, within this process: whose word counts, what it does, and what it refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use exeunt::store::postgres::Database;
use exeunt::{By, Clock as _, EventKind, ManualClock, SessionLayer, Sessions, SystemClock};
use exeunt_server::accounts::{AccountError, Accounts, Changes, Cost, Hasher, Last};
use exeunt_server::app;
use exeunt_server::config::{Config, Options};
use exeunt_server::engines::Engines;
use exeunt_server::site::{AppState, Site};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::apart::until;
use crate::common::{Kept, Places, on_every_engine};

on_every_engine!(async
    only_administrators_administer,
    what_changes_something_needs_a_login_of_the_last_minutes,
    accounts_are_found_a_page_at_a_time_and_by_the_beginning_of_their_names,
    an_account_is_added_or_what_is_wrong_with_it_is_told_by_member,
    a_change_is_one_step_that_ends_the_sessions_of_that_account_alone,
    the_last_administrator_stays,
    of_two_administrators_who_end_each_other_at_once_one_stays,
    sessions_are_listed_and_ended_one_or_an_accounts_or_all,
    each_action_is_told_once_with_who_did_it_and_why,
    events_are_shown_to_administrators_a_page_at_a_time,
);

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSWORD: &str = "a quiet lamp over the harbour";
const OTHER: &str = "another lamp over the harbour";
const MINUTE: Duration = Duration::from_secs(60);

/// A server without a socket, with an administrator `root`.
struct House {
    app: Router,
    accounts: Accounts,
    sessions: Sessions,
    clock: Arc<ManualClock>,
    engines: Engines,
    places: Places,
    _folder: TempDir,
}

/// An answer: its status and its JSON.
type Answer = (u16, Value);

impl House {
    async fn new(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        let engines = places.open().await;
        let clock = Arc::new(ManualClock::at(SystemClock::new().now()));
        let sessions = Sessions::over(engines.store(1 << 20).await.unwrap()).clock(clock.clone());
        let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        let config = Config::decide(Options::default()).unwrap();
        let site = Arc::new(Site::new(&config, sessions.now()).unwrap());
        let layer = SessionLayer::new(sessions.clone());
        let app = app::router(AppState { layer, accounts: accounts.clone(), site });
        let house = Self { app, accounts, sessions, clock, engines, places, _folder: folder };
        house.add("root", true).await;
        house
    }

    async fn add(&self, name: &str, admin: bool) -> i64 {
        self.accounts.add(name, PASSWORD, admin, self.sessions.now()).await.unwrap().id
    }

    /// The cookie of a new session.
    async fn login(&self, name: &str) -> String {
        self.try_login(name, PASSWORD).await.unwrap_or_else(|| panic!("{name} may log in"))
    }

    async fn try_login(&self, name: &str, password: &str) -> Option<String> {
        let body = json!({"username": name, "password": password}).to_string();
        let request = Request::post("/api/auth/login").header(header::CONTENT_TYPE, "application/json");
        let answer = self.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let cookie = answer.headers().get(header::SET_COOKIE)?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }

    async fn send(&self, method: &str, path: &str, cookie: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(kind.unwrap(), "application/problem+json", "{method} {path}: {status}");
        }
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        for secret in [PASSWORD, OTHER, "$argon2"] {
            assert!(!value.to_string().contains(secret), "{value}");
        }
        (status.as_u16(), value)
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send("GET", path, cookie, None).await
    }

    async fn delete(&self, path: &str, cookie: &str) -> Answer {
        self.send("DELETE", path, cookie, None).await
    }

    async fn patch(&self, id: i64, cookie: &str, body: Value) -> Answer {
        self.send("PATCH", &format!("/api/admin/accounts/{id}"), cookie, Some(body)).await
    }

    async fn lives(&self, cookie: &str) -> bool {
        self.get("/api/me", cookie).await.0 == 200
    }

    /// How many may administer.
    async fn administrators(&self) -> usize {
        let all = self.accounts.list().await.unwrap();
        all.iter().filter(|account| account.admin && !account.disabled).count()
    }
}

/// Every route, and some that are not there.
const ROUTES: [(&str, &str); 13] = [
    ("GET", "/api/admin/events"),
    ("GET", "/api/admin/accounts"),
    ("HEAD", "/api/admin/accounts"),
    ("POST", "/api/admin/accounts"),
    ("GET", "/api/admin/accounts/1"),
    ("PATCH", "/api/admin/accounts/1"),
    ("DELETE", "/api/admin/accounts/1"),
    ("GET", "/api/admin/sessions"),
    ("DELETE", "/api/admin/sessions"),
    ("GET", "/api/admin/sessions/AAAAAAAAAAA"),
    ("DELETE", "/api/admin/sessions/AAAAAAAAAAA"),
    ("GET", "/api/admin"),
    ("GET", "/api/admin/nothing"),
];

async fn only_administrators_administer(kept: Kept) {
    // R20, R25
    let house = House::new(kept).await;
    house.add("alice", false).await;
    let (root, alice) = (house.login("root").await, house.login("alice").await);
    for (method, path) in ROUTES {
        assert_eq!(house.send(method, path, "", None).await.0, 401, "{method} {path}");
        assert_eq!(house.send(method, path, &alice, None).await.0, 403, "{method} {path}");
    }
    assert_eq!(house.get("/api/admin/accounts", &root).await.0, 200);
    assert_eq!(house.get("/api/admin/nothing", &root).await.0, 404);
    let (status, _) = house.send("PUT", "/api/admin/accounts", &root, None).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(house.lives(&alice).await && house.lives(&root).await, "nothing was done");
}

#[tokio::test]
async fn the_role_is_asked_of_the_accounts_with_every_request() {
    // R20
    let house = House::new(Kept::OneFile).await;
    let root = house.login("root").await;
    for (sql, status) in [
        ("UPDATE accounts SET admin = 0", 403),
        ("UPDATE accounts SET admin = 1, disabled = 1", 403),
        ("UPDATE accounts SET disabled = 0", 200),
        ("DELETE FROM accounts", 403),
    ] {
        // By nobody who would end the session, too.
        let database = house.engines.file().unwrap();
        let changed = database.write(move |tx| {
            tx.execute(sql, [])?;
            Ok::<_, exeunt::store::sqlite::DatabaseError>(())
        });
        changed.await.unwrap();
        assert_eq!(house.get("/api/admin/accounts", &root).await.0, status, "{sql}");
    }
    assert!(house.lives(&root).await);
}

async fn what_changes_something_needs_a_login_of_the_last_minutes(kept: Kept) {
    // R41, R52
    let house = House::new(kept).await;
    let alice = house.add("alice", false).await;
    let root = house.login("root").await;
    house.clock.advance(5 * MINUTE);
    assert_eq!(house.patch(alice, &root, json!({"disabled": false})).await.0, 200, "to the instant");
    house.clock.advance(Duration::from_micros(1));
    for (method, path) in ROUTES {
        let (status, problem) = house.send(method, path, &root, None).await;
        if matches!(method, "GET" | "HEAD") {
            assert!(status == 200 || status == 404, "{method} {path}: {status}");
        } else {
            let expected = (403, &json!("urn:exeunt:reauthenticate"));
            assert_eq!((status, &problem["type"]), expected, "{method} {path}");
        }
    }
    assert!(house.lives(&root).await);
    let root = house.login("root").await;
    assert_eq!(house.delete(&format!("/api/admin/accounts/{alice}"), &root).await.0, 200);
}

async fn accounts_are_found_a_page_at_a_time_and_by_the_beginning_of_their_names(kept: Kept) {
    let house = House::new(kept).await;
    let names = ["Zo\u{eb}", "al", "Alan", "alice", "ALM", "am", "\u{10ffff}", "zo\u{eb} 2"];
    for name in names {
        house.add(name, false).await;
    }
    let root = house.login("root").await;
    let search = async |query: &str| {
        let (status, found) = house.get(&format!("/api/admin/accounts?{query}"), &root).await;
        assert_eq!(status, 200, "{query}: {found}");
        let accounts = found["accounts"].as_array().unwrap();
        let names: Vec<_> = accounts.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        (names, found["next"].clone())
    };
    for (query, names, next) in [
        ("", vec!["al", "Alan", "alice", "ALM", "am", "root", "Zo\u{eb}", "zo\u{eb} 2", "\u{10ffff}"], None),
        (
            "limit=9",
            vec!["al", "Alan", "alice", "ALM", "am", "root", "Zo\u{eb}", "zo\u{eb} 2", "\u{10ffff}"],
            None,
        ),
        ("limit=2", vec!["al", "Alan"], Some("Alan")),
        ("limit=2&after=Alan", vec!["alice", "ALM"], Some("ALM")),
        ("prefix=AL", vec!["al", "Alan", "alice", "ALM"], None),
        ("prefix=al&limit=3&after=al", vec!["Alan", "alice", "ALM"], None),
        ("prefix=ali", vec!["alice"], None),
        ("prefix=zoe%CC%88", vec!["Zo\u{eb}", "zo\u{eb} 2"], None),
        ("prefix=ZO%C3%8B%20", vec!["zo\u{eb} 2"], None),
        ("prefix=%F4%8F%BF%BF", vec!["\u{10ffff}"], None),
        ("prefix=al%25", vec![], None),
        ("prefix=a_", vec![], None),
        ("after=zz", vec!["\u{10ffff}"], None),
        ("name=L", vec!["al", "Alan", "alice", "ALM"], None),
        ("name=l&limit=2&after=al", vec!["Alan", "alice"], Some("alice")),
        ("name=M&prefix=a", vec!["ALM", "am"], None),
        ("name=O%C3%8B", vec!["Zo\u{eb}", "zo\u{eb} 2"], None),
        ("name=%25", vec![], None),
        ("name=%00", vec![], None),
        ("prefix=%00", vec![], None),
        ("after=zz%00", vec!["\u{10ffff}"], None),
    ] {
        assert_eq!(
            search(query).await,
            (names.iter().map(|&name| name.to_owned()).collect(), json!(next)),
            "{query}"
        );
    }
    // Where the one named in `after` is gone meanwhile, the next page is the same.
    house.accounts.remove("Alan").await.unwrap();
    assert_eq!(search("limit=1&after=Alan").await.0, ["alice"]);
    for bad in ["limit=0", "limit=1001", "limit=x", "prefx=a", "prefix=a&prefix=b", "name=a&name=b"] {
        let (status, problem) = house.get(&format!("/api/admin/accounts?{bad}"), &root).await;
        assert_eq!((status, problem["detail"].is_string()), (400, true), "{bad}");
    }
}

async fn an_account_is_added_or_what_is_wrong_with_it_is_told_by_member(kept: Kept) {
    // R20
    let house = House::new(kept).await;
    let root = house.login("root").await;
    let add = async |body: Value| house.send("POST", "/api/admin/accounts", &root, Some(body)).await;

    let (status, added) = add(json!({"name": "Alice", "password": PASSWORD})).await;
    assert_eq!((status, &added["name"], &added["admin"]), (201, &json!("Alice"), &json!(false)));
    let id = added["id"].as_i64().unwrap();
    assert_eq!(house.get(&format!("/api/admin/accounts/{id}"), &root).await, (200, added));
    let (status, added) = add(json!({"name": "bob", "password": PASSWORD, "admin": true})).await;
    assert_eq!((status, &added["admin"]), (201, &json!(true)));
    let bob = house.login("bob").await;
    assert_eq!(house.get("/api/admin/accounts", &bob).await.0, 200);

    assert_eq!(add(json!({"name": "ALICE", "password": PASSWORD})).await.0, 409);
    for (body, pointers) in [
        (json!({}), vec!["#/name", "#/password"]),
        (json!({"name": 1, "password": null, "admin": "yes"}), vec!["#/name", "#/password", "#/admin"]),
        (json!({"name": "x", "password": PASSWORD, "rights": 1}), vec!["#"]),
        (json!({"name": " x", "password": PASSWORD}), vec!["#/name"]),
        (json!({"name": "x", "password": ""}), vec!["#/password"]),
    ] {
        let (status, problem) = add(body.clone()).await;
        let errors = problem["errors"].as_array().unwrap();
        let told: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!((status, told), (422, pointers), "{body}");
        assert!(errors.iter().all(|error| error["detail"].as_str().unwrap().len() > 8), "{problem}");
    }
    assert_eq!(add(json!([1])).await.0, 400);
    assert_eq!(house.send("POST", "/api/admin/accounts", &root, None).await.0, 415);
    for path in ["/api/admin/accounts/999999", "/api/admin/accounts/x", "/api/admin/accounts/-1"] {
        for (method, body) in [("GET", None), ("PATCH", Some(json!({"admin": true}))), ("DELETE", None)] {
            assert_eq!(house.send(method, path, &root, body).await.0, 404, "{method} {path}");
        }
    }
    assert_eq!(house.accounts.list().await.unwrap().len(), 3);
}

async fn a_change_is_one_step_that_ends_the_sessions_of_that_account_alone(kept: Kept) {
    // R12, R18, R19, R20
    let house = House::new(kept).await;
    let id = house.add("alice", false).await;
    house.add("bob", false).await;
    let (root, bob) = (house.login("root").await, house.login("bob").await);
    for (body, ends) in [
        (json!({"admin": false}), false),
        (json!({"disabled": false}), false),
        (json!({"admin": true}), true),
        (json!({"admin": true, "disabled": false}), false),
        (json!({"admin": false}), true),
        (json!({"password": PASSWORD}), true),
        (json!({"admin": true, "disabled": false, "password": PASSWORD}), true),
        (json!({"disabled": true}), true),
    ] {
        let sessions = [house.login("alice").await, house.login("alice").await];
        let (status, changed) = house.patch(id, &root, body.clone()).await;
        assert_eq!(status, 200, "{body}: {changed}");
        for (member, value) in body.as_object().unwrap().iter().filter(|(name, _)| *name != "password") {
            assert_eq!(&changed["account"][member], value, "{body}");
        }
        assert_eq!(changed["sessions_ended"], if ends { 2 } else { 0 }, "{body}");
        for session in &sessions {
            assert_eq!(house.lives(session).await, !ends, "{body}");
        }
        house.delete(&format!("/api/admin/sessions?account={id}"), &root).await;
    }
    assert!(house.try_login("alice", PASSWORD).await.is_none(), "the account is disabled");
    let body = json!({"disabled": false, "password": OTHER});
    assert_eq!(house.patch(id, &root, body).await.0, 200);
    assert!(house.try_login("alice", PASSWORD).await.is_none());
    let alice = house.try_login("alice", OTHER).await.unwrap();
    for bad in
        [json!({}), json!({"name": "x"}), json!({"admin": null}), json!({"admin": false, "password": 1})]
    {
        assert_eq!(house.patch(id, &root, bad.clone()).await.0, 422, "{bad}");
    }
    assert!(house.lives(&alice).await, "what was refused changed nothing");

    let (status, removed) = house.delete(&format!("/api/admin/accounts/{id}"), &root).await;
    assert_eq!(
        (status, &removed["sessions_ended"], &removed["account"]["name"]),
        (200, &json!(1), &json!("alice"))
    );
    assert!(!house.lives(&alice).await);
    assert!(house.lives(&bob).await && house.lives(&root).await);
}

async fn the_last_administrator_stays(kept: Kept) {
    let house = House::new(kept).await;
    let id = house.accounts.find("root").await.unwrap().unwrap().id;
    house.add("alice", false).await;
    let off = house.add("off", true).await;
    house.accounts.disable("off").await.unwrap();
    let root = house.login("root").await;
    let kind = json!("urn:exeunt:last-administrator");
    for body in
        [json!({"admin": false}), json!({"disabled": true}), json!({"disabled": true, "password": OTHER})]
    {
        let (status, problem) = house.patch(id, &root, body.clone()).await;
        assert_eq!((status, &problem["type"]), (409, &kind), "{body}");
    }
    let (status, problem) = house.delete(&format!("/api/admin/accounts/{id}"), &root).await;
    assert_eq!((status, &problem["type"]), (409, &kind));
    for refused in [house.accounts.disable("root").await, house.accounts.remove("root").await] {
        assert!(matches!(refused, Err(AccountError::LastAdministrator)), "{refused:?}");
    }
    assert!(house.lives(&root).await, "and nothing of it was done");
    assert!(house.try_login("root", PASSWORD).await.is_some());

    // Who cannot log in is no administrator to count on, and goes as anybody does.
    assert_eq!(house.patch(off, &root, json!({"admin": false})).await.0, 200);
    // A new password leaves them one.
    assert_eq!(house.patch(id, &root, json!({"password": PASSWORD})).await.0, 200);
    let root = house.login("root").await;
    assert_eq!(house.patch(off, &root, json!({"admin": true, "disabled": false})).await.0, 200);
    // Now there is another one, and it is themself who they demote.
    assert_eq!(house.patch(id, &root, json!({"admin": false})).await.0, 200);
    assert!(!house.lives(&root).await);
    let root = house.login("root").await;
    assert_eq!(house.get("/api/admin/accounts", &root).await.0, 403);

    // By command there is a way out.
    let (_, ended) = house.accounts.remove_by_id(off, Last::Goes).await.unwrap();
    assert_eq!((ended, house.administrators().await), (0, 0));
}

async fn of_two_administrators_who_end_each_other_at_once_one_stays(kept: Kept) {
    let house = House::new(kept).await;
    let root = house.accounts.find("root").await.unwrap().unwrap().id;
    let demoted = Changes { admin: Some(false), ..Changes::default() };
    let disabled = Changes { disabled: Some(true), ..Changes::default() };
    let restored = Changes { admin: Some(true), disabled: Some(false), password: None };
    let mut other = house.add("other", true).await;
    for round in 0..40_u32 {
        let one = house.accounts.change(
            other,
            if round % 2 == 0 { demoted.clone() } else { disabled.clone() },
            Last::Stays,
        );
        let two = async {
            // So that it begins earlier or later.
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            house.accounts.change(root, demoted.clone(), Last::Stays).await
        };
        let three = async {
            // Removes one who may just have lost the role, which is no matter then.
            if round % 4 == 0 {
                house.accounts.remove_by_id(other, Last::Stays).await.map(drop)
            } else {
                Ok(())
            }
        };
        let (one, two, three) = tokio::join!(one, two, three);
        for outcome in [one.map(drop), two.map(drop), three] {
            let fine = matches!(
                outcome,
                Ok(()) | Err(AccountError::LastAdministrator | AccountError::NoSuchAccount)
            );
            assert!(fine, "{outcome:?}");
        }
        assert_eq!(house.administrators().await, 1, "round {round}");
        house.accounts.change(root, restored.clone(), Last::Stays).await.unwrap();
        if house.accounts.change(other, restored.clone(), Last::Stays).await.is_err() {
            other = house.add("other", true).await;
        }
    }
}

#[tokio::test]
async fn on_postgres_who_is_about_to_go_counts_no_more_for_who_goes_next() {
    let house = House::new(Kept::Postgres).await;
    let root = house.accounts.find("root").await.unwrap().unwrap().id;
    let other = house.add("other", true).await;
    let beside = Database::connect(&house.places.store.replace("pool=4", "pool=1")).await.unwrap();
    // What a login of `other` would hold for a moment: the change that ends the sessions of `other` waits for it, half done.
    let lock = |verb: &str| {
        format!(
            "SELECT pg_advisory_{verb}(hashtextextended('{other}', 'exeunt_sessions'::regclass::oid::bigint))"
        )
    };
    beside.query(&lock("lock"), &[]).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let waiting = async |at_least: i64| -> bool {
        let row = beside.query(waiting, &[]).await.unwrap();
        row.first().unwrap().get::<_, i64>(0) >= at_least
    };
    let demote = |id: i64| {
        let accounts = house.accounts.clone();
        let changes = Changes { admin: Some(false), ..Changes::default() };
        tokio::spawn(async move { accounts.change(id, changes, Last::Stays).await })
    };
    let going = demote(other);
    until(async || waiting(1).await).await;
    let next = demote(root);
    until(async || next.is_finished() || waiting(2).await).await;
    beside.query(&lock("unlock"), &[]).await.unwrap();
    assert!(going.await.unwrap().is_ok());
    assert!(matches!(next.await.unwrap(), Err(AccountError::LastAdministrator)));
    assert_eq!(house.administrators().await, 1);
}

async fn each_action_is_told_once_with_who_did_it_and_why(kept: Kept) {
    // R20, R38
    let house = House::new(kept).await;
    let root = house.login("root").await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    house.sessions.on_event(move |event| tell.lock().unwrap().push(event.clone()));
    let what = async || {
        house.sessions.events().told().await;
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        told.retain(|event| event.kind != EventKind::LoggedIn);
        for event in &told {
            let by = event.by.as_ref().unwrap();
            assert!(
                matches!(by, By::Admin(user, name) if user.as_str() == "1" && name == "root"),
                "{event:?}"
            );
            assert!(event.user.is_some(), "{event:?}");
        }
        told.iter().map(|event| (event.kind, event.reason.unwrap_or_default())).collect::<Vec<_>>()
    };
    let ended = |reason| (EventKind::SessionEnded, reason);

    let body = json!({"name": "alice", "password": PASSWORD});
    assert_eq!(house.send("POST", "/api/admin/accounts", &root, Some(body)).await.0, 201);
    assert_eq!(what().await, [(EventKind::AccountAdded, "")]);
    let id = house.accounts.find("alice").await.unwrap().unwrap().id;
    for (body, events) in [
        (
            json!({"admin": true}),
            vec![(EventKind::AccountChanged, "administrator"), ended("account_changed")],
        ),
        (json!({"admin": true}), vec![]),
        (
            json!({"admin": false, "password": PASSWORD}),
            vec![(EventKind::PasswordSet, ""), (EventKind::AccountChanged, "user"), ended("password_set")],
        ),
        (json!({"disabled": true}), vec![(EventKind::AccountDisabled, ""), ended("account_disabled")]),
        (json!({"disabled": false}), vec![(EventKind::AccountEnabled, "")]),
    ] {
        if !events.is_empty() && body != json!({"disabled": false}) {
            house.login("alice").await;
        }
        assert_eq!(house.patch(id, &root, body.clone()).await.0, 200);
        assert_eq!(what().await, events, "{body}");
    }
    house.login("alice").await;
    let (_, found) = house.get(&format!("/api/admin/sessions?account={id}"), &root).await;
    let session = found["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(house.delete(&format!("/api/admin/sessions/{session}"), &root).await.0, 204);
    assert_eq!(what().await, [ended("administrator")]);
    house.login("alice").await;
    assert_eq!(house.delete(&format!("/api/admin/sessions?account={id}"), &root).await.0, 200);
    assert_eq!(what().await, [ended("logout_all")]);
    house.login("alice").await;
    assert_eq!(house.delete(&format!("/api/admin/accounts/{id}"), &root).await.0, 200);
    assert_eq!(what().await, [(EventKind::AccountRemoved, ""), ended("account_removed")]);
    assert_eq!(house.delete("/api/admin/sessions", &root).await.0, 200);
    assert_eq!(what().await, [ended("logout_all")]);
}

async fn sessions_are_listed_and_ended_one_or_an_accounts_or_all(kept: Kept) {
    // R16, R20
    let house = House::new(kept).await;
    let (alice, bob) = (house.add("alice", false).await, house.add("bob", false).await);
    let mut cookies = vec![house.login("root").await];
    for name in ["alice", "alice", "alice", "bob", "bob"] {
        cookies.push(house.login(name).await);
    }
    let root = cookies.first().unwrap().clone();
    let list = async |query: &str| {
        let (status, found) = house.get(&format!("/api/admin/sessions?{query}"), &root).await;
        assert_eq!(status, 200, "{query}: {found}");
        (found["sessions"].as_array().unwrap().clone(), found["next"].clone())
    };
    let (all, next) = list("").await;
    let accounts: Vec<_> = all.iter().map(|session| session["account"].as_str().unwrap()).collect();
    assert_eq!(accounts, ["root", "alice", "alice", "alice", "bob", "bob"]);
    assert_eq!(next, Value::Null);
    let current: Vec<_> = all.iter().map(|session| session["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false, false, false, false, false]);
    for cookie in &cookies {
        let (_, token) = cookie.split_once('=').unwrap();
        assert!(!json!(all).to_string().contains(token), "no token is shown");
    }
    let (mut walked, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = list(&format!("limit=4{after}")).await;
        walked.extend(page);
        let Some(next) = next.as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(walked, all);
    let (of_alice, _) = list(&format!("account={alice}")).await;
    assert_eq!(of_alice.len(), 3);
    assert_eq!(list("account=999999").await.0.len(), 0);

    let id = |index: usize| all.get(index).unwrap()["id"].as_str().unwrap().to_owned();
    let one = format!("/api/admin/sessions/{}", id(1));
    assert_eq!(house.get(&one, &root).await, (200, all.get(1).unwrap().clone()));
    assert_eq!(house.delete(&one, &root).await, (204, Value::Null));
    for method in ["GET", "DELETE"] {
        assert_eq!(house.send(method, &one, &root, None).await.0, 404);
        assert_eq!(house.send(method, "/api/admin/sessions/nonsense", &root, None).await.0, 404);
    }
    assert!(!house.lives(cookies.get(1).unwrap()).await);

    // What is misspelt ends nothing, and above all not everything.
    for bad in ["acount=1", "account=", "account=alice", "account=1&account=2", "all", "limit=1"] {
        assert_eq!(house.delete(&format!("/api/admin/sessions?{bad}"), &root).await.0, 400, "{bad}");
    }
    for bad in ["account=1&limit=1", "after=x", "limit=0", "limit=1001", "acount=1"] {
        assert_eq!(house.get(&format!("/api/admin/sessions?{bad}"), &root).await.0, 400, "{bad}");
    }
    assert_eq!(list("").await.0.len(), 5);

    let of_bob = format!("/api/admin/sessions?account={bob}");
    assert_eq!(house.delete(&of_bob, &root).await, (200, json!({"sessions_ended": 2})));
    assert_eq!(house.delete(&of_bob, &root).await, (200, json!({"sessions_ended": 0})));
    assert_eq!(list("").await.0.len(), 3);
    assert_eq!(house.delete("/api/admin/sessions", &root).await, (200, json!({"sessions_ended": 3})));
    for cookie in &cookies {
        assert!(!house.lives(cookie).await);
    }
}

async fn events_are_shown_to_administrators_a_page_at_a_time(kept: Kept) {
    // R20, R38
    let house = House::new(kept).await;
    let audit = house.accounts.audit();
    let alice = house.add("alice", false).await;
    let (root, session) = (house.login("root").await, house.login("alice").await);
    assert_eq!(house.get("/api/admin/events", &session).await.0, 403);
    assert_eq!(house.patch(alice, &root, json!({"disabled": true})).await.0, 200);
    audit.stop().await;

    let (status, page) = house.get("/api/admin/events?limit=2", &root).await;
    let told = |page: &Value| -> Vec<Value> {
        let events = page["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| json!([event["event"], event["account"], event["by"], event["by_name"]]))
            .collect()
    };
    assert_eq!(status, 200);
    let ended = json!(["session_ended", "alice", "administrator", "root"]);
    let disabled = json!(["account_disabled", "alice", "administrator", "root"]);
    assert_eq!(told(&page), [ended.clone(), disabled.clone()]);
    let next = page["next"].as_i64().unwrap();
    let (_, page) = house.get(&format!("/api/admin/events?before={next}&limit=1000"), &root).await;
    assert!(page["next"].is_null() && told(&page).len() == 3, "{page}");
    let (_, page) = house.get(&format!("/api/admin/events?account={alice}&after=0"), &root).await;
    let login = json!(["login", "alice", "owner", null]);
    assert_eq!(told(&page), [json!(["account_added", "alice", null, null]), login, disabled, ended]);
    let (_, page) = house.get("/api/admin/events?since=2999-01-01T00:00:00Z", &root).await;
    assert_eq!(page, json!({"events": [], "next": null}));
    for bad in
        ["limit=0", "limit=1001", "since=yesterday", "since=", "account=alice", "x=1", "after=1&after=2"]
    {
        assert_eq!(house.get(&format!("/api/admin/events?{bad}"), &root).await.0, 400, "{bad}");
    }
}
