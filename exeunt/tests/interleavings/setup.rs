//! How every schedule begins: Anna has two sessions, Ben one, and being seen is to be noted.

use std::sync::Arc;
use std::time::Duration;

use exeunt::store::Store as _;
use exeunt::{Lifetime, ManualClock, Record, Sessions, Token, UserId};

use crate::desk::Desk;
use crate::people::{People, anna, ben};
use crate::requests::{Answer, Cookies, bens_login, login};
use crate::shared::{IndexName, Names, Shared};
use crate::store::{Fault, Kind, StepStore};

const IDLE: Duration = Duration::from_secs(30 * 60);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(40 * 60);
/// From the logins until the requests.
const BEFORE: Duration = Duration::from_secs(15 * 60);
/// One step of the clock: what was not seen since the logins has expired then, and a name in an index is old. For
/// requests under way it is a jump.
pub(crate) const TICK: Duration = Duration::from_secs(16 * 60);
/// One login fits in beside what is there.
pub(crate) const LIMIT: usize = 3;

/// Who names what was there before.
const BEFORE_ALL: u8 = 100;

/// What was there before the requests.
pub(crate) struct Setup {
    records: Vec<Record>,
    tokens: Vec<(Arc<Token>, UserId)>,
    /// A session that is not there.
    elsewhere: (Arc<Token>, Record),
    names: Names,
    index: std::collections::BTreeMap<UserId, std::collections::BTreeSet<IndexName>>,
    pub(crate) kind: Kind,
}

/// Sessions as one request has them.
pub(crate) fn sessions(store: StepStore, clock: &Arc<ManualClock>) -> Sessions {
    let sessions = Sessions::new(store).clock(Arc::clone(clock) as _);
    sessions.lifetime(Lifetime::new(IDLE, ABSOLUTE)).limit(LIMIT)
}

/// Something that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => unreachable!("nobody has a turn, so no step waits"),
    }
}

impl Setup {
    pub(crate) fn of(kind: Kind) -> Self {
        let (desk, clock) = (Desk::default(), Arc::new(ManualClock::default()));
        let store = StepStore { desk: desk.clone(), kind, fault: Fault::None, by: BEFORE_ALL };
        let sessions = sessions(store, &clock);
        let people = People { desk: desk.clone(), kind, fault: Fault::None, checked: Arc::default() };
        let mut tokens = Vec::new();
        let annas = || match at_once(login(&sessions, &people, None)) {
            Answer::LoggedIn { login, .. } => login,
            _ => unreachable!("the password is right"),
        };
        tokens.extend([annas(), annas()].map(|login| (Arc::new(login.token), anna())));
        // Her third one is elsewhere: its cookie is there, and nothing else.
        let elsewhere = annas();
        at_once(sessions.logout(&elsewhere.token)).expect("the store answers");
        let elsewhere = (Arc::new(elsewhere.token), Record::clone(&elsewhere.record));
        tokens.push((Arc::new(at_once(bens_login(&sessions, &people)).token), ben()));
        let shared = &mut desk.open().shared;
        let records = Shared::of(shared.store.walk(None, usize::MAX, crate::shared::EVER));
        Self { records, tokens, names: shared.names.clone(), index: shared.index.clone(), elsewhere, kind }
    }

    /// All of it, and the time.
    pub(crate) fn begin(&self) -> (Desk, Arc<ManualClock>) {
        let (desk, clock) = (Desk::default(), Arc::new(ManualClock::default()));
        clock.advance(BEFORE);
        {
            let shared = &mut desk.open().shared;
            (shared.names, shared.index) = (self.names.clone(), self.index.clone());
            for record in &self.records {
                let _ = Shared::of(shared.store.create(record, usize::MAX));
                shared.known.insert(record.id(), record.clone());
            }
        }
        (desk, clock)
    }

    /// The tokens, that of Anna's first session first.
    pub(crate) fn given(&self, with_elsewhere: bool) -> Vec<(Arc<Token>, UserId)> {
        let elsewhere = with_elsewhere.then(|| (Arc::clone(&self.elsewhere.0), anna()));
        self.tokens.iter().cloned().chain(elsewhere).collect()
    }

    pub(crate) fn cookies(&self) -> Cookies {
        let first = |user: UserId| self.tokens.iter().find(|(_, whose)| *whose == user);
        let first = |user| Arc::clone(&first(user).expect("both have sessions").0);
        Cookies { anna: first(anna()), ben: first(ben()), elsewhere: self.elsewhere.1.clone() }
    }
}
