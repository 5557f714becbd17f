//! Sessions as rows: reading and writing them.
//!
//! Must never guess at a row that cannot be read: a damaged session is an error, not a visitor.

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::errors::DatabaseError;
use crate::session::{Client, Data, Parts, Record, SessionId, Timestamp, UserId, Verifier};

/// A SELECT of whole sessions.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, verifier, previous, user_id, created_at, authenticated_at, seen_at, expires_at, ends_at, ",
            "remembered, revision, client, data FROM exeunt_sessions ",
            $rest
        )
    };
}
pub(super) use select;

pub(super) fn id(row: &Row, column: usize) -> Result<SessionId, DatabaseError> {
    SessionId::from_i64(row.try_get(column)?).ok_or(DatabaseError::damaged("id"))
}

pub(super) fn ids(rows: &[Row]) -> Result<Vec<SessionId>, DatabaseError> {
    rows.iter().map(|row| id(row, 0)).collect()
}

/// The ids in a column that has many.
pub(super) fn id_list(row: &Row, column: usize) -> Result<Option<Vec<SessionId>>, DatabaseError> {
    let numbers: Option<Vec<i64>> = row.try_get(column)?;
    let id = |number| SessionId::from_i64(number).ok_or(DatabaseError::damaged("id"));
    numbers.map(|numbers| numbers.into_iter().map(id).collect()).transpose()
}

fn time(row: &Row, column: usize) -> Result<Timestamp, DatabaseError> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

fn verifier(bytes: &[u8]) -> Result<Verifier, DatabaseError> {
    Ok(Verifier::from_bytes(bytes.try_into().map_err(|_| DatabaseError::damaged("verifier"))?))
}

pub(super) fn records(rows: &[Row]) -> Result<Vec<Record>, DatabaseError> {
    rows.iter().map(record).collect()
}

pub(super) fn record(row: &Row) -> Result<Record, DatabaseError> {
    let revision: i64 = row.try_get(10)?;
    Ok(Record::restore(Parts {
        id: id(row, 0)?,
        verifier: verifier(row.try_get(1)?)?,
        previous: row.try_get::<_, Option<&[u8]>>(2)?.map(verifier).transpose()?,
        user: UserId::new(row.try_get::<_, &str>(3)?).map_err(|_| DatabaseError::damaged("user_id"))?,
        created_at: time(row, 4)?,
        authenticated_at: time(row, 5)?,
        seen_at: time(row, 6)?,
        expires_at: time(row, 7)?,
        ends_at: time(row, 8)?,
        remembered: row.try_get(9)?,
        revision: u32::try_from(revision).map_err(|_| DatabaseError::damaged("revision"))?,
        client: Client::restore(row.try_get(11)?),
        data: Data::from_json(row.try_get::<_, &str>(12)?).map_err(|_| DatabaseError::damaged("data"))?,
    }))
}

/// Inserts a session, by the function that keeps the limit.
pub(super) const CREATE: &str =
    "SELECT exeunt_create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// A value to bind, and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// What a record binds, owned where the record has it in another shape.
pub(super) struct Bound<'a> {
    id: i64,
    verifier: &'a [u8],
    previous: Option<&'a [u8]>,
    user: &'a str,
    times: [i64; 5],
    remembered: bool,
    revision: i64,
    client: &'a str,
    data: &'a str,
    others: i64,
}

impl<'a> Bound<'a> {
    /// To create `record`, keeping `others` sessions of its user beside it.
    pub(super) fn new(record: &'a Record, others: i64) -> Self {
        let times = [
            record.created_at(),
            record.authenticated_at(),
            record.seen_at(),
            record.expires_at(),
            record.ends_at(),
        ];
        Self {
            id: record.id().to_i64(),
            verifier: record.verifier().as_bytes(),
            previous: record.previous().map(|previous| &previous.as_bytes()[..]),
            user: record.user().as_str(),
            times: times.map(Timestamp::as_micros),
            remembered: record.remembered(),
            revision: record.revision().into(),
            client: record.stored_client(),
            data: record.data_json(),
            others,
        }
    }

    pub(super) fn params(&self) -> [Param<'_>; 14] {
        let [created_at, authenticated_at, seen_at, expires_at, ends_at] = &self.times;
        [
            (&self.id, Type::INT8),
            (&self.verifier, Type::BYTEA),
            (&self.previous, Type::BYTEA),
            (&self.user, Type::TEXT),
            (created_at, Type::INT8),
            (authenticated_at, Type::INT8),
            (seen_at, Type::INT8),
            (expires_at, Type::INT8),
            (ends_at, Type::INT8),
            (&self.remembered, Type::BOOL),
            (&self.revision, Type::INT8),
            (&self.client, Type::TEXT),
            (&self.data, Type::TEXT),
            (&self.others, Type::INT8),
        ]
    }
}
