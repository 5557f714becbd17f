//! Decides how long a session may live, as pure functions of `now`.
//!
//! Must never let a session outlive its absolute timeout, and must never look at a clock itself.

use std::time::Duration;

use super::Timestamp;

/// No cookie may ask a browser to keep it longer (RFC 6265bis, section 5.5).
pub const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const TOUCHES_PER_IDLE_TIMEOUT: u32 = 60;

/// The timeouts of a session (R14, R15).
///
/// A session ends at whichever comes first: `idle` after it was last seen, `absolute` after login. The defaults, 30
/// minutes and 8 hours, satisfy NIST SP 800-63B AAL2 and OWASP at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    idle: Duration,
    absolute: Duration,
    remembered: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(8 * 60 * 60),
            remembered: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl Lifetime {
    /// The idle and the absolute timeout.
    ///
    /// Both are kept between one second and 400 days, and idle is never longer than absolute.
    ///
    /// ```
    /// use exeunt::Lifetime;
    /// use std::time::Duration;
    ///
    /// let lifetime = Lifetime::new(Duration::from_secs(15 * 60), Duration::from_secs(12 * 60 * 60));
    /// assert_eq!(lifetime.idle(), Duration::from_secs(900));
    /// ```
    #[must_use]
    pub fn new(idle: Duration, absolute: Duration) -> Self {
        let absolute = within_bounds(absolute);
        Self { idle: within_bounds(idle).min(absolute), absolute, ..Self::default() }
    }

    /// The lifetime of a session whose owner asked to be remembered (R55). Default: 30 days.
    ///
    /// It is idle and absolute timeout at once: whoever asks to be remembered wants to come back after a pause.
    #[must_use]
    pub fn remember_for(self, remembered: Duration) -> Self {
        Self { remembered: within_bounds(remembered), ..self }
    }

    /// The idle timeout of an ordinary session.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// The absolute timeout of an ordinary session.
    #[must_use]
    pub fn absolute(&self) -> Duration {
        self.absolute
    }

    /// Both timeouts of a remembered session.
    #[must_use]
    pub fn remembered(&self) -> Duration {
        self.remembered
    }

    /// When a session that logs in at `now` ends, whatever happens.
    pub(crate) fn ends_at(&self, now: Timestamp, remembered: bool) -> Timestamp {
        now.plus(if remembered { self.remembered } else { self.absolute })
    }

    /// When a session that is seen at `now` expires if it is not seen again. Never after `ends_at`.
    pub(crate) fn expires_at(&self, now: Timestamp, ends_at: Timestamp, remembered: bool) -> Timestamp {
        now.plus(if remembered { self.remembered } else { self.idle }).min(ends_at)
    }

    /// Whether a session last seen at `seen_at` is to be touched: once in a 60th of the idle timeout.
    pub(crate) fn touch_is_due(&self, seen_at: Timestamp, now: Timestamp) -> bool {
        now.since(seen_at) >= self.idle / TOUCHES_PER_IDLE_TIMEOUT
    }
}

fn within_bounds(duration: Duration) -> Duration {
    duration.clamp(Duration::from_secs(1), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_secs(1_000_000).plus(MINUTE * minutes)
    }

    #[test]
    fn a_session_expires_at_the_idle_or_the_absolute_timeout_whichever_is_first() {
        // R14, R15
        let lifetime = Lifetime::default();
        let ends = lifetime.ends_at(at(0), false);
        assert_eq!(ends, at(480));
        for (seen, expires) in [(0, 30), (100, 130), (450, 480), (451, 480), (480, 480)] {
            assert_eq!(lifetime.expires_at(at(seen), ends, false), at(expires), "seen after {seen} minutes");
        }
    }

    #[test]
    fn a_remembered_session_has_one_longer_absolute_lifetime() {
        // R55
        let lifetime = Lifetime::default().remember_for(MINUTE * 1_000);
        let ends = lifetime.ends_at(at(0), true);
        assert_eq!(ends, at(1_000));
        assert_eq!(lifetime.expires_at(at(0), ends, true), at(1_000));
        assert_eq!(lifetime.expires_at(at(900), ends, true), at(1_000));
    }

    #[test]
    fn no_lifetime_is_longer_than_browsers_keep_a_cookie_or_shorter_than_a_second() {
        let longest = Lifetime::new(Duration::MAX, Duration::MAX).remember_for(Duration::MAX);
        assert_eq!((longest.idle(), longest.absolute(), longest.remembered()), (LONGEST, LONGEST, LONGEST));
        let shortest = Lifetime::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(shortest.idle(), Duration::from_secs(1));
        assert_eq!(Lifetime::new(MINUTE * 9, MINUTE * 5).idle(), MINUTE * 5);
    }

    #[test]
    fn a_touch_is_due_every_sixtieth_of_the_idle_timeout() {
        let lifetime = Lifetime::default();
        let seen = at(0);
        assert!(!lifetime.touch_is_due(seen, seen.plus(Duration::from_micros(29_999_999))));
        assert!(lifetime.touch_is_due(seen, seen.plus(Duration::from_secs(30))));
        assert!(!lifetime.touch_is_due(at(1), at(0)), "a clock behind the last touch asks for none");
    }
}
