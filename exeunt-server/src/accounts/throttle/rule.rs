//! How long to wait after so many failures: a pure function of what is known and of `now`.
//!
//! Must never ask a clock or a database, and must never let a wait end earlier because somebody tried meanwhile.

use std::time::Duration;

use exeunt::Timestamp;

/// A failure, in the unit in which counts are kept: millionths, so that what leaks away in a moment is not lost.
pub(in crate::accounts) const FAILURE: i64 = 1_000_000;

/// What is known of the tries under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Count {
    /// The failures, in millionths, as they were at `tried_at`.
    pub(in crate::accounts) level: i64,
    /// When the last try was taken.
    pub(in crate::accounts) tried_at: Timestamp,
}

/// How tries under a key are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Rule {
    /// So many failures without a wait. The next wait is a second, and each one after it twice as long.
    pub(super) free: u32,
    /// The longest wait.
    pub(super) longest: Duration,
    /// So many failures, and no try is taken any more until somebody resets the count.
    pub(super) stop: Option<u32>,
    /// A failure is forgotten in so many seconds.
    pub(super) leak: Option<u32>,
}

/// What a rule says about one more try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) enum Wait {
    /// It is taken.
    None,
    /// It is taken after that time.
    For(Duration),
    /// It is not taken, however long somebody waits.
    Stopped,
}

/// In place of a wait without an end, for whoever compares numbers: a thousand years, in microseconds.
const NEVER: i64 = 1_000 * 366 * 24 * 3_600 * 1_000_000;

impl Rule {
    /// The failures that still count at `now`, in millionths.
    pub(in crate::accounts) fn level(&self, count: Count, now: Timestamp) -> i64 {
        let elapsed = i64::try_from(now.since(count.tried_at).as_micros()).unwrap_or(i64::MAX);
        (count.level - elapsed / self.leak_divisor()).max(0)
    }

    /// Whether one more try is taken at `now`.
    pub(in crate::accounts) fn wait(&self, count: Count, now: Timestamp) -> Wait {
        let failures = self.level(count, now) / FAILURE;
        let Some(delay) = self.delay(u32::try_from(failures).unwrap_or(u32::MAX)) else {
            return Wait::Stopped;
        };
        match delay.saturating_sub(now.since(count.tried_at)) {
            Duration::ZERO => Wait::None,
            left => Wait::For(left),
        }
    }

    /// What is known once a try is taken at `now`. It counts as a failure until it is known to be none.
    pub(in crate::accounts) fn taken(&self, count: Option<Count>, now: Timestamp) -> Count {
        let level = count.map_or(0, |count| self.level(count, now)) + FAILURE;
        Count { level, tried_at: count.map_or(now, |count| count.tried_at.max(now)) }
    }

    /// The wait after so many failures; `None` for one without an end.
    pub(super) fn delay(&self, failures: u32) -> Option<Duration> {
        if self.stop.is_some_and(|stop| failures >= stop) {
            return None;
        }
        let Some(doublings) = failures.checked_sub(self.free) else { return Some(Duration::ZERO) };
        let seconds = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        Some(Duration::from_secs(seconds).min(self.longest))
    }

    /// The waits after 0, 1, 2 failures and so on, in microseconds: the last one stands for all that follow.
    pub(in crate::accounts) fn delays(&self) -> Vec<i64> {
        let mut delays = Vec::new();
        for failures in 0.. {
            let delay = self.delay(failures);
            let is_last = delay.is_none_or(|delay| self.stop.is_none() && delay == self.longest);
            delays.push(delay.map_or(NEVER, |delay| i64::try_from(delay.as_micros()).unwrap_or(NEVER)));
            if is_last {
                break;
            }
        }
        delays
    }

    /// So many microseconds take a millionth of a failure away.
    pub(in crate::accounts) fn leak_divisor(&self) -> i64 {
        self.leak.map_or(i64::MAX, |seconds| i64::from(seconds.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { free: 3, longest: Duration::from_secs(10), stop: Some(9), leak: None };
    const LEAKS: Rule = Rule { free: 3, longest: Duration::from_secs(10), stop: None, leak: Some(60) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn wait(rule: Rule, failures: i64, seconds: i64) -> Wait {
        rule.wait(Count { level: failures * FAILURE, tried_at: at(0) }, at(seconds))
    }

    #[test]
    fn waits_grow_from_nothing_to_the_longest_and_end_in_a_stop() {
        // R35
        for (failures, seconds) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 8), (7, 10), (8, 10)]
        {
            let due = if seconds == 0 { Wait::None } else { Wait::For(Duration::from_secs(seconds)) };
            assert_eq!(wait(RULE, failures, 0), due, "{failures}");
            assert_eq!(wait(RULE, failures, seconds.try_into().unwrap()), Wait::None, "{failures}");
        }
        for failures in [9, 10, 1_000_000] {
            assert_eq!(wait(RULE, failures, 0), Wait::Stopped);
            assert_eq!(wait(RULE, failures, 1_000_000_000), Wait::Stopped, "no time ends it");
        }
        assert_eq!(wait(LEAKS, 1_000_000, 0), Wait::For(Duration::from_secs(10)), "it has no stop");
    }

    #[test]
    fn failures_leak_away_in_time_and_no_part_of_a_failure_is_lost() {
        // R35
        for (failures, seconds, left) in [
            (5, 0, 5 * FAILURE),
            (5, 59, 5 * FAILURE - 983_333),
            (5, 60, 4 * FAILURE),
            (5, 300, 0),
            (5, 999, 0),
        ] {
            let count = Count { level: failures * FAILURE, tried_at: at(0) };
            assert_eq!(LEAKS.level(count, at(seconds)), left, "{seconds}");
            assert_eq!(RULE.level(count, at(seconds)), failures * FAILURE, "nothing leaks there");
        }
        // One every half a minute: half of each is forgotten before the next.
        let mut count = None;
        for round in 0..10 {
            count = Some(LEAKS.taken(count, at(30 * round)));
        }
        assert_eq!(count.unwrap().level, 10 * FAILURE - 9 * FAILURE / 2);
    }

    #[test]
    fn a_try_is_counted_before_it_is_known_to_fail_and_moves_no_time_back() {
        let first = RULE.taken(None, at(5));
        assert_eq!(first, Count { level: FAILURE, tried_at: at(5) });
        let second = RULE.taken(Some(first), at(3));
        assert_eq!(second, Count { level: 2 * FAILURE, tried_at: at(5) });
        // A clock behind that of another node waits no longer than the wait is.
        let count = Count { level: 4 * FAILURE, tried_at: at(1_000) };
        assert_eq!(RULE.wait(count, at(0)), Wait::For(Duration::from_secs(2)));
    }

    #[test]
    fn the_list_of_delays_says_the_same_as_the_function() {
        for rule in [RULE, LEAKS] {
            let delays = rule.delays();
            for failures in 0..100_u32 {
                let listed = delays[delays.len().min(usize::try_from(failures).unwrap() + 1) - 1];
                let said = rule.delay(failures).map_or(NEVER, |delay| delay.as_micros().try_into().unwrap());
                assert_eq!(listed, said, "{failures}");
            }
        }
    }
}
