//! PostgreSQL as a place for sessions: set-ups, outages, and who may start it.

#![cfg(feature = "postgres")]

#[path = "common/postgres.rs"]
mod shared;

use exeunt::store::postgres::{Database, Type, schema};

use crate::shared::{fresh, server};

const NOTES: &[&str] = &["CREATE TABLE note (text TEXT NOT NULL)"];

#[tokio::test]
async fn a_database_is_migrated_and_queried() {
    let database = Database::connect(&fresh("")).await.unwrap();
    database.migrate("notes", NOTES).await.unwrap();
    database.query("INSERT INTO note VALUES ($1)", &[(&"hello", Type::TEXT)]).await.unwrap();
    let rows = database.query("SELECT text FROM note", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, String>(0), "hello");
    database.ping().await.unwrap();
    let report = database.check().await.unwrap();
    assert_eq!(report.problems, [""; 0], "{report:?}");
    let _ = (server(), schema("notes", NOTES));
}
