//! Axum and tower: the cookie in, the session to ask for, the cookie out.
//!
//! Must never call a store: it calls [`Sessions`](crate::Sessions). Must never say "logged out" unless that has.

mod cookie;
mod extract;
mod layer;
mod origin;
mod problem;
mod renew;
mod require;
mod router;
mod visit;

pub use self::cookie::{CookieConfig, CookieError, SameSite};
pub use self::extract::{Logout, Session, SessionRejection, Visitor};
pub use self::layer::{OriginError, SessionFuture, SessionLayer, SessionService};
pub use self::origin::ClientAddress;
pub use self::problem::{REAUTHENTICATE, problem, problem_with, reauthenticate_first};
pub use self::renew::Renewed;
pub use self::require::{RequireSession, RequireSessionFuture, RequireSessionService, local_path};
pub use self::router::AuthRouter;
pub use self::visit::{Polling, names_html};
