//! Random histories with a moving clock: each store against the memory store, answer for answer.
//!
//! A history that fails is made as short as it gets and printed. Its seed is kept in `model.proptest-regressions`, which
//! is tried first from then on: commit it with the fix.

mod common;

use std::time::Duration;

use exeunt::session::{Client, Parts};
use exeunt::store::{Created, DEFAULT_NEAR_BYTES, Store, StoreError};
use exeunt::{Data, MemoryStore, Near, Record, SessionId, Timestamp, UserId, Verifier};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::common::announcing::Announcing;

const SESSIONS: i64 = 6;
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// What is done, with everything small enough that histories come back to the same sessions.
#[derive(Clone, Debug)]
enum Step {
    Create { session: i64, user: i64, secret: u8, minutes: u8, limit: usize },
    Renew { session: i64, old: u8, new: u8, minutes: u8 },
    Save { session: i64, secret: u8, revision: u32, value: u8 },
    Touch { session: i64, secret: u8, back: u8, minutes: u8 },
    Destroy { session: i64 },
    DestroyAll { user: i64, except: Option<i64> },
    Walk { after: Option<i64>, limit: usize },
    Purge { limit: usize },
    Wait { minutes: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS;
    let user = || 0..2_i64;
    let secret = || 0..2_u8;
    let minutes = || 0..4_u8;
    prop_oneof![
        6 => (session(), user(), secret(), minutes(), 0..4_usize)
            .prop_map(|(session, user, secret, minutes, limit)| Step::Create { session, user, secret, minutes, limit }),
        3 => (session(), secret(), secret(), minutes())
            .prop_map(|(session, old, new, minutes)| Step::Renew { session, old, new, minutes }),
        4 => (session(), secret(), 0..3_u32, 0..3_u8)
            .prop_map(|(session, secret, revision, value)| Step::Save { session, secret, revision, value }),
        4 => (session(), secret(), 0..3_u8, 0..12_u8)
            .prop_map(|(session, secret, back, minutes)| Step::Touch { session, secret, back, minutes }),
        2 => session().prop_map(|session| Step::Destroy { session }),
        1 => (user(), proptest::option::of(session())).prop_map(|(user, except)| Step::DestroyAll { user, except }),
        1 => (proptest::option::of(session()), 1..4_usize).prop_map(|(after, limit)| Step::Walk { after, limit }),
        1 => (1..4_usize).prop_map(|limit| Step::Purge { limit }),
        4 => minutes().prop_map(|minutes| Step::Wait { minutes }),
    ]
}

fn minutes(number: u8) -> Duration {
    Duration::from_secs(60) * u32::from(number)
}

fn id(session: i64) -> SessionId {
    SessionId::from_i64(1_000 + session).expect("it is positive")
}

fn verifier(secret: u8) -> Verifier {
    Verifier::from_bytes([secret; 32])
}

fn data(value: u8) -> Data {
    let text = if value == 0 { "{}".to_owned() } else { format!(r#"{{"value":{value}}}"#) };
    Data::from_json(text).expect("it is short")
}

fn record(session: i64, user: i64, secret: u8, lives: u8, now: Timestamp) -> Record {
    Record::restore(Parts {
        id: id(session),
        verifier: verifier(secret),
        previous: None,
        user: UserId::from(user),
        created_at: now,
        authenticated_at: now,
        seen_at: now,
        expires_at: now.plus(minutes(lives)),
        ends_at: now.plus(minutes(8)),
        remembered: secret == 1,
        revision: 0,
        client: Client::new("curl/8.5.0"),
        data: data(secret),
    })
}

/// What a store answered. Records stand beside the text, which shows no secret.
type Answer = (String, Vec<Parts>);

async fn take(store: &dyn Store, step: &Step, now: Timestamp) -> Answer {
    try_take(store, step, now).await.expect("the store answers")
}

/// Takes one step and notes what the store answered.
async fn try_take(store: &dyn Store, step: &Step, now: Timestamp) -> Result<Answer, StoreError> {
    let text = match *step {
        Step::Create { session, user, secret, minutes, limit } => {
            let record = record(session, user, secret, minutes, now);
            let mut created = store.create(&record, limit).await?;
            if let Created::Yes { ended } = &mut created {
                ended.sort();
            }
            format!("{created:?}")
        }
        Step::Renew { session, old, new, minutes: lives } => {
            let (id, old, new) = (id(session), verifier(old), verifier(new));
            let renewed = store.renew(&id, &old, &new, now, now.plus(minutes(lives))).await;
            format!("{:?}", renewed?)
        }
        Step::Save { session, secret, revision, value } => {
            let (id, secret, data) = (id(session), verifier(secret), data(value));
            format!("{:?}", store.save(&id, &secret, revision, &data, now).await?)
        }
        Step::Touch { session, secret, back, minutes: lives } => {
            // A node whose clock is a little behind.
            let seen = Timestamp::from_micros(now.as_micros() - i64::from(back) * 1_000_000);
            let (id, secret) = (id(session), verifier(secret));
            let touched = store.touch(&id, &secret, seen, seen.plus(minutes(lives))).await?;
            store.ping().await?;
            format!("{touched:?}")
        }
        Step::Destroy { session } => format!("{:?}", store.destroy(&id(session)).await?),
        Step::DestroyAll { user, except } => {
            let except = except.map(id);
            let mut ended = store.destroy_all(&UserId::from(user), except.as_ref()).await?;
            ended.sort();
            format!("{ended:?}")
        }
        Step::Walk { after, limit } => {
            let found = store.walk(after.map(id).as_ref(), limit, now).await?;
            return Ok((String::new(), parts(found)));
        }
        Step::Purge { limit } => {
            // How far one step goes is the store's own affair; what all of them end is not.
            let (mut ended, mut after) = (Vec::new(), None);
            loop {
                let purged = store.purge(after.as_ref(), limit, now).await?;
                ended.extend(purged.ended);
                after = purged.next;
                if after.is_none() {
                    break;
                }
            }
            ended.sort();
            format!("{ended:?}")
        }
        Step::Wait { .. } => String::new(),
    };
    Ok((text, Vec::new()))
}

fn parts(records: Vec<Record>) -> Vec<Parts> {
    records.into_iter().map(Record::into_parts).collect()
}

/// All that the store shows of the sessions at `now`.
async fn shown(store: &dyn Store, now: Timestamp) -> Vec<Vec<Parts>> {
    let mut shown = Vec::new();
    for session in 0..SESSIONS {
        let loaded = store.load(&id(session), now).await.expect("the store answers");
        let at_hand = store.peek(&id(session), now);
        assert!(at_hand.is_none() || at_hand == loaded, "at hand is what was loaded");
        shown.push(parts(loaded.iter().map(|record| Record::clone(record)).collect()));
    }
    for user in 0..2 {
        let mut listed = store.list(&UserId::from(user), now).await.expect("the store answers");
        assert!(listed.is_sorted_by(|a, b| a.seen_at() >= b.seen_at()), "the last seen come first");
        listed.sort_by_key(Record::id);
        shown.push(parts(listed));
    }
    shown
}

/// Lives through a history on a store and on the memory store at once.
fn compare(store: &dyn Store, history: &[Step]) -> Result<(), TestCaseError> {
    runtime().block_on(live_through(START, store, history))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn live_through(start: Timestamp, store: &dyn Store, history: &[Step]) -> Result<(), TestCaseError> {
    let reference = MemoryStore::new();
    let mut now = start;
    for (number, step) in history.iter().enumerate() {
        now = later(now, step);
        let expected = take(&reference, step, now).await;
        prop_assert_eq!(take(store, step, now).await, expected, "step {}: {:?}", number, step);
        let expected = shown(&reference, now).await;
        prop_assert_eq!(shown(store, now).await, expected, "after step {}: {:?}", number, step);
    }
    Ok(())
}

/// Between two steps a little time goes by, so that no two sessions were seen at the same instant.
fn later(now: Timestamp, step: &Step) -> Timestamp {
    let now = now.plus(Duration::from_micros(1_001));
    if let Step::Wait { minutes: waited } = step { now.plus(minutes(*waited)) } else { now }
}

/// So many with each change; each store lives through 10,000 under `cargo xtask soak`.
fn histories(few: u32) -> ProptestConfig {
    let cases = services::rounds(few, 10_000);
    let kept = FileFailurePersistence::Direct("tests/model.proptest-regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(histories(200))]

    #[test]
    fn a_full_an_almost_empty_and_no_cache_tell_what_the_memory_store_tells(history in vec(step(), 1..60)) {
        for bytes in [DEFAULT_NEAR_BYTES, 64 * 1024, 0] {
            compare(&Near::new(Announcing::default(), bytes), &history)?;
        }
    }
}

#[test]
fn a_cache_that_is_not_told_is_found_out() {
    let cases = ProptestConfig { cases: 50, failure_persistence: None, max_shrink_iters: 0, ..histories(0) };
    let drawn = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let found = TestRunner::new_with_rng(cases, drawn).run(&vec(step(), 1..60), |history| {
        let mut store = Announcing::default();
        store.silent = true;
        compare(&Near::new(store, DEFAULT_NEAR_BYTES), &history)
    });
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use exeunt::store::sqlite::SqliteStore;

    use super::*;

    // Each step is synced, so that there are fewer.
    proptest! {
        #![proptest_config(histories(24))]

        #[test]
        fn sqlite_tells_what_the_memory_store_tells(history in vec(step(), 1..60)) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let store = SqliteStore::open(folder.path().join("sessions.db")).expect("a fresh file opens");
            compare(&store, &history)?;
        }

        #[test]
        fn sqlite_behind_a_cache_tells_what_the_memory_store_tells(history in vec(step(), 1..60)) {
            for bytes in [DEFAULT_NEAR_BYTES, 64 * 1024, 0] {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let store = SqliteStore::open(folder.path().join("sessions.db")).expect("a fresh file opens");
                compare(&Near::new(store, bytes), &history)?;
            }
        }
    }
}

#[cfg(feature = "postgres")]
#[path = "common/postgres.rs"]
mod postgres_server;

#[cfg(feature = "postgres")]
mod postgres {
    use exeunt::store::postgres::PostgresStore;

    use super::postgres_server::{fresh, server};
    use super::*;
    use crate::common::gate::{Cut, Gate};

    proptest! {
        #![proptest_config(histories(24))]

        #[test]
        fn postgres_tells_what_the_memory_store_tells(history in vec(step(), 1..60)) {
            runtime().block_on(async {
                let store = PostgresStore::connect(&fresh("")).await.expect("the server lets us in");
                live_through(START, &store, &history).await
            })?;
        }

        #[test]
        fn whatever_postgres_answered_stays_true_however_its_connections_are_cut(
            history in vec((step(), cut()), 1..60),
        ) {
            // R05
            runtime().block_on(live_through_cuts(&history))?;
        }
    }

    #[test]
    fn what_is_cut_has_no_answer() {
        // A cut that cuts nothing would find nothing.
        for cut in [Cut::Before, Cut::During, Cut::After] {
            let history = [(Step::Destroy { session: 0 }, None), (Step::Destroy { session: 0 }, Some(cut))];
            let unanswered = runtime().block_on(live_through_cuts(&history));
            assert_eq!(unanswered.expect("it agrees"), 1, "{cut:?}");
        }
    }

    fn cut() -> impl Strategy<Value = Option<Cut>> {
        prop_oneof![7 => Just(None), 1 => Just(Some(Cut::Before)), 1 => Just(Some(Cut::During)), 1 => Just(Some(Cut::After))]
    }

    /// At this instant nothing has expired yet.
    const EVER: Timestamp = Timestamp::from_micros(0);

    /// One course of events that explains every answer so far.
    struct Course {
        steps: Vec<(Step, Timestamp)>,
        store: MemoryStore,
    }

    impl Course {
        async fn of(steps: Vec<(Step, Timestamp)>) -> Self {
            let store = MemoryStore::new();
            for (step, now) in &steps {
                take(&store, step, *now).await;
            }
            Self { steps, store }
        }
    }

    /// An error leaves two courses: the step happened, or it did not. At each answer one at least has to agree. How many
    /// steps had no answer.
    async fn live_through_cuts(history: &[(Step, Option<Cut>)]) -> Result<usize, TestCaseError> {
        let gate = Gate::to(server().port()).await;
        let by_gate = format!(":{}/", gate.port());
        let name = format!("cut_{}", gate.port());
        let url = fresh(&format!("&application_name={name}"));
        let url = url.replace(&format!(":{}/", server().port()), &by_gate);
        let store = PostgresStore::connect(&url).await.expect("the server lets us in");
        let mut courses = vec![Course::of(Vec::new()).await];
        let (mut now, mut unanswered) = (START, 0);
        for (number, (step, cut)) in history.iter().enumerate() {
            now = later(now, step);
            // One call that is cut in the middle is one step; several calls would be several.
            let step = match step {
                Step::Purge { .. } => &Step::Purge { limit: 1_000 },
                step => step,
            };
            if let Some(cut) = cut {
                gate.cut(0, *cut);
            }
            let answer = try_take(&store, step, now).await;
            gate.pass();
            let mut agreeing = Vec::new();
            for mut course in courses {
                let mut taken = course.steps.clone();
                taken.push((step.clone(), now));
                match &answer {
                    Err(_) => {
                        agreeing.push(Course::of(taken).await);
                        agreeing.push(course);
                    }
                    Ok(answer) if *answer == take(&course.store, step, now).await => {
                        course.steps = taken;
                        agreeing.push(course);
                    }
                    Ok(_) => (),
                }
            }
            prop_assert!(!agreeing.is_empty(), "step {number}: {step:?} got {answer:?}");
            if answer.is_err() {
                unanswered += 1;
                settle(&store, &name).await;
            }
            let shown_now = shown(&store, now).await;
            courses = Vec::new();
            let mut known = Vec::new();
            for course in agreeing {
                // Two courses that came to the same, the expired included, are one from here on.
                let all = parts(course.store.walk(None, usize::MAX, EVER).await.expect("memory answers"));
                if shown(&course.store, now).await == shown_now && !known.contains(&all) {
                    known.push(all);
                    courses.push(course);
                }
            }
            prop_assert!(!courses.is_empty(), "after step {number}: {step:?} ({cut:?}): {shown_now:?}");
        }
        Ok(unanswered)
    }

    /// Until the server has done with the connections that were cut, and the store answers again.
    async fn settle(store: &PostgresStore, name: &str) {
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
        while server().psql("postgres", &left).expect("the server answers").trim() != "0" {
            // The proxy runs beside us.
            tokio::task::yield_now().await;
        }
        store.ping().await.expect("it answers again");
    }
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;

    use exeunt::store::redis::RedisStore;
    use services::{Cluster, Redis};

    use super::*;
    use crate::common::gate::{Cut, Gate};

    static SERVER: LazyLock<Redis> = LazyLock::new(|| Redis::start(&[]).expect("a server starts"));
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&[]).expect("a cluster starts"));

    // Redis frees what expired an hour ago by its own clock.
    #[expect(clippy::disallowed_methods, reason = "Redis has a clock of its own")]
    fn start() -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        START.plus(since_1970.saturating_sub(Duration::from_secs(START.as_secs().unsigned_abs())))
    }

    async fn fresh(url: &str) -> RedisStore {
        static HISTORIES: AtomicUsize = AtomicUsize::new(0);
        let sign = if url.contains('?') { '&' } else { '?' };
        let history = HISTORIES.fetch_add(1, Ordering::Relaxed);
        let url = format!("{url}{sign}prefix=history{history}:&deadline=10s");
        RedisStore::connect(&url).await.expect("the server answers")
    }

    fn threads() -> tokio::runtime::Runtime {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime")
    }

    proptest! {
        #![proptest_config(histories(100))]

        #[test]
        fn redis_tells_what_the_memory_store_tells(history in vec(step(), 1..60)) {
            threads().block_on(async { live_through(start(), &fresh(&SERVER.url()).await, &history).await })?;
        }

        #[test]
        fn a_cluster_tells_what_the_memory_store_tells(history in vec(step(), 1..60)) {
            threads().block_on(async { live_through(start(), &fresh(&CLUSTER.url()).await, &history).await })?;
        }

        #[test]
        fn what_redis_answered_stays_true_however_connections_are_cut(
            history in vec((step(), proptest::option::of((0..8_u8, cut()))), 1..60)
        ) {
            threads().block_on(async {
                let gate = Gate::to(SERVER.port()).await;
                let store = fresh(&format!("redis://127.0.0.1:{}", gate.port())).await;
                live_through_cuts(&store, &gate, &history).await
            })?;
        }
    }

    #[test]
    fn what_is_cut_has_no_answer() {
        // A cut that cuts nothing would find nothing.
        for cut in [Cut::Before, Cut::After] {
            let history =
                [(Step::Destroy { session: 0 }, None), (Step::Destroy { session: 0 }, Some((0, cut)))];
            let unanswered = threads().block_on(async {
                let gate = Gate::to(SERVER.port()).await;
                let store = fresh(&format!("redis://127.0.0.1:{}", gate.port())).await;
                live_through_cuts(&store, &gate, &history).await
            });
            assert_eq!(unanswered.expect("it agrees"), 1, "{cut:?}");
        }
    }

    fn cut() -> impl Strategy<Value = Cut> {
        prop_oneof![Just(Cut::Before), Just(Cut::After)]
    }

    /// A step that is answered did what memory does. Of one that is not, each session is as it was or as it would be;
    /// from then on what is seen counts. How many steps had no answer.
    async fn live_through_cuts(
        store: &RedisStore,
        gate: &Gate,
        history: &[(Step, Option<(u8, Cut)>)],
    ) -> Result<usize, TestCaseError> {
        let mut reference = MemoryStore::new();
        let (mut now, mut unanswered) = (start(), 0);
        for (number, (step, cut)) in history.iter().enumerate() {
            now = later(now, step);
            let before = stored(&reference).await;
            let expected = take(&reference, step, now).await;
            if let Some((after, cut)) = cut {
                gate.cut(*after, *cut);
            }
            let answer = try_take(store, step, now).await;
            gate.pass();
            match answer {
                Ok(answer) => prop_assert_eq!(answer, expected, "step {}: {:?}", number, step),
                Err(_) => {
                    prop_assert!(cut.is_some(), "step {}: {:?} had no answer", number, step);
                    unanswered += 1;
                    let (would_be, seen) = (stored(&reference).await, stored(store).await);
                    for (seen, (before, would_be)) in seen.iter().zip(before.iter().zip(&would_be)) {
                        prop_assert!(seen == before || seen == would_be, "step {}: {:?}", number, step);
                    }
                    reference = memory_of(seen.into_iter().flatten()).await;
                }
            }
            let expected = shown(&reference, now).await;
            prop_assert_eq!(shown(store, now).await, expected, "after step {}: {:?}", number, step);
        }
        Ok(unanswered)
    }

    /// All that is kept, expired or not: a clock that is far behind sees it.
    async fn stored(store: &dyn Store) -> Vec<Option<Parts>> {
        let mut stored = Vec::new();
        for session in 0..SESSIONS {
            let found = store.load(&id(session), Timestamp::default()).await.expect("nothing is cut now");
            stored.push(found.map(|record| Record::clone(&record).into_parts()));
        }
        stored
    }

    async fn memory_of(records: impl Iterator<Item = Parts>) -> MemoryStore {
        let memory = MemoryStore::new();
        for parts in records {
            let created = memory.create(&Record::restore(parts), usize::MAX).await;
            assert_eq!(created.expect("memory answers"), Created::Yes { ended: vec![] });
        }
        memory
    }
}
