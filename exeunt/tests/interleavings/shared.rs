//! What requests share: the sessions, on Redis an index beside them, and the accounts.
//!
//! Two states that differ in random bits alone must never count as two: ids and verifiers are told by who made them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use exeunt::store::{Created, Purged, Saved, Store as _};
use exeunt::{MemoryStore, Record, SessionId, Timestamp, UserId, Verifier};

/// At this instant nothing has expired yet, so that everything is found.
pub(crate) const EVER: Timestamp = Timestamp::from_micros(0);

/// What of it outlives a request.
#[derive(Default)]
pub(crate) struct Shared {
    /// On Redis: the sessions' own keys.
    pub(crate) store: MemoryStore,
    /// On Redis: the names in the index of each user.
    pub(crate) index: BTreeMap<UserId, BTreeSet<IndexName>>,
    pub(crate) account: Account,
    pub(crate) names: Names,
    /// Each session as it was created: what a broken store makes it of anew.
    pub(crate) known: BTreeMap<SessionId, Record>,
}

/// Whose name it is, and whether its session was made.
pub(crate) type IndexName = (SessionId, bool);

/// The one account that changes.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Account {
    pub(crate) stamp: u64,
    pub(crate) disabled: bool,
    /// The stamps of changes whose sessions are still to be ended.
    pub(crate) notes: BTreeSet<u64>,
}

impl Shared {
    /// A step of the memory store, which never waits.
    pub(crate) fn of<T>(future: impl Future<Output = Result<T, exeunt::StoreError>>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer.expect("memory answers"),
            Poll::Pending => unreachable!("memory never waits"),
        }
    }

    /// What is stored under the id, expired or not.
    pub(crate) fn stored(&self, id: &SessionId) -> Option<Arc<Record>> {
        Self::of(self.store.load(id, EVER))
    }

    /// A session that somebody is about to create.
    pub(crate) fn made(&mut self, record: &Record, by: u8) {
        self.names.id(record.id(), by, record.created_at());
        self.names.verifier(record.verifier(), by);
        self.known.insert(record.id(), record.clone());
    }

    /// Everything, without what chance made of it.
    pub(crate) fn see(&self, to: &mut DefaultHasher) {
        // In the order of ids, which lists and limits go by.
        for (id, (name, _)) in &self.names.ids {
            name.hash(to);
            self.stored(id).see(&self.names, to);
        }
        for (user, names) in self.index.iter().filter(|(_, names)| !names.is_empty()) {
            user.hash(to);
            names.iter().for_each(|name| name.see(&self.names, to));
            u64::MAX.hash(to);
        }
        self.account.hash(to);
    }
}

/// Who made an id or a secret, and the how manieth it was.
pub(crate) type Name = (u8, u8);

/// The names of all ids and verifiers that there are, and when an id was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    ids: BTreeMap<SessionId, (Name, Timestamp)>,
    verifiers: HashMap<[u8; 32], Name>,
}

impl Names {
    pub(crate) fn id(&mut self, id: SessionId, by: u8, at: Timestamp) {
        let made = self.ids.values().filter(|((maker, _), _)| *maker == by).count();
        self.ids.entry(id).or_insert(((by, u8::try_from(made).expect("a request makes few")), at));
    }

    pub(crate) fn verifier(&mut self, verifier: &Verifier, by: u8) {
        let made = self.verifiers.values().filter(|(maker, _)| *maker == by).count();
        let name = (by, u8::try_from(made).expect("a request makes few"));
        self.verifiers.entry(*verifier.as_bytes()).or_insert(name);
    }

    /// When it was made by the clock of the test: ids rise in all of the process, whatever a clock says.
    pub(crate) fn made_at(&self, id: SessionId) -> Timestamp {
        self.ids.get(&id).map_or(EVER, |(_, at)| *at)
    }

    pub(crate) fn see_id(&self, id: SessionId, to: &mut DefaultHasher) {
        self.ids.get(&id).expect("every id has a name").0.hash(to);
    }

    pub(crate) fn see_verifier(&self, verifier: &Verifier, to: &mut DefaultHasher) {
        self.verifiers.get(verifier.as_bytes()).expect("every verifier has a name").hash(to);
    }
}

/// What a step can answer, without what chance made of it.
pub(crate) trait Seen: Send + 'static {
    fn see(&self, names: &Names, to: &mut DefaultHasher);
}

impl Seen for Record {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        names.see_id(self.id(), to);
        names.see_verifier(self.verifier(), to);
        self.previous().is_some().hash(to);
        self.previous().into_iter().for_each(|previous| names.see_verifier(previous, to));
        self.user().hash(to);
        (self.created_at(), self.authenticated_at(), self.seen_at()).hash(to);
        (self.expires_at(), self.ends_at(), self.revision(), self.data_json()).hash(to);
    }
}

impl Seen for IndexName {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        names.see_id(self.0, to);
        self.1.hash(to);
    }
}

impl Seen for (UserId, IndexName) {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        self.0.hash(to);
        self.1.see(names, to);
    }
}

impl Seen for SessionId {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        names.see_id(*self, to);
    }
}

impl Seen for () {
    fn see(&self, _: &Names, _: &mut DefaultHasher) {}
}

impl Seen for bool {
    fn see(&self, _: &Names, to: &mut DefaultHasher) {
        self.hash(to);
    }
}

impl Seen for u64 {
    fn see(&self, _: &Names, to: &mut DefaultHasher) {
        self.hash(to);
    }
}

impl Seen for (u64, Vec<u64>) {
    fn see(&self, _: &Names, to: &mut DefaultHasher) {
        self.hash(to);
    }
}

impl Seen for Saved {
    fn see(&self, _: &Names, to: &mut DefaultHasher) {
        match self {
            Self::At(revision) => (0, *revision).hash(to),
            Self::Stale => (1, 0).hash(to),
            Self::Gone => (2, 0).hash(to),
        }
    }
}

impl Seen for Created {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        match self {
            Self::Yes { ended } => ended.see(names, to),
            Self::Taken => u64::MAX.hash(to),
        }
    }
}

impl Seen for Purged {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        self.ended.see(names, to);
    }
}

impl<T: Seen + Sync> Seen for Arc<T> {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        T::see(self, names, to);
    }
}

impl<T: Seen> Seen for Option<T> {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        self.is_some().hash(to);
        self.iter().for_each(|seen| seen.see(names, to));
    }
}

impl<T: Seen> Seen for Vec<T> {
    fn see(&self, names: &Names, to: &mut DefaultHasher) {
        self.len().hash(to);
        self.iter().for_each(|seen| seen.see(names, to));
    }
}
