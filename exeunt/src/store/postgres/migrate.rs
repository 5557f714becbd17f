//! Brings tables up to date, each step once, whoever starts at the same time.
//!
//! Must never change what is up to date: a role without the right to make tables then only reads the version.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::database::Database;
use super::errors::{ConnectError, DatabaseError};

/// Building an index over millions of rows takes a while, and so does waiting for another node that does.
const MIGRATE_WITHIN: Duration = Duration::from_secs(300);

/// The SQL that brings the tables of `component` up to date, for a person to apply with `psql`.
///
/// One transaction; applied a second time, or to tables of an older version, it does only what is missing. Apply it
/// with the `search_path` that the service has, and give the service's role SELECT, INSERT, UPDATE and DELETE on the
/// tables.
///
/// ```
/// let sql = exeunt::store::postgres::schema("notes", &["CREATE TABLE note (text TEXT NOT NULL)"]);
/// assert!(sql.starts_with("BEGIN") && sql.ends_with("COMMIT;\n"));
/// ```
#[must_use]
pub fn schema(component: &str, steps: &[&str]) -> String {
    let name = component.replace('\'', "''");
    let mut sql = String::from(
        "BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = 0;
SET LOCAL client_min_messages = warning;
DO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('exeunt_migrations', 0)); END $$;
CREATE TABLE IF NOT EXISTS exeunt_migrations (component TEXT COLLATE \"C\" PRIMARY KEY, version INTEGER NOT NULL);
",
    );
    for (version, step) in (1..).zip(steps) {
        let (outer, inner) = (quote(step, "migration"), quote(step, "step"));
        sql += &format!(
            "DO {outer} BEGIN
IF coalesce((SELECT version FROM exeunt_migrations WHERE component = '{name}'), 0) < {version} THEN
EXECUTE {inner}{step}{inner};
INSERT INTO exeunt_migrations VALUES ('{name}', {version})
ON CONFLICT (component) DO UPDATE SET version = excluded.version;
END IF;
END {outer};
"
        );
    }
    sql + "COMMIT;\n"
}

/// A dollar quote that does not stand in the text.
fn quote(text: &str, name: &str) -> String {
    let mut quote = format!("${name}$");
    for number in 0_u32.. {
        if !text.contains(&quote) {
            break;
        }
        quote = format!("${name}{number}$");
    }
    quote
}

pub(super) async fn migrate(
    database: &Database,
    component: &str,
    steps: &[&str],
) -> Result<(), ConnectError> {
    let known = i32::try_from(steps.len()).unwrap_or(i32::MAX);
    let failed = |error| not_ready(database, component, error);
    let found = version(database, component).await.map_err(failed)?;
    if found < known {
        database.batch(MIGRATE_WITHIN, &schema(component, steps)).await.map_err(failed)?;
    }
    let found = version(database, component).await.map_err(failed)?;
    if found > known {
        let (address, component) = (database.address().to_owned(), component.to_owned());
        return Err(ConnectError::Newer { address, component, found, known });
    }
    Ok(())
}

async fn version(database: &Database, component: &str) -> Result<i32, DatabaseError> {
    let there = database.query("SELECT to_regclass('exeunt_migrations') IS NOT NULL", &[]).await?;
    if !there.first().map_or(Ok(false), |row| row.try_get(0))? {
        return Ok(0);
    }
    let sql = "SELECT version FROM exeunt_migrations WHERE component = $1";
    let rows = database.query(sql, &[(&component, Type::TEXT)]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
}

fn not_ready(database: &Database, component: &str, error: DatabaseError) -> ConnectError {
    let (address, component) = (database.address().to_owned(), component.to_owned());
    match error.code() {
        // No right, or no schema to make a table in.
        Some("42501" | "3F000") => ConnectError::Schema { address, component, reason: error.message() },
        Some(_) => ConnectError::Migration { address, component, source: error },
        None => ConnectError::Unreachable { address, source: error.into() },
    }
}

/// Whether the role may do with a table what a service does.
pub(super) async fn may_use(database: &Database, component: &str, table: &str) -> Result<(), ConnectError> {
    let sql = "SELECT string_agg(right_to, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_to
        WHERE NOT has_table_privilege($1, right_to)";
    let failed = |error| not_ready(database, component, error);
    let rows = database.query(sql, &[(&table, Type::TEXT)]).await.map_err(failed)?;
    let missing: Option<String> =
        rows.first().map_or(Ok(None), |row| row.try_get(0)).map_err(|error| failed(error.into()))?;
    missing.map_or(Ok(()), |rights| {
        let (address, component) = (database.address().to_owned(), component.to_owned());
        Err(ConnectError::Schema { address, component, reason: format!("{table}: no right to {rights}") })
    })
}
