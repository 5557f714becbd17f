//! Sessions, by one walk through both places in the order of ids.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exeunt::store::{Causes, Created, Store};
use exeunt::{Clock as _, Record, SessionId, StoreError, SystemClock};
use serde::Serialize;
use tokio::task::JoinSet;

use super::Progress;
use super::place::Source;
use crate::admin::{Code, Failure};

/// Sessions that are read at once.
const PAGE: usize = 1_000;
/// Steps under way at once: enough that many share one sync of a disk, few enough for a small pool of connections.
const AT_ONCE: usize = 32;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a copy of sessions did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionsCopied {
    /// Sessions that were not there.
    pub made: usize,
    /// Sessions that were otherwise: seen, renewed or written to since.
    pub changed: usize,
    /// Sessions that were there as they should be.
    pub same: usize,
    /// Sessions that ended at the origin, and were removed.
    pub removed: usize,
    /// Sessions that ended at the origin, and are still there.
    pub left: usize,
}

impl SessionsCopied {
    /// How many sessions were looked at.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.made + self.changed + self.same + self.removed + self.left
    }
}

/// Refuses a place that was used since it was copied: there, what was copied could have been ended, and would come back.
pub(super) async fn check_unused(from: &Source, to: &Arc<dyn Store>) -> Result<(), Failure> {
    let mut both = Both::new(from, to);
    while let Some(pair) = both.next().await? {
        let Pair::Both(from, to) = pair else { continue };
        if is_newer(&to, &from) {
            let id = to.id();
            return Err(Failure::new(
                Code::Failed,
                format!(
                    "TO was used since it was copied: session {id} was seen or changed there later than in FROM. A \
                     copy would bring back what ended there, so nothing was done"
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses to make a place empty: most likely another database was named than the one that was meant.
pub(super) async fn check_not_emptied(from: &Source, to: &Arc<dyn Store>) -> Result<(), Failure> {
    let mut both = Both::new(from, to);
    if both.from.peek().await?.is_some() || both.to.peek().await?.is_none() {
        return Ok(());
    }
    let message = "FROM has no session at all, and TO has some, so nothing was done: is it the right database or \
                   prefix? If all have ended there, run `exeunt session end-all` on TO instead";
    Err(Failure::new(Code::Failed, message))
}

fn is_newer(one: &Record, other: &Record) -> bool {
    one.seen_at() > other.seen_at()
        || one.authenticated_at() > other.authenticated_at()
        || one.expires_at() > other.expires_at()
        || one.revision() > other.revision()
}

/// Makes the sessions of `to` those of `from`; what is in `to` alone is removed by the last pass, and else left.
pub(super) async fn copy(
    from: &Source,
    to: &Arc<dyn Store>,
    last: bool,
    progress: Progress<'_>,
) -> Result<SessionsCopied, Failure> {
    let mut copied = SessionsCopied::default();
    let mut steps = JoinSet::new();
    let mut both = Both::new(from, to);
    let mut told = Instant::now();
    while let Some(pair) = both.next().await? {
        match pair {
            Pair::From(record) => {
                copied.made += 1;
                steps.spawn(put(Arc::clone(to), record));
            }
            Pair::Both(from, to) if from == to => copied.same += 1,
            Pair::Both(record, _) => {
                copied.changed += 1;
                steps.spawn(replace(Arc::clone(to), record));
            }
            Pair::To(record) if last => {
                copied.removed += 1;
                steps.spawn(remove(Arc::clone(to), record.id()));
            }
            Pair::To(_) => copied.left += 1,
        }
        if steps.len() >= AT_ONCE
            && let Some(done) = steps.join_next().await
        {
            finished(done)?;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            progress(&copied);
        }
    }
    while let Some(done) = steps.join_next().await {
        finished(done)?;
    }
    Ok(copied)
}

fn finished(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), Failure> {
    match done {
        Ok(done) => Ok(done.map_err(|error| unanswered(&error))?),
        Err(error) => Err(Failure::caused(Code::Failed, &error)),
    }
}

fn unanswered(error: &StoreError) -> Failure {
    let causes = Causes(error);
    Failure::new(Code::Store, format!("{causes}. What was copied stays: it is safe to copy once more"))
}

async fn put(to: Arc<dyn Store>, record: Record) -> Result<(), StoreError> {
    match create(&to, &record).await? {
        true => Ok(()),
        // An expired one that was not purged yet has the id: the walk did not show it.
        false => replace(to, record).await,
    }
}

async fn replace(to: Arc<dyn Store>, record: Record) -> Result<(), StoreError> {
    to.destroy(&record.id()).await?;
    match create(&to, &record).await? {
        true => Ok(()),
        false => Err(StoreError::new("other", "somebody else writes there: is a server running on it?")),
    }
}

async fn remove(to: Arc<dyn Store>, id: SessionId) -> Result<(), StoreError> {
    to.destroy(&id).await.map(drop)
}

/// As it is, however many there are of that user.
async fn create(to: &Arc<dyn Store>, record: &Record) -> Result<bool, StoreError> {
    Ok(matches!(to.create(record, usize::MAX).await?, Created::Yes { .. }))
}

/// A session, and where it is.
enum Pair {
    From(Record),
    To(Record),
    Both(Record, Record),
}

/// Both places, side by side.
struct Both {
    from: Walk,
    to: Walk,
}

impl Both {
    fn new(from: &Source, to: &Arc<dyn Store>) -> Self {
        Self { from: Walk::new(from.clone()), to: Walk::new(Source::Store(Arc::clone(to))) }
    }

    async fn next(&mut self) -> Result<Option<Pair>, Failure> {
        let order = match (self.from.peek().await?, self.to.peek().await?) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(from), Some(to)) => from.cmp(&to),
        };
        let pair = match order {
            Ordering::Less => self.from.page.pop_front().map(Pair::From),
            Ordering::Greater => self.to.page.pop_front().map(Pair::To),
            Ordering::Equal => {
                let both = self.from.page.pop_front().zip(self.to.page.pop_front());
                both.map(|(from, to)| Pair::Both(from, to))
            }
        };
        Ok(pair)
    }
}

/// Live sessions in the order of ids, a page at a time.
struct Walk {
    source: Source,
    clock: SystemClock,
    page: VecDeque<Record>,
    after: Option<SessionId>,
    is_over: bool,
}

impl Walk {
    fn new(source: Source) -> Self {
        Self { source, clock: SystemClock::new(), page: VecDeque::new(), after: None, is_over: false }
    }

    /// The id of the next one.
    async fn peek(&mut self) -> Result<Option<SessionId>, Failure> {
        if self.page.is_empty() && !self.is_over {
            let found = self.source.walk(self.after.as_ref(), PAGE, self.clock.now()).await;
            self.page = found.map_err(|error| unanswered(&error))?.into();
            match self.page.back() {
                Some(last) => self.after = Some(last.id()),
                None => self.is_over = true,
            }
        }
        Ok(self.page.front().map(Record::id))
    }
}
