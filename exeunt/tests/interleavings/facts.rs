//! What clients were told, and what follows from it for every moment after.
//!
//! Must never know more than clients do: a promise is made by an answer, not by what a store did.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use exeunt::{Record, SessionId, Token, UserId, Verifier};

use crate::people::anna;
use crate::requests::{Answer, Op, mark};
use crate::setup::{ABSOLUTE, Setup};
use crate::shared::Names;

/// Which promise was broken.
pub(crate) type Broken = &'static str;

pub(crate) const LOGOUT: Broken = "a session lives on after its logout was acknowledged";
pub(crate) const EVERYWHERE: Broken = "a session lives on after log out everywhere was acknowledged";
pub(crate) const ACCOUNT: Broken = "a login outlives a change of the account after its password was checked";
pub(crate) const PURGED: Broken = "a session lives on after it was purged";
pub(crate) const USERS: Broken = "somebody's data came to somebody else";
pub(crate) const BYSTANDER: Broken = "the session of somebody else ended";
pub(crate) const ABSOLUTE_TIMEOUT: Broken = "a session was moved past its absolute timeout";
pub(crate) const LOST: Broken = "an acknowledged update is lost";
pub(crate) const UNTRUE: Broken = "an update that was said not to be written is";
pub(crate) const LIMIT: Broken = "there are more sessions than the limit";

/// A token that left the server.
pub(crate) struct Given {
    pub(crate) token: Arc<Token>,
    verifier: Verifier,
    pub(crate) user: UserId,
    /// That of the account when the password was checked.
    stamp: u64,
}

impl Given {
    fn new(token: Arc<Token>, user: UserId, stamp: u64) -> Self {
        Self { verifier: token.verifier(), token, user, stamp }
    }
}

/// All that was told so far.
pub(crate) struct Facts {
    pub(crate) given: Vec<Given>,
    ended: BTreeMap<SessionId, Broken>,
    /// Sessions whose passwords were checked under an older stamp are over.
    floor: u64,
    written: BTreeSet<u8>,
    not_written: BTreeSet<u8>,
    /// Whose update works on which session.
    writers: BTreeMap<u8, SessionId>,
    /// What was known when a request began: sessions that were there, and those that were over.
    began: BTreeMap<u8, (BTreeSet<SessionId>, BTreeSet<SessionId>)>,
    first: SessionId,
}

impl Facts {
    pub(crate) fn new(setup: &Setup, ops: &[Op]) -> Self {
        let given = setup.given(ops.contains(&Op::Copy)).into_iter();
        let given: Vec<_> = given.map(|(token, user)| Given::new(token, user, 0)).collect();
        let first = given.first().expect("Anna has a session").token.id();
        let (ended, writers, began) = Default::default();
        let (written, not_written) = Default::default();
        Self { given, ended, floor: 0, written, not_written, writers, began, first }
    }

    pub(crate) fn began(&mut self, by: u8, op: Op, bens: SessionId) {
        let session = match op {
            Op::Update => self.first,
            Op::Other => bens,
            Op::LogoutAll | Op::List => {
                let annas = self.given.iter().filter(|given| given.user == anna());
                let there = annas.map(|given| given.token.id()).collect();
                self.began.insert(by, (there, self.ended.keys().copied().collect()));
                return;
            }
            _ => return,
        };
        self.writers.insert(by, session);
    }

    /// Notes what a client heard, where that is true in itself.
    pub(crate) fn heard(&mut self, by: u8, answer: Answer) -> Result<(), Broken> {
        match answer {
            Answer::No => {}
            Answer::LoggedIn { login, stamp, over } => {
                let user = login.record.user().clone();
                self.given.push(Given::new(Arc::new(login.token), user, stamp));
                if over {
                    self.ended.insert(self.first, LOGOUT);
                }
            }
            Answer::Renewed(login) => {
                let known = self.given.iter().find(|given| given.token.id() == login.token.id());
                let known = known.expect("who renews has a token");
                let (user, stamp) = (known.user.clone(), known.stamp);
                self.given.push(Given::new(Arc::new(login.token), user, stamp));
            }
            Answer::Resumed(record) => self.may_be(&record, &anna(), self.first)?,
            Answer::Updated(Ok(record)) => {
                self.written.insert(by);
                let session = self.writers[&by];
                let given = self.given.iter().find(|given| given.token.id() == session);
                let user = given.expect("who writes has a token").user.clone();
                self.may_be(&record, &user, session)?;
            }
            Answer::Updated(Err(_)) => _ = self.not_written.insert(by),
            Answer::LoggedOut => _ = self.ended.insert(self.first, LOGOUT),
            Answer::AllEnded => {
                let (there, _) = self.began.remove(&by).unwrap_or_default();
                self.ended.extend(there.into_iter().map(|id| (id, EVERYWHERE)));
            }
            Answer::OwnChanged(login, stamp) => {
                self.given.push(Given::new(Arc::new(login.token), anna(), stamp));
                self.floor = self.floor.max(stamp);
            }
            Answer::Changed(stamp) => self.floor = self.floor.max(stamp),
            Answer::Listed(records) => {
                let (_, over) = self.began.remove(&by).unwrap_or_default();
                for record in records {
                    self.may_be(&record, &anna(), record.id())?;
                    if over.contains(&record.id()) {
                        return Err(self.ended[&record.id()]);
                    }
                }
            }
            Answer::Purged(purged) => self.ended.extend(purged.ended.into_iter().map(|id| (id, PURGED))),
        }
        Ok(())
    }

    /// Who has this token was given this session, now.
    pub(crate) fn may_live(&self, given: &Given, record: &Record) -> Result<(), Broken> {
        let id = given.token.id();
        if let Some(broken) = self.ended.get(&id) {
            return Err(broken);
        }
        if given.user == anna() && given.stamp < self.floor {
            return Err(ACCOUNT);
        }
        for by in self.written.iter().filter(|by| self.writers[by] == id) {
            if !record.data_json().contains(&mark(*by)) {
                return Err(LOST);
            }
        }
        self.may_be(record, &given.user, id)
    }

    /// What is true of a record wherever it is shown.
    fn may_be(&self, record: &Record, user: &UserId, id: SessionId) -> Result<(), Broken> {
        let named = record.data().get::<String>("name").ok().flatten();
        if record.user() != user || record.id() != id || named.as_deref() != Some(user.as_str()) {
            return Err(USERS);
        }
        if record.ends_at() != record.created_at().plus(ABSOLUTE) || record.expires_at() > record.ends_at() {
            return Err(ABSOLUTE_TIMEOUT);
        }
        for (by, session) in &self.writers {
            if record.data_json().contains(&mark(*by)) {
                match () {
                    () if *session != id => return Err(USERS),
                    () if self.not_written.contains(by) => return Err(UNTRUE),
                    () => {}
                }
            }
        }
        Ok(())
    }

    /// All of it, without what chance made of it and without the order in which it was told.
    pub(crate) fn see(&self, names: &Names, to: &mut DefaultHasher) {
        let one = |given: &Given| {
            let mut one = DefaultHasher::new();
            names.see_id(given.token.id(), &mut one);
            names.see_verifier(&given.verifier, &mut one);
            given.stamp.hash(&mut one);
            one.finish()
        };
        self.given.iter().map(one).collect::<BTreeSet<_>>().hash(to);
        let ids = |ids: &mut dyn Iterator<Item = &SessionId>, to: &mut DefaultHasher| {
            ids.for_each(|id| names.see_id(*id, to));
            u64::MAX.hash(to);
        };
        ids(&mut self.ended.keys(), to);
        (self.floor, &self.written, &self.not_written).hash(to);
        for (by, (there, over)) in &self.began {
            by.hash(to);
            ids(&mut there.iter(), to);
            ids(&mut over.iter(), to);
        }
    }
}
