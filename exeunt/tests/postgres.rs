//! PostgreSQL as a place for sessions: who may start it, set-ups that it refuses, one step among others.
//!
//! The laws run in `stores.rs`, the histories in `model.rs`, the outages in `postgres_outages.rs`.

#![cfg(feature = "postgres")]

#[path = "common/postgres.rs"]
mod shared;

use std::time::Duration;

use exeunt::session::{Client, Parts};
use exeunt::store::postgres::{ConnectError, Database, PostgresStore, STEPS, Type, schema};
use exeunt::store::{Causes, Created, Store};
use exeunt::{Data, Record, SessionId, Timestamp, UserId, Verifier};
use services::{PgBouncer, Postgres};

use crate::shared::{fresh, new_schema, server, url};

const NOTES: &[&str] = &["CREATE TABLE note (text TEXT NOT NULL)"];
const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const LATER: Timestamp = Timestamp::from_secs(1_767_229_200);

fn record(id: i64, user: &str) -> Record {
    Record::restore(Parts {
        id: SessionId::from_i64(id).expect("it is positive"),
        verifier: Verifier::from_bytes([1; 32]),
        previous: None,
        user: UserId::new(user).expect("it is short"),
        created_at: NOW,
        authenticated_at: NOW,
        seen_at: NOW,
        expires_at: LATER,
        ends_at: LATER,
        remembered: false,
        revision: 0,
        client: Client::new("curl/8.5.0"),
        data: Data::default(),
    })
}

/// What is said of a URL that cannot be used.
async fn refused(url: &str) -> String {
    let error = PostgresStore::connect(url).await.expect_err(url);
    let said = format!("{} {error:?}", Causes(&error));
    assert!(!said.contains("tops3cret"), "the password is in it: {said}");
    said
}

/// A client of no pool of ours, for transactions that stay open.
async fn foreign(schema: &str) -> tokio_postgres::Client {
    client(&format!("{}?options=-csearch_path%3D{schema}", server().url("postgres"))).await
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

/// Returns once somebody waits for a lock of that schema's table, or of a user of it.
async fn somebody_waits(client: &tokio_postgres::Client) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    let waiting = async {
        while client.query_one(waits, &[]).await.expect("the server answers").get::<_, i64>(0) == 0 {
            // In a transaction the view stays as it was first seen.
            client.batch_execute("SELECT pg_stat_clear_snapshot()").await.expect("the server answers");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("somebody waits");
}

#[tokio::test]
async fn a_database_keeps_an_applications_own_tables_too() {
    let database = Database::connect(&fresh("")).await.unwrap();
    database.migrate("notes", NOTES).await.unwrap();
    database.query("INSERT INTO note VALUES ($1)", &[(&"hello", Type::TEXT)]).await.unwrap();
    let rows = database.query("SELECT text FROM note", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, String>(0), "hello");
    database.ping().await.unwrap();
    let store = PostgresStore::over(database).await.unwrap();
    let report = store.database().check().await.unwrap();
    assert_eq!(report.problems, [""; 0], "{report:?}");
    assert!(report.facts.iter().any(|(name, said)| *name == "server" && said.starts_with("PostgreSQL ")));
}

#[tokio::test]
async fn an_error_names_no_value_and_keeps_the_connection() {
    let database = Database::connect(&fresh("&pool=1")).await.unwrap();
    database.migrate("names", &["CREATE TABLE name (name TEXT PRIMARY KEY)"]).await.unwrap();
    let pid = async || database.query("SELECT pg_backend_pid()", &[]).await.unwrap()[0].get::<_, i32>(0);
    let before = pid().await;
    let insert = async || database.query("INSERT INTO name VALUES ($1)", &[(&"tops3cret", Type::TEXT)]).await;
    insert().await.unwrap();
    let error = insert().await.unwrap_err();
    assert_eq!(error.code(), Some("23505"));
    let said = format!("{} {error:?}", Causes(&error));
    assert!(said.contains("duplicate key") && !said.contains("tops3cret"), "{said}");
    assert_eq!(pid().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_nodes_migrate_at_once() {
    let url = fresh("&pool=1");
    let nodes: Vec<_> = (0..12)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::connect(&url).await.map(drop) })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    let database = Database::connect(&url).await.unwrap();
    let rows = database.query("SELECT component, version FROM exeunt_migrations", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get::<_, &str>(0), rows[0].get::<_, i32>(1)), ("sessions", STEPS.len() as i32));
}

#[tokio::test]
async fn each_step_is_taken_once_and_a_failed_one_leaves_nothing() {
    let database = Database::connect(&fresh("")).await.unwrap();
    database.migrate("notes", NOTES).await.unwrap();
    let more = [NOTES[0], "ALTER TABLE note ADD author TEXT; CREATE INDEX ON note (author)"];
    database.migrate("notes", &more).await.unwrap();
    database.migrate("notes", &more).await.unwrap();
    let broken = [more[0], more[1], "CREATE TABLE $step$ (id INT)"];
    assert!(matches!(database.migrate("notes", &broken).await, Err(ConnectError::Migration { .. })));
    let half = [more[0], more[1], "CREATE TABLE half (id INT)", "SELECT 1 / 0"];
    let error = database.migrate("notes", &half).await.unwrap_err();
    assert!(Causes(&error).to_string().contains("division by zero"), "{}", Causes(&error));
    let rows =
        database.query("SELECT to_regclass('half') IS NULL, version FROM exeunt_migrations", &[]).await;
    let rows = rows.unwrap();
    assert_eq!((rows[0].get(0), rows[0].get(1)), (true, 2));
}

#[tokio::test]
async fn what_a_newer_version_made_is_refused() {
    let url = fresh("");
    let database = PostgresStore::connect(&url).await.unwrap().database().clone();
    database.query("UPDATE exeunt_migrations SET version = version + 1", &[]).await.unwrap();
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Newer { .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer version"), "{error}");
}

/// All that stands in a schema: tables, columns, indexes, functions, and what was migrated.
fn shape(schema: &str) -> String {
    let of = format!("= '{schema}'");
    let sql = format!(
        "SELECT table_name, column_name, data_type, is_nullable, collation_name FROM information_schema.columns \
         WHERE table_schema {of} ORDER BY 1, ordinal_position;
         SELECT replace(indexdef, '{schema}', '') FROM pg_indexes WHERE schemaname {of} ORDER BY 1;
         SELECT relname, reloptions FROM pg_class WHERE relnamespace = '{schema}'::regnamespace ORDER BY 1;
         SELECT proname, prosrc, pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc \
         WHERE pronamespace = '{schema}'::regnamespace ORDER BY 1;
         SELECT * FROM {schema}.exeunt_migrations"
    );
    server().psql("postgres", &sql).expect("the server answers")
}

#[tokio::test]
async fn a_role_that_may_make_no_tables_runs_once_somebody_applied_the_printed_sql() {
    let name = new_schema();
    let role = format!("role_of_{name}");
    let psql = |sql: &str| server().psql("postgres", sql).unwrap();
    psql(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {name} TO {role}"));
    let own = url(&format!("-csearch_path={name}"));
    let theirs = own.replace("postgres@", &format!("{role}@"));

    let said = refused(&theirs).await;
    assert!(said.contains("exeunt store schema") && said.contains("permission denied"), "{said}");

    let printed = format!("SET search_path = {name};\n{}", schema("sessions", STEPS));
    psql(&printed);
    psql(&printed);
    let said = refused(&theirs).await;
    assert!(
        said.contains("GRANT") && said.contains("permission denied for table exeunt_migrations"),
        "{said}"
    );
    psql(&format!("GRANT SELECT ON {name}.exeunt_migrations TO {role}"));
    psql(&format!("GRANT SELECT, INSERT, UPDATE ON {name}.exeunt_sessions TO {role}"));
    let said = refused(&theirs).await;
    assert!(said.contains("exeunt_sessions: no right to DELETE"), "{said}");
    psql(&format!("GRANT DELETE ON {name}.exeunt_sessions TO {role}"));

    let store = PostgresStore::connect(&theirs).await.unwrap();
    assert_eq!(store.create(&record(1, "alice"), 1).await.unwrap(), Created::Yes { ended: vec![] });
    let Created::Yes { ended } = store.create(&record(2, "alice"), 1).await.unwrap() else {
        panic!("2 is free")
    };
    assert_eq!(ended, [record(1, "alice").id()]);
    assert_eq!(store.destroy_all(&UserId::new("alice").unwrap(), None).await.unwrap().len(), 1);
    let _ = store.purge(None, 10, LATER).await.unwrap();
    store.ping().await.unwrap();

    let migrated = new_schema();
    PostgresStore::connect(&url(&format!("-csearch_path={migrated}"))).await.unwrap();
    assert_eq!(shape(&migrated), shape(&name));
}

#[tokio::test]
async fn a_set_up_that_voids_the_promises_is_refused() {
    let setting = |setting: &str| fresh("").replace("options=", &format!("options=-c{setting}%20"));
    let said = refused(&setting("synchronous_commit%3Doff")).await;
    assert!(said.contains("synchronous_commit is off"), "{said}");
    let said = refused(&setting("default_transaction_read_only%3Don")).await;
    assert!(said.contains("takes no writes"), "{said}");
    // This is not left to the server.
    PostgresStore::connect(&setting("default_transaction_isolation%3Dserializable")).await.unwrap();

    server()
        .psql(
            "postgres",
            "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        )
        .unwrap();
    let said = refused(&server().url("bytes")).await;
    assert!(said.contains("encoding is SQL_ASCII"), "{said}");

    let careless = Postgres::start(&["fsync=off"]).unwrap();
    let said = refused(&careless.url("postgres")).await;
    assert!(said.contains("fsync is off"), "{said}");
}

#[tokio::test]
async fn what_turns_weak_later_is_a_problem_in_the_report() {
    let server = Postgres::start(&["full_page_writes=off"]).unwrap();
    let store = PostgresStore::connect(&server.url("postgres")).await.unwrap();
    server.psql("postgres", "ALTER SYSTEM SET synchronous_commit = off").unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    // The server's processes hear of it one after the other.
    let problems = loop {
        let problems = store.database().check().await.unwrap().problems;
        if problems.len() > 1 {
            break problems.join(" ");
        }
    };
    assert!(problems.contains("synchronous_commit") && problems.contains("full_page_writes"), "{problems}");
}

#[tokio::test]
async fn a_wrong_address_is_told_without_the_password() {
    let server = server();
    server.psql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'r1ght'").unwrap();
    let url = server.url("postgres").replace("postgres@", "guarded:tops3cret@");
    assert!(refused(&url).await.contains("password authentication failed"), "a wrong password");
    Database::connect(&url.replace("tops3cret", "r1ght")).await.unwrap();
    assert!(refused(&server.url("nowhere")).await.contains("database \"nowhere\" does not exist"));
    assert!(refused("postgres://u:tops3cret@127.0.0.1:1/x").await.contains("127.0.0.1:1/x does not answer"));
    let database = Database::connect(&url.replace("tops3cret", "r1ght")).await.unwrap();
    assert!(!format!("{database:?} {}", database.address()).contains("r1ght"));
}

#[tokio::test]
async fn tls_checks_the_certificate_and_the_name_in_it() {
    let server = Postgres::start_tls(&[]).unwrap();
    let other = Postgres::start_tls(&[]).unwrap();
    let url = |mode: &str, server: &Postgres| {
        format!("{}?sslmode={mode}&ca={}", server.url("postgres"), server.authority().unwrap().display())
    };
    let own = url("verify-full", &server);
    let database = Database::connect(&own).await.unwrap();
    let report = database.check().await.unwrap();
    assert!(report.facts.contains(&("TLS", "yes".to_owned())), "{report:?}");

    let by_name = own.replace("127.0.0.1", "localhost").replace('?', "?hostaddr=127.0.0.1&");
    Database::connect(&by_name).await.unwrap();
    let said = refused(&by_name.replace("localhost", "elsewhere.example")).await;
    assert!(said.contains("NotValidForName"), "{said}");
    for mode in ["prefer", "require", "verify-full"] {
        let wrong = url(mode, &other).replace(&other.port().to_string(), &server.port().to_string());
        assert!(refused(&wrong).await.contains("invalid peer certificate"), "{mode}");
        let none = format!("{}?sslmode={mode}", server.url("postgres"));
        assert!(refused(&none).await.contains("certificate"), "{mode}");
    }
    let plain = format!(
        "{}?sslmode=require&ca={}",
        shared::server().url("postgres"),
        server.authority().unwrap().display()
    );
    assert!(refused(&plain).await.contains("does not support TLS"));
    let report = Database::connect(&server.url("postgres")).await.unwrap().check().await.unwrap();
    assert!(
        report.facts.contains(&("TLS", "no".to_owned())),
        "on this machine, unless told otherwise: {report:?}"
    );
}

#[tokio::test]
async fn one_node_at_a_time_purges() {
    let name = new_schema();
    let store = PostgresStore::connect(&url(&format!("-csearch_path={name}"))).await.unwrap();
    for id in 0..5 {
        let _ = store.create(&record(id, "alice"), 10).await.unwrap();
    }
    let other = foreign(&name).await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('purge', 'exeunt_sessions'::regclass::oid::bigint))";
    other.batch_execute(lock).await.unwrap();
    assert_eq!(store.purge(None, 3, LATER).await.unwrap(), exeunt::store::Purged::default());
    other.batch_execute("COMMIT").await.unwrap();
    // What somebody is just changing waits for the next round, and nobody waits for it.
    other.batch_execute("BEGIN; SELECT 1 FROM exeunt_sessions WHERE id = 1 FOR UPDATE").await.unwrap();
    let purged = store.purge(None, 3, LATER).await.unwrap();
    assert_eq!((purged.ended.len(), purged.next), (2, SessionId::from_i64(2)));
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.purge(None, 10, LATER).await.unwrap().ended.len(), 3);
}

#[tokio::test]
async fn all_sessions_of_a_user_are_those_too_whose_login_is_just_committing() {
    // R16
    let name = new_schema();
    let store = PostgresStore::connect(&url(&format!("-csearch_path={name}"))).await.unwrap();
    let alice = UserId::new("alice").unwrap();
    let other = foreign(&name).await;
    let login =
        "BEGIN; SELECT exeunt_create(7, '\\x00', NULL, 'alice', 1, 1, 1, 1, 1, false, 0, '', '{}', 0)";
    other.batch_execute(login).await.unwrap();
    let ending = tokio::spawn({
        let (store, alice) = (store.clone(), alice.clone());
        async move { store.destroy_all(&alice, None).await.unwrap() }
    });
    somebody_waits(&other).await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ending.await.unwrap(), [SessionId::from_i64(7).unwrap()]);
}

#[tokio::test]
async fn an_account_and_its_sessions_change_in_one_statement() {
    let name = new_schema();
    let store = PostgresStore::connect(&url(&format!("-csearch_path={name}"))).await.unwrap();
    let accounts = [
        "CREATE TABLE account (id TEXT PRIMARY KEY, stamp INT NOT NULL)",
        "INSERT INTO account VALUES ('alice', 7)",
    ];
    store.database().migrate("accounts", &accounts).await.unwrap();
    let other = foreign(&name).await;
    let login =
        "BEGIN; SELECT exeunt_create(7, '\\x00', NULL, 'alice', 1, 1, 1, 1, 1, false, 0, '', '{}', 0)";
    other.batch_execute(login).await.unwrap();
    let change =
        "WITH changed AS (UPDATE account SET stamp = stamp + 1 WHERE id = $1 AND stamp = $2 RETURNING id)
                  SELECT exeunt_destroy_all(id, -1) FROM changed";
    let changing = tokio::spawn({
        let database = store.database().clone();
        async move { database.query(change, &[(&"alice", Type::TEXT), (&7_i32, Type::INT4)]).await.unwrap() }
    });
    somebody_waits(&other).await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(changing.await.unwrap()[0].get::<_, i64>(0), 7);
    let again =
        store.database().query(change, &[(&"alice", Type::TEXT), (&7_i32, Type::INT4)]).await.unwrap();
    assert!(again.is_empty(), "the stamp moved on");
}

#[tokio::test]
async fn a_touch_writes_to_no_index() {
    let name = new_schema();
    let url = url(&format!("-csearch_path={name}")).replace("pool=4", "pool=1");
    let store = PostgresStore::connect(&url).await.unwrap();
    let record = record(1, "alice");
    let _ = store.create(&record, 1).await.unwrap();
    for second in 1..=20 {
        let now = Timestamp::from_secs(NOW.as_secs() + second);
        assert!(store.touch(&record.id(), record.verifier(), now, LATER).await.unwrap());
    }
    let database = store.database();
    database.query("SELECT pg_stat_force_next_flush()", &[]).await.unwrap();
    let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'exeunt_sessions'";
    let rows = database.query(sql, &[(&name.as_str(), Type::TEXT)]).await.unwrap();
    assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, i64>(1)), (20, 20));
}

#[tokio::test]
async fn a_pooler_that_is_not_named_is_told_by_its_error() {
    let pooler = PgBouncer::start(server(), &["default_pool_size = 2"]).unwrap();
    let address = server().new_database().unwrap();
    let name = address.rsplit('/').next().unwrap();
    let told = PostgresStore::connect(&format!("{}?pooler=transaction", pooler.url(name))).await.unwrap();
    let facts = told.database().check().await.unwrap().facts;
    assert!(facts.contains(&("pooler", "transaction".to_owned())), "{facts:?}");

    let untold = Database::connect(&pooler.url(name)).await.unwrap();
    untold.query("SELECT 7", &[]).await.unwrap();
    // Somebody else has the connection to the server on which that was prepared.
    let other = client(&pooler.url(name)).await;
    other.batch_execute("BEGIN").await.unwrap();
    let said = untold.query("SELECT 7", &[]).await.unwrap_err().to_string();
    assert!(said.contains("Add `pooler=transaction`"), "{said}");
    drop(other);
}
