//! Every law on every store, one line a store.

mod common;

use exeunt::store::DEFAULT_NEAR_BYTES;
use exeunt::{MemoryStore, Near};

use crate::common::announcing::Announcing;

exeunt::store_laws!(memory, async || (MemoryStore::new(), ()));

// A full, an almost empty and no cache tell the same truth.
const TINY: usize = 64 * 1024;
exeunt::store_laws!(near, async || (Near::new(Announcing::default(), DEFAULT_NEAR_BYTES), ()));
exeunt::store_laws!(near_tiny, async || (Near::new(Announcing::default(), TINY), ()));
exeunt::store_laws!(near_without_room, async || (Near::new(Announcing::default(), 0), ()));

#[cfg(feature = "sqlite")]
mod sqlite {
    use exeunt::store::sqlite::SqliteStore;
    use tempfile::TempDir;

    use super::{DEFAULT_NEAR_BYTES, Near, TINY};

    fn fresh() -> (SqliteStore, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        (SqliteStore::open(folder.path().join("sessions.db")).expect("a fresh file opens"), folder)
    }

    fn near(bytes: usize) -> (Near<SqliteStore>, TempDir) {
        let (store, folder) = fresh();
        (Near::new(store, bytes), folder)
    }

    exeunt::store_laws!(bare, async || fresh());
    exeunt::store_laws!(near_full, async || near(DEFAULT_NEAR_BYTES));
    exeunt::store_laws!(near_tiny, async || near(TINY));
    exeunt::store_laws!(near_without_room, async || near(0));

    // The file tells one cache of its changes; a second that believed it was told would revive what ended.
    exeunt::store_laws!(second_near, async || {
        let (store, folder) = fresh();
        let first = Near::new(store.clone(), DEFAULT_NEAR_BYTES);
        (Near::new(store, DEFAULT_NEAR_BYTES), (first, folder))
    });
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use exeunt::store::redis::RedisStore;
    use services::{Cluster, Redis, Sentinel};

    // One server, or set of them, for all laws; each has a prefix of its own.
    static SERVER: LazyLock<Redis> = LazyLock::new(|| Redis::start(&[]).expect("a server starts"));
    static REPLICA: LazyLock<Redis> = LazyLock::new(|| SERVER.start_replica().expect("a replica starts"));
    static SENTINEL: LazyLock<Sentinel> = LazyLock::new(|| Sentinel::start(&[]).expect("sentinels start"));
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&[]).expect("a cluster starts"));

    async fn fresh(url: &str) -> RedisStore {
        static LAWS: AtomicUsize = AtomicUsize::new(0);
        let sign = if url.contains('?') { '&' } else { '?' };
        let law = LAWS.fetch_add(1, Ordering::Relaxed);
        // The machine is busy with all laws at once.
        let url = format!("{url}{sign}prefix=law{law}:&deadline=10s");
        RedisStore::connect(&url).await.expect("the server answers")
    }

    exeunt::store_laws!(standalone, async || (fresh(&SERVER.url()).await, ()));
    exeunt::store_laws!(replicated, async || {
        LazyLock::force(&REPLICA);
        (fresh(&format!("{}?wait_replicas=1", SERVER.url())).await, ())
    });
    exeunt::store_laws!(sentinel, async || (fresh(&SENTINEL.url()).await, ()));
    exeunt::store_laws!(cluster, async || (fresh(&CLUSTER.url()).await, ()));
}

#[cfg(feature = "postgres")]
#[path = "common/postgres.rs"]
mod postgres_server;

#[cfg(feature = "postgres")]
mod postgres {
    use exeunt::store::postgres::PostgresStore;

    use std::sync::OnceLock;

    use services::PgBouncer;

    use super::postgres_server::{fresh, new_schema, server, url};

    /// The URL of a new, empty schema, over connections that think they are elsewhere.
    fn with_time_zone(zone: &str) -> String {
        url(&format!("-csearch_path={} -cTimeZone={zone}", new_schema()))
    }

    /// The URL of a new, empty database behind a pooler that gives each transaction another of two connections.
    fn behind_a_pooler() -> String {
        static POOLER: OnceLock<PgBouncer> = OnceLock::new();
        let few = ["default_pool_size = 2", "server_idle_timeout = 2"];
        let pooler = POOLER
            .get_or_init(|| PgBouncer::start(server(), &few).expect("PgBouncer is installed and starts"));
        // It takes no settings of a connection, so that a schema would not do.
        let database = server().new_database().expect("the server answers");
        let name = database.rsplit('/').next().expect("a URL ends with the name");
        format!("{}?deadline=10s&pool=4&pooler=transaction", pooler.url(name))
    }

    /// One law at a time. Each connection's process is a session of its own, and Linux's autogroup scheduling, measured on
    /// 6.18 with two processors, let such processes wait for one up to 10 s while two laws asked as fast as they could;
    /// with `kernel.sched_autogroup_enabled=0` that does not happen.
    async fn store(url: &str) -> (PostgresStore, tokio::sync::MutexGuard<'static, ()>) {
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let turn = TURN.lock().await;
        (PostgresStore::connect(url).await.expect("the server lets us in"), turn)
    }

    exeunt::store_laws!(direct, async || store(&fresh("")).await);
    exeunt::store_laws!(pooled, async || store(&behind_a_pooler()).await);
    // Instants are integers: no connection's time zone moves them.
    exeunt::store_laws!(in_tokyo, async || store(&with_time_zone("Asia/Tokyo")).await);
    exeunt::store_laws!(in_new_york, async || store(&with_time_zone("America/New_York")).await);
}
