//! The index of users' sessions: names alone. Whether a session lives, its own key says.
//!
//! All users share 16384 keys, the buckets: hashes with a field for each user, of names that are 8 bytes each. A key for each
//! user would cost most of them more than all else in the index. Every step is on one bucket, and on one user in it, but for
//! that of the sweep.
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
use super::packed::unpack;
use super::{Inner, LAST_MS, map, scripts, until_ms};
use crate::session::{Record, SessionId, Timestamp, UserId};
use crate::store::Causes;

/// How much longer than the sessions in it a bucket is kept, and then to the end of a day: most logins find that somebody
/// said so already.
const KEPT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// A name without a session that is younger may be a login on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10 * 60);
/// Nodes of one store must never differ in it. So many that a bucket of a million users has about sixty, and one of eight
/// millions is still kept in Redis's short form (`hash-max-listpack-entries 512`); so few that the users of a small site share
/// the cost of a key.
const BUCKETS: u16 = 16_384;

impl Inner {
    fn index(&self, user: &UserId) -> String {
        self.bucket(map::crc16(user.as_str()) % BUCKETS)
    }

    pub(super) fn bucket(&self, number: u16) -> String {
        format!("{}i:{number}", self.link.config.prefix)
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
        let kept_until = kept_until_ms(record.ends_at()).to_string();
        let (name, other, limit) = (name.to_be_bytes(), in_place_of.map(i64::to_be_bytes), limit.to_string());
        let (user, other) = (record.user().as_str(), other.as_ref().map_or(&[][..], |other| &other[..]));
        let values = [user.as_bytes(), &name, other, kept_until.as_bytes(), limit.as_bytes()];
        let index = self.index(record.user());
        names(self.link.run(&scripts::ENTER, &index, &values, Twice::Harmless, until).await?)
    }

    pub(super) async fn members(&self, user: &UserId, until: Instant) -> Result<Names, Fault> {
        let (index, values) = (self.index(user), [user.as_str().as_bytes()]);
        names(self.link.run(&scripts::NAMES, &index, &values, Twice::Harmless, until).await?)
    }

    /// Takes the names of sessions that ended out of an index.
    pub(super) async fn leave(&self, user: &UserId, ended: &[SessionId], until: Instant) {
        let names: Vec<_> = ended.iter().map(|id| id.to_i64()).flat_map(|id| [id, !id]).collect();
        self.strike(user, &names, until).await;
    }

    async fn strike(&self, user: &UserId, names: &[i64], until: Instant) {
        if !names.is_empty() {
            self.strike_out(&self.index(user), &[(user.as_str().as_bytes(), names)], until).await;
        }
    }

    /// That it fails leaves names without sessions, which whoever lists them, or a sweep, takes out.
    pub(super) async fn strike_out(&self, bucket: &str, users: &[(&[u8], &[i64])], until: Instant) {
        let packed = |names: &[i64]| names.iter().flat_map(|name| name.to_be_bytes()).collect::<Vec<_>>();
        let names: Vec<_> = users.iter().map(|(_, names)| packed(names)).collect();
        let values: Vec<_> =
            users.iter().zip(&names).flat_map(|((user, _), names)| [*user, names.as_slice()]).collect();
        if let Err(fault) = self.link.run(&scripts::STRIKE, bucket, &values, Twice::Harmless, until).await {
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
        let names: Vec<_> =
            seen.old(now).filter(|(id, _)| !found.contains(id)).map(|(_, name)| name).collect();
        self.strike(user, &names, until).await;
    }
}

/// What stands in an index.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<i64>);

impl Names {
    /// As they are packed; nothing if that has another form.
    pub(super) fn unpacked(bytes: &[u8]) -> Option<Self> {
        let (names, rest) = bytes.as_chunks::<8>();
        rest.is_empty().then(|| Self(names.iter().map(|name| i64::from_be_bytes(*name)).collect()))
    }

    /// Whose names they are, each once.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        let ids: BTreeSet<_> = self.0.iter().copied().filter_map(id).collect();
        ids.into_iter().collect()
    }

    /// Those whose logins cannot be on their way any more, with the sessions that they name.
    pub(super) fn old(&self, now: Timestamp) -> impl Iterator<Item = (SessionId, i64)> + '_ {
        let old = move |id: &SessionId| now.since(id.time()) > ON_ITS_WAY;
        self.0.iter().filter_map(move |name| Some((id(*name).filter(old)?, *name)))
    }
}

fn kept_until_ms(ends_at: Timestamp) -> i64 {
    let until = until_ms(ends_at, KEPT_AFTER);
    until.saturating_add(DAY_MS - 1 - (until - 1).rem_euclid(DAY_MS)).min(LAST_MS)
}

fn id(name: i64) -> Option<SessionId> {
    SessionId::from_i64(if name < 0 { !name } else { name })
}

fn names(value: redis::Value) -> Result<Names, Fault> {
    // Nothing at all is not the same as no sessions.
    let names = match value {
        redis::Value::BulkString(names) => Names::unpacked(&names),
        _ => None,
    };
    names.ok_or(Fault::Form("the server answered something unheard of"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use services::Redis;

    use super::*;
    use crate::session::{Lifetime, Login};
    use crate::store::redis::RedisStore;

    /// Names that are easily found where one ends and the next one begins.
    fn spelt(name: i64) -> i64 {
        if name < 0 {
            !spelt(!name)
        } else {
            i64::from_be_bytes(std::array::from_fn(|at| 1 + u8::from((name >> (at % 6)) & 1 == 1)))
        }
    }

    /// What is done with the names of one of three users.
    #[derive(Clone, Debug)]
    enum Step {
        Announce(i64),
        Enter { name: i64, limit: usize },
        Strike(Vec<i64>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || 0..40_i64;
        prop_oneof![
            3 => name().prop_map(Step::Announce),
            3 => (name(), 0..30_usize).prop_map(|(name, limit)| Step::Enter { name, limit }),
            2 => vec(prop_oneof![name(), name().prop_map(|name| !name)], 1..20).prop_map(Step::Strike),
        ]
    }

    /// Users of the same bucket.
    fn neighbours() -> Vec<UserId> {
        let bucket = |user: &UserId| map::crc16(user.as_str()) % BUCKETS;
        let users = (1..).map(UserId::from);
        users.filter(|user| bucket(user) == bucket(&UserId::from(1))).take(3).collect()
    }

    fn named(user: &UserId, name: i64) -> Record {
        let now = Timestamp::from_secs(1_800_000_000);
        let record = Record::new(user.clone(), now, &Lifetime::default(), Login::default()).1;
        let id = SessionId::from_i64(spelt(name)).unwrap();
        Record::restore(crate::session::Parts { id, ..record.into_parts() })
    }

    async fn live_through(history: &[(usize, Step)]) -> Result<(), TestCaseError> {
        static SERVER: std::sync::LazyLock<Redis> = std::sync::LazyLock::new(|| Redis::start(&[]).unwrap());
        static HISTORIES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = HISTORIES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let store = RedisStore::connect(&format!("{}?deadline=10s&prefix=h{number}:", SERVER.url())).await;
        let inner = &store.unwrap().0;
        let users = neighbours();
        let mut expected = vec![BTreeSet::new(); users.len()];
        for (user, step) in history {
            let (user, expected, until) = (&users[*user], &mut expected[*user], inner.link.until());
            match step {
                Step::Announce(name) => {
                    expected.insert(spelt(!name));
                    inner.announce(&named(user, *name), until).await.unwrap();
                }
                Step::Enter { name, limit } => {
                    expected.insert(spelt(*name));
                    expected.remove(&spelt(!name));
                    let all = inner.enter(&named(user, *name), *limit, until).await.unwrap();
                    let told = if expected.len() > *limit { expected.clone() } else { BTreeSet::new() };
                    prop_assert_eq!(all.0.len(), told.len());
                    prop_assert_eq!(all.0.into_iter().collect::<BTreeSet<_>>(), told);
                }
                Step::Strike(names) => {
                    let names: Vec<_> = names.iter().map(|name| spelt(*name)).collect();
                    expected.retain(|name| !names.contains(name));
                    inner.strike(user, &names, until).await;
                }
            }
        }
        for (user, expected) in users.iter().zip(&expected) {
            let names = inner.members(user, inner.link.until()).await.unwrap().0;
            prop_assert_eq!(names.len(), expected.len());
            prop_assert_eq!(&names.into_iter().collect::<BTreeSet<_>>(), expected);
        }
        // Nothing is left of who has none.
        for (user, expected) in users.iter().zip(&expected) {
            inner.strike(user, &expected.iter().copied().collect::<Vec<_>>(), inner.link.until()).await;
        }
        let left = SERVER.cli(&["exists", &inner.index(&users[0])]).unwrap();
        prop_assert_eq!(left.trim(), "0");
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: services::rounds(60, 3_000), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn users_of_one_bucket_have_their_own_names_and_each_once(history in vec((0..3_usize, step()), 1..100)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live_through(&history))?;
        }
    }

    #[test]
    fn users_spread_over_all_buckets() {
        let mut users = vec![0; usize::from(BUCKETS)];
        for user in (1..=100_000).map(UserId::from) {
            users[usize::from(map::crc16(user.as_str()) % BUCKETS)] += 1;
        }
        assert!(users.iter().all(|users| *users <= 20), "{:?}", users.iter().max());
    }

    #[test]
    fn a_bucket_is_kept_to_the_end_of_a_day() {
        let kept = |secs: i64| kept_until_ms(Timestamp::from_secs(secs));
        assert_eq!(kept(0), DAY_MS);
        assert_eq!(kept(1), 2 * DAY_MS);
        assert_eq!(kept(86_400), 2 * DAY_MS);
        assert_eq!(kept_until_ms(Timestamp::from_micros(i64::MAX)), LAST_MS);
    }
}
