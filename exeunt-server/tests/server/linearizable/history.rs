//! What was asked of one session, when, and whether it can all have happened in one order.
//!
//! A session is a register that is live from its login on and gone from its logout on, or from a login over it. Each
//! operation has an effect at one moment between its invocation and its answer. An operation whose outcome is not known may
//! have had one, then or later, or none.

use std::time::Duration;

/// What an operation was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A request with the cookie: somebody's.
    Live,
    /// A request with the cookie, nobody's; or a logout that found no session.
    Gone,
    /// A logout: it ended the session.
    Ended,
    /// A login that came with its cookie: it ended the session, or found it gone.
    Replaced,
    /// A logout, or such a login, without an outcome.
    Perhaps,
    /// A request with the cookie that says nothing about it.
    Nothing,
}

/// One operation on the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) told: Told,
    /// The node that was asked.
    pub(crate) node: usize,
    /// Invoked.
    pub(crate) from: Duration,
    /// Answered.
    pub(crate) to: Duration,
}

/// Says why there is no such order.
///
/// The session ends at one moment, that of the logout that ended it, of a login over it, or of one of them whose outcome is not
/// known: after everybody who was told that it lives was invoked, and before anybody who was told that it is gone was
/// answered, or replaced it.
pub(crate) fn check(history: &[Operation]) -> Result<(), String> {
    let of = |told: Told| history.iter().filter(move |operation| operation.told == told);
    let last_live = of(Told::Live).max_by_key(|operation| operation.from);
    let first_gone = of(Told::Gone).chain(of(Told::Replaced)).min_by_key(|operation| operation.to);
    let ended: Vec<_> = of(Told::Ended).collect();
    if let [one, another, ..] = ended.as_slice() {
        return Err(format!("ended twice: {one:?} and {another:?}"));
    }
    let may_end = |from: Duration, to: Duration| {
        let earliest = last_live.map_or(from, |live| live.from.max(from));
        let latest = first_gone.map_or(to, |gone| gone.to.min(to));
        earliest <= latest
    };
    let fits = match (ended.first(), first_gone) {
        (Some(logout), _) => may_end(logout.from, logout.to),
        (None, None) => true,
        // What was not answered may still happen at any time.
        (None, Some(_)) => {
            of(Told::Replaced).any(|login| may_end(login.from, login.to))
                || of(Told::Perhaps).any(|logout| may_end(logout.from, Duration::MAX))
        }
    };
    if fits {
        return Ok(());
    }
    Err(format!("last seen live {last_live:?}, first seen gone {first_gone:?}, ended {:?}", ended.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(told: Told, from: u64, to: u64) -> Operation {
        Operation { told, node: 0, from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    fn accepted(history: &[(Told, u64, u64)]) -> bool {
        let history: Vec<_> = history.iter().map(|&(told, from, to)| operation(told, from, to)).collect();
        check(&history).is_ok()
    }

    use Told::{Ended, Gone, Live, Nothing, Perhaps, Replaced};

    #[test] // R01
    fn a_broken_history_is_refused() {
        for (why, history) in [
            ("live after an acknowledged logout", &[(Ended, 0, 10), (Live, 11, 12)][..]),
            ("gone before the logout was asked", &[(Gone, 0, 5), (Ended, 6, 10)]),
            ("gone without a logout", &[(Live, 0, 1), (Gone, 2, 3)]),
            ("back from the dead within a logout", &[(Ended, 0, 100), (Gone, 10, 20), (Live, 21, 30)]),
            ("ended twice", &[(Ended, 0, 10), (Ended, 5, 15)]),
            (
                "back after a logout without an outcome took effect",
                &[(Perhaps, 0, 5), (Gone, 6, 7), (Live, 8, 9)],
            ),
            ("nobody ended it yet", &[(Gone, 0, 5), (Perhaps, 6, 7)]),
            ("a second logout finds none before the first is asked", &[(Gone, 0, 2), (Ended, 3, 4)]),
            ("live after a login over it", &[(Replaced, 0, 10), (Live, 11, 12)]),
            ("ended by a logout after a login over it", &[(Replaced, 0, 5), (Ended, 6, 10)]),
            ("gone before the login over it was asked", &[(Gone, 0, 5), (Replaced, 6, 10)]),
        ] {
            assert!(!accepted(history), "{why}");
        }
    }

    #[test]
    fn what_may_have_happened_is_accepted() {
        for (why, history) in [
            ("nothing", &[][..]),
            ("in turn", &[(Live, 0, 1), (Ended, 2, 3), (Gone, 4, 5)]),
            ("both, within the logout", &[(Ended, 0, 100), (Live, 10, 20), (Gone, 21, 30)]),
            ("a slow request that began before", &[(Ended, 10, 20), (Live, 9, 99), (Gone, 11, 12)]),
            ("an unknown outcome that took effect late", &[(Perhaps, 0, 5), (Live, 6, 7), (Gone, 8, 9)]),
            ("an unknown outcome that took none", &[(Perhaps, 0, 5), (Live, 6, 7)]),
            ("an unknown outcome, then another logout", &[(Perhaps, 0, 5), (Live, 6, 7), (Ended, 8, 9)]),
            ("one that says nothing", &[(Ended, 0, 5), (Nothing, 6, 7)]),
            (
                "a login over it, and one more",
                &[(Live, 0, 1), (Replaced, 2, 5), (Replaced, 6, 9), (Gone, 7, 8)],
            ),
            ("a login over what was ended", &[(Ended, 0, 5), (Replaced, 6, 9)]),
            ("a login over it within a logout that finds none", &[(Gone, 0, 9), (Replaced, 2, 5)]),
        ] {
            assert!(accepted(history), "{why}");
        }
    }

    /// Wing and Gong's search: tries every order in which no operation comes before one that was answered before it was
    /// invoked.
    fn search(left: &[Operation], live: bool) -> bool {
        left.iter().enumerate().any(|(chosen, operation)| {
            let mut rest = left.to_vec();
            rest.remove(chosen);
            let too_early = rest.iter().any(|other| other.told != Perhaps && other.to < operation.from);
            let next = |live| search(&rest, live);
            !too_early
                && match (operation.told, live) {
                    (Live, true) => next(true),
                    (Gone, false) => next(false),
                    (Ended, true) | (Replaced, _) => next(false),
                    (Nothing, live) => next(live),
                    (Perhaps, live) => next(false) || next(live),
                    (Live, false) | (Gone, true) | (Ended, false) => false,
                }
        }) || left.iter().all(|operation| operation.told == Perhaps)
    }

    #[test]
    fn the_check_agrees_with_a_search_through_all_orders() {
        let mut lots = super::super::Lots::new(1);
        let (mut fine, mut broken) = (0, 0);
        for round in 0..4_000 {
            let history: Vec<_> = (0..lots.below(7))
                .map(|_| {
                    let from = lots.below(12);
                    let told = [Live, Live, Gone, Ended, Replaced, Perhaps, Nothing][lots.below(7) as usize];
                    operation(told, from, from + lots.below(6))
                })
                .collect();
            let found = search(&history, true);
            assert_eq!(check(&history).is_ok(), found, "round {round}: {history:?}");
            *(if found { &mut fine } else { &mut broken }) += 1;
        }
        assert!(fine > 500 && broken > 500, "{fine} fine, {broken} broken");
    }
}
