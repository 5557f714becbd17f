//! One database and its connections: every statement ends within the deadline.
//!
//! Must never leave a connection in the pool that failed or was given up, nor its idle neighbours: they most likely
//! lead to the same dead end, and each would cost somebody a deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::errors::{ConnectError, DatabaseError};
use super::url::Target;
use super::{connect, migrate, report};
use crate::store::Report;

/// A PostgreSQL database: where sessions are, and an application's accounts can be. Cheap to clone.
///
/// The URL is `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with several hosts if need be (`HOST1,HOST2`): all are
/// tried at once, and the first that takes writes is used. What can follow the `?`:
///
/// | option | means | default |
/// | --- | --- | --- |
/// | `pool` | most connections, 1 to 1000 | 10 |
/// | `deadline` | time for an operation, 50 ms to 10 s, such as `500ms` | `1s` |
/// | `sslmode` | `disable`, `prefer`, `require` or `verify-full`; where TLS is used, certificate and name are checked | `disable` on this machine, else `require` |
/// | `ca` (or `sslrootcert`) | a PEM file of further root certificates | the system's alone |
/// | `pooler` | `transaction` behind a pooler that gives each transaction another connection | `none` |
/// | `options` | such as `-csearch_path%3Dsessions` | |
///
/// and what the driver knows (`application_name`, `keepalives_idle`, …).
///
/// ```no_run
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use exeunt::store::postgres::{Database, Type};
///
/// let database = Database::connect("postgres://app@localhost/app").await?;
/// database.migrate("notes", &["CREATE TABLE note (text TEXT NOT NULL)"]).await?;
/// database.query("INSERT INTO note VALUES ($1)", &[(&"hello", Type::TEXT)]).await?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    pool: Pool,
    address: String,
    deadline: Duration,
    pooled: bool,
}

impl Database {
    /// Connects, and checks that the server keeps what it acknowledges. Makes and changes no table.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong with the URL or the server, and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let target = Target::parse(url)?;
        let pool = connect::pool(&target)?;
        let Target { address, deadline, pooled, .. } = target;
        let database = Self(Arc::new(Inner { pool, address, deadline, pooled }));
        let until = Instant::now() + deadline;
        match timeout_at(until, database.0.pool.get()).await {
            Ok(Ok(_)) => Ok(database),
            Ok(Err(error)) => Err(database.not_connected(error)),
            Err(_) => {
                let source = DatabaseError::no_connection(deadline).into();
                Err(ConnectError::Unreachable { address: database.0.address.clone(), source })
            }
        }
    }

    /// Where it is: the URL without the password and the options.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// How many wait for a connection of this node's pool now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.pool.status().waiting
    }

    /// Brings `component`'s tables up to date. Runs each of `steps` that this database has not seen, once, in order.
    ///
    /// Steps are SQL; add to their end, never change one that was released. Many nodes may do so at once. Where nothing
    /// is missing, it needs no right but to read `exeunt_migrations`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Schema`] if the role may not, [`ConnectError::Newer`] if the database has seen more steps than
    /// there are, and whatever PostgreSQL says.
    pub async fn migrate(&self, component: &str, steps: &[&str]) -> Result<(), ConnectError> {
        migrate::migrate(self, component, steps).await
    }

    /// Runs one statement, which is one transaction, within the deadline.
    ///
    /// It is prepared once a connection; behind a pooler (`pooler=transaction`) it has no name, and is sent whole each
    /// time. Several changes in one step are one statement, too: with `WITH`, or as a function.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Unless it has a [`code`](DatabaseError::code), it is not known whether the statement took
    /// effect, or still will.
    pub async fn query(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.query_until(self.until(), sql, params).await
    }

    /// Asks for a sign of life, and writes for it: one commit that reaches the disk.
    ///
    /// # Errors
    ///
    /// If no write can be done now.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        // A message in the log of writes: a SELECT alone would not notice a full disk or a standby that is waited for.
        let sql = "SELECT pg_logical_emit_message(true, 'exeunt', '')::text, current_setting('transaction_read_only')";
        let rows = self.query(sql, &[]).await?;
        let read_only: String = rows.first().map_or(Ok(String::new()), |row| row.try_get(1))?;
        if read_only == "off" {
            return Ok(());
        }
        // Another host may take writes by now.
        self.forget_idle();
        Err(DatabaseError::read_only())
    }

    /// What an operator should know of the server, and what weakens the promises.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn check(&self) -> Result<Report, DatabaseError> {
        report::of(self, self.0.pooled).await
    }

    /// When an operation that begins now has to end.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.0.deadline
    }

    /// As `query`, for an operation of several statements, which share one deadline.
    pub(super) async fn query_until(
        &self,
        until: Instant,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client(until).await?;
        let answer = timeout_at(until, self.run(&client, sql, params)).await;
        let error = match answer {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => DatabaseError::from(error),
            Err(_) => DatabaseError::deadline(self.0.deadline),
        };
        if error.spoils_the_connection() {
            self.give_up(client);
        }
        Err(error)
    }

    /// Runs several statements without parameters, on one connection, within another time than the deadline.
    pub(super) async fn batch(&self, within: Duration, sql: &str) -> Result<(), DatabaseError> {
        let client = self.client(self.until()).await?;
        let error = match timeout(within, client.batch_execute(sql)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(_) => DatabaseError::deadline(within),
        };
        // It may stand in the middle of a transaction.
        self.give_up(client);
        Err(error)
    }

    async fn run(
        &self,
        client: &Object,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if self.0.pooled {
            // No setting of ours stays with the pooler's connection, so that it goes along with the statement. All three
            // are sent before the first is answered.
            let within = connect::statement_timeout(self.0.deadline);
            let begin =
                format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {within}");
            let (begun, answer, ended) = tokio::join!(
                client.batch_execute(&begin),
                client.query_typed(sql, params),
                client.batch_execute("COMMIT")
            );
            let rows = begun.and(answer)?;
            return ended.map(|()| rows);
        }
        let types: Vec<_> = params.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = client.prepare_typed_cached(sql, &types).await?;
        let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
        client.query(&statement, &values).await
    }

    async fn client(&self, until: Instant) -> Result<Object, DatabaseError> {
        match timeout_at(until, self.0.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(self.not_connected(error).into()),
            Err(_) => Err(DatabaseError::no_connection(self.0.deadline)),
        }
    }

    /// Closes a connection that failed, and all that lie idle beside it.
    fn give_up(&self, client: Object) {
        self.forget_idle();
        drop(Object::take(client));
    }

    /// Closes all connections that lie idle.
    fn forget_idle(&self) {
        drop(self.0.pool.retain(|_, _| false));
    }

    fn not_connected(&self, error: PoolError) -> ConnectError {
        let address = self.0.address.clone();
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                ConnectError::of_attempt(&address, error)
            }
            PoolError::PostCreateHook(HookError::Message(reason)) => {
                ConnectError::Setup { address, reason: reason.into_owned() }
            }
            error => ConnectError::Unreachable { address, source: error.into() },
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("address", &self.0.address).finish_non_exhaustive()
    }
}
