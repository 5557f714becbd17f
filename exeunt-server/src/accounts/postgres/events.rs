//! The audit table in PostgreSQL.
//!
//! Must never change a row.

use exeunt::store::async_trait;
use exeunt::store::postgres::{DatabaseError, Row as SqlRow, Type};
use exeunt::{SessionId, Timestamp};

use super::{Param, PostgresAccounts};
use crate::accounts::AccountError;
use crate::accounts::audit::{Dead, EventLine, EventQuery, EventTable, Row};

#[async_trait]
impl EventTable for PostgresAccounts {
    async fn append(&self, writer: i64, rows: &[Row], now: Timestamp) -> Result<(), AccountError> {
        let last = rows.last().map_or(0, |row| row.number);
        let params: [Param<'_>; 4] = [
            (&writer, Type::INT8),
            (&last, Type::INT8),
            (&now.as_micros(), Type::INT8),
            (&json(rows)?, Type::TEXT),
        ];
        self.query("SELECT exeunt_append_events($1, $2, $3, $4)", &params).await?;
        Ok(())
    }

    async fn append_dead(&self, tokens: &[Row]) -> Result<Vec<Dead>, AccountError> {
        let sql = "SELECT dead, of_user, of_name FROM exeunt_append_dead_tokens($1)";
        let mut dead = Vec::new();
        for row in self.query(sql, &[(&json(tokens)?, Type::TEXT)]).await? {
            let found =
                || Ok::<(i64, _, _), DatabaseError>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (session, user, name) = found()?;
            dead.extend(SessionId::from_i64(session).map(|session| Dead { session, user, name }));
        }
        Ok(dead)
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventLine>, AccountError> {
        let [since, after, before, limit] = query.numbers();
        let params: [Param<'_>; 5] = [
            (&query.text(), Type::TEXT),
            (&since, Type::INT8),
            (&after, Type::INT8),
            (&before, Type::INT8),
            (&limit, Type::INT8),
        ];
        let rows = self.query(&query.sql("exeunt_events", "user_id", "session_id"), &params).await?;
        Ok(rows.iter().map(line).collect::<Result<_, DatabaseError>>()?)
    }

    async fn purge_events(&self, before: Timestamp, most: i64) -> Result<i64, AccountError> {
        let params: [Param<'_>; 2] = [(&before.as_micros(), Type::INT8), (&most, Type::INT8)];
        let purged = self.first("SELECT exeunt_purge_events($1, $2)", &params).await?;
        Ok(purged.map_or(Ok(0), |row| row.try_get(0)).map_err(DatabaseError::from)?)
    }
}

fn json(rows: &[Row]) -> Result<String, AccountError> {
    serde_json::to_string(rows).map_err(|error| AccountError::Database(error.into()))
}

fn line(row: &SqlRow) -> Result<EventLine, DatabaseError> {
    Ok(EventLine {
        id: row.try_get(0)?,
        at: Timestamp::from_micros(row.try_get(1)?),
        event: row.try_get(2)?,
        account: row.try_get(3)?,
        user: row.try_get(4)?,
        session: row.try_get::<_, Option<i64>>(5)?.and_then(SessionId::from_i64),
        reason: row.try_get(6)?,
        by: row.try_get(7)?,
        by_user: row.try_get(8)?,
        by_name: row.try_get(9)?,
        address: row.try_get(10)?,
        client: row.try_get(11)?,
        request: row.try_get(12)?,
        lost: row.try_get(13)?,
    })
}
