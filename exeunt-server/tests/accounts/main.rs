//! Accounts: who may log in, and what ends when they may not any more. Within this process, on real engines.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, what it calls too")]

mod apart;
#[path = "../common/mod.rs"]
mod common;
mod everywhere;
