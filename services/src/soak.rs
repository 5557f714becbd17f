//! How long tests hunt: shortly with each change, at length under `cargo xtask soak`.

use std::time::Duration;

const VARIABLE: &str = "EXEUNT_SOAK";

/// So many rounds: `few`, or `many` under `cargo xtask soak`.
#[must_use]
pub fn rounds(few: u32, many: u32) -> u32 {
    if std::env::var_os(VARIABLE).is_some() { many } else { few }
}

/// So long: `short`, or what `cargo xtask soak --minutes` says.
///
/// # Panics
///
/// If the variable was set by hand, to no number.
#[must_use]
pub fn minutes(short: Duration) -> Duration {
    std::env::var(VARIABLE).map_or(short, |minutes| {
        Duration::from_secs(60 * minutes.parse::<u64>().expect("EXEUNT_SOAK is a number of minutes"))
    })
}
