#![doc = include_str!("../README.md")]
//! # A first program
//!
//! ```
//! use axum::{Json, Router, extract::State, http::StatusCode, routing::{delete, get, post}};
//! use exeunt::{Error, Logout, Session, SessionLayer, Sessions, UserId, Users, UsersError, Verified, Visitor};
//! # use axum::{body::Body, http::Request};
//! # use tower::ServiceExt as _;
//!
//! #[derive(Clone)]
//! struct Accounts; // one hard-coded account, for this example alone
//!
//! #[derive(serde::Deserialize)]
//! struct Credentials { username: String, password: String }
//!
//! impl Users for Accounts {
//!     type Credentials = Credentials;
//!     async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
//!         let right = given.username == "alice" && given.password == "correct horse battery staple";
//!         Ok(right.then(|| Verified::new(UserId::from(1), 0).named("alice")))
//!     }
//!     async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> { Ok(true) }
//! }
//!
//! async fn login(visitor: Visitor, State(accounts): State<Accounts>, Json(given): Json<Credentials>) -> Result<StatusCode, Error> {
//!     Ok(match visitor.login(&accounts, given).await? {
//!         Some(_session) => StatusCode::NO_CONTENT,
//!         None => StatusCode::UNAUTHORIZED,
//!     })
//! }
//!
//! /// Nobody gets here without being logged in: the `Session` is the proof.
//! async fn me(session: Session) -> String { format!("Hello, {}", session.name()) }
//!
//! async fn logout(visitor: Visitor) -> Logout { visitor.logout().await }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = Sessions::new(exeunt::MemoryStore::new()); // or exeunt::open("app.db")?
//! let app: Router = Router::new()
//!     .route("/login", post(login))
//!     .route("/me", get(me))
//!     .route("/logout", delete(logout))
//!     .with_state(Accounts)
//!     .layer(SessionLayer::new(sessions));
//! # let body = r#"{"username":"alice","password":"correct horse battery staple"}"#;
//! # let login = Request::post("/login").header("content-type", "application/json").body(Body::from(body))?;
//! # let answer = app.clone().oneshot(login).await?;
//! # let cookie = answer.headers()["set-cookie"].to_str()?.split(';').next().unwrap().to_owned();
//! # let ask = |method: &str, path: &str| {
//! #     app.clone().oneshot(Request::builder().method(method).uri(path).header("cookie", &cookie).body(Body::empty()).unwrap())
//! # };
//! # assert_eq!(ask("GET", "/me").await?.status(), 200);
//! # assert_eq!(ask("DELETE", "/logout").await?.status(), 200);
//! # assert_eq!(ask("GET", "/me").await?.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! - [`SessionLayer`] goes around the router, once. It also refuses forged requests from other sites.
//! - [`Session`] in a handler's arguments is the proof of login, `Option<Session>` lets visitors in, and [`Visitor`]
//!   logs in and out. [`RequireSession`] guards whole routers.
//! - [`AuthRouter`] has the routes ready-made: login, login again, logout, a list of one's sessions, ending them.
//! - [`Users`] is what the application implements. [`Sessions`] is the service behind it all, without HTTP.
//! - [`store`] has what can keep sessions: `exeunt::open` for one SQLite file, `RedisStore`, `PostgresStore`, and
//!   [`MemoryStore`] for tests.
//! - [`manual`] has the longer answers: threats, stores, and why each default is what it is.
//! - `testing` (feature `testing`) gives an application's tests a live session; `store::laws` (feature `laws`) is the
//!   suite that every store passes.

pub mod auth;
pub mod http;
pub mod manual;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::auth::{
    By, Error, ErrorKind, Event, EventKind, Events, Extend, LoggedIn, LoginOptions, Origin, RECENT, Sessions,
    Users, UsersError, Verified,
};
pub use self::http::{AuthRouter, CookieConfig, Logout, RequireSession, Session, SessionLayer, Visitor};
pub use self::session::{
    Client, Clock, Data, DataError, Lifetime, ManualClock, Record, SessionId, SessionIdError, SystemClock,
    Timestamp, Token, UserId, UserIdError, Verifier,
};
#[cfg(feature = "sqlite")]
pub use self::store::open;
pub use self::store::{MemoryStore, Near, Store, StoreError};
