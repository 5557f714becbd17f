//! The document against the routes: all that there is stands in it, and all that stands in it is so.
//!
//! Must never know a route by itself: what there is, the router says.

mod administration;
#[expect(dead_code, reason = "the library's tests stop at more points")]
#[path = "../../../exeunt/tests/common/pausing.rs"]
mod pausing;
mod reset;

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method};
use exeunt::store::sqlite::Database;
use exeunt::{Clock, ManualClock, MemoryStore, SessionLayer, Sessions};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use self::pausing::{At, PausingStore, Points, Side};
use super::*;
use crate::accounts::{Accounts, Cost, Hasher};
use crate::config::{Config, Options};
use crate::proxy::Peer;

struct World {
    app: Router,
    state: AppState,
    points: Arc<Points>,
    clock: Arc<ManualClock>,
    /// Where requests come from, if from anywhere.
    peer: Option<Peer>,
    document: Value,
    seen: BTreeMap<String, BTreeSet<String>>,
    folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn cookie(&self) -> String {
        let cookie = self.headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap());
        cookie.unwrap_or_default().split(';').next().unwrap().to_owned()
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let (store, points) = PausingStore::over(MemoryStore::new());
        let sessions = Sessions::new(store).clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let config = Config::decide(Options::default()).unwrap();
        let site = Arc::new(Site::new(&config, sessions.now()).unwrap());
        let database = Database::open(folder.path().join("exeunt.db")).unwrap();
        let cheap = Hasher::with(Cost { memory_kib: 8, passes: 1, lanes: 1 }, 1, 100).unwrap();
        let accounts = Accounts::open(database, cheap).await.unwrap().apart_from(sessions.clone());
        let accounts = accounts.reporting_to(sessions.events().clone());
        for (name, admin) in [("alice", false), ("root", true)] {
            accounts.add(name, "correct horse battery staple", admin, sessions.now()).await.unwrap();
        }
        let state = AppState { layer: SessionLayer::new(sessions), accounts, site };
        let document = serde_json::to_value(openapi::document("__Host-session")).unwrap();
        let (app, seen) = (router(state.clone()), BTreeMap::new());
        Self { app, state, points, clock, peer: None, document, seen, folder }
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let response = self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Sends it, and holds the answer to the document. `path`: as the document writes it, and what to fill in.
    async fn ask(
        &mut self,
        method: &str,
        path: (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let (template, id) = path;
        let mut request = axum::http::Request::builder().method(method).uri(template.replace("{id}", id));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(peer) = self.peer {
            request = request.extension(peer);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_owned()));
        let answer = self.send(request, body).await;
        let path = template.split('?').next().unwrap();
        let operation = format!("{method} {path}");
        let pointer = format!("/paths/{}/{}", path.replace('/', "~1"), method.to_lowercase());
        let documented =
            self.document.pointer(&pointer).unwrap_or_else(|| panic!("{operation} is not documented"));
        let documented = documented.get("responses").and_then(|all| all.get(answer.status.to_string()));
        let documented =
            documented.unwrap_or_else(|| panic!("{operation}: {} {}", answer.status, answer.body));
        self.fits(&operation, documented, &answer);
        self.seen.entry(operation).or_default().insert(answer.status.to_string());
        answer
    }

    fn fits(&self, operation: &str, documented: &Value, answer: &Answer) {
        if answer.body.is_empty() {
            return;
        }
        let kind = answer.headers.get(header::CONTENT_TYPE).unwrap().to_str().unwrap();
        let kind = kind.split(';').next().unwrap();
        let content = documented.get("content").and_then(|content| content.get(kind));
        let content = content.unwrap_or_else(|| panic!("{operation}: {} as {kind}", answer.status));
        if kind.ends_with("json") {
            let value: Value = serde_json::from_str(&answer.body).unwrap();
            let schema = content.get("schema").unwrap();
            self.value_fits(schema, &value)
                .unwrap_or_else(|what| panic!("{operation}: {what} in {}", answer.body));
        }
    }

    /// As much of JSON Schema as the document uses.
    fn value_fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let named = self.document.pointer(name.strip_prefix('#').unwrap()).ok_or(name)?;
            return self.value_fits(named, value);
        }
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.value_fits(&self.merged(parts), value);
        }
        let kinds = schema.get("type").ok_or("a schema without a type")?;
        if kinds != is && !kinds.as_array().is_some_and(|kinds| kinds.contains(&is.into())) {
            return Err(format!("{value} is no {kinds}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.value_fits(schema.get("items").ok_or("a list of nothing")?, item)?;
        }
        let Some(members) = value.as_object() else { return Ok(()) };
        for (name, value) in members {
            let property = schema.get("properties").and_then(|all| all.get(name));
            self.value_fits(property.ok_or_else(|| format!("{name} is not documented"))?, value)?;
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        match required.filter_map(Value::as_str).find(|name| !members.contains_key(*name)) {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(()),
        }
    }

    /// One object with the members of several.
    fn merged(&self, parts: &[Value]) -> Value {
        let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
        for part in parts {
            let name = part.get("$ref").and_then(Value::as_str);
            let part = name.map_or(part, |name| self.document.pointer(&name[1..]).unwrap());
            properties.extend(part.get("properties").and_then(Value::as_object).unwrap().clone());
            required.extend(part.get("required").and_then(Value::as_array).unwrap().clone());
        }
        json!({"type": "object", "properties": properties, "required": required})
    }

    /// Each operation of the document, with its statuses.
    fn documented(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut all = BTreeMap::new();
        for (path, item) in self.document.get("paths").and_then(Value::as_object).unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let statuses = operation.get("responses").and_then(Value::as_object).unwrap().keys().cloned();
                all.insert(format!("{} {path}", method.to_uppercase()), statuses.collect());
            }
        }
        all
    }
}

/// What the router says of itself. `nest` writes the whole path there.
fn paths_of(router: &Router) -> BTreeSet<String> {
    let shown = format!("{router:?}");
    let quoted = shown.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with('/') && !text.contains("__private")).map(str::to_owned).collect()
}

fn request() -> axum::http::Request<()> {
    axum::http::Request::get("/").body(()).unwrap()
}

/// Each operation that there is, as `GET /login`. `cookie`: an administrator's.
pub(super) async fn operations(state: &AppState, cookie: &str) -> BTreeSet<String> {
    let mut paths = paths_of(&public(state));
    paths.extend(paths_of(&private(state)));
    for sure in ["/api/auth/login", "/api/auth/sessions/{id}", "/api/me", "/login", "/healthz"] {
        assert!(paths.contains(sure), "the router does not show {sure} any more: {paths:?}");
    }
    let app = router(state.clone());
    let mut there = BTreeSet::new();
    // What is nested brings these along, where nothing is.
    let nests =
        ["/admin", "/admin/", "/api", "/api/", "/api/admin", "/api/admin/", "/api/auth", "/api/auth/"];
    for path in paths.iter().filter(|path| !nests.contains(&path.as_str())) {
        let request = axum::http::Request::builder().method(Method::TRACE).uri(path.replace(['{', '}'], ""));
        let request = request.header("cookie", cookie).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        let allow = answer.headers().get(header::ALLOW).unwrap().to_str().unwrap().to_owned();
        let methods = allow.split(',').map(str::trim).filter(|method| *method != "HEAD");
        there.extend(methods.map(|method| format!("{method} {path}")));
    }
    there
}

#[tokio::test]
async fn every_route_of_the_api_is_documented_with_each_of_its_methods_and_nothing_else_is() {
    // R25
    let world = World::new().await;
    let layer = &world.state.layer;
    let request = exeunt::testing::logged_in(layer, exeunt::UserId::from(2), request()).await.unwrap();
    let cookie = request.headers().get("cookie").unwrap().to_str().unwrap();
    let of_the_api = |operation: &String| operation.contains(" /api/");
    let there: BTreeSet<_> = operations(&world.state, cookie).await.into_iter().filter(of_the_api).collect();
    assert_eq!(there, world.documented().into_keys().filter(of_the_api).collect());
}

const RIGHT: &str = r#"{"username":"alice","password":"correct horse battery staple"}"#;
const EVIL: (&str, &str) = ("sec-fetch-site", "cross-site");
const WRONG: &str = r#"{"username":"alice","password":"wrong"}"#;

#[tokio::test]
async fn each_documented_answer_is_given_and_looks_as_documented() {
    let mut world = World::new().await;
    let evil = EVIL;
    let big = format!(r#"{{"username":"alice","password":"{}"}}"#, "x".repeat(17_000));
    let change = |current: &str, new: &str| json!({"current": current, "new": new}).to_string();
    let (login, again) = (("/api/auth/login", ""), ("/api/auth/reauthenticate", ""));
    let (sessions, one) = (("/api/auth/sessions", ""), "/api/auth/sessions/{id}");
    let (logout, password) = (("/api/auth/logout", ""), ("/api/auth/password", ""));

    // Refusals of what is sent, whoever sends it.
    for (path, right) in
        [(login, RIGHT.to_owned()), (again, RIGHT.to_owned()), (password, change("wrong", "new"))]
    {
        let cookie = world.ask("POST", login, &[], Some(RIGHT)).await.cookie();
        let session = ("cookie", cookie.as_str());
        world.ask("POST", path, &[session], Some("{")).await;
        world.ask("POST", path, &[session], Some(&big)).await;
        world.ask("POST", path, &[session], None).await;
        world.ask("POST", path, &[session, evil], Some(&right)).await;
        world.ask("POST", path, &[], Some(WRONG)).await;
    }
    for (method, path) in [
        ("DELETE", logout),
        ("POST", logout),
        ("DELETE", sessions),
        ("DELETE", (one, "x")),
        ("DELETE", ("/api/auth/sessions?others", "")),
    ] {
        world.ask(method, path, &[evil], None).await;
    }
    for path in ["/api/me", "/api/auth/sessions"] {
        world.ask("GET", (path, ""), &[], None).await;
    }
    world.ask("DELETE", sessions, &[], None).await;
    world.ask("DELETE", (one, "AAAAAAAAAAA"), &[], None).await;

    // What somebody does who is logged in.
    let cookie = world.ask("POST", login, &[], Some(RIGHT)).await.cookie();
    let session = ("cookie", cookie.as_str());
    world.ask("GET", ("/api/me", ""), &[session], None).await;
    let listed = world.ask("GET", sessions, &[session], None).await;
    assert!(listed.body.contains("\"current\":true"));
    world.ask("DELETE", ("/api/auth/sessions?other", ""), &[session], None).await;
    world.ask("DELETE", (one, "nonsense"), &[session], None).await;
    world.ask("DELETE", ("/api/auth/sessions?others", ""), &[session], None).await;
    let refused = world.ask("POST", again, &[session], Some(WRONG)).await;
    assert_eq!(refused.status, 403);
    let cookie = world.ask("POST", again, &[session], Some(RIGHT)).await.cookie();
    let session = ("cookie", cookie.as_str());
    let bad =
        world.ask("POST", password, &[session], Some(&change("correct horse battery staple", ""))).await;
    assert_eq!(bad.status, 422);
    let changed = change("correct horse battery staple", "correct horse battery staple");
    let changed = world.ask("POST", password, &[session], Some(&changed)).await;
    assert_eq!((changed.status, changed.body.as_str()), (200, r#"{"ended":0}"#));
    let cookie = changed.cookie();
    // Somebody sets another password after the current one was checked, and before the new one counts.
    let (accounts, pause) = (world.state.accounts.clone(), world.points.pause(At::Renew(Side::After)));
    let overtaking = async {
        pause.reached().await;
        accounts.set_password("alice", "correct horse battery staple").await.unwrap();
        pause.go_on();
    };
    let late = change("correct horse battery staple", "another horse, another staple");
    let session = [("cookie", cookie.as_str())];
    let (late, ()) = tokio::join!(world.ask("POST", password, &session, Some(&late)), overtaking);
    assert_eq!(late.status, 409);
    let cookie = world.ask("POST", login, &[], Some(RIGHT)).await.cookie();
    let session = ("cookie", cookie.as_str());
    world.clock.advance(Duration::from_secs(5 * 60 + 1));
    assert_eq!(world.ask("DELETE", sessions, &[session], None).await.status, 403);
    let listed = world.ask("GET", sessions, &[session], None).await;
    let listed: Value = serde_json::from_str(&listed.body).unwrap();
    let id = listed.pointer("/0/id").and_then(Value::as_str).unwrap().to_owned();
    assert_eq!(world.ask("DELETE", (one, &id), &[session], None).await.status, 204);
    for method in ["DELETE", "POST"] {
        let cookie = world.ask("POST", login, &[], Some(RIGHT)).await.cookie();
        world.ask(method, logout, &[("cookie", &cookie)], None).await;
        world.ask(method, logout, &[("cookie", &cookie), ("accept", "text/html")], None).await;
    }
    for path in ["/healthz", "/readyz"] {
        world.ask("GET", (path, ""), &[], None).await;
    }

    reset::each_answer(&mut world, &big).await;
    administration::each_answer(&mut world).await;

    // Ten may be wrong; from then on nobody may try for a while, however right.
    for path in [login, again, password] {
        let cookie = exeunt::testing::logged_in(&world.state.layer, exeunt::UserId::from(1), request()).await;
        let cookie = cookie.unwrap().headers().get("cookie").unwrap().to_str().unwrap().to_owned();
        let given = if path == password { change("wrong", "new") } else { WRONG.to_owned() };
        let mut last = 0;
        for _ in 0..=10 {
            last = world.ask("POST", path, &[("cookie", &cookie)], Some(&given)).await.status;
        }
        assert_eq!(last, 429, "{path:?}");
    }

    // While the store does not answer.
    let silent = SessionLayer::new(Sessions::new(super::tests::Silent));
    world.app = router(AppState { layer: silent, ..world.state.clone() });
    let session = ("cookie", "__Host-session=NEB1pc4MX3ekHQQswZlZDdz31zjUWRZyjyY3m-mCQGNCbjYH7Gkz1A");
    for path in [login, again, password] {
        world.ask("POST", path, &[session], Some(administration::ROOT)).await;
    }
    for (method, path) in [
        ("DELETE", logout),
        ("POST", logout),
        ("GET", sessions),
        ("DELETE", sessions),
        ("DELETE", (one, "AAAAAAAAAAA")),
        ("GET", ("/api/me", "")),
        ("GET", ("/readyz", "")),
    ]
    .into_iter()
    .chain(administration::ALL)
    {
        world.ask(method, path, &[session], None).await;
    }

    assert_eq!(world.seen, world.documented());
}

#[tokio::test]
async fn the_document_and_its_page_can_be_read_without_a_session_and_ask_no_other_server() {
    // R25, R45
    let world = World::new().await;
    let get = async |path: &str| world.send(axum::http::Request::get(path), Body::empty()).await;
    let (json, page) = (get("/openapi.json").await, get("/openapi").await);
    assert_eq!((json.status, page.status), (200, 200));
    let document: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(document.get("openapi"), Some(&json!("3.1.0")));
    let cookie = document.pointer("/components/securitySchemes/session/name");
    assert_eq!(cookie, Some(&json!("session")), "as it is called without https");
    for operation in world.documented().keys() {
        assert!(page.body.contains(operation), "{operation} is not on the page");
    }
    assert!(!page.body.contains("<script") && !page.body.contains("style=") && !page.body.contains("//"));
    let policy = page.headers.get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; connect-src 'self';"), "{policy}");
}
