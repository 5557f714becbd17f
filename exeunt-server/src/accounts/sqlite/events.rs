//! The audit table in a SQLite file.
//!
//! Must never change a row.

use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};
use exeunt::store::sqlite::{DatabaseError, Tx};
use exeunt::{SessionId, Timestamp};

use super::SqliteAccounts;
use crate::accounts::AccountError;
use crate::accounts::audit::{Dead, EventLine, EventQuery, EventTable, Row};

/// Whose session it was: an earlier event of it says so, and the account has the name.
const APPEND: &str = "
    INSERT INTO events (at, kind, user, session, name, reason, by_kind, by_user, by_name, address, client, request, lost)
    SELECT ?1, ?2, whose.user, ?4,
           COALESCE(?5, (SELECT name FROM accounts WHERE id = CAST(whose.user AS INTEGER)), whose.name),
           ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
    FROM (SELECT COALESCE(?3, before.user) AS user, before.name AS name FROM (SELECT 1)
          LEFT JOIN (SELECT user, name FROM events WHERE session = ?4 AND user IS NOT NULL ORDER BY id LIMIT 1) AS before)
    AS whose";

const APPEND_DEAD: &str = "
    INSERT INTO events (at, kind, user, session, name, reason, address, client, request)
    SELECT ?1, 'dead_token', ended.user, ended.session, ended.name, ended.kind, ?3, ?4, ?5
    FROM (SELECT user, session, name, kind FROM events
          WHERE session = ?2 AND kind IN ('logout', 'session_ended') ORDER BY id LIMIT 1) AS ended
    WHERE TRUE ON CONFLICT (session) WHERE kind = 'dead_token' DO NOTHING
    RETURNING user, name";

#[async_trait]
impl EventTable for SqliteAccounts {
    async fn append(&self, writer: i64, rows: &[Row], now: Timestamp) -> Result<(), AccountError> {
        let rows = rows.to_vec();
        self.write(move |tx| Ok(append(tx, writer, &rows, now)?)).await
    }

    async fn append_dead(&self, tokens: &[Row]) -> Result<Vec<Dead>, AccountError> {
        // Looked up without a write, so that guesses cost the disk nothing.
        let (database, tokens) = (self.0.clone(), tokens.to_vec());
        let known = move || database.read(|connection| known(connection, tokens));
        let known = tokio::task::spawn_blocking(known).await;
        let known = known.map_err(|error| AccountError::Database(error.into()))??;
        match known.is_empty() {
            true => Ok(Vec::new()),
            false => self.write(move |tx| Ok(append_dead(tx, &known)?)).await,
        }
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventLine>, AccountError> {
        let (database, query) = (self.0.clone(), query.clone());
        // It may look at many rows to find some.
        let read = move || {
            database.read(|connection| {
                let [since, after, before, limit] = query.numbers();
                let mut select = connection.prepare_cached(&query.sql("events", "user", "session"))?;
                let lines = select.query_map(params![query.text(), since, after, before, limit], line)?;
                Ok::<_, DatabaseError>(lines.collect::<Result<Vec<_>, _>>()?)
            })
        };
        let read = tokio::task::spawn_blocking(read).await;
        Ok(read.map_err(|error| AccountError::Database(error.into()))??)
    }

    async fn purge_events(&self, before: Timestamp, most: i64) -> Result<i64, AccountError> {
        self.write(move |tx| Ok(purge(tx, before, most)?)).await
    }
}

fn append(tx: &Tx, writer: i64, rows: &[Row], now: Timestamp) -> Result<(), DatabaseError> {
    let mut done = tx.prepare_cached("SELECT number FROM event_writers WHERE writer = ?1")?;
    let done: i64 = done.query_row([writer], |row| row.get(0)).optional()?.unwrap_or(0);
    let mut insert = tx.prepare_cached(APPEND)?;
    for row in rows.iter().filter(|row| row.number > done) {
        insert.execute(params![
            row.at,
            row.kind,
            row.user,
            row.session,
            row.name,
            row.reason,
            row.by_kind,
            row.by_user,
            row.by_name,
            row.address,
            row.client,
            row.request,
            row.lost,
        ])?;
    }
    let last = rows.last().map_or(done, |row| row.number.max(done));
    tx.prepare_cached("INSERT OR REPLACE INTO event_writers (writer, number, at) VALUES (?1, ?2, ?3)")?
        .execute(params![writer, last, now.as_micros()])?;
    Ok(())
}

/// Those whose session is known to have ended, and that were not told yet.
fn known(connection: &Connection, tokens: Vec<Row>) -> Result<Vec<Row>, DatabaseError> {
    let mut ended = connection.prepare_cached(
        "SELECT 1 FROM events AS e WHERE session = ?1 AND kind IN ('logout', 'session_ended')
         AND NOT EXISTS (SELECT 1 FROM events WHERE session = ?1 AND kind = 'dead_token')",
    )?;
    let mut known = Vec::new();
    for token in tokens {
        if ended.exists([token.session])? {
            known.push(token);
        }
    }
    Ok(known)
}

fn append_dead(tx: &Tx, tokens: &[Row]) -> Result<Vec<Dead>, DatabaseError> {
    let mut insert = tx.prepare_cached(APPEND_DEAD)?;
    let mut dead = Vec::new();
    for token in tokens {
        let Some(session) = token.session.and_then(SessionId::from_i64) else { continue };
        let params = params![token.at, token.session, token.address, token.client, token.request];
        let found = |row: &SqlRow<'_>| Ok(Dead { session, user: row.get(0)?, name: row.get(1)? });
        dead.extend(insert.query_row(params, found).optional()?);
    }
    Ok(dead)
}

fn purge(tx: &Tx, before: Timestamp, most: i64) -> Result<i64, DatabaseError> {
    let sql = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 ORDER BY at LIMIT ?2)";
    let purged = tx.prepare_cached(sql)?.execute(params![before.as_micros(), most])?;
    tx.prepare_cached("DELETE FROM event_writers WHERE at < ?1")?.execute([before.as_micros()])?;
    Ok(i64::try_from(purged).unwrap_or(i64::MAX))
}

fn line(row: &SqlRow<'_>) -> Result<EventLine, exeunt::store::sqlite::rusqlite::Error> {
    Ok(EventLine {
        id: row.get(0)?,
        at: Timestamp::from_micros(row.get(1)?),
        event: row.get(2)?,
        account: row.get(3)?,
        user: row.get(4)?,
        session: row.get::<_, Option<i64>>(5)?.and_then(SessionId::from_i64),
        reason: row.get(6)?,
        by: row.get(7)?,
        by_user: row.get(8)?,
        by_name: row.get(9)?,
        address: row.get(10)?,
        client: row.get(11)?,
        request: row.get(12)?,
        lost: row.get(13)?,
    })
}
