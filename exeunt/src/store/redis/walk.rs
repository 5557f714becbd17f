//! All sessions in the order of their ids, which Redis itself does not keep.
//!
//! Going on must never miss a session that lived through the whole walk.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Fault;
use super::link::Link;
use super::node::answer;
use crate::session::SessionId;

/// How many walks can be under way at once without beginning anew.
const KEPT: usize = 4;
const KEPT_FOR: Duration = Duration::from_secs(60);
const A_STEP: usize = 1_000;

/// What is left of walks that are under way: 8 bytes a session.
#[derive(Debug, Default)]
pub(super) struct Walks(Mutex<Vec<Walk>>);

#[derive(Debug)]
struct Walk {
    /// The last id that was given out: only who comes with it goes on.
    last: SessionId,
    rest: VecDeque<SessionId>,
    since: Instant,
}

impl Walks {
    /// The ids after `after`, from where an earlier page ended or by looking at all keys.
    pub(super) async fn begin(
        &self,
        link: &Link,
        after: Option<&SessionId>,
    ) -> Result<VecDeque<SessionId>, Fault> {
        match after.and_then(|after| self.take(after)) {
            Some(rest) => Ok(rest),
            None => {
                let mut all = scan(link).await?.sessions;
                all.retain(|id| after.is_none_or(|after| id > after));
                Ok(all)
            }
        }
    }

    /// Keeps the rest for whoever goes on after `last`.
    pub(super) fn keep(&self, last: SessionId, rest: VecDeque<SessionId>) {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that stand at the same place the later one knows more: other nodes, and creates whose answer was lost.
        walks.retain(|walk| walk.last != last);
        if walks.len() == KEPT {
            walks.remove(0);
        }
        walks.push(Walk { last, rest, since: Instant::now() });
    }

    /// A session that is made meanwhile is met, too.
    pub(super) fn created(&self, id: SessionId) {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walks.retain(|walk| walk.since.elapsed() < KEPT_FOR);
        for walk in walks.iter_mut().filter(|walk| walk.last < id) {
            if let Err(place) = walk.rest.binary_search(&id) {
                walk.rest.insert(place, id);
            }
        }
    }

    fn take(&self, after: &SessionId) -> Option<VecDeque<SessionId>> {
        let mut walks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walks.retain(|walk| walk.since.elapsed() < KEPT_FOR);
        let place = walks.iter().position(|walk| walk.last == *after)?;
        Some(walks.remove(place).rest)
    }
}

/// What there is under the prefix, on every primary.
#[derive(Debug)]
pub(super) struct All {
    /// Sessions, whatever their state, in order.
    pub(super) sessions: VecDeque<SessionId>,
    /// Buckets of the index.
    pub(super) buckets: Vec<u16>,
}

/// Looks at all keys once.
pub(super) async fn scan(link: &Link) -> Result<All, Fault> {
    let prefix = &link.config.prefix;
    let pattern = format!("{}[si]:*", escaped(prefix));
    let (mut sessions, mut buckets) = (Vec::new(), Vec::new());
    for node in link.all_primaries(link.until()).await? {
        // A cursor means nothing to another server, nor to the same one after a restart.
        let open = node.open(link.until()).await?;
        let mut cursor = "0".to_owned();
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(A_STEP);
            let (next, keys): (String, Vec<Vec<u8>>) = answer(open.ask(&command, link.until()).await?)?;
            for key in keys.iter().filter_map(|key| std::str::from_utf8(key).ok()?.strip_prefix(prefix)) {
                sessions.extend(key.strip_prefix("s:").and_then(|id| id.parse::<SessionId>().ok()));
                buckets.extend(key.strip_prefix("i:").and_then(|number| number.parse::<u16>().ok()));
            }
            if next == "0" {
                // Nothing refuses a scan: what was looked at must have been a primary to the end.
                node.still_primary(&open, link.until()).await?;
                break;
            }
            cursor = next;
        }
    }
    // A key can be met twice.
    sessions.sort_unstable();
    sessions.dedup();
    buckets.sort_unstable();
    buckets.dedup();
    Ok(All { sessions: sessions.into(), buckets })
}

/// A text as a pattern has to spell it.
fn escaped(text: &str) -> String {
    let escaped = text.chars().flat_map(|letter| {
        let special = matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-');
        special.then_some('\\').into_iter().chain([letter])
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> SessionId {
        SessionId::from_i64(number).unwrap()
    }

    #[test]
    fn only_who_stopped_there_goes_on_and_what_was_made_meanwhile_is_met() {
        let walks = Walks::default();
        walks.keep(id(3), [id(5), id(9)].into());
        walks.created(id(2));
        walks.created(id(7));
        walks.created(id(5));
        walks.created(id(11));
        assert_eq!(walks.take(&id(2)), None);
        assert_eq!(walks.take(&id(3)), Some([5, 7, 9, 11].map(id).into()));
        assert_eq!(walks.take(&id(3)), None);
        walks.keep(id(3), [id(5)].into());
        walks.keep(id(3), [id(5), id(6)].into());
        assert_eq!(walks.take(&id(3)), Some([5, 6].map(id).into()));
        assert_eq!(walks.take(&id(3)), None);
        for number in 0..10 {
            walks.keep(id(number), VecDeque::new());
        }
        assert_eq!(walks.take(&id(5)), None);
        assert!(walks.take(&id(6)).is_some());
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(escaped("a*[b]?:"), "a\\*\\[b\\]\\?:");
    }
}
