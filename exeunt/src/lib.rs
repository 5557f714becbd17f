//! stub
pub mod auth;
pub mod session;
pub mod store;
pub use auth::*;
pub use session::*;
pub use store::{MemoryStore, Near, Store};
