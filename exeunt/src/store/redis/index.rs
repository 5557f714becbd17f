//! The index of a user's sessions: names alone. Whether a session lives, its own key says.
//!
//! Must never strike out a name whose login may be on its way, and never end a session because its name is missing.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Fault;
use super::link::Twice;
use super::node::answer;
use super::packed::unpack;
use super::{Inner, scripts, until_ms};
use crate::session::{Record, SessionId, Timestamp, UserId};
use crate::store::Causes;

/// How much longer than its sessions an index is kept.
const KEPT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// A name without a session that is younger may be a login on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10 * 60);

impl Inner {
    fn index(&self, user: &UserId) -> String {
        format!("{}u:{user}", self.link.config.prefix)
    }

    /// Adds the session's id to its user's index. Names all that are there if they are more than `limit`.
    pub(super) async fn enter(
        &self,
        record: &Record,
        limit: usize,
        until: Instant,
    ) -> Result<Vec<SessionId>, Fault> {
        let (id, kept_until) = (record.id().to_i64().to_string(), until_ms(record.ends_at(), KEPT_AFTER));
        let (kept_until, limit) = (kept_until.to_string(), limit.to_string());
        let values = [id.as_bytes(), kept_until.as_bytes(), limit.as_bytes()];
        let index = self.index(record.user());
        ids(self.link.run(&scripts::INDEX, &index, &values, Twice::Harmless, until).await?)
    }

    pub(super) async fn members(&self, user: &UserId, until: Instant) -> Result<Vec<SessionId>, Fault> {
        let index = self.index(user);
        ids(self.link.run(&scripts::MEMBERS, &index, &[], Twice::Harmless, until).await?)
    }

    /// Takes ids out of an index. That it fails leaves names without sessions, which whoever lists them takes out.
    pub(super) async fn leave(&self, user: &UserId, gone: &[SessionId], until: Instant) {
        if gone.is_empty() {
            return;
        }
        let (index, mut command) = (self.index(user), redis::cmd("SREM"));
        command.arg(&index).arg(gone.iter().map(|id| id.to_i64()).collect::<Vec<_>>());
        if let Err(fault) = self.link.ask(&index, &command, Twice::Harmless, until).await {
            tracing::debug!(error = %Causes(&fault), "an index keeps the names of ended sessions for now");
        }
    }

    pub(super) async fn records(
        &self,
        ids: &[SessionId],
        until: Instant,
    ) -> Result<Vec<Option<Record>>, Fault> {
        let values = self.values(ids, until).await?;
        let records =
            ids.iter().zip(values).map(|(id, value)| value.map(|value| unpack(*id, &value)).transpose());
        records.collect()
    }

    pub(super) async fn values(
        &self,
        ids: &[SessionId],
        until: Instant,
    ) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let keys: Vec<_> = ids.iter().map(|id| self.session(id)).collect();
        self.link.values(&keys, until).await
    }

    /// Ends the user's sessions among those that are surplus: whoever looks last has seen all, and all order them alike.
    pub(super) async fn make_room(
        &self,
        new: &Record,
        all: &[SessionId],
        limit: usize,
        until: Instant,
    ) -> Result<Vec<SessionId>, Fault> {
        let (now, user) = (new.created_at(), new.user());
        let found = self.records(all, until).await?;
        // Nobody may ever list them, and each login would look at more names.
        let gone: Vec<_> =
            all.iter().zip(&found).filter(|(_, record)| record.is_none()).map(|(id, _)| *id).collect();
        self.prune(user, &gone, now, until).await?;
        let found = found.into_iter().flatten();
        let mut live: Vec<_> = found
            .filter(|record| record.id() == new.id() || (record.user() == user && record.is_live(now)))
            .collect();
        // Those that are older and were seen by a clock ahead of ours are not thereby newer than a login.
        live.sort_by_key(|record| {
            let older = record.created_at() < now;
            (if older { record.seen_at().min(now) } else { record.seen_at() }, !older, record.id())
        });
        let surplus = live.len().saturating_sub(limit);
        let mut ended = Vec::new();
        for record in live.into_iter().take(surplus) {
            if self.link.end(&self.session(&record.id()), until).await?.is_some() {
                ended.push(record.id());
            }
        }
        self.leave(user, &ended, until).await;
        Ok(ended)
    }

    /// Takes names without sessions out of an index, unless they are so young that their logins may be on their way.
    pub(super) async fn prune(
        &self,
        user: &UserId,
        gone: &[SessionId],
        now: Timestamp,
        until: Instant,
    ) -> Result<(), Fault> {
        let old = |id: &&SessionId| now.since(id.time()) > ON_ITS_WAY;
        let old: Vec<_> = gone.iter().filter(old).copied().collect();
        if old.is_empty() {
            return Ok(());
        }
        self.leave(user, &old, until).await;
        // A copied session may have come with its old id just now.
        for record in self.records(&old, until).await?.into_iter().flatten() {
            self.enter(&record, usize::MAX, until).await?;
        }
        Ok(())
    }
}

fn ids(value: redis::Value) -> Result<Vec<SessionId>, Fault> {
    // Nothing at all is not the same as no sessions.
    if !matches!(value, redis::Value::Array(_)) {
        return Err(Fault::Form("the server answered something unheard of"));
    }
    let numbers: Vec<i64> = answer(value)?;
    Ok(numbers.into_iter().filter_map(SessionId::from_i64).collect())
}
