//! The built program over TCP: real processes, real engines, nothing replaced.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod administration;
mod attack;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod crash;
mod cross_origin;
mod events;
mod faults;
mod forgotten;
mod kept;
mod limit;
mod linearizable;
mod main_job;
mod metrics;
mod moved;
mod nodes;
mod outages;
mod pages;
mod passwords;
mod reset;
mod support;
mod throttle;
mod throttle_nodes;
mod traces;
mod transcript;
