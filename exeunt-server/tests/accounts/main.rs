//! Accounts: who may log in, and what ends when they may not any more. Within this process, on real engines.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, what it calls too"
)]

mod administration;
mod apart;
mod audit;
mod change_password;
#[path = "../common/mod.rs"]
mod common;
mod everywhere;
mod find;
mod mail;
#[expect(dead_code, reason = "the library's tests stop at more points")]
#[path = "../../../exeunt/tests/common/pausing.rs"]
mod pausing;
mod reset;
mod smtp;
mod throttle;
mod timing;
