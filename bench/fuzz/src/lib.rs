//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Must never pass over an answer: that nothing panics is the least of it.

mod body;

use std::cell::OnceCell;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use axum::routing::get;
use exeunt::{
    AuthRouter, Data, MemoryStore, Session, SessionId, SessionLayer, Sessions, Token, UserId, Users,
    UsersError, Verified,
};
use exeunt_server::config::{Config, Options, print};
use serde::Deserialize;
use tower::ServiceExt as _;
use url::Url;

pub use self::body::body;

const PASSWORD: &str = "right";
const OUR_NAME: &[u8] = b"__Host-session";

/// Accounts of one person.
#[derive(Debug)]
struct Alice;

#[derive(Debug, Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

impl Users for Alice {
    type Credentials = Credentials;

    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        let right = given.username == "alice" && given.password == PASSWORD;
        Ok(right.then(|| Verified::new(UserId::from(1), 0)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

/// An application, and the token of a live session in it that no input knows.
struct App {
    runtime: tokio::runtime::Runtime,
    router: Router,
    own: HeaderValue,
}

impl App {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let layer = SessionLayer::new(Sessions::new(MemoryStore::new()));
        let router = Router::new()
            .nest("/auth", AuthRouter::new(Alice).into_router())
            .route("/me", get(|session: Session| async move { session.user().to_string() }))
            .layer(layer.clone());
        let request = exeunt::testing::logged_in(&layer, UserId::from(7), Request::new(()));
        let request = runtime.block_on(request).expect("the memory store answers");
        let own = request.headers().get("cookie").expect("it is there").clone();
        Self { runtime, router, own }
    }

    fn status(&self, request: Request<Body>) -> u16 {
        let answer = self.runtime.block_on(self.router.clone().oneshot(request));
        answer.unwrap_or_else(|never| match never {}).status().as_u16()
    }
}

fn with_app(run: impl FnOnce(&App)) {
    thread_local!(static APP: OnceCell<App> = const { OnceCell::new() });
    APP.with(|app| run(app.get_or_init(App::new)));
}

/// Each line is a `Cookie` header: nobody is logged in by it. Behind them, the true one counts if ours is the only one.
pub fn cookie(bytes: &[u8]) {
    with_app(|app| {
        let named = bytes.windows(OUR_NAME.len()).any(|window| window == OUR_NAME);
        let request = |with_own: bool| {
            let mut own = Request::get("/me").body(Body::empty()).expect("a request");
            let headers = own.headers_mut();
            for line in bytes.split(|byte| *byte == b'\n') {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    headers.append("cookie", value);
                }
            }
            if with_own {
                headers.append("cookie", app.own.clone());
            }
            own
        };
        assert_eq!(app.status(request(false)), 401, "nobody is logged in by chance");
        let own = app.status(request(true));
        assert!(own == 200 || (own == 401 && named), "{own}: a cookie of another name is none of ours");
    });
}

/// What is taken for a token is written the same again; so is an id.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(token) = Token::parse(text) {
        assert_eq!(token.expose(), text, "one token has one text");
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string(), text, "one id has one text");
        assert_eq!(SessionId::from_i64(id.to_i64()), Some(id));
    }
}

/// Who logs in has the password, and what else comes is refused by what is wrong with it.
pub fn login_json(bytes: &[u8]) {
    with_app(|app| {
        let request = Request::post("/auth/login").header("content-type", "application/json");
        let status = app.status(request.body(Body::from(bytes.to_vec())).expect("a request"));
        assert!([200, 400, 401, 413].contains(&status), "{status}");
        if status == 200 {
            let given: Credentials = serde_json::from_slice(bytes).expect("it was read before");
            assert_eq!((given.username.as_str(), given.password.as_str()), ("alice", PASSWORD));
        }
    });
}

/// A form is read as it was meant, and leads nowhere else.
pub fn login_form(bytes: &[u8]) {
    with_app(|app| {
        let Some((username, next)) = app.runtime.block_on(exeunt_server::read_login_form(bytes.to_vec()))
        else {
            return;
        };
        let given = |name: &str| {
            let mut values =
                url::form_urlencoded::parse(bytes).filter(|(key, _)| key == name).map(|(_, value)| value);
            (values.next(), values.next())
        };
        assert_eq!(given("username"), (Some(username.into()), None));
        is_of_this_site(&next);
    });
}

/// Where a login leads is on this site.
pub fn next_path(bytes: &[u8]) {
    leads_nowhere_else(bytes, exeunt::http::local_path);
}

/// The same by any check.
pub fn leads_nowhere_else(bytes: &[u8], check: impl Fn(&str) -> Option<&str>) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(path) = check(text) {
        is_of_this_site(path);
        assert!(HeaderValue::from_str(path).is_ok(), "it can stand in a header");
    }
}

/// As browsers read it.
fn is_of_this_site(path: &str) {
    let site = Url::parse("https://login.example.org/login").expect("a URL");
    let target = site.join(path).expect("a path of this site can be joined to it");
    assert_eq!(target.origin(), site.origin(), "{path:?} leads to {target}");
}

/// What is read can be printed, is read again as the same, and shows no password.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(options) = toml::from_str::<Options>(text) else { return };
    let printed = print(&options);
    let again: Options = toml::from_str(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    let has_password = [&options.store, &options.accounts]
        .into_iter()
        .flatten()
        .any(exeunt_server::config::Place::has_password);
    assert!(has_password || again == options, "{printed}");
    assert_eq!(print(&again), printed.replace(LEFT_OUT, ""), "printed twice is printed once");
    if let Ok(config) = Config::decide(options) {
        let _ = (config.cookie_name(), config.notices(), config.lifetime(), config.check_to_serve());
    }
}

const LEFT_OUT: &str = "# There is a password in it, which is left out here: put it in again.\n";

/// What a store gives back: a session that is written the same again, or an error, and data that is an object or is none.
pub fn stored_record(bytes: &[u8]) {
    exeunt::store::redis::reads_as_it_was_written(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(mut data) = Data::from_json(text) else { return };
    let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    assert_eq!(data.get::<serde_json::Value>("name").is_ok(), is_object || text.is_empty());
    if data.set("name", "alice").is_ok() {
        assert_eq!(data.get::<String>("name").ok().flatten().as_deref(), Some("alice"));
        assert!(data.as_json().len() <= Data::LIMIT);
    }
}
