//! Sessions as rows: reading and writing them.
//!
//! Must never guess at a row that cannot be read: a damaged session is an error, not a visitor.

use rusqlite::{Connection, Row, params};

use super::DatabaseError;
use crate::session::{Client, Data, Parts, Record, SessionId, Timestamp, UserId, Verifier};

/// A SELECT of whole sessions.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, verifier, previous, user, created_at, authenticated_at, seen_at, expires_at, ends_at, ",
            "remembered, revision, client, data FROM session ",
            $rest
        )
    };
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Result<SessionId, DatabaseError> {
    SessionId::from_i64(row.get(column)?).ok_or(DatabaseError::Damaged { what: "id" })
}

fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, DatabaseError> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

fn record(row: &Row<'_>) -> Result<Record, DatabaseError> {
    let damaged = |what| DatabaseError::Damaged { what };
    let text = |column| row.get_ref(column)?.as_str().map_err(|_| damaged("text"));
    Ok(Record::restore(Parts {
        id: id(row, 0)?,
        verifier: Verifier::from_bytes(row.get(1)?),
        previous: row.get::<_, Option<[u8; 32]>>(2)?.map(Verifier::from_bytes),
        user: UserId::new(text(3)?).map_err(|_| damaged("user"))?,
        created_at: time(row, 4)?,
        authenticated_at: time(row, 5)?,
        seen_at: time(row, 6)?,
        expires_at: time(row, 7)?,
        ends_at: time(row, 8)?,
        remembered: row.get(9)?,
        revision: row.get(10)?,
        client: Client::new(text(11)?),
        data: Data::from_json(text(12)?).map_err(|_| damaged("data"))?,
    }))
}

/// Inserts a session; the number of rows is 0 if its id is taken.
pub(super) fn insert(connection: &Connection, record: &Record) -> Result<usize, DatabaseError> {
    let sql = "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
               ON CONFLICT (id) DO NOTHING";
    Ok(connection.prepare_cached(sql)?.execute(params![
        record.id().to_i64(),
        record.verifier().as_bytes(),
        record.previous().map(Verifier::as_bytes),
        record.user().as_str(),
        record.created_at().as_micros(),
        record.authenticated_at().as_micros(),
        record.seen_at().as_micros(),
        record.expires_at().as_micros(),
        record.ends_at().as_micros(),
        record.remembered(),
        record.revision(),
        record.client(),
        record.data_json(),
    ])?)
}

pub(super) fn load(connection: &Connection, id: SessionId) -> Result<Option<Record>, DatabaseError> {
    let mut select = connection.prepare_cached(select!("WHERE id = ?1"))?;
    let mut rows = select.query([id.to_i64()])?;
    rows.next()?.map(record).transpose()
}

pub(super) fn list(
    connection: &Connection,
    user: &UserId,
    now: Timestamp,
) -> Result<Vec<Record>, DatabaseError> {
    let sql = select!("WHERE user = ?1 AND expires_at > ?2 ORDER BY seen_at DESC, id DESC");
    records(connection, sql, params![user.as_str(), now.as_micros()])
}

pub(super) fn walk(
    connection: &Connection,
    after: Option<&SessionId>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Record>, DatabaseError> {
    let sql = select!("WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3");
    records(connection, sql, params![start(after), now.as_micros(), rows(limit)])
}

/// The next sessions by id, live or not, and when each expires.
pub(super) fn next(
    connection: &Connection,
    after: Option<&SessionId>,
    limit: usize,
) -> Result<Vec<(SessionId, Timestamp)>, DatabaseError> {
    let sql = "SELECT id, expires_at FROM session WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_and_then([start(after), rows(limit)], |row| Ok((id(row, 0)?, time(row, 1)?)))?;
    found.collect()
}

fn records(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Record>, DatabaseError> {
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_and_then(params, record)?;
    found.collect()
}

/// No id is negative, so -1 comes before all.
fn start(after: Option<&SessionId>) -> i64 {
    after.map_or(-1, |id| id.to_i64())
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
