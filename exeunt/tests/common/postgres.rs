//! One PostgreSQL server for all tests of a program, and an own schema in it for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use services::Postgres;

/// The server. It ends with this process.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).expect("PostgreSQL is installed and starts"))
}

/// The URL of a new, empty schema, with further options (`&pool=1`).
pub(crate) fn fresh(further: &str) -> String {
    url(&format!("-csearch_path={}", new_schema())) + further
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
