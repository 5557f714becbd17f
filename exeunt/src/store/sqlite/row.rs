//! Sessions as rows: reading and writing them.
//!
//! Must never give out a session whose row is not as it was written: it is gone, and the log says so.

use rusqlite::{Connection, Row, params};

use super::database::checksum;
use super::{DatabaseError, Tx};
use crate::session::{Client, Data, Parts, Record, SessionId, Timestamp, UserId, Verifier};

/// What a row's checksum is over, in the order of the table.
macro_rules! columns {
    () => {
        "id, verifier, previous, user, created_at, authenticated_at, seen_at, expires_at, ends_at, remembered, \
         revision, client, data, made"
    };
}
pub(super) use columns;

/// How many `columns!` names. The checksum itself comes after them.
const COLUMNS: usize = 14;

/// A SELECT of whole sessions.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), ", sum FROM session ", $rest)
    };
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Result<SessionId, DatabaseError> {
    SessionId::from_i64(row.get(column)?).ok_or(DatabaseError::Damaged { what: "id" })
}

fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, DatabaseError> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

/// The session, if its row is as it was written.
fn sound(row: &Row<'_>) -> Result<Option<Record>, DatabaseError> {
    let values = (0..COLUMNS).map_while(|column| row.get_ref(column).ok());
    if row.get_ref(COLUMNS)?.as_i64().is_ok_and(|sum| sum == checksum(values)) {
        return record(row).map(Some);
    }
    let session = row.get_ref(0)?.as_i64().ok().and_then(SessionId::from_i64);
    tracing::error!(
        event = "session_damaged",
        session = session.map(tracing::field::display),
        "a stored session is not as it was written, so it has ended: run `exeunt check`, and look at the disk"
    );
    Ok(None)
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
        client: Client::restore(text(11)?),
        data: Data::from_json(text(12)?).map_err(|_| damaged("data"))?,
    }))
}

/// Inserts a session; the number of rows is 0 if its id is taken.
pub(super) fn insert(tx: &Tx, record: &Record) -> Result<usize, DatabaseError> {
    let sql = "INSERT INTO session VALUES (
                   ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
                   exeunt_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
               ) ON CONFLICT (id) DO NOTHING";
    Ok(tx.prepare_cached(sql)?.execute(params![
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
        record.stored_client(),
        record.data_json(),
        tx.number(),
    ])?)
}

pub(super) fn load(
    connection: &Connection,
    id: SessionId,
    floor: i64,
) -> Result<Option<Record>, DatabaseError> {
    let mut select = connection.prepare_cached(select!("WHERE id = ?1 AND made > ?2"))?;
    let mut rows = select.query([id.to_i64(), floor])?;
    rows.next()?.map_or(Ok(None), sound)
}

pub(super) fn list(
    connection: &Connection,
    user: &UserId,
    now: Timestamp,
    floor: i64,
) -> Result<Vec<Record>, DatabaseError> {
    let sql = select!("WHERE user = ?1 AND expires_at > ?2 AND made > ?3 ORDER BY seen_at DESC, id DESC");
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_and_then(params![user.as_str(), now.as_micros(), floor], sound)?;
    found.filter_map(Result::transpose).collect()
}

/// At most `limit` of those that are sound, so that a page without any is the end.
pub(super) fn walk(
    connection: &Connection,
    after: Option<&SessionId>,
    limit: usize,
    now: Timestamp,
    floor: i64,
) -> Result<Vec<Record>, DatabaseError> {
    let sql = select!("WHERE id > ?1 AND expires_at > ?2 AND made > ?3 ORDER BY id");
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_and_then([start(after), now.as_micros(), floor], sound)?;
    found.filter_map(Result::transpose).take(limit).collect()
}

/// As [`walk`], in a file that was written before there were checksums.
pub(super) fn walk_before_checksums(
    connection: &Connection,
    after: Option<&SessionId>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Record>, DatabaseError> {
    let sql =
        "SELECT id, verifier, previous, user, created_at, authenticated_at, seen_at, expires_at, ends_at,
                   remembered, revision, client, data
               FROM session WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    select.query_and_then([start(after), now.as_micros(), rows(limit)], record)?.collect()
}

/// The sessions, live or not, whose rows are not as they were written: how many there are.
pub(super) fn damaged(connection: &Connection) -> Result<usize, DatabaseError> {
    let mut select = connection.prepare(select!(""))?;
    let mut rows = select.query([])?;
    let mut damaged = 0;
    while let Some(row) = rows.next()? {
        damaged += usize::from(sound(row)?.is_none());
    }
    Ok(damaged)
}

/// The next sessions by id, live or not, and when each expires: the ended, at no time.
pub(super) fn next(
    connection: &Connection,
    after: Option<&SessionId>,
    limit: usize,
    floor: i64,
) -> Result<Vec<(SessionId, Timestamp)>, DatabaseError> {
    let sql = "SELECT id, iif(made > ?3, expires_at, 0) FROM session WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let found =
        select.query_and_then([start(after), rows(limit), floor], |row| Ok((id(row, 0)?, time(row, 1)?)))?;
    found.collect()
}

/// No id is negative, so -1 comes before all.
fn start(after: Option<&SessionId>) -> i64 {
    after.map_or(-1, |id| id.to_i64())
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
