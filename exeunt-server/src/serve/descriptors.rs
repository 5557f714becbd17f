//! How many connections the system lets this process have.
//!
//! Must never let connections take the descriptors that the engines and the commands need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept for everything but connections: files and their readers, engines, the control socket.
const KEPT: u64 = 256;

/// Room for `wanted` connections: asks the system for it, and gives how many there may be.
pub(super) fn make_room_for(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let asked = asked(limit, wanted);
    if asked != limit.current && setrlimit(Resource::Nofile, Rlimit { current: asked, ..limit }).is_ok() {
        limit.current = asked;
    }
    let room = room(limit.current, wanted);
    if room < wanted {
        tracing::warn!(
            event = "few_descriptors",
            connections = room,
            max_connections = wanted,
            descriptors = limit.current,
            "the system lets this process open fewer connections than --max-connections says: raise its limit (ulimit -n)"
        );
    }
    room
}

/// The limit to ask for: as much as is wanted, as far as anybody may ask.
fn asked(limit: Rlimit, wanted: usize) -> Option<u64> {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(KEPT);
    let current = limit.current?;
    Some(current.max(wanted.min(limit.maximum.unwrap_or(u64::MAX))))
}

/// At least half of them: a server that takes nobody is of no use. No limit is room for all.
fn room(descriptors: Option<u64>, wanted: usize) -> usize {
    let Some(descriptors) = descriptors else { return wanted };
    let room = descriptors.saturating_sub(KEPT).max(descriptors / 2).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_no_more_than_wanted_and_never_less_than_before() {
        for (current, maximum, wanted, expected) in [
            (Some(1_024), Some(20_000), 1_024, Some(1_280)),
            (Some(1_024), Some(1_100), 1_024, Some(1_100)),
            (Some(20_000), Some(20_000), 1_024, Some(20_000)),
            (Some(1_024), None, usize::MAX, Some(u64::MAX)),
            (None, None, 1_024, None),
        ] {
            assert_eq!(asked(Rlimit { current, maximum }, wanted), expected, "{current:?} {maximum:?}");
        }
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(room(Some(1_280), 1_024), 1_024);
        assert_eq!(room(Some(1_024), 1_024), 768);
        assert_eq!(room(Some(256), 1_024), 128);
        assert_eq!(room(Some(1), 1_024), 1);
        assert_eq!(room(None, 7), 7);
    }
}
