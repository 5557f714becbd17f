//! The index of a user's sessions: names alone. Whether a session lives, its own key says.
//!
//! A login on its way has another name than the session that came of it: `!id`, a negative number, and then `id`. So who
//! strikes out a name that was seen without a session strikes out no session that came since, however late that is done
//! and by whichever clock.
//!
//! Must never strike out any name but those that were seen without a session, and never end a session because its name
//! is missing.

use std::collections::BTreeSet;
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

    /// Adds the name of a login that is about to make its session.
    pub(super) async fn announce(&self, record: &Record, until: Instant) -> Result<(), Fault> {
        let id = record.id().to_i64();
        self.add(record, !id, None, usize::MAX, until).await.map(drop)
    }

    /// Adds the name of a session that was made, in place of that of its login. All names that are there if they are
    /// more than `limit`.
    pub(super) async fn enter(&self, record: &Record, limit: usize, until: Instant) -> Result<Names, Fault> {
        let id = record.id().to_i64();
        self.add(record, id, Some(!id), limit, until).await
    }

    async fn add(
        &self,
        record: &Record,
        name: i64,
        in_place_of: Option<i64>,
        limit: usize,
        until: Instant,
    ) -> Result<Names, Fault> {
        let kept_until = until_ms(record.ends_at(), KEPT_AFTER).to_string();
        let other = in_place_of.map(|name| name.to_string()).unwrap_or_default();
        let (name, limit) = (name.to_string(), limit.to_string());
        let values = [name.as_bytes(), other.as_bytes(), kept_until.as_bytes(), limit.as_bytes()];
        let index = self.index(record.user());
        names(self.link.run(&scripts::INDEX, &index, &values, Twice::Harmless, until).await?)
    }

    pub(super) async fn members(&self, user: &UserId, until: Instant) -> Result<Names, Fault> {
        let index = self.index(user);
        names(self.link.run(&scripts::MEMBERS, &index, &[], Twice::Harmless, until).await?)
    }

    /// Takes the names of sessions that ended out of an index.
    pub(super) async fn leave(&self, user: &UserId, ended: &[SessionId], until: Instant) {
        let names = ended.iter().map(|id| id.to_i64()).flat_map(|id| [id, !id]).collect();
        self.strike(user, names, until).await;
    }

    /// That it fails leaves names without sessions, which whoever lists them takes out.
    async fn strike(&self, user: &UserId, names: Vec<i64>, until: Instant) {
        if names.is_empty() {
            return;
        }
        let (index, mut command) = (self.index(user), redis::cmd("SREM"));
        command.arg(&index).arg(names);
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
        all: &Names,
        limit: usize,
        until: Instant,
    ) -> Result<Vec<SessionId>, Fault> {
        let (now, user) = (new.created_at(), new.user());
        let found = self.named(all, until).await?;
        // Nobody may ever list them, and each login would look at more names.
        self.prune(user, all, &found, now, until).await;
        let mut live: Vec<_> = found
            .into_iter()
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

    /// The sessions that names stand for, as far as they are there.
    pub(super) async fn named(&self, names: &Names, until: Instant) -> Result<Vec<Record>, Fault> {
        Ok(self.records(&names.ids(), until).await?.into_iter().flatten().collect())
    }

    /// Takes names that were seen without sessions out of an index, unless they are so young that their logins may be
    /// on their way.
    pub(super) async fn prune(
        &self,
        user: &UserId,
        seen: &Names,
        found: &[Record],
        now: Timestamp,
        until: Instant,
    ) {
        let found: BTreeSet<_> = found.iter().map(Record::id).collect();
        let old = |id: SessionId| !found.contains(&id) && now.since(id.time()) > ON_ITS_WAY;
        let old = seen.0.iter().copied().filter(|name| id(*name).is_some_and(old)).collect();
        self.strike(user, old, until).await;
    }
}

/// What stands in an index.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<i64>);

impl Names {
    /// Whose names they are, each once.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        let ids: BTreeSet<_> = self.0.iter().copied().filter_map(id).collect();
        ids.into_iter().collect()
    }
}

fn id(name: i64) -> Option<SessionId> {
    SessionId::from_i64(if name < 0 { !name } else { name })
}

fn names(value: redis::Value) -> Result<Names, Fault> {
    // Nothing at all is not the same as no sessions.
    if !matches!(value, redis::Value::Array(_)) {
        return Err(Fault::Form("the server answered something unheard of"));
    }
    answer(value).map(Names)
}
