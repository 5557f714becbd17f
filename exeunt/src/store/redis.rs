//! Sessions in Redis or Valkey: standalone, under Sentinel, or in a Cluster.
//!
//! A session's own key alone decides whether it lives, and nothing but a create must ever make that key. A store that
//! was silent, or said that it does not serve now, must never be taken for one that said "gone".
//!
//! | key | what |
//! | --- | --- |
//! | `exeunt:s:DNqrr2AAAAE` | a session, by its id: packed bytes, never a hash (a late `HSET` would bring it back) |
//! | `exeunt:i:9842` | a 16384th of the index: a hash of users, with the ids of their sessions, 8 bytes each; those of logins on their way negative |
//! | `exeunt:purge` | the lease of the node that purges |
//! | `exeunt:w:{exeunt:s:DNqrr2AAAAE}` | for 10 seconds, with `wait_replicas`: that session was over already |
//!
//! The two keys of a session may lie on two servers of a cluster, so no step touches both. `create` writes the index
//! entry **before** the session and **once more after** it, and only then is acknowledged; `destroy` takes the entry
//! away after the session. So a crash leaves at most a name without a session, never a session that "log out
//! everywhere" misses. A name without a session is left alone while it is younger than 10 minutes: it may be a login on
//! its way, and who lists, logs in or purges next takes it out later. The second entry is for an index that was lost between the two, or in which somebody whose clock is ahead
//! struck the login's name out; it is another name, which nobody who saw only the first one takes away.
//!
//! What reads is sent as if it wrote (`GETEX`, a write of nothing in scripts), since replicas refuse that: one that was
//! a primary a moment ago cannot answer. A user with less than all rights needs, on the keys of the prefix: `evalsha`,
//! `eval`, `get`, `getex`, `getdel`, `getrange`, `set`, `setrange`, `del`, `hget`, `hset`, `hdel`, `hscan`, `pttl`,
//! `pexpireat`; and `info`, `time`, `role`, `scan`, `wait`, `config|get` (asked for, not insisted on), `cluster|slots`,
//! `cluster|info`, `asking`, and `select` for a database other than 0.
//!
//! Whether a session has expired is decided from its record with the caller's `now`. What Redis is told of its expiry
//! is an hour later and only frees space.

mod check;
mod ending;
mod error;
mod find;
mod index;
mod link;
mod map;
mod node;
mod packed;
mod purge;
mod scripts;
mod url;
mod walk;
mod watch;

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

pub use self::error::ConnectError;
use self::error::Fault;
use self::link::{Link, READ, Twice};
use self::node::yes;
use self::packed::{instant_bytes, unpack};
use self::url::{Config, Mode};
use super::{Created, Purged, Report, Saved, Store, StoreError, async_trait};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier};

/// For fuzzing alone: asserts that a value is an error, or a session that is written the same again.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn reads_as_it_was_written(value: &[u8]) {
    let id = SessionId::from_i64(1).expect("it is not negative");
    let Ok(record) = unpack(id, value) else { return };
    let again = unpack(id, &packed::pack(&record)).expect("what is written can be read");
    assert_eq!(again.into_parts(), record.into_parts());
}

/// How long Redis keeps what has expired: nodes whose clocks differ a little still agree.
const FREED_AFTER: Duration = Duration::from_secs(60 * 60);
/// The last millisecond that Lua and Redis both count exactly.
const LAST_MS: i64 = (1 << 53) - 1;
/// Records asked for at once in a walk.
const PAGE: usize = 500;

/// Sessions in Redis 6.2 or later, or Valkey. Cheap to clone.
///
/// A server that is silent is asked anew, over new connections, without a restart of ours: it serves as soon as it is
/// back. After a failover the sentinels, or the other members of the cluster, say who is primary; an old primary is not
/// read from.
///
/// ```no_run
/// use exeunt::store::redis::RedisStore;
///
/// # async fn connected() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://anna:secret@127.0.0.1:6379/0?deadline=500ms").await?;
/// let sessions = exeunt::Sessions::new(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Arc<Link>,
    walks: walk::Walks,
    /// Who we are where only one may be.
    owner: String,
}

impl RedisStore {
    /// Connects, and looks whether the servers are set up to keep the promises.
    ///
    /// The address says everything: `redis://`, or `rediss://` for TLS (`valkey://`, `valkeys://`), then
    /// `user:password@host:6379/0`, of which all but the host can be left out; a password is percent-encoded. With
    /// `redis+sentinel://` the hosts are sentinels (port 26379), with `redis+cluster://` members of a cluster. After
    /// `?` can stand:
    ///
    /// | | |
    /// | --- | --- |
    /// | `node=h2:26379` | a further sentinel or member; may be repeated |
    /// | `master=mymaster` | which primary the sentinels are asked for |
    /// | `sentinel_user`, `sentinel_password` | who we are to the sentinels |
    /// | `prefix=exeunt:` | what all keys begin with: 1 to 64 bytes, no braces |
    /// | `deadline=1s` | how long an operation may take, 50ms to 10s; of a walk, purge or check, each step of it |
    /// | `wait_replicas=0` | how many replicas must have an end before it is acknowledged, 0 to 9 |
    /// | `ca=/path.pem` | the authorities that may sign certificates, in place of the machine's |
    ///
    /// Must be called within a Tokio runtime, and used within that one.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let link = Arc::new(Link::new(Config::parse(url)?));
        // Errs only if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        link.connect().await?;
        watch::watch(&link);
        let owner = format!("{:016x}", RandomState::new().build_hasher().finish());
        Ok(Self(Arc::new(Inner { link, walks: walk::Walks::default(), owner })))
    }

    /// What to know of the servers, and what weakens the promises.
    ///
    /// # Errors
    ///
    /// If a server does not answer, or is not set up to keep the promises.
    pub async fn check(&self) -> Result<Report, StoreError> {
        let link = &self.0.link;
        let mode = match &link.config.mode {
            Mode::Standalone => "standalone",
            Mode::Sentinel { .. } => "sentinel",
            Mode::Cluster => "cluster",
        };
        let mut report = Report { facts: vec![("mode", mode.to_owned())], problems: Vec::new() };
        for node in link.all_primaries(link.until()).await? {
            let until = link.until();
            let found = node.open(until).await?.found(until).await?;
            found.look_over(&node.host, &link.config.mode).map_err(Fault::Connect)?;
            report.facts.push(("primary", node.host.to_string()));
            report.facts.extend(found.facts());
            let problems = found.problems(link.config.wait_replicas);
            report.problems.extend(problems.into_iter().map(|problem| format!("{}: {problem}", node.host)));
        }
        Ok(report)
    }

    /// The address without the password, for messages and logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.link.config.shown
    }
}

impl Inner {
    fn session(&self, id: &SessionId) -> String {
        let prefix = &self.link.config.prefix;
        let mut key = String::with_capacity(prefix.len() + 13);
        key.push_str(prefix);
        key.push_str("s:");
        id.push_to(&mut key);
        key
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let Self(inner) = self;
        let until = inner.link.until();
        let (key, limit) = (inner.session(&record.id()), limit.max(1));
        inner.announce(record, until).await?;
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(packed::pack(record)).arg("NX");
        set.arg("PXAT").arg(until_ms(record.expires_at(), FREED_AFTER));
        let answer = inner.link.ask(&key, &set, Twice::Never, until).await;
        // Also where the answer is lost: the session may be there.
        inner.walks.created(record.id());
        match answer? {
            Value::Okay => (),
            Value::Nil => return Ok(Created::Taken),
            _ => return Err(Fault::Form("SET answered something unheard of").into()),
        }
        let all = inner.enter(record, limit, until).await?;
        let ended = inner.make_room(record, &all, limit, until).await?;
        Ok(Created::Yes { ended })
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let Self(inner) = self;
        let (key, until) = (inner.session(id), inner.link.until());
        let mut read = redis::Cmd::with_capacity(2, READ.len() + key.len());
        read.arg(READ).arg(&key);
        let value = match inner.link.ask(&key, &read, Twice::Harmless, until).await? {
            Value::BulkString(value) => value,
            Value::Nil => return Ok(None),
            _ => return Err(Fault::Form("GETEX answered something unheard of").into()),
        };
        let record = unpack(*id, &value)?;
        Ok(record.is_live(now).then(|| Arc::new(record)))
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let Self(inner) = self;
        let (now, expires_at) = (instant_bytes(now), instant_bytes(expires_at));
        let values = [&old.as_bytes()[..], &now, &expires_at, new.as_bytes()];
        let (key, until) = (inner.session(id), inner.link.until());
        Ok(yes(&inner.link.run(&scripts::RENEW, &key, &values, Twice::Never, until).await?)?)
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let Self(inner) = self;
        let next = revision.wrapping_add(1);
        let data = if data.is_empty() { "" } else { data.as_json() };
        let (now, revision, next_bytes) = (instant_bytes(now), revision.to_be_bytes(), next.to_be_bytes());
        let values = [&verifier.as_bytes()[..], &now, &revision, &next_bytes, data.as_bytes()];
        let (key, until) = (inner.session(id), inner.link.until());
        let said = inner.link.run(&scripts::SAVE, &key, &values, Twice::Never, until).await?;
        Ok(match said {
            Value::Int(1) => Saved::At(next),
            Value::Int(2) => Saved::Stale,
            Value::Int(0) => Saved::Gone,
            _ => return Err(Fault::Form("the script that saves answered something unheard of").into()),
        })
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let Self(inner) = self;
        let (now, expires_at) = (instant_bytes(now), instant_bytes(expires_at));
        let values = [&verifier.as_bytes()[..], &now, &expires_at];
        let (key, until) = (inner.session(id), inner.link.until());
        Ok(yes(&inner.link.run(&scripts::TOUCH, &key, &values, Twice::Harmless, until).await?)?)
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Self(inner) = self;
        let until = inner.link.until();
        let Some(value) = inner.link.end(&inner.session(id), until).await? else { return Ok(false) };
        // What a newer exeunt wrote is ended all the same; its name stays in the index until somebody lists it, or a sweep.
        if let Ok(record) = unpack(*id, &value) {
            inner.leave(record.user(), &[*id], until).await;
        }
        Ok(true)
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let Self(inner) = self;
        let until = inner.link.until();
        let all = inner.members(user, until).await?.ids();
        let mut ended = Vec::new();
        for (id, value) in all.iter().zip(inner.values(&all, until).await?) {
            let key = inner.session(id);
            match value.map(|value| unpack(*id, &value)) {
                // It may be a login on its way, or the end of one that no replica has confirmed.
                None => inner.link.confirm_end(&key, until).await?,
                Some(Ok(record)) if record.user() != user || Some(id) == except => (),
                // What cannot be read stands in this user's index, and so it ends like the others.
                Some(_) if inner.link.end(&key, until).await?.is_some() => ended.push(*id),
                Some(_) => (),
            }
        }
        inner.leave(user, &ended, until).await;
        Ok(ended)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let Self(inner) = self;
        let until = inner.link.until();
        let all = inner.members(user, until).await?;
        let mut found = inner.named(&all, until).await?;
        inner.prune(user, &all, &found, now, until).await;
        found.retain(|record| record.user() == user && record.is_live(now));
        found.sort_by_key(|record| Reverse((record.seen_at(), record.id())));
        Ok(found)
    }

    /// Looks at all keys first, and at their values page by page. Each of these steps has the deadline to itself.
    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        let Self(inner) = self;
        let mut rest = inner.walks.begin(&inner.link, after).await?;
        let mut found = Vec::new();
        while found.len() < limit && !rest.is_empty() {
            let page: Vec<_> = rest.drain(..rest.len().min(limit - found.len()).min(PAGE)).collect();
            let records = inner.records(&page, inner.link.until()).await?;
            found.extend(records.into_iter().flatten().filter(|record| record.is_live(now)));
        }
        if let Some(last) = found.last().filter(|_| !rest.is_empty()) {
            inner.walks.keep(last.id(), rest);
        }
        Ok(found)
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        Ok(self.0.purge(after, limit, now).await?)
    }

    /// Half an hour: Redis frees what has expired by itself, and only who expired is still to be said.
    fn purge_pause(&self) -> Duration {
        Duration::from_secs(30 * 60)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let (link, until) = (&self.0.link, self.0.link.until());
        for key in link.a_key_on_each(until).await? {
            // It finds nothing, and is refused wherever no session could be ended.
            let mut take = redis::cmd("GETDEL");
            link.ask(&key, take.arg(&key), Twice::Harmless, until).await?;
        }
        Ok(())
    }
}

/// An instant that much later, in the milliseconds that Redis takes.
fn until_ms(instant: Timestamp, by: Duration) -> i64 {
    (instant.plus(by).as_micros() / 1_000).min(LAST_MS)
}
