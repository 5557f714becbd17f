//! Says what time it is, so that nothing else has to ask.
//!
//! Must never run backwards within a process: a clock that was set back must not revive a session.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Deserializer, Serialize};

/// An instant: whole microseconds since 1970-01-01T00:00:00 UTC.
///
/// An integer on purpose: no store, driver or connection can give it a time zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that many microseconds after 1970. Negative values become 0.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        // Mutants: `<=` is the same, since 0 becomes 0.
        Self(if micros < 0 { 0 } else { micros })
    }

    /// The instant that many seconds after 1970.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Milliseconds since 1970, never negative.
    pub(crate) const fn as_millis(self) -> u64 {
        self.0.unsigned_abs() / 1_000
    }

    /// This instant moved forward, stopping at the last one that can be written.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::from_micros)
    }
}

/// RFC 3339 in UTC, to the second. An instant after the year 9999, which has no such text, shows as the last before it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: Timestamp = Timestamp::from_secs(253_402_300_799);
        let since_1970 = (*self).min(LAST).since(Self::default());
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_1970).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Tells the time.
///
/// `now` may jump forward (the operator sets the clock, a virtual machine resumes) but never back. `running` counts
/// on whatever happens to the calendar; comparing the two shows a jump.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, never below what this clock gave before.
    fn now(&self) -> Timestamp;
    /// How long this clock has been running, unmoved by changes of the time of day.
    fn running(&self) -> Duration;
}

/// The machine's clock.
///
/// If the time of day is set back, it stands still until the old time is reached again: sessions then live a little
/// longer than their timeouts say, and none comes back. That holds for all of a process together, whichever asked last.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

/// The latest time that anybody in this process was told: what one clock has seen expire, no other may see alive.
static TOLD: Floor = Floor(AtomicI64::new(0));

/// What never sinks.
#[derive(Debug)]
struct Floor(AtomicI64);

impl Floor {
    fn at_least(&self, seen: i64) -> Timestamp {
        // A plain load first: on most calls another thread has not just moved it, and a read shares the cache line.
        let latest = self.0.load(Ordering::Relaxed);
        if seen <= latest {
            return Timestamp(latest);
        }
        Timestamp(self.0.fetch_max(seen, Ordering::Relaxed).max(seen))
    }
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        TOLD.at_least(micros(since_1970))
    }

    fn running(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that moves only when told, for tests.
///
/// ```
/// use exeunt::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::default();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().since(before), Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    running: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), running: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.running.fetch_add(micros(by).unsigned_abs(), Ordering::SeqCst);
        self.now.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Sets the time of day forward without letting time pass, as a wrong time server would.
    pub fn jump(&self, by: Duration) {
        self.now.fetch_add(micros(by), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-01T00:00:00 UTC.
    fn default() -> Self {
        Self::at(Timestamp::from_secs(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn running(&self) -> Duration {
        Duration::from_micros(self.running.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_stands_still_when_the_time_of_day_is_set_back() {
        let told = Floor(AtomicI64::new(0));
        assert_eq!(told.at_least(1_000), Timestamp(1_000));
        assert_eq!(told.at_least(400), Timestamp(1_000));
        assert_eq!(told.at_least(1_001), Timestamp(1_001));
    }

    #[test]
    fn what_one_system_clock_told_no_other_goes_below() {
        let told = SystemClock::new().now().plus(Duration::from_millis(50));
        TOLD.at_least(told.as_micros());
        assert!(SystemClock::new().now() >= told, "as if the time of day had been set back");
    }

    #[test]
    fn the_system_clock_tells_a_time_after_2025() {
        assert!(SystemClock::new().now() > Timestamp::from_secs(1_735_689_600));
    }

    #[test]
    fn the_system_clock_has_been_running_since_it_was_made() {
        let started = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let clock = SystemClock { started };
        assert!(clock.running() >= Duration::from_secs(5));
    }

    #[test]
    fn instants_neither_overflow_nor_go_below_1970() {
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(-1), Timestamp(0));
        assert_eq!(serde_json::from_str::<Timestamp>("-1").unwrap(), Timestamp(0));
        assert_eq!(serde_json::from_str::<Timestamp>("7").unwrap(), Timestamp(7));
    }

    #[test]
    fn instants_are_written_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_secs(1_767_225_600).to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_micros(1_999_999).to_string(), "1970-01-01T00:00:01Z");
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn an_instant_in_a_log_is_exact() {
        assert_eq!(format!("{:?}", Timestamp::from_micros(1_999_999)), "1999999us");
    }

    #[test]
    fn a_jump_moves_the_time_of_day_alone() {
        let clock = ManualClock::at(Timestamp(0));
        clock.jump(Duration::from_secs(3));
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now().as_secs(), clock.running()), (5, Duration::from_secs(2)));
    }
}
