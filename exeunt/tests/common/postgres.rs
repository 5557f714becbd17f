//! One PostgreSQL server for all tests of a program, and an own schema in it for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use services::{PgBouncer, Postgres};

/// The server. It ends with this process.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).expect("PostgreSQL is installed and starts"))
}

/// The URL of a new, empty schema, with further options (`&pool=1`).
pub(crate) fn fresh(further: &str) -> String {
    url(&format!("-csearch_path={}", new_schema())) + further
}

/// The URL of a new, empty database behind a pooler that gives each transaction another of two connections.
pub(crate) fn behind_a_pooler() -> String {
    static POOLER: OnceLock<PgBouncer> = OnceLock::new();
    let few = ["default_pool_size = 2", "server_idle_timeout = 2"];
    let pooler =
        POOLER.get_or_init(|| PgBouncer::start(server(), &few).expect("PgBouncer is installed and starts"));
    // It takes no settings of a connection, so that a schema would not do.
    let database = server().new_database().expect("the server answers");
    let name = database.rsplit('/').next().expect("a URL ends with the name");
    format!("{}?deadline=10s&pool=4&pooler=transaction", pooler.url(name))
}

/// The URL of a new, empty schema, over connections that think they are elsewhere.
pub(crate) fn with_time_zone(zone: &str) -> String {
    url(&format!("-csearch_path={} -cTimeZone={zone}", new_schema()))
}

/// The name of a new, empty schema.
pub(crate) fn new_schema() -> String {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("schema_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    server().psql("postgres", &format!("CREATE SCHEMA {name}")).expect("the server answers");
    name
}

/// The server's URL with these settings. Tests run side by side on few cores: the deadline is as long as it can be.
pub(crate) fn url(settings: &str) -> String {
    let settings = settings.replace('=', "%3D").replace(' ', "%20");
    format!("{}?deadline=10s&pool=4&options={settings}", server().url("postgres"))
}
