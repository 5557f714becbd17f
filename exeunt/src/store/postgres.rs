//! Sessions in PostgreSQL, for any number of nodes.
//!
//! Must never take two statements for one step, insert a session other than in `create`, or ask the server what time it
//! is.
//!
//! Each step is one statement, and so one transaction: renew, save and touch are guarded UPDATEs whose rows are the
//! answer, destroy is a DELETE. Two steps are functions that the migrations make, `exeunt_create` and
//! `exeunt_destroy_all`: they wait for the other logins and ends of the same user, and what they then do has to see what
//! those did, which a single statement would not. Instants are integers, which no connection's time zone can move.
//!
//! Behind a pooler that hands each transaction to another connection (`pooler=transaction`), statements have no name, and
//! what is set for a connection otherwise, the time limit and the isolation of transactions, goes along with each
//! statement: three messages in one round trip instead of one.

mod connect;
mod database;
mod errors;
mod migrate;
mod report;
mod rows;
mod url;

use std::sync::Arc;

use tokio::time::Instant;

pub use tokio_postgres::Row;
pub use tokio_postgres::types::{ToSql, Type};

pub use self::database::Database;
pub use self::errors::{ConnectError, DatabaseError};
pub use self::migrate::schema;
use self::rows::{Bound, CREATE, Param, select};
use super::{Created, Purged, Saved, Store, StoreError, async_trait};
use crate::session::{Data, Record, SessionId, Timestamp, UserId, Verifier};

/// The migrations of the component `sessions`, which [`PostgresStore::over`] runs and [`schema`] prints.
pub const STEPS: &[&str] = &[include_str!("postgres/sessions_1.sql")];

/// Sessions in a PostgreSQL database, for any number of nodes. Cheap to clone.
///
/// Everything stands in the table `exeunt_sessions`, wherever the connection's `search_path` leads. An application
/// whose accounts live in the same database changes both in one statement by `exeunt_destroy_all(user, spared)`, which
/// the migrations make:
///
/// ```sql
/// WITH changed AS (UPDATE account SET stamp = stamp + 1 WHERE id = 'alice' AND stamp = 7 RETURNING id)
/// SELECT exeunt_destroy_all(id, -1) FROM changed
/// ```
///
/// A DELETE of the sessions in the same place would not do: it does not see a login that is acknowledged while the
/// statement runs.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
}

impl PostgresStore {
    /// Connects ([`Database`] says what the URL can hold), checks the set-up, and brings the tables up to date.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what is wrong and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::over(Database::connect(url).await?).await
    }

    /// Keeps sessions in a database beside an application's own tables, and brings theirs up to date.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`]; and if the role may not use the tables.
    pub async fn over(database: Database) -> Result<Self, ConnectError> {
        database.migrate(COMPONENT, STEPS).await?;
        migrate::may_use(&database, COMPONENT, "exeunt_sessions").await?;
        Ok(Self { database })
    }

    /// The database, for an application's own tables.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Where there was nothing to end: an end that somebody else got no answer to may have got no further than this
    /// server.
    async fn confirm_where_none(&self, ended: &[Row], until: Instant) -> Result<(), StoreError> {
        if ended.is_empty() {
            self.database.query_until(until, CONFIRM, &[]).await?;
        }
        Ok(())
    }

    /// Runs a guarded statement that answers with a row if it hit.
    async fn hits(&self, sql: &str, params: &[Param<'_>]) -> Result<bool, StoreError> {
        Ok(!self.database.query(sql, params).await?.is_empty())
    }
}

/// What the table of migrations calls the tables of sessions.
pub const COMPONENT: &str = "sessions";

const RENEW: &str = "UPDATE exeunt_sessions SET verifier = $1, previous = verifier,
        authenticated_at = GREATEST(authenticated_at, $2), seen_at = GREATEST(seen_at, $2),
        expires_at = GREATEST(expires_at, LEAST($3, ends_at))
    WHERE id = $4 AND verifier = $5 AND expires_at > $2 RETURNING 1";

const SAVE: &str = "UPDATE exeunt_sessions SET data = $1, revision = $2
    WHERE id = $3 AND verifier = $4 AND revision = $5 AND expires_at > $6 RETURNING 1";

const IS_LIVE: &str = "SELECT 1 FROM exeunt_sessions WHERE id = $1 AND verifier = $2 AND expires_at > $3";

const TOUCH: &str = "UPDATE exeunt_sessions
    SET seen_at = GREATEST(seen_at, $1), expires_at = GREATEST(expires_at, LEAST($2, ends_at))
    WHERE id = $3 AND verifier = $4 AND expires_at > $1 RETURNING 1";

const DESTROY: &str = "DELETE FROM exeunt_sessions WHERE id = $1 RETURNING 1";

/// A commit, which waits for the standbys that have to have it, and so for all before it. Without any there is nothing to
/// wait for: what this server shows is on its disk.
const CONFIRM: &str = "SELECT pg_logical_emit_message(true, 'exeunt', '')::text
    WHERE current_setting('synchronous_standby_names') <> ''";

/// One node at a time has the lock, and the others drop nothing. What somebody else is changing is left for the next
/// round: waiting for it while rows are held could be a circle.
const PURGE: &str = "WITH turn AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtextextended('purge', 'exeunt_sessions'::regclass::oid::bigint)) AS ours
    ), page AS MATERIALIZED (
        SELECT id, expires_at FROM exeunt_sessions WHERE id > $1 AND (SELECT ours FROM turn) ORDER BY id LIMIT $2
    ), expired AS MATERIALIZED (
        SELECT id FROM exeunt_sessions
        WHERE id IN (SELECT id FROM page WHERE expires_at <= $3) AND expires_at <= $3 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM exeunt_sessions WHERE id IN (SELECT id FROM expired) AND expires_at <= $3 RETURNING id
    )
    SELECT (SELECT array_agg(id) FROM gone), (SELECT count(*) FROM page), (SELECT max(id) FROM page)";

/// No id is negative, so -1 comes before all.
fn number(id: Option<&SessionId>) -> i64 {
    id.map_or(-1, |id| id.to_i64())
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Store for PostgresStore {
    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        let bound = Bound::new(record, count(limit.max(1) - 1));
        let rows = self.database.query(CREATE, &bound.params()).await?;
        let row = rows.first().ok_or(DatabaseError::damaged("answer"))?;
        Ok(rows::id_list(row, 0)?.map_or(Created::Taken, |ended| Created::Yes { ended }))
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        let rows = self.database.query(select!("WHERE id = $1"), &[(&id.to_i64(), Type::INT8)]).await?;
        let found = rows.first().map(rows::record).transpose()?;
        Ok(found.filter(|record| record.is_live(now)).map(Arc::new))
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let params: [Param<'_>; 5] = [
            (&&new.as_bytes()[..], Type::BYTEA),
            (&now.as_micros(), Type::INT8),
            (&expires_at.as_micros(), Type::INT8),
            (&id.to_i64(), Type::INT8),
            (&&old.as_bytes()[..], Type::BYTEA),
        ];
        self.hits(RENEW, &params).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let next = revision.wrapping_add(1);
        let (until, id, verifier, now) =
            (self.database.until(), id.to_i64(), &verifier.as_bytes()[..], now.as_micros());
        let params: [Param<'_>; 6] = [
            (&data.as_json(), Type::TEXT),
            (&i64::from(next), Type::INT8),
            (&id, Type::INT8),
            (&verifier, Type::BYTEA),
            (&i64::from(revision), Type::INT8),
            (&now, Type::INT8),
        ];
        if !self.database.query_until(until, SAVE, &params).await?.is_empty() {
            return Ok(Saved::At(next));
        }
        // A revision never comes again, so that what this finds was in the way of the UPDATE, too.
        let params: [Param<'_>; 3] = [(&id, Type::INT8), (&verifier, Type::BYTEA), (&now, Type::INT8)];
        let live = !self.database.query_until(until, IS_LIVE, &params).await?.is_empty();
        Ok(if live { Saved::Stale } else { Saved::Gone })
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let params: [Param<'_>; 4] = [
            (&now.as_micros(), Type::INT8),
            (&expires_at.as_micros(), Type::INT8),
            (&id.to_i64(), Type::INT8),
            (&&verifier.as_bytes()[..], Type::BYTEA),
        ];
        self.hits(TOUCH, &params).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        let until = self.database.until();
        let ended = self.database.query_until(until, DESTROY, &[(&id.to_i64(), Type::INT8)]).await?;
        self.confirm_where_none(&ended, until).await?;
        Ok(!ended.is_empty())
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let params: [Param<'_>; 2] = [(&user.as_str(), Type::TEXT), (&number(except), Type::INT8)];
        let until = self.database.until();
        let ended = self.database.query_until(until, "SELECT exeunt_destroy_all($1, $2)", &params).await?;
        self.confirm_where_none(&ended, until).await?;
        Ok(rows::ids(&ended)?)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let sql = select!("WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, id DESC");
        let params: [Param<'_>; 2] = [(&user.as_str(), Type::TEXT), (&now.as_micros(), Type::INT8)];
        Ok(rows::records(&self.database.query(sql, &params).await?)?)
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        let sql = select!("WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT $3");
        let params: [Param<'_>; 3] =
            [(&number(after), Type::INT8), (&now.as_micros(), Type::INT8), (&count(limit), Type::INT8)];
        Ok(rows::records(&self.database.query(sql, &params).await?)?)
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        let limit = count(limit);
        let params: [Param<'_>; 3] =
            [(&number(after), Type::INT8), (&limit, Type::INT8), (&now.as_micros(), Type::INT8)];
        let rows = self.database.query(PURGE, &params).await?;
        let row = rows.first().ok_or(DatabaseError::damaged("answer"))?;
        let (ended, seen) = (rows::id_list(row, 0)?, row.try_get::<_, i64>(1).map_err(DatabaseError::from)?);
        let last: Option<i64> = row.try_get(2).map_err(DatabaseError::from)?;
        let next = if seen < limit { None } else { last.and_then(SessionId::from_i64) };
        Ok(Purged { ended: ended.unwrap_or_default(), next })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.ping().await?)
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self::new("PostgreSQL", error)
    }
}
