//! The steps of the Redis store: the session's own key, and the index of its user's sessions under another.
//!
//! Must have the order of `store/redis.rs` and `store/redis/{index,purge}.rs`: whoever changes it there changes it here.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use exeunt::store::{Created, Purged, Store as _};
use exeunt::{Record, SessionId, Timestamp, UserId};

use crate::shared::{EVER, IndexName, Shared};
use crate::store::{Fault, Kind, StepStore};

/// A name without a session that is younger may be a login on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10 * 60);

impl StepStore {
    pub(crate) async fn create_indexed(&self, record: &Record, limit: usize) -> Created {
        let limit = limit.max(1);
        if self.fault != Fault::IndexAfterAlone {
            self.enter(record, self.fault == Fault::IndexHasOneName, usize::MAX).await;
        }
        let new = record.clone();
        let set = move |shared: &mut Shared| Shared::of(shared.store.create(&new, usize::MAX));
        if self.desk.step("SET NX", set).await == Created::Taken {
            return Created::Taken;
        }
        if self.fault == Fault::IndexBeforeAlone {
            return Created::Yes { ended: Vec::new() };
        }
        let all = self.enter(record, true, limit).await;
        Created::Yes { ended: self.make_room(record, &all, limit).await }
    }

    pub(crate) async fn destroy_indexed(&self, id: SessionId) -> bool {
        let Some(user) = self.end(id).await else { return false };
        self.leave(user, vec![id]).await;
        true
    }

    pub(crate) async fn destroy_all_indexed(
        &self,
        user: UserId,
        except: Option<SessionId>,
    ) -> Vec<SessionId> {
        let all = self.members(&user).await;
        let mut ended = Vec::new();
        for record in self.records(&ids(&all)).await {
            let spared = record.user() != &user || Some(record.id()) == except;
            if !spared && self.end(record.id()).await.is_some() {
                ended.push(record.id());
            }
        }
        self.leave(user, ended.clone()).await;
        ended
    }

    pub(crate) async fn list_indexed(&self, user: UserId, now: Timestamp) -> Vec<Record> {
        let all = self.members(&user).await;
        let mut found = self.records(&ids(&all)).await;
        self.prune(&user, &all, &found, now).await;
        found.retain(|record| record.user() == &user && record.is_live(now));
        found.sort_by_key(|record| Reverse((record.seen_at(), record.id())));
        found
    }

    pub(crate) async fn purge_indexed(&self, now: Timestamp) -> Purged {
        let scan = |shared: &mut Shared| {
            let all = Shared::of(shared.store.walk(None, usize::MAX, EVER));
            all.iter().map(Record::id).collect::<Vec<_>>()
        };
        let all = self.desk.step("SCAN", scan).await;
        self.sweep(&all, now).await;
        let mut ended = Vec::new();
        for record in self.records(&all).await.into_iter().filter(|record| !record.is_live(now)) {
            let id = record.id();
            let purge = move |shared: &mut Shared| {
                let expired = shared.stored(&id).is_some_and(|record| !record.is_live(now));
                expired && Shared::of(shared.store.destroy(&id))
            };
            if self.desk.step("purge", purge).await {
                self.leave(record.user().clone(), vec![id]).await;
                ended.push(id);
            }
        }
        Purged { ended, next: None }
    }

    /// Takes old names whose sessions are gone out of the index; all users lie in one bucket.
    async fn sweep(&self, met: &[SessionId], now: Timestamp) {
        let read = |shared: &mut Shared| -> Vec<_> {
            let users = shared.index.iter();
            users.flat_map(|(user, names)| names.iter().map(|name| (user.clone(), *name))).collect()
        };
        let mut suspects = self.desk.step("HSCAN", read).await;
        suspects.retain(|(_, (id, _))| !met.contains(id) && self.is_old(*id, now));
        let ids: Vec<_> = suspects.iter().map(|(_, (id, _))| *id).collect();
        if self.fault != Fault::SweepTrustsTheScan && !ids.is_empty() {
            let found = self.records(&ids).await;
            suspects.retain(|(_, (id, _))| found.iter().all(|record| record.id() != *id));
        }
        if suspects.is_empty() {
            return;
        }
        let both = self.fault == Fault::SweepStrikesBothNames;
        let remove = move |shared: &mut Shared| {
            for (user, name) in suspects {
                let names = shared.index.entry(user).or_default();
                names.retain(|other| *other != name && !(both && other.0 == name.0));
            }
        };
        self.desk.step("strike", remove).await;
    }

    fn is_old(&self, id: SessionId, now: Timestamp) -> bool {
        now.since(self.desk.open().shared.names.made_at(id)) > ON_ITS_WAY
    }

    /// Adds a name, and takes out the other one once the session was made; all members if there are more than `limit`.
    async fn enter(&self, record: &Record, made: bool, limit: usize) -> Vec<IndexName> {
        let (id, user) = (record.id(), record.user().clone());
        let add = move |shared: &mut Shared| {
            let names = shared.index.entry(user).or_default();
            names.insert((id, made));
            if made {
                names.remove(&(id, false));
            }
            if names.len() > limit { names.iter().copied().collect() } else { Vec::new() }
        };
        self.desk.step("enter", add).await
    }

    async fn members(&self, user: &UserId) -> Vec<IndexName> {
        let user = user.clone();
        let members = move |shared: &mut Shared| -> Vec<_> {
            shared.index.get(&user).into_iter().flatten().copied().collect()
        };
        self.desk.step("names", members).await
    }

    /// Takes out both names of sessions that ended.
    async fn leave(&self, user: UserId, ended: Vec<SessionId>) {
        self.strike(user, ended.into_iter().flat_map(|id| [(id, false), (id, true)]).collect()).await;
    }

    async fn strike(&self, user: UserId, gone: BTreeSet<IndexName>) {
        if gone.is_empty() {
            return;
        }
        let remove = move |shared: &mut Shared| {
            let names = shared.index.entry(user).or_default();
            names.retain(|name| !gone.contains(name));
        };
        self.desk.step("strike", remove).await;
    }

    /// Those of these that are there, expired or not.
    async fn records(&self, ids: &[SessionId]) -> Vec<Record> {
        let at_once = if self.kind == Kind::Cluster { 1 } else { ids.len().max(1) };
        let mut found = Vec::new();
        for ids in ids.chunks(at_once) {
            let ids = ids.to_vec();
            let get = move |shared: &mut Shared| -> Vec<_> {
                ids.iter().filter_map(|id| shared.stored(id)).map(|record| Record::clone(&record)).collect()
            };
            found.extend(self.desk.step("GET", get).await);
        }
        found
    }

    /// `GETDEL`: whose it was.
    async fn end(&self, id: SessionId) -> Option<UserId> {
        let end = move |shared: &mut Shared| {
            let record = shared.stored(&id);
            Shared::of(shared.store.destroy(&id));
            record
        };
        self.desk.step("GETDEL", end).await.map(|record| record.user().clone())
    }

    async fn make_room(&self, new: &Record, all: &[IndexName], limit: usize) -> Vec<SessionId> {
        let (now, user) = (new.created_at(), new.user());
        let found = self.records(&ids(all)).await;
        self.prune(user, all, &found, now).await;
        let mut live: Vec<_> = found
            .into_iter()
            .filter(|record| record.id() == new.id() || (record.user() == user && record.is_live(now)))
            .collect();
        live.sort_by_key(|record| {
            let older = record.created_at() < now;
            (if older { record.seen_at().min(now) } else { record.seen_at() }, !older, record.id())
        });
        let surplus = live.len().saturating_sub(limit);
        let mut ended = Vec::new();
        for record in live.into_iter().take(surplus) {
            if self.end(record.id()).await.is_some() {
                ended.push(record.id());
            }
        }
        self.leave(user.clone(), ended.clone()).await;
        ended
    }

    async fn prune(&self, user: &UserId, seen: &[IndexName], found: &[Record], now: Timestamp) {
        let gone = seen.iter().filter(|(id, _)| found.iter().all(|record| record.id() != *id));
        let old = gone.filter(|(id, _)| self.is_old(*id, now)).copied().collect();
        self.strike(user.clone(), old).await;
    }
}

fn ids(names: &[IndexName]) -> Vec<SessionId> {
    names.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>().into_iter().collect()
}
