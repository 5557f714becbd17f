//! A store that stops at each of its steps, in the shape of each store that we have.
//!
//! What one step does is what the memory store does in one step, which the laws hold the real stores to. Which steps an
//! operation has is written down here once more, and must never be fewer than in the store itself.

use std::sync::Arc;

use exeunt::store::{Created, Purged, Saved, Store, StoreError, async_trait};
use exeunt::{Data, Record, SessionId, Timestamp, UserId, Verifier};

use crate::act;
use crate::desk::{Desk, Step};
use crate::shared::Shared;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each operation is one step, and ends with who asked.
    Memory,
    /// Each operation is one step in a queue of the process; a touch is answered before it.
    Sqlite,
    /// Each operation is one statement on its way, a save that did not hit two.
    Postgres,
    /// Two keys, and one command on its way after the other.
    Redis,
    /// As Redis, and what is asked of many sessions is asked of one server after the other.
    Cluster,
}

/// What is wrong with it, so that the check has something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// `save` makes what it does not find.
    SaveInserts,
    /// `save` does not look at revisions.
    SaveIgnoresRevisions,
    /// `save` writes into all sessions.
    SaveCrosses,
    /// `save` says that the session is gone, and writes.
    SaveDenies,
    /// `create` does not look at the limit.
    CreateForgetsTheLimit,
    /// `destroy_all` ends everybody's sessions.
    DestroyAllEndsAll,
    /// `purge` names what lives as ended.
    PurgeNamesTheLiving,
    /// `renew` makes a new session in place of one that is gone.
    RenewCreates,
    /// `renew` says that a session has its new secret, and leaves it the old one.
    RenewForgets,
    /// `touch` moves the absolute timeout.
    TouchMovesTheEnd,
    /// Redis: the name of a session is that of its login.
    IndexHasOneName,
    /// Redis: the index is written before the session alone.
    IndexBeforeAlone,
    /// Redis: the index is written after the session alone.
    IndexAfterAlone,
    /// Redis: a sweep looks for sessions before it sees their names.
    SweepTrustsTheScan,
    /// Redis: a sweep that saw one of a session's two names strikes out both.
    SweepStrikesBothNames,
    /// `list` shows everybody's sessions.
    ListLeaks,
    /// Not of the store: a login asks whether it is current before it creates.
    LoginAsksFirst,
    /// Nor this: a login over a session leaves that alive.
    LoginKeepsTheOld,
    /// Nor this: that sessions are to end is forgotten before they do.
    ForgetsFirst,
}

/// The store that all requests work on; one for each of them, so that it knows whose steps it lays down.
#[derive(Clone)]
pub(crate) struct StepStore {
    pub(crate) desk: Desk,
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    /// Whose it is.
    pub(crate) by: u8,
}

impl std::fmt::Debug for StepStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepStore").finish_non_exhaustive()
    }
}

impl StepStore {
    fn has_index(&self) -> bool {
        matches!(self.kind, Kind::Redis | Kind::Cluster)
    }
}

#[async_trait]
impl Store for StepStore {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.desk.open().shared.made(record, self.by);
        if self.has_index() {
            return Ok(self.desk.operation(self.create_indexed(record, limit)).await);
        }
        let record = record.clone();
        let limit = if self.fault == Fault::CreateForgetsTheLimit { usize::MAX } else { limit };
        let step = move |shared: &mut Shared| Shared::of(shared.store.create(&record, limit));
        Ok(self.desk.step("create", step).await)
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let id = *id;
        Ok(self.desk.step("load", move |shared| Shared::of(shared.store.load(&id, now))).await)
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.desk.open().shared.names.verifier(new, self.by);
        let (fault, id, old, new) = (self.fault, *id, *old, *new);
        let step = move |shared: &mut Shared| act::renew(shared, fault, id, &old, new, now, expires_at);
        Ok(self.desk.step("renew", step).await)
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let (fault, id, verifier, data) = (self.fault, *id, *verifier, data.clone());
        let step = move |shared: &mut Shared| act::save(shared, fault, id, &verifier, revision, &data, now);
        let saved = self.desk.step("save", step).await;
        if self.kind != Kind::Postgres || matches!(saved, Saved::At(_)) {
            return Ok(saved);
        }
        // The statement that did not hit does not say why; the next one looks, a little later.
        let step = move |shared: &mut Shared| act::is_live(shared, id, &verifier, now);
        Ok(if self.desk.step("is live", step).await { Saved::Stale } else { Saved::Gone })
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (fault, id, verifier) = (self.fault, *id, *verifier);
        let touch = move |shared: &mut Shared| act::touch(shared, fault, id, &verifier, now, expires_at);
        if self.kind != Kind::Sqlite {
            return Ok(self.desk.step("touch", touch).await);
        }
        let live = self.desk.step("is live", move |shared| act::is_live(shared, id, &verifier, now)).await;
        if live {
            self.desk.put_off(Step::new("touch", touch));
        }
        Ok(live)
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = *id;
        if self.has_index() {
            return Ok(self.desk.operation(self.destroy_indexed(id)).await);
        }
        Ok(self.desk.step("destroy", move |shared| Shared::of(shared.store.destroy(&id))).await)
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let (user, except) = (user.clone(), except.copied());
        if self.has_index() {
            return Ok(self.desk.operation(self.destroy_all_indexed(user, except)).await);
        }
        let all = self.fault == Fault::DestroyAllEndsAll;
        let step = move |shared: &mut Shared| match all {
            true => act::destroy_everything(shared),
            false => Shared::of(shared.store.destroy_all(&user, except.as_ref())),
        };
        Ok(self.desk.step("destroy all", step).await)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let user = user.clone();
        if self.fault == Fault::ListLeaks {
            return self.walk(None, usize::MAX, now).await;
        }
        if self.has_index() {
            return Ok(self.desk.operation(self.list_indexed(user, now)).await);
        }
        Ok(self.desk.step("list", move |shared| Shared::of(shared.store.list(&user, now))).await)
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        let after = after.copied();
        let step = move |shared: &mut Shared| Shared::of(shared.store.walk(after.as_ref(), limit, now));
        Ok(self.desk.step("walk", step).await)
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        if self.has_index() {
            return Ok(self.desk.operation(self.purge_indexed(now)).await);
        }
        let after = after.copied();
        let all = self.fault == Fault::PurgeNamesTheLiving;
        let step = move |shared: &mut Shared| match all {
            true => Purged { ended: act::everything(shared), next: None },
            false => Shared::of(shared.store.purge(after.as_ref(), limit, now)),
        };
        Ok(self.desk.step("purge", step).await)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
