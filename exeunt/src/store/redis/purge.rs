//! Drops what has expired, and the names in the index that stand for nothing any more.
//!
//! Must never drop a session that was touched meanwhile, nor a name whose session was not looked for after the name was
//! seen. That a sweep fails must never hold up a purge: it frees space alone.

use std::collections::{BTreeMap, VecDeque};

use redis::{Cmd, Value};

use super::error::Fault;
use super::index::Names;
use super::link::Twice;
use super::node::{answer, yes};
use super::packed::instant_bytes;
use super::walk::{All, scan};
use super::{Inner, PAGE, scripts};
use crate::session::{SessionId, Timestamp};
use crate::store::{Causes, Purged};

/// How long one node may purge without a sign of life.
const LEASE_MS: &str = "15000";
/// Buckets read at once.
const BUCKETS_AT_ONCE: usize = 64;
/// Users read at once of a bucket that has very many.
const USERS_AT_ONCE: usize = 100;

/// Users, or the number of a further field of theirs after a NUL, with packed names.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Inner {
    pub(super) async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, Fault> {
        if !self.is_ours_to_purge().await? {
            return Ok(Purged::default());
        }
        let mut rest = match after {
            Some(_) => self.walks.begin(&self.link, after).await?,
            None => self.begin_round(now).await?,
        };
        let page: Vec<_> = rest.drain(..rest.len().min(limit)).collect();
        let mut ended = Vec::new();
        for ids in page.chunks(PAGE) {
            let records = self.records(ids, self.link.until()).await?;
            for record in records.into_iter().flatten().filter(|record| !record.is_live(now)) {
                let (id, key, until) = (record.id(), self.session(&record.id()), self.link.until());
                // It may have been touched since it was found: only what is expired in that step is dropped.
                let now = [&instant_bytes(now)[..]];
                if self.link.run(&scripts::PURGE, &key, &now, Twice::Never, until).await? != Value::Nil {
                    self.leave(record.user(), &[id], until).await;
                    ended.push(id);
                }
            }
        }
        let next = if page.len() < limit { None } else { page.last().copied() };
        if let Some(next) = next {
            self.walks.keep(next, rest);
        }
        Ok(Purged { ended, next })
    }

    async fn is_ours_to_purge(&self) -> Result<bool, Fault> {
        let lease = format!("{}purge", self.link.config.prefix);
        let values = [self.owner.as_bytes(), LEASE_MS.as_bytes()];
        yes(&self.link.run(&scripts::LEASE, &lease, &values, Twice::Harmless, self.link.until()).await?)
    }

    /// Each round begins with a look at all keys, which tells the sessions to go through, and with a sweep of the index.
    async fn begin_round(&self, now: Timestamp) -> Result<VecDeque<SessionId>, Fault> {
        let all = scan(&self.link).await?;
        if let Err(fault) = self.sweep(&all, now).await {
            tracing::warn!(error = %Causes(&fault), "the index was not swept: it keeps the names of ended sessions for now");
        }
        Ok(all.sessions)
    }

    /// Takes out what `destroy` and `purge` did not come to: logins that were broken off, sessions that Redis freed.
    async fn sweep(&self, all: &All, now: Timestamp) -> Result<(), Fault> {
        for buckets in all.buckets.chunks(BUCKETS_AT_ONCE) {
            let keys: Vec<_> = buckets.iter().map(|number| self.bucket(*number)).collect();
            let pages = self.link.ask_each(&keys, |key| users(key, "0"), self.link.until()).await?;
            for (key, mut page) in keys.iter().zip(pages) {
                loop {
                    let (next, fields): (String, Fields) = answer(page)?;
                    self.sweep_users(key, &fields, &all.sessions, now).await?;
                    if next == "0" {
                        break;
                    }
                    page = self.link.ask(key, &users(key, &next), Twice::Harmless, self.link.until()).await?;
                }
            }
            // An index of millions takes a while.
            if !self.is_ours_to_purge().await? {
                break;
            }
        }
        Ok(())
    }

    /// `met`: sessions that were there when the round began, so that only the others need to be looked for.
    async fn sweep_users(
        &self,
        bucket: &str,
        fields: &Fields,
        met: &VecDeque<SessionId>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut suspects = Vec::new();
        for (field, names) in fields {
            let user = field.split(|byte| *byte == 0).next().unwrap_or_default();
            // A damaged field is for whoever asks for that user to complain of.
            let names = Names::unpacked(names).unwrap_or_default();
            let unmet = names.old(now).filter(|(id, _)| met.binary_search(id).is_err());
            suspects.extend(unmet.map(|(id, name)| (user, id, name)));
        }
        if suspects.is_empty() {
            return Ok(());
        }
        let (ids, until): (Vec<_>, _) = (suspects.iter().map(|(_, id, _)| *id).collect(), self.link.until());
        let mut gone = BTreeMap::<&[u8], Vec<i64>>::new();
        for ((user, _, name), value) in suspects.iter().zip(self.values(&ids, until).await?) {
            if value.is_none() {
                gone.entry(user).or_default().push(*name);
            }
        }
        let gone: Vec<_> = gone.iter().map(|(user, names)| (*user, names.as_slice())).collect();
        if !gone.is_empty() {
            self.strike_out(bucket, &gone, until).await;
        }
        Ok(())
    }
}

fn users(bucket: &str, cursor: &str) -> Cmd {
    let mut command = redis::cmd("HSCAN");
    command.arg(bucket).arg(cursor).arg("COUNT").arg(USERS_AT_ONCE);
    command
}
