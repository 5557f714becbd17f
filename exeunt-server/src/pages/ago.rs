//! Times as people say them, with the exact one beside.

use std::time::Duration;

use exeunt::Timestamp;
use serde::Serialize;

use crate::html::Text;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// For `time.html`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ago {
    /// RFC 3339.
    exact: String,
    shown: String,
    text: Text,
    count: u64,
}

impl Ago {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let exact = Timestamp::from_secs(at.as_secs()).to_string();
        let (text, count) = match at > now {
            false => past(now.since(at)),
            true => future(at.since(now)),
        };
        let shown = exact.replace('T', " ").replace('Z', " UTC");
        Self { exact, shown, text, count }
    }
}

fn past(by: Duration) -> (Text, u64) {
    match by.as_secs() {
        seconds if seconds >= 2 * DAY => (Text("time-days-ago"), seconds / DAY),
        seconds @ HOUR.. => (Text("time-hours-ago"), seconds / HOUR),
        seconds @ MINUTE.. => (Text("time-minutes-ago"), seconds / MINUTE),
        _ => (Text("time-now"), 0),
    }
}

/// To the nearest unit: what was just given 30 days has 30, and not 29.
fn future(by: Duration) -> (Text, u64) {
    let rounded = |unit: u64| (by.as_secs() + unit / 2) / unit;
    match by.as_secs() {
        seconds if seconds >= 2 * DAY => (Text("time-in-days"), rounded(DAY)),
        HOUR.. => (Text("time-in-hours"), rounded(HOUR)),
        MINUTE.. => (Text("time-in-minutes"), rounded(MINUTE)),
        _ => (Text("time-soon"), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_says_enough() {
        let now = Timestamp::from_secs(1_767_225_600);
        for (seconds, text, count) in [
            (0, "time-now", 0),
            (-59, "time-now", 0),
            (-60, "time-minutes-ago", 1),
            (-3_599, "time-minutes-ago", 59),
            (-3_600, "time-hours-ago", 1),
            (-172_799, "time-hours-ago", 47),
            (-172_800, "time-days-ago", 2),
            (59, "time-soon", 0),
            (60, "time-in-minutes", 1),
            (7_200, "time-in-hours", 2),
            (30 * 86_400 - 3, "time-in-days", 30),
            (1_798, "time-in-minutes", 30),
        ] {
            let ago = Ago::new(Timestamp::from_secs(now.as_secs() + seconds), now);
            assert_eq!((ago.text.0, ago.count), (text, count), "{seconds}");
        }
        let ago = Ago::new(now, now);
        assert_eq!(
            (ago.exact.as_str(), ago.shown.as_str()),
            ("2026-01-01T00:00:00Z", "2026-01-01 00:00:00 UTC")
        );
    }
}
