//! Session login and logout for axum and tower: a logout that holds.

pub mod auth;
pub mod http;
pub mod manual;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::auth::{
    Error, ErrorKind, Extend, LoggedIn, LoginOptions, Sessions, Users, UsersError, Verified,
};
pub use self::http::{AuthRouter, CookieConfig, Logout, RequireSession, Session, SessionLayer, Visitor};
pub use self::session::{
    Client, Clock, Data, DataError, Lifetime, ManualClock, Record, SessionId, SessionIdError, SystemClock,
    Timestamp, Token, UserId, UserIdError, Verifier,
};
pub use self::store::{MemoryStore, Near, Store, StoreError};
