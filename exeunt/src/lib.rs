//! stub
pub mod auth;
pub mod session;
pub mod store;
pub use auth::*;
pub use session::*;
#[cfg(feature = "sqlite")]
pub use store::open;
pub use store::{MemoryStore, Near, Store};
