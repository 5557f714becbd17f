//! The memory store with announcements, so that a near cache can stand in front of it.

use std::sync::{Arc, Mutex};

use exeunt::store::{Announce, Created, Purged, Saved, Store, StoreError, Watcher, async_trait};
use exeunt::{Data, MemoryStore, Record, SessionId, Timestamp, UserId, Verifier};

/// Announces by the contract: one writer at a time says what it is about to change, changes it, says that it did.
#[derive(Default)]
pub(crate) struct Announcing {
    store: MemoryStore,
    writer: tokio::sync::Mutex<()>,
    watchers: Mutex<Vec<Arc<dyn Watcher>>>,
    /// Breaks the contract: tells nobody.
    pub(crate) silent: bool,
}

/// At this instant nothing has expired yet, so that a list has everything.
const EVER: Timestamp = Timestamp::from_micros(0);

impl Announcing {
    async fn of_user(&self, user: &UserId) -> Vec<SessionId> {
        self.store.list(user, EVER).await.expect("memory answers").iter().map(Record::id).collect()
    }

    fn begin(&self, ids: Vec<SessionId>) -> Change<'_> {
        self.watchers.lock().expect("no watcher panics").iter().for_each(|watcher| watcher.changing(&ids));
        Change { store: self, ids }
    }
}

struct Change<'a> {
    store: &'a Announcing,
    ids: Vec<SessionId>,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.store
            .watchers
            .lock()
            .expect("no watcher panics")
            .iter()
            .for_each(|watcher| watcher.changed(&self.ids));
    }
}

impl std::fmt::Debug for Announcing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcing").finish_non_exhaustive()
    }
}

impl Announce for Announcing {
    fn announce_to(&self, watcher: Arc<dyn Watcher>) -> bool {
        if !self.silent {
            self.watchers.lock().expect("no watcher panics").push(watcher);
        }
        true
    }
}

#[async_trait]
impl Store for Announcing {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let _writer = self.writer.lock().await;
        let mut ids = self.of_user(record.user()).await;
        ids.push(record.id());
        let _change = self.begin(ids);
        self.store.create(record, limit).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        // A record of its own for each reader, as a store gives that reads from a file.
        let found = self.store.load(id, now).await?.map(|record| Arc::new(Record::clone(&record)));
        // Another task gets its turn between the read and what is done with it, as with a store that waits.
        tokio::task::yield_now().await;
        Ok(found)
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let _writer = self.writer.lock().await;
        let _change = self.begin(vec![*id]);
        self.store.renew(id, old, new, now, expires_at).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let _writer = self.writer.lock().await;
        let _change = self.begin(vec![*id]);
        self.store.save(id, verifier, revision, data, now).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let _writer = self.writer.lock().await;
        self.store.touch(id, verifier, now, expires_at).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let _writer = self.writer.lock().await;
        let _change = self.begin(vec![*id]);
        self.store.destroy(id).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let _writer = self.writer.lock().await;
        let _change = self.begin(self.of_user(user).await);
        self.store.destroy_all(user, except).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.store.list(user, now).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.walk(after, limit, now).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        let _writer = self.writer.lock().await;
        let all = self.store.walk(after, limit, EVER).await?;
        let _change = self.begin(all.iter().map(Record::id).collect());
        self.store.purge(after, limit, now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}
