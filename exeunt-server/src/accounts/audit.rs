//! The audit table: what happened, kept in the accounts' database for a while.
//!
//! Must never hold up, slow or break what it notes, change what it noted, or note a thing twice.

mod line;
mod table;
mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exeunt::store::Causes;
use exeunt::{Event, EventKind, Events, Timestamp, UserId};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::line::{EventLine, EventQuery, Whose};
pub(super) use self::table::{Dead, EventTable};
pub(super) use self::waiting::Row;
use self::waiting::Waiting;
use super::{AccountError, Accounts};

/// How long events gather, so that a quiet server's disk syncs once for several of them.
const GATHER: Duration = Duration::from_millis(250);
/// How often tokens that were refused are looked up, and how long after a failure writing is tried again.
const SECOND: Duration = Duration::from_secs(1);
/// How long a server that stops tries to write what waits.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// How many events are purged at once, how long after each such step, and how often it is looked for more.
const PURGE_STEP: i64 = 500;
const PURGE_STEP_PAUSE: Duration = Duration::from_millis(100);
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// A clock that ran ahead of the time that passed by more than this purges nothing this time.
const JUMP: Duration = Duration::from_secs(30);

/// Writes what happens into the audit table, from when it was started until it is stopped.
#[derive(Debug)]
pub struct Audit {
    shared: Arc<Shared>,
    events: Events,
    stop: watch::Sender<bool>,
    writing: JoinHandle<()>,
    purging: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    woken: Notify,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Begins to write what is reported into the audit table. Call it once, before anything can happen.
    #[must_use = "what still waits is lost unless it is stopped"]
    pub fn audit(&self) -> Audit {
        let shared = Arc::<Shared>::default();
        let hears = Arc::clone(&shared);
        self.events.on_event(move |event| {
            if hears.waiting().take_in(event) {
                hears.woken.notify_one();
            }
        });
        let (stop, stopping) = watch::channel(false);
        let writer = Writer {
            accounts: self.clone(),
            shared: Arc::clone(&shared),
            writer: some_number(),
            dropped: self.events.dropped(),
            failing: false,
            stopping,
        };
        let events = self.events.clone();
        Audit { shared, events, stop, writing: tokio::spawn(writer.write()), purging: None }
    }

    /// The events that are asked for, as far as they are written.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<EventLine>, AccountError> {
        self.backend.events(query).await
    }

    /// Whose events are asked for by a name: of the account that has it, or else of one that had it.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn whose(&self, name: &str) -> Result<Whose, AccountError> {
        Ok(match self.find(name).await? {
            Some(account) => Whose::User(account.user().as_str().to_owned()),
            None => Whose::Named(name.to_owned()),
        })
    }

    /// Forgets events from before `before`: one bounded step. How many it were; none while another node is at it.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn purge_events(&self, before: Timestamp) -> Result<i64, AccountError> {
        self.backend.purge_events(before, PURGE_STEP).await
    }

    /// Forgets events that are older than that, for ever.
    async fn keep_events_purged(self, keep_for: Duration) {
        let mut seen = Seen { now: self.events.now(), at: Instant::now() };
        loop {
            tokio::time::sleep(PURGE_EVERY).await;
            let now = self.events.now();
            if seen.ran_ahead(now, Instant::now()) {
                tracing::warn!(
                    event = "events_not_purged",
                    "the clock jumped forward: old events stay for now"
                );
                continue;
            }
            let before = Timestamp::from_micros(now.as_micros().saturating_sub(micros(keep_for)));
            loop {
                match self.purge_events(before).await {
                    Ok(PURGE_STEP) => tokio::time::sleep(PURGE_STEP_PAUSE).await,
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(event = "events_not_purged", error = %Causes(&error), "old events stay for now");
                        break;
                    }
                }
            }
        }
    }
}

/// What time it was, and when.
struct Seen {
    now: Timestamp,
    at: Instant,
}

impl Seen {
    /// Whether the clock says that more time passed than did: what a wrong clock purges cannot be had back. The next time
    /// it is no jump any more.
    fn ran_ahead(&mut self, now: Timestamp, at: Instant) -> bool {
        let jumped = now.since(self.now.plus(at.duration_since(self.at))) > JUMP;
        *self = Self { now, at };
        jumped
    }
}

impl Audit {
    /// Also forgets events that are older than that, while this lasts.
    #[must_use = "what still waits is lost unless it is stopped"]
    pub fn keep_for(mut self, accounts: &Accounts, keep_for: Duration) -> Self {
        self.purging = Some(tokio::spawn(accounts.clone().keep_events_purged(keep_for)));
        self
    }

    /// How many events are not in the table, nor will be: too many waited, or the database was away for too long.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.waiting().lost()
    }

    /// Writes what was reported so far, and ends. Waits for a database that does not answer for 5 seconds.
    pub async fn stop(mut self) {
        let drained = async {
            self.events.told().await;
            self.stop.send_replace(true);
            let _ = (&mut self.writing).await;
        };
        let _ = tokio::time::timeout(DRAIN_WITHIN, drained).await;
        let events = self.shared.waiting().len();
        if events > 0 || !self.writing.is_finished() {
            tracing::error!(
                event = "audit_not_drained",
                events,
                "these events are in the log, but not in the audit table"
            );
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.writing.abort();
        self.purging.iter().for_each(JoinHandle::abort);
    }
}

struct Writer {
    accounts: Accounts,
    shared: Arc<Shared>,
    /// Tells what this run wrote from what others did.
    writer: i64,
    /// How many events hooks had not heard of when this was last asked.
    dropped: u64,
    failing: bool,
    stopping: watch::Receiver<bool>,
}

impl Writer {
    async fn write(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            self.unless_stopping(async { _ = tokio::time::timeout(SECOND, shared.woken.notified()).await })
                .await;
            if !self.shared.waiting().is_busy() {
                self.unless_stopping(tokio::time::sleep(GATHER)).await;
            }
            // Asked before the last look, so that nothing is left behind.
            let last = *self.stopping.borrow();
            self.write_waiting(last).await;
            self.look_up_tokens(last).await;
            if last {
                return;
            }
        }
    }

    async fn unless_stopping(&mut self, wait: impl Future<Output = ()>) {
        tokio::select! {
            () = wait => {}
            // An error says that nobody can stop it any more, which is as good as a stop.
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    async fn write_waiting(&mut self, last: bool) {
        let dropped = self.accounts.events.dropped();
        self.shared.waiting().never_came(dropped - std::mem::replace(&mut self.dropped, dropped));
        loop {
            let rows = self.shared.waiting().batch(self.accounts.events.now(), last);
            if rows.is_empty() {
                return;
            }
            self.append(&rows).await;
        }
    }

    /// Until it is done. That it may have been done before its answer was lost does no harm: each row has its number.
    async fn append(&mut self, rows: &[Row]) {
        loop {
            let now = self.accounts.events.now();
            match self.accounts.backend.append(self.writer, rows, now).await {
                Ok(()) => {
                    self.shared.waiting().written();
                    break;
                }
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(SECOND).await;
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!(event = "audit_written", "events are written into the audit table again");
        }
    }

    /// Said once, not each second for as long as it lasts.
    fn failed(&mut self, error: &AccountError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(
                event = "audit_not_written",
                error = %Causes(error),
                "events wait for the audit table, 10,000 at most; tried again each second"
            );
        }
    }

    /// Tokens of sessions that have ended are told once a session; of the others there is nothing to tell.
    async fn look_up_tokens(&mut self, last: bool) {
        loop {
            let tokens = self.shared.waiting().tokens(self.accounts.events.now(), last);
            if tokens.is_empty() {
                return;
            }
            let rows: Vec<Row> =
                tokens.iter().enumerate().map(|(at, token)| Waiting::row(token, at)).collect();
            match self.accounts.backend.append_dead(&rows).await {
                Ok(dead) => dead.iter().for_each(|dead| self.tell(&tokens, dead)),
                // The next use of such a token is looked up again.
                Err(error) => return self.failed(&error),
            }
        }
    }

    fn tell(&self, tokens: &[Event], dead: &Dead) {
        let is_it = |token: &&Event| token.session == Some(dead.session);
        let Some(token) = tokens.iter().find(is_it) else { return };
        let mut event = token.clone();
        event.kind = EventKind::DeadToken;
        event.user = dead.user.as_deref().and_then(|user| UserId::new(user).ok());
        event.name.clone_from(&dead.name);
        self.accounts.events.report(event);
    }
}

#[expect(clippy::disallowed_methods, reason = "tells one run from another; no secret")]
fn some_number() -> i64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    i64::from_ne_bytes(bytes)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_forward_purges_nothing_this_once() {
        let (now, at) = (Timestamp::from_secs(1_767_225_600), Instant::now());
        let mut seen = Seen { now, at };
        let later = at + PURGE_EVERY;
        assert!(!seen.ran_ahead(now.plus(PURGE_EVERY), later));
        let (now, at) = (now.plus(PURGE_EVERY), later);
        let wrong = now.plus(PURGE_EVERY + JUMP + SECOND);
        assert!(seen.ran_ahead(wrong, at + PURGE_EVERY));
        assert!(!seen.ran_ahead(wrong.plus(PURGE_EVERY), at + PURGE_EVERY * 2));
    }
}
