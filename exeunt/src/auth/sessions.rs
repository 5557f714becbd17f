//! The service: the only caller of a [`Store`].
//!
//! Must never give out a token before the last check of a login, write a session back that it did not just find live,
//! or turn "the store did not answer" into "not logged in".

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::attempt::{self, Attempt};
use super::events::{self, Event, Events};
use super::users::{Users, Verified};
use super::{Cause, Error};
use crate::session::{
    Client, Clock, Data, DataError, Lifetime, Login, Record, SessionId, SystemClock, Timestamp,
};
use crate::session::{Token, UserId};
use crate::store::{Causes, Created, Purged, Saved, Store};

const MOST_SESSIONS_OF_A_USER: usize = 100;
const TRIES_ON_STALE: usize = 5;
const TRIES_ON_TAKEN: usize = 3;
const PURGE_STEP: usize = 1_000;
const PURGE_STEP_PAUSE: Duration = Duration::from_millis(50);
const JUMP: Duration = Duration::from_secs(30);
const NO_PURGE_AFTER_JUMP: Duration = Duration::from_secs(10 * 60);

/// Logs people in, resumes their sessions and logs them out, over one store.
///
/// Cheap to clone; clones share everything.
///
/// ```
/// use exeunt::{MemoryStore, Sessions};
///
/// let sessions = Sessions::new(MemoryStore::new());
/// # let _ = sessions;
/// ```
#[derive(Clone, Debug)]
pub struct Sessions(pub(super) Arc<Inner>);

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    lifetime: Lifetime,
    limit: usize,
    events: Events,
    housekeeping: Arc<Mutex<Housekeeping>>,
}

/// What comes with a login besides the credentials.
#[derive(Debug, Default)]
pub struct LoginOptions<'a> {
    /// What is logging in.
    pub client: Client,
    /// Whether the person asked to be remembered (R55).
    pub remember: bool,
    /// The token that the request came with: its session, if it lives, ends with this login (R12).
    pub replaces: Option<&'a Token>,
}

/// A login that succeeded.
#[derive(Debug)]
#[must_use = "the token is the only way into the session"]
pub struct LoggedIn {
    /// For the browser, and nobody else.
    pub token: Token,
    /// The session.
    pub record: Arc<Record>,
}

/// Whether being seen keeps a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extend {
    /// Yes: a person did something.
    Yes,
    /// No: a page polls by itself.
    No,
}

impl Sessions {
    /// Sessions in `store`, by the machine's clock, with the default timeouts, at most 100 for each user.
    pub fn new(store: impl Store) -> Self {
        Self::over(Arc::new(store))
    }

    /// As [`Sessions::new`], for a store that is shared already.
    pub fn over(store: Arc<dyn Store>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self(Arc::new(Inner {
            store,
            housekeeping: Arc::new(Mutex::new(Housekeeping::starting(&*clock))),
            events: Events::by(Arc::clone(&clock)),
            clock,
            lifetime: Lifetime::default(),
            limit: MOST_SESSIONS_OF_A_USER,
        }))
    }

    /// The same sessions with other timeouts.
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        Self(Arc::new(Inner { lifetime, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same sessions by another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        let housekeeping = Arc::new(Mutex::new(Housekeeping::starting(&*clock)));
        let events = self.0.events.clone().clock(Arc::clone(&clock));
        Self(Arc::new(Inner { clock, events, housekeeping, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The same sessions with at most `limit` live ones for each user, at least one (R56).
    ///
    /// When a login is one too many, the session unseen the longest ends.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self(Arc::new(Inner { limit: limit.max(1), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The time that these sessions go by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The timeouts.
    #[must_use]
    pub fn timeouts(&self) -> Lifetime {
        self.0.lifetime
    }

    /// What happened: to listen, and to report what the application does to its accounts.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Tells `hook` of everything that happens from now on (R51). It cannot block or break a request: see
    /// [`Events::on_event`].
    pub fn on_event(&self, hook: impl FnMut(&Event) + Send + 'static) {
        self.0.events.on_event(hook);
    }

    /// Checks credentials and begins a session. `None`: they are wrong, in whatever way.
    ///
    /// The steps, none of which can be left out: verify; create; ask whether what was verified is still current, now
    /// that the session is where a "log out everywhere" finds it; end the session that the request came with. The token
    /// leaves after the last. If one fails, the new session ends.
    ///
    /// # Errors
    ///
    /// If the store or the accounts did not answer. Nobody is logged in then.
    pub async fn login<U: Users>(
        &self,
        users: &U,
        credentials: U::Credentials,
        options: LoginOptions<'_>,
    ) -> Result<Option<LoggedIn>, Error> {
        let (verified, attempt) = attempt::noting(users.verify(credentials)).await;
        let Some(verified) = verified? else {
            self.0.events.login_refused(attempt);
            return Ok(None);
        };
        let LoginOptions { client, remember, replaces } = options;
        let mut data = Data::default();
        if let Some(name) = verified.name() {
            data.set("name", name)?;
        }
        let (login, ended) = self.create(verified.user().clone(), client, remember, data).await?;
        match self.after_create(users, &verified, replaces).await {
            Ok(true) => {
                self.0.events.logged_in(verified.user(), verified.name(), login.record.id(), &ended);
                Ok(Some(login))
            }
            Ok(false) => {
                self.0.store.destroy(&login.record.id()).await?;
                let name = verified.name().map(ToOwned::to_owned);
                let user = Some(verified.user().clone());
                self.0.events.login_refused(Attempt { user, name, reason: "no_longer_current" });
                Ok(None)
            }
            Err(error) => {
                // Nobody has its token, so failing to end it loses nothing but its room.
                let _ = self.0.store.destroy(&login.record.id()).await;
                Err(error)
            }
        }
    }

    /// Begins a session for somebody who proved who they are. No check of any kind is left after it.
    pub(crate) async fn create(
        &self,
        user: UserId,
        client: Client,
        remembered: bool,
        data: Data,
    ) -> Result<(LoggedIn, Vec<SessionId>), Error> {
        let inner = &*self.0;
        for _ in 0..TRIES_ON_TAKEN {
            let login = Login { client: client.clone(), remembered, data: data.clone() };
            let (token, record) = Record::new(user.clone(), self.now(), &inner.lifetime, login);
            if let Created::Yes { ended } = inner.store.create(&record, inner.limit).await? {
                return Ok((LoggedIn { token, record: Arc::new(record) }, ended));
            }
        }
        // Two nodes drew the same 21 bits in the same millisecond three times over: not chance but a broken store.
        Err(Cause::Conflict.into())
    }

    async fn after_create<U: Users>(
        &self,
        users: &U,
        verified: &Verified,
        replaces: Option<&Token>,
    ) -> Result<bool, Error> {
        if !users.is_current(verified).await? {
            return Ok(false);
        }
        if let Some(token) = replaces
            && let Some(ended) = self.end_session_of(token).await?
        {
            self.0.events.replaced(&ended);
        }
        Ok(true)
    }

    /// The live session of a token that is at hand in this process, verified, and not due for a touch.
    ///
    /// `None` says nothing: ask [`Sessions::resume`].
    #[must_use]
    pub fn resume_at_hand(&self, token: &Token, extend: Extend) -> Option<Arc<Record>> {
        let now = self.now();
        let record = self.0.store.peek(&token.id(), now)?;
        let due = extend == Extend::Yes && self.0.lifetime.touch_is_due(record.seen_at(), now);
        (!due && record.is_live(now) && *record.verifier() == token.verifier()).then_some(record)
    }

    /// The live session of a token. `None`: there is none, or the secret is wrong; which of both is not told.
    ///
    /// Notes that the session was seen, at most once in a 60th of the idle timeout. If only that fails, the session is
    /// given all the same: the store has just said that it lives.
    ///
    /// # Errors
    ///
    /// If the store did not answer. That is not "not logged in".
    pub async fn resume(&self, token: &Token, extend: Extend) -> Result<Option<Arc<Record>>, Error> {
        let now = self.now();
        let Some(record) = self.load(token, now).await? else {
            self.0.events.refused(token.id(), "gone");
            return Ok(None);
        };
        if *record.verifier() != token.verifier() {
            self.0.events.refused(token.id(), "secret");
            return Ok(None);
        }
        match extend {
            Extend::No => Ok(Some(record)),
            Extend::Yes => Ok(self.touch(record).await),
        }
    }

    /// Whether it is time to note again that a session was seen.
    pub(crate) fn touch_is_due(&self, record: &Record) -> bool {
        // Mutants: `true` only costs a call, since `touch` asks once more.
        self.0.lifetime.touch_is_due(record.seen_at(), self.now())
    }

    /// Notes that a live session was seen, where that is due. `None`: it ended meanwhile.
    pub(crate) async fn touch(&self, record: Arc<Record>) -> Option<Arc<Record>> {
        let now = self.now();
        if !self.0.lifetime.touch_is_due(record.seen_at(), now) {
            return Some(record);
        }
        let expires_at = self.0.lifetime.expires_at(now, record.ends_at(), record.remembered());
        match self.0.store.touch(&record.id(), record.verifier(), now, expires_at).await {
            Ok(true) => Some(Arc::new(record.touched(now, expires_at))),
            Ok(false) => None,
            Err(error) => {
                events::not_touched(record.id(), &error);
                Some(record)
            }
        }
    }

    async fn load(&self, token: &Token, now: Timestamp) -> Result<Option<Arc<Record>>, Error> {
        let store = &self.0.store;
        let found = match store.peek(&token.id(), now) {
            Some(record) => Some(record),
            None => store.load(&token.id(), now).await?,
        };
        // The store hides what has expired; asking again costs nothing and does not rest on it.
        Ok(found.filter(|record| record.is_live(now)))
    }

    /// Ends the session of a token, whose secret may also be the one before the last renewal.
    ///
    /// `false`: there was no such session. `true`: it is over, for good, on every node.
    ///
    /// # Errors
    ///
    /// If the store did not answer: the session may live on, so say so, and let the person try again.
    pub async fn logout(&self, token: &Token) -> Result<bool, Error> {
        let ended = self.end_session_of(token).await?;
        match &ended {
            Some(record) => self.0.events.logged_out(record),
            None => self.0.events.refused(token.id(), "gone"),
        }
        Ok(ended.is_some())
    }

    async fn end_session_of(&self, token: &Token) -> Result<Option<Arc<Record>>, Error> {
        let Some(record) = self.load(token, self.now()).await? else {
            // It may be the retry of an end that the store could not confirm: then it must not say "over" now either.
            self.0.store.destroy(&token.id()).await?;
            return Ok(None);
        };
        let given = token.verifier();
        if *record.verifier() != given && record.previous() != Some(&given) {
            return Ok(None);
        }
        Ok(self.0.store.destroy(&record.id()).await?.then_some(record))
    }

    /// Ends the session of somebody who has proved to be in it. `false`: it was over already.
    pub(crate) async fn logout_of(&self, record: &Record) -> Result<bool, Error> {
        let ended = self.0.store.destroy(&record.id()).await?;
        if ended {
            self.0.events.logged_out(record);
        }
        Ok(ended)
    }

    /// Ends every session of a user but `except`, and names those that ended (R16).
    ///
    /// # Errors
    ///
    /// If the store did not answer: some may live on.
    pub async fn logout_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, Error> {
        self.logout_all_because(user, except, "logout_all").await
    }

    /// As [`Sessions::logout_all`], for another reason: one word for the log, such as `password_changed`.
    ///
    /// # Errors
    ///
    /// If the store did not answer: some may live on.
    pub async fn logout_all_because(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
        reason: &'static str,
    ) -> Result<Vec<SessionId>, Error> {
        let ended = self.0.store.destroy_all(user, except).await?;
        self.0.events.ended(user, &ended, reason, None);
        Ok(ended)
    }

    /// Ends one session of a user by its public id (R17). `false`: the user has no such live session.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn end(&self, user: &UserId, session: &SessionId) -> Result<bool, Error> {
        let found = self.0.store.load(session, self.now()).await?;
        // One that is not found is destroyed all the same: it may be the retry of an end that could not be confirmed.
        if found.as_ref().is_some_and(|record| record.user() != user) {
            return Ok(false);
        }
        let ended = self.0.store.destroy(session).await? && found.is_some();
        if ended {
            self.0.events.ended_one(user, *session);
        }
        Ok(ended)
    }

    /// The live session of that public id, whoever's it is: for administration.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn find(&self, session: &SessionId) -> Result<Option<Arc<Record>>, Error> {
        let now = self.now();
        let found = self.0.store.load(session, now).await?;
        Ok(found.filter(|record| record.is_live(now)))
    }

    /// Ends a session by its public id, whoever's it is: for administration (R20). The user whose it was; `None`: there
    /// is no such live session.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn end_any(&self, session: &SessionId) -> Result<Option<UserId>, Error> {
        let found = self.find(session).await?;
        // One that is not found is destroyed all the same: it may be the retry of an end that could not be confirmed.
        let ended = self.0.store.destroy(session).await?;
        let Some(record) = found.filter(|_| ended) else { return Ok(None) };
        self.0.events.ended_one(record.user(), *session);
        Ok(Some(record.user().clone()))
    }

    /// A user's live sessions, last seen first (R17).
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Record>, Error> {
        Ok(self.0.store.list(user, self.now()).await?)
    }

    /// Live sessions of everybody after `after`, by id, at most `limit`: for administration.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn walk(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<Record>, Error> {
        Ok(self.0.store.walk(after, limit, self.now()).await?)
    }

    /// Changes a session's data. `change` runs again, on what is stored then, if somebody else wrote in between.
    ///
    /// # Errors
    ///
    /// The session ended, others were faster five times, the data is too large, or the store did not answer. Nothing
    /// was written, but in the last case, where it is not known.
    pub async fn update(
        &self,
        record: &Arc<Record>,
        mut change: impl FnMut(&mut Data) -> Result<(), DataError>,
    ) -> Result<Arc<Record>, Error> {
        let store = &self.0.store;
        let mut record = Arc::clone(record);
        for _ in 0..TRIES_ON_STALE {
            let mut data = record.data();
            change(&mut data)?;
            let now = self.now();
            match store.save(&record.id(), record.verifier(), record.revision(), &data, now).await? {
                Saved::At(_) => return Ok(Arc::new(record.saved(&data))),
                Saved::Gone => return Err(Cause::Ended.into()),
                Saved::Stale => {
                    let found = store.load(&record.id(), now).await?;
                    let found = found.filter(|found| found.verifier() == record.verifier());
                    record = found.ok_or(Cause::Ended)?;
                }
            }
        }
        Err(Cause::Conflict.into())
    }

    /// Asks the store for a sign of life.
    ///
    /// # Errors
    ///
    /// If it did not answer.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.0.store.ping().await?)
    }

    /// Drops some expired sessions, going on where the last call stopped: one bounded step (R60).
    ///
    /// Does nothing for 10 minutes after the clock jumped forward, so that a wrong clock can still be set right.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn purge(&self) -> Result<Purged, Error> {
        let Some((after, now)) = self.housekeeping().may_purge(&*self.0.clock) else {
            return Ok(Purged::default());
        };
        let purged = self.0.store.purge(after.as_ref(), PURGE_STEP, now).await?;
        self.0.events.purged(&purged.ended);
        self.housekeeping().after = purged.next;
        Ok(purged)
    }

    /// Purges for ever, a step at a time: spawn it once. It also notices when the clock jumps.
    pub async fn keep_purged(self) {
        let pause = self.0.store.purge_pause();
        loop {
            match self.purge().await {
                Ok(Purged { next: Some(_), .. }) => tokio::time::sleep(PURGE_STEP_PAUSE).await,
                Ok(_) => self.watch_clock_for(pause).await,
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "expired sessions not purged");
                    self.watch_clock_for(pause).await;
                }
            }
        }
    }

    async fn watch_clock_for(&self, pause: Duration) {
        for _ in 0..pause.as_secs().max(1) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.housekeeping().watch(&*self.0.clock);
        }
    }

    fn housekeeping(&self) -> std::sync::MutexGuard<'_, Housekeeping> {
        self.0.housekeeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where purging stands, and what the clock did.
#[derive(Debug)]
struct Housekeeping {
    after: Option<SessionId>,
    now: Timestamp,
    running: Duration,
    hold_until: Duration,
}

impl Housekeeping {
    fn starting(clock: &dyn Clock) -> Self {
        Self { after: None, now: clock.now(), running: clock.running(), hold_until: Duration::ZERO }
    }

    /// Compares the time of day with the time that passed.
    fn watch(&mut self, clock: &dyn Clock) {
        let (now, running) = (clock.now(), clock.running());
        let ahead = now.since(self.now.plus(running.saturating_sub(self.running)));
        if ahead > JUMP {
            self.hold_until = running + NO_PURGE_AFTER_JUMP;
            events::clock_jumped(ahead, NO_PURGE_AFTER_JUMP);
        }
        (self.now, self.running) = (now, running);
    }

    /// The session to go on after and the time to purge by, or `None` while purging is held off.
    ///
    /// The time is the one that was checked: asked for again, it may have jumped.
    fn may_purge(&mut self, clock: &dyn Clock) -> Option<(Option<SessionId>, Timestamp)> {
        self.watch(clock);
        (self.running >= self.hold_until).then_some((self.after, self.now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::auth::{ErrorKind, UsersError};
    use crate::session::{ManualClock, Verifier};
    use crate::store::{MemoryStore, StoreError, async_trait};

    const MINUTE: Duration = Duration::from_secs(60);

    type Log = Arc<Mutex<Vec<&'static str>>>;

    /// The memory store, which writes down what it is asked and can be made to fail at one of it.
    #[derive(Debug, Default)]
    struct Watched {
        store: MemoryStore,
        log: Log,
        failing: Arc<Mutex<Option<&'static str>>>,
        stale: AtomicUsize,
    }

    impl Watched {
        fn asked(&self, what: &'static str) -> Result<(), StoreError> {
            self.log.lock().unwrap().push(what);
            match *self.failing.lock().unwrap() {
                Some(failing) if failing == what => Err(StoreError::new("watched", "it was made to fail")),
                _ => Ok(()),
            }
        }
    }

    #[async_trait]
    impl Store for Watched {
        async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
            self.asked("create")?;
            self.store.create(record, limit).await
        }

        async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
            self.asked("load")?;
            self.store.load(id, now).await
        }

        async fn renew(
            &self,
            id: &SessionId,
            old: &Verifier,
            new: &Verifier,
            now: Timestamp,
            expires_at: Timestamp,
        ) -> Result<bool, StoreError> {
            self.asked("renew")?;
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
            self.asked("save")?;
            if self.stale.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
            {
                // Somebody else is faster.
                let theirs = Data::from_json(format!(r#"{{"theirs":{revision}}}"#)).unwrap();
                let saved = self.store.save(id, verifier, revision, &theirs, now).await?;
                assert_eq!(saved, Saved::At(revision + 1));
            }
            self.store.save(id, verifier, revision, data, now).await
        }

        async fn touch(
            &self,
            id: &SessionId,
            verifier: &Verifier,
            now: Timestamp,
            expires_at: Timestamp,
        ) -> Result<bool, StoreError> {
            self.asked("touch")?;
            self.store.touch(id, verifier, now, expires_at).await
        }

        async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
            self.asked("destroy")?;
            self.store.destroy(id).await
        }

        async fn destroy_all(
            &self,
            user: &UserId,
            except: Option<&SessionId>,
        ) -> Result<Vec<SessionId>, StoreError> {
            self.asked("destroy_all")?;
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
            self.asked("purge")?;
            self.store.purge(after, limit, now).await
        }

        async fn ping(&self) -> Result<(), StoreError> {
            self.asked("ping")?;
            self.store.ping().await
        }
    }

    /// What the accounts say when asked whether the credentials are still current.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Current {
        Yes,
        No,
        NoAnswer,
    }

    struct Alice {
        log: Log,
        current: Current,
    }

    impl Users for Alice {
        type Credentials = &'static str;

        async fn verify(&self, password: &'static str) -> Result<Option<Verified>, UsersError> {
            self.log.lock().unwrap().push("verify");
            Ok((password == "right").then(|| Verified::new(UserId::from(1), 0).named("alice")))
        }

        async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
            self.log.lock().unwrap().push("is_current");
            match self.current {
                Current::Yes => Ok(true),
                Current::No => Ok(false),
                Current::NoAnswer => Err(UsersError::new("no answer")),
            }
        }
    }

    struct House {
        sessions: Sessions,
        clock: Arc<ManualClock>,
        users: Alice,
        failing: Arc<Mutex<Option<&'static str>>>,
    }

    fn house() -> House {
        house_where(0)
    }

    /// Where so many saves come too late.
    fn house_where(stale: usize) -> House {
        let store = Watched { stale: AtomicUsize::new(stale), ..Watched::default() };
        let (log, failing) = (Arc::clone(&store.log), Arc::clone(&store.failing));
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(store).clock(Arc::clone(&clock) as Arc<dyn Clock>);
        House { sessions, clock, users: Alice { log, current: Current::Yes }, failing }
    }

    impl House {
        async fn login(&self, replaces: Option<&Token>) -> Result<Option<LoggedIn>, Error> {
            let options = LoginOptions { replaces, ..LoginOptions::default() };
            self.sessions.login(&self.users, "right", options).await
        }

        async fn logged_in(&self) -> LoggedIn {
            self.login(None).await.unwrap().unwrap()
        }

        async fn resume(&self, token: &Token) -> Option<Arc<Record>> {
            self.sessions.resume(token, Extend::Yes).await.unwrap()
        }

        async fn live(&self) -> usize {
            self.sessions.list(&UserId::from(1)).await.unwrap().len()
        }

        fn fail_at(&self, what: Option<&'static str>) {
            *self.failing.lock().unwrap() = what;
        }

        fn log(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.users.log.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn a_login_verifies_creates_asks_again_and_then_ends_the_old_session() {
        // R12, R18
        let house = house();
        let old = house.logged_in().await;
        house.log();
        let new = house.login(Some(&old.token)).await.unwrap().unwrap();
        assert_eq!(house.log(), ["verify", "create", "is_current", "load", "destroy"]);
        assert!(house.resume(&old.token).await.is_none());
        let record = house.resume(&new.token).await.unwrap();
        assert_eq!(record.data().get::<String>("name").unwrap().unwrap(), "alice");
        assert_ne!(new.token.id(), old.token.id());
    }

    #[tokio::test]
    async fn wrong_credentials_touch_no_session() {
        // R32
        let house = house();
        let old = house.logged_in().await;
        house.log();
        let options = LoginOptions { replaces: Some(&old.token), ..LoginOptions::default() };
        assert!(house.sessions.login(&house.users, "wrong", options).await.unwrap().is_none());
        assert_eq!(house.log(), ["verify"]);
        assert!(house.resume(&old.token).await.is_some());
    }

    #[tokio::test]
    async fn a_login_that_is_no_longer_current_or_not_confirmed_leaves_no_session() {
        // R18
        for current in [Current::No, Current::NoAnswer] {
            let mut house = house();
            let old = house.logged_in().await;
            house.users.current = current;
            let answer = house.login(Some(&old.token)).await;
            match current {
                Current::No => assert!(answer.unwrap().is_none()),
                _ => assert_eq!(answer.unwrap_err().kind(), ErrorKind::Users),
            }
            assert_eq!(house.live().await, 1, "the old one stays, the new one is gone");
            assert!(house.resume(&old.token).await.is_some());
        }
    }

    #[tokio::test]
    async fn a_login_whose_old_session_cannot_be_ended_fails() {
        // R11: "logged in" would leave the old cookie alive.
        let house = house();
        let old = house.logged_in().await;
        house.fail_at(Some("load"));
        assert_eq!(house.login(Some(&old.token)).await.unwrap_err().kind(), ErrorKind::Store);
        house.fail_at(None);
        assert_eq!(house.live().await, 1);
        assert!(house.resume(&old.token).await.is_some());
    }

    #[tokio::test]
    async fn a_login_replaces_only_with_the_secret() {
        // R12, R13
        let house = house();
        let victim = house.logged_in().await;
        let forged = Token::generate(victim.token.id());
        let _new = house.login(Some(&forged)).await.unwrap().unwrap();
        assert!(house.resume(&forged).await.is_none());
        assert!(!house.sessions.logout(&forged).await.unwrap());
        assert!(house.resume(&victim.token).await.is_some());
    }

    #[tokio::test]
    async fn an_update_runs_again_on_what_others_wrote_five_times_at_most() {
        let count = |data: &mut Data| {
            let theirs = data.get::<u32>("theirs")?;
            data.set("mine", &theirs)
        };
        let house = house_where(4);
        let login = house.logged_in().await;
        let record = house.sessions.update(&login.record, count).await.unwrap();
        assert_eq!((record.revision(), record.data_json()), (5, r#"{"mine":3,"theirs":3}"#));
        assert_eq!(house.resume(&login.token).await.unwrap().data(), record.data());

        let house = house_where(5);
        let login = house.logged_in().await;
        let error = house.sessions.update(&login.record, count).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(house.log().iter().filter(|asked| **asked == "save").count(), 5);
        assert_eq!(house.resume(&login.token).await.unwrap().data_json(), r#"{"theirs":4}"#);
    }

    #[tokio::test]
    async fn an_update_does_not_follow_a_session_to_its_new_secret() {
        // R12: the request's own secret was replaced while it wrote.
        let house = house();
        let login = house.logged_in().await;
        let renewed = house.sessions.renew(&login.record).await.unwrap().unwrap();
        let error = house.sessions.update(&login.record, |data| data.set("late", &1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ended);
        let record = house.resume(&renewed.token).await.unwrap();
        assert_eq!((record.revision(), record.data().get::<u32>("late").unwrap()), (0, None));
    }

    #[tokio::test]
    async fn an_update_that_is_too_large_or_gives_up_writes_nothing() {
        let house = house();
        let login = house.logged_in().await;
        house.log();
        let large = "x".repeat(Data::LIMIT);
        let error = house.sessions.update(&login.record, |data| data.set("a", &large)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(house.log().is_empty());
    }

    #[tokio::test]
    async fn the_previous_secret_logs_out_and_does_nothing_else() {
        // R06, R12
        let house = house();
        let first = house.logged_in().await;
        let second = house.sessions.renew(&first.record).await.unwrap().unwrap();
        assert!(house.resume(&first.token).await.is_none());
        assert!(house.sessions.resume_at_hand(&first.token, Extend::No).is_none());
        assert!(house.sessions.renew(&first.record).await.unwrap().is_none());
        let third = house.sessions.renew(&second.record).await.unwrap().unwrap();
        assert!(
            !house.sessions.logout(&first.token).await.unwrap(),
            "the one before the previous is nothing"
        );
        assert!(house.resume(&third.token).await.is_some());
        assert!(house.sessions.logout(&second.token).await.unwrap());
        assert!(house.resume(&third.token).await.is_none());
    }

    #[tokio::test]
    async fn a_logout_that_the_store_does_not_confirm_is_an_error_and_can_be_tried_again() {
        // R02
        let house = house();
        let login = house.logged_in().await;
        for what in ["load", "destroy"] {
            house.fail_at(Some(what));
            let error = house.sessions.logout(&login.token).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
            assert!(error.retry_after().is_some());
        }
        house.fail_at(None);
        assert!(house.sessions.logout(&login.token).await.unwrap());
        assert!(!house.sessions.logout(&login.token).await.unwrap());
        assert!(house.resume(&login.token).await.is_none());
    }

    #[tokio::test]
    async fn a_failed_touch_fails_no_request_and_a_failed_load_does() {
        // R11
        let house = house();
        let login = house.logged_in().await;
        house.clock.advance(MINUTE);
        house.fail_at(Some("touch"));
        assert_eq!(house.resume(&login.token).await.unwrap().seen_at(), login.record.seen_at());
        house.fail_at(Some("load"));
        let error = house.sessions.resume(&login.token, Extend::Yes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
    }

    #[tokio::test]
    async fn a_touch_that_failed_and_a_clock_that_jumped_are_logged() {
        // R38
        let log = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(log.reopen().unwrap());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer);
        let _logged = tracing::subscriber::set_default(subscriber.finish());
        let house = house();
        let login = house.logged_in().await;
        house.clock.advance(MINUTE);
        house.fail_at(Some("touch"));
        house.resume(&login.token).await.unwrap();
        house.clock.jump(60 * MINUTE);
        let _ = house.sessions.purge().await.unwrap();
        let text = std::fs::read_to_string(log.path()).unwrap();
        for part in [
            format!("event=\"touch_failed\" session={}", login.record.id()),
            "it was made to fail".to_owned(),
            "event=\"clock_jumped\" by_seconds=3600 purging_resumes_in_seconds=600".to_owned(),
        ] {
            assert!(text.contains(&part), "{part}: {text}");
        }
    }

    #[tokio::test]
    async fn a_session_is_touched_once_in_a_while_and_not_by_what_polls() {
        // R15
        let house = house();
        let login = house.logged_in().await;
        let touches = || house.log().iter().filter(|asked| **asked == "touch").count();
        house.clock.advance(Duration::from_secs(29));
        assert!(house.resume(&login.token).await.is_some());
        assert_eq!(touches(), 0);
        house.clock.advance(Duration::from_secs(1));
        assert!(house.sessions.resume(&login.token, Extend::No).await.unwrap().is_some());
        assert_eq!(touches(), 0);
        let seen = house.resume(&login.token).await.unwrap();
        assert_eq!((touches(), seen.seen_at()), (1, house.sessions.now()));
        assert_eq!(seen.expires_at(), house.sessions.now().plus(30 * MINUTE));
        assert!(house.resume(&login.token).await.is_some());
        assert_eq!(touches(), 0);

        // Polled every minute, it ends 30 minutes after a person was last there.
        for _ in 0..29 {
            house.clock.advance(MINUTE);
            assert!(house.sessions.resume(&login.token, Extend::No).await.unwrap().is_some());
        }
        house.clock.advance(MINUTE);
        assert!(house.sessions.resume(&login.token, Extend::No).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn one_login_too_many_ends_the_session_unseen_the_longest() {
        // R56
        let House { sessions, clock, users, .. } = house();
        let sessions = sessions.limit(2);
        let mut tokens = Vec::new();
        for _ in 0..3 {
            clock.advance(MINUTE);
            let login = sessions.login(&users, "right", LoginOptions::default()).await.unwrap().unwrap();
            tokens.push(login.token);
        }
        let mut live = Vec::new();
        for token in &tokens {
            live.push(sessions.resume(token, Extend::Yes).await.unwrap().is_some());
        }
        assert_eq!(live, [false, true, true]);
    }

    #[tokio::test]
    async fn only_its_owner_ends_a_session_by_its_name() {
        // R17
        let house = house();
        let login = house.logged_in().await;
        let id = login.record.id();
        assert!(!house.sessions.end(&UserId::from(2), &id).await.unwrap());
        assert!(house.resume(&login.token).await.is_some());
        assert!(house.sessions.end(&UserId::from(1), &id).await.unwrap());
        assert!(!house.sessions.end(&UserId::from(1), &id).await.unwrap());
    }

    #[tokio::test]
    async fn an_expired_session_is_nobodys_to_end() {
        // R17: it is destroyed all the same, but nobody may be told that somebody else's was ended.
        for user in [2, 1] {
            let house = house();
            let login = house.logged_in().await;
            house.clock.advance(house.sessions.timeouts().idle());
            assert!(!house.sessions.end(&UserId::from(user), &login.record.id()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_administrator_finds_and_ends_any_live_session_once() {
        // R20
        let house = house();
        let login = house.logged_in().await;
        let id = login.record.id();
        let found = async || house.sessions.find(&id).await.unwrap().map(|found| found.id());
        let walked = async || {
            let walked = house.sessions.walk(None, 10).await.unwrap();
            walked.iter().map(Record::id).collect::<Vec<_>>()
        };
        assert_eq!((found().await, walked().await), (Some(id), vec![id]));
        assert_eq!(house.sessions.end_any(&id).await.unwrap(), Some(UserId::from(1)));
        assert!(house.resume(&login.token).await.is_none());
        assert_eq!((found().await, walked().await), (None, vec![]));
        assert_eq!(house.sessions.end_any(&id).await.unwrap(), None);

        let expired = house.logged_in().await.record.id();
        house.clock.advance(house.sessions.timeouts().idle());
        assert_eq!(house.sessions.end_any(&expired).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_store_that_gives_no_sign_of_life_is_an_error() {
        // R11
        let house = house();
        house.sessions.ping().await.unwrap();
        house.fail_at(Some("ping"));
        assert_eq!(house.sessions.ping().await.unwrap_err().kind(), ErrorKind::Store);
    }

    #[tokio::test(start_paused = true)]
    async fn the_expired_are_purged_a_thousand_at_a_time_and_then_once_a_minute() {
        // R60. The time that tasks sleep is not that of sessions: it passes at once.
        let house = house();
        for number in 0..=1_000 {
            let user = UserId::from(number);
            let _ = house.sessions.create(user, Client::default(), false, Data::default()).await.unwrap();
        }
        house.clock.advance(house.sessions.timeouts().idle());
        house.log();
        let _purging = tokio::spawn(house.sessions.clone().keep_purged());
        let purged_within = async |time| {
            tokio::time::sleep(time).await;
            house.log().iter().filter(|asked| **asked == "purge").count()
        };
        let millisecond = Duration::from_millis(1);
        assert_eq!(purged_within(millisecond).await, 1);
        assert_eq!(purged_within(Duration::from_millis(48)).await, 0);
        assert_eq!(purged_within(2 * millisecond).await, 1);
        assert_eq!(purged_within(MINUTE - 2 * millisecond).await, 0);
        house.fail_at(Some("purge"));
        assert_eq!(purged_within(2 * millisecond).await, 1);
        assert_eq!(purged_within(MINUTE - 2 * millisecond).await, 0);
        assert_eq!(purged_within(2 * millisecond).await, 1, "a failure ends nothing");
    }

    #[tokio::test]
    async fn purging_holds_off_for_ten_minutes_after_the_clock_jumped() {
        // R60
        let house = house();
        let login = house.logged_in().await;
        house.clock.jump(60 * MINUTE);
        assert!(house.resume(&login.token).await.is_none(), "it ends early");
        house.log();
        assert_eq!(house.sessions.purge().await.unwrap(), Purged::default());
        house.clock.advance(10 * MINUTE - Duration::from_secs(1));
        assert_eq!(house.sessions.purge().await.unwrap(), Purged::default());
        assert!(house.log().is_empty(), "the store is not asked");
        house.clock.advance(Duration::from_secs(1));
        assert_eq!(house.sessions.purge().await.unwrap().ended, [login.record.id()]);
    }

    #[tokio::test]
    async fn purging_goes_on_where_time_passed_or_was_corrected_a_little() {
        // R60
        let house = house();
        let login = house.logged_in().await;
        house.clock.advance(29 * MINUTE);
        house.clock.jump(Duration::from_secs(30));
        assert_eq!(house.sessions.purge().await.unwrap().ended, [], "it lives");
        house.clock.advance(MINUTE);
        assert_eq!(house.sessions.purge().await.unwrap().ended, [login.record.id()]);
    }

    #[tokio::test]
    async fn only_a_live_session_under_its_own_secret_and_not_due_for_a_touch_is_at_hand() {
        // R13, R15
        let clock = Arc::new(ManualClock::default());
        let lifetime = Lifetime::new(MINUTE * 10, MINUTE * 20);
        // The memory store has every session at hand.
        let sessions = Sessions::new(MemoryStore::new()).clock(clock.clone()).lifetime(lifetime);
        assert_eq!(sessions.timeouts(), lifetime);
        let (login, _) =
            sessions.create(UserId::from(1), Client::default(), false, Data::default()).await.unwrap();
        let forged = Token::generate(login.token.id());
        let at_hand = |token, extend| sessions.resume_at_hand(token, extend).map(|record| record.id());
        let id = login.record.id();
        assert_eq!(at_hand(&login.token, Extend::Yes), Some(id));
        assert_eq!((at_hand(&forged, Extend::Yes), at_hand(&forged, Extend::No)), (None, None));

        clock.advance(Duration::from_secs(10));
        assert_eq!((at_hand(&login.token, Extend::Yes), at_hand(&login.token, Extend::No)), (None, Some(id)));
        assert!(sessions.resume(&login.token, Extend::Yes).await.unwrap().is_some());
        assert_eq!(at_hand(&login.token, Extend::Yes), Some(id), "it was touched");

        clock.advance(MINUTE * 10);
        assert_eq!((at_hand(&login.token, Extend::Yes), at_hand(&login.token, Extend::No)), (None, None));
    }
}
