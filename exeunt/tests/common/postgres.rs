//! One PostgreSQL server for all tests of a program, and an own schema in it for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use services::Postgres;

/// The server. It ends with this process.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).expect("PostgreSQL is installed and starts"))
}

/// The URL of a new, empty schema, with further options.
pub(crate) fn fresh(further: &str) -> String {
    with_schema(&new_schema(), further)
}

/// The name of a new, empty schema.
pub(crate) fn new_schema() -> String {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("schema_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    server().psql("postgres", &format!("CREATE SCHEMA {name}")).expect("the server answers");
    name
}

/// The URL of a schema. Tests run side by side on few cores: the deadline is as long as it can be.
pub(crate) fn with_schema(schema: &str, further: &str) -> String {
    let url = server().url("postgres");
    format!("{url}?deadline=10s&pool=4&options=-csearch_path%3D{schema}{further}")
}
