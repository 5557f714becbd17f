//! Where sessions live: the [`Store`] trait and what it answers.
//!
//! A store must never make a session other than by `create`, and must never say "gone" when it does not know.

#[cfg(feature = "laws")]
pub mod laws;
mod memory;
mod near;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use async_trait::async_trait;

pub use self::memory::MemoryStore;
pub use self::near::{DEFAULT_NEAR_BYTES, Near};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier};

/// Where sessions live.
///
/// What is expected is in the `Ok`; an `Err` means only that the store did not answer, and the caller then knows
/// nothing. Each operation is one atomic step on the session. A session is *live* if it was created, was not
/// destroyed, and `now` is before its `expires_at`. An operation keeps its own deadline (a few seconds at most): no
/// caller puts a time limit around it, since a step that is cut off may still happen.
///
/// Only [`create`](Store::create) makes a session. Every other operation reads, extends, changes or ends one; there is
/// no upsert, so nothing that comes late brings a destroyed session back.
///
/// Implementations are checked by the conformance suite in `exeunt::store::laws` (feature `laws`).
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A live record at hand in this process, or `None` if the store has to be asked. Never waits.
    ///
    /// It must be as true as [`load`](Store::load) is: no destroyed session once its destroy was acknowledged.
    fn peek(&self, _id: &SessionId, _now: Timestamp) -> Option<Arc<Record>> {
        None
    }

    /// Inserts a session. Never overwrites: a taken id, even one of an expired session, is [`Created::Taken`].
    ///
    /// `limit` is the most live sessions that the user then has, at least one: where the new one is one too many,
    /// those unseen the longest end in the same step.
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError>;

    /// The live session of that id. Unknown, expired and destroyed are all `None`.
    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError>;

    /// Swaps the secret of a live session that is still under `old`. Never swaps another's, never revives.
    ///
    /// `old` becomes the previous verifier, `authenticated_at` and `seen_at` become `now`, and `expires_at` moves
    /// forward, not past `ends_at`. `false`: it was ended or renewed meanwhile, and nothing changed.
    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Writes the data of a live session under that verifier and revision. Never brings one back.
    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;

    /// Notes that a live session under that verifier was seen. Never moves a time back or past `ends_at`.
    ///
    /// `false`: there is no such session. Alone of all operations it may be acknowledged before it is durable, and
    /// before `load` and `list` show it, which they do after the next [`ping`](Store::ping) at the latest: a lost touch
    /// ends a session early, and nothing worse.
    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a session for good. `false`: there was none; destroying twice is no error.
    ///
    /// Once this has answered `Ok`, no later operation, on any node, after any crash, finds the session.
    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// Ends every session of a user, but for `except`, and names exactly those that this call ended.
    ///
    /// It leaves alive no session whose create was acknowledged before the call. Expired ones that were not yet
    /// purged are ended, and named, too.
    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// A user's live sessions, last seen first.
    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError>;

    /// Live sessions of everybody with ids after `after`, in the order of ids, at most `limit`.
    ///
    /// For administration and copying. Sessions that live through the whole walk are all met, once each.
    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError>;

    /// Drops expired sessions among the next `limit` after `after`. For space only: `load` already hides them.
    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError>;

    /// How long to rest between two rounds of [`purge`](Store::purge): a minute, but for a store that frees space by
    /// itself and only wants it said who expired.
    fn purge_pause(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Asks for a sign of life: the store could load and destroy a session now. Touches acknowledged before it are seen
    /// after it.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Opens the embedded default: sessions in one SQLite file, with a near cache of 64 MiB in front.
///
/// Blocks for about a millisecond; after a crash, for as long as reading the log takes.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// let sessions = exeunt::Sessions::new(exeunt::open(path)?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`sqlite::OpenError`] says what is wrong with the file and what to do.
// Mutants: it is not there where this is tried, without the feature; with it, what replaces it does not build.
#[cfg(feature = "sqlite")]
pub fn open(path: impl AsRef<std::path::Path>) -> Result<Near<sqlite::SqliteStore>, sqlite::OpenError> {
    Ok(Near::new(sqlite::SqliteStore::open(path)?, DEFAULT_NEAR_BYTES))
}

/// What [`Store::create`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// The session lives.
    Yes {
        /// The sessions that ended because the user had too many.
        ended: Vec<SessionId>,
    },
    /// There is a session of that id; it is as it was.
    Taken,
}

/// What [`Store::save`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// Written; this is the revision now.
    At(u32),
    /// Somebody else wrote first; nothing was written. Load it again and decide anew.
    Stale,
    /// There is no such session (any more); nothing was written.
    Gone,
}

/// What [`Store::purge`] answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Purged {
    /// The expired sessions that were dropped.
    pub ended: Vec<SessionId>,
    /// Where to go on; `None` at the end.
    pub next: Option<SessionId>,
}

/// What an operator should know of an engine that is not ours: which it is, how it is set up, what is wrong with that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What there is to know, such as `("server", "redis 7.0.15")`, in the order to show it in.
    pub facts: Vec<(&'static str, String)>,
    /// What weakens the promises, each with what to do about it. Empty: nothing was found.
    pub problems: Vec<String>,
}

/// The store did not answer. Nothing is known: a step that was asked for may or may not have happened.
#[derive(Debug, thiserror::Error)]
#[error("the {store} store did not answer")]
pub struct StoreError {
    store: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// That this store did not answer, and why.
    pub fn new(store: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { store, source: source.into() }
    }

    /// Which store.
    #[must_use]
    pub fn store(&self) -> &'static str {
        self.store
    }
}

/// An error with all its causes, in one line, for a log.
///
/// Most formats of a log write of an error what it says itself, and pass over its causes: the part that helps.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some errors print their cause themselves.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            source = cause.source();
        }
        Ok(())
    }
}

/// Hears of every session that is about to change, in time to forget it.
///
/// A store that can announce calls `changing` with the ids **before** the change can be seen by anybody (on SQLite:
/// before COMMIT), and `changed` with the same ids after it took effect or was given up, **before** it acknowledges.
/// Touches are not announced: they only move times forward, and whoever keeps a copy asks again when it has expired.
pub trait Watcher: Send + Sync + 'static {
    /// These sessions are about to change: forget them, and learn nothing about them until `changed`.
    fn changing(&self, ids: &[SessionId]);
    /// The change of these sessions took effect, or will not happen. For one that was under way when the watcher came,
    /// this alone is heard.
    fn changed(&self, ids: &[SessionId]);
}

/// A store that announces its changes, so that a near cache can stand in front of it.
pub trait Announce: Store {
    /// From now on tells `watcher` of every change. `false`: it cannot, because it tells another already.
    #[must_use]
    fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(text: &'static str, source: Option<Told>) -> Told {
        Told { text, source: source.map(Box::new) }
    }

    #[test]
    fn a_store_that_did_not_answer_is_named() {
        let error = StoreError::new("memory", "no answer");
        assert_eq!(
            (error.store(), error.to_string()),
            ("memory", "the memory store did not answer".to_owned())
        );
    }

    #[test]
    fn a_store_that_says_nothing_else_is_purged_once_a_minute() {
        // R60
        assert_eq!(MemoryStore::new().purge_pause(), Duration::from_secs(60));
    }

    #[test]
    fn an_error_is_told_with_all_its_causes_each_once() {
        let disk = || told("the disk is full", None);
        for (error, text) in [
            (disk(), "the disk is full"),
            (told("no answer", Some(disk())), "no answer: the disk is full"),
            (told("no answer: the disk is full", Some(disk())), "no answer: the disk is full"),
            (told("failed", Some(told("no answer", Some(disk())))), "failed: no answer: the disk is full"),
        ] {
            assert_eq!(Causes(&error).to_string(), text);
        }
    }
}
