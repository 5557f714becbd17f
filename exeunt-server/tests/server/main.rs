//! The built program over TCP: real processes, real engines, nothing replaced.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod attack;
#[path = "../common/mod.rs"]
mod common;
mod crash;
mod cross_origin;
mod events;
mod faults;
mod kept;
mod limit;
mod linearizable;
mod main_job;
mod moved;
mod nodes;
mod outages;
mod pages;
mod reset;
mod support;
mod transcript;
