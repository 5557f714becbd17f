//! What the audit asks of the database that keeps it.
//!
//! Must never change a row: rows are appended, and the oldest are purged.

use exeunt::store::async_trait;
use exeunt::{SessionId, Timestamp};

use super::waiting::Row;
use super::{EventLine, EventQuery};
use crate::accounts::AccountError;

/// A session that had ended when its token came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Dead {
    pub(in crate::accounts) session: SessionId,
    pub(in crate::accounts) user: Option<String>,
    pub(in crate::accounts) name: Option<String>,
}

/// Each method is one transaction.
#[async_trait]
pub(in crate::accounts) trait EventTable {
    /// Appends those that this writer has not appended yet. Whose session it was is filled in where an earlier event of
    /// that session, or the account, says so.
    async fn append(&self, writer: i64, rows: &[Row], now: Timestamp) -> Result<(), AccountError>;

    /// Of tokens that were refused, notes those whose session is known to have ended, each session once, by whichever node.
    async fn append_dead(&self, tokens: &[Row]) -> Result<Vec<Dead>, AccountError>;

    /// The events that are asked for.
    async fn events(&self, query: &EventQuery) -> Result<Vec<EventLine>, AccountError>;

    /// Forgets the oldest before `before`, at most `most`: how many it were. None while another node is at it.
    async fn purge_events(&self, before: Timestamp, most: i64) -> Result<i64, AccountError>;
}

#[cfg(test)]
mod tests {
    use exeunt::store::{postgres, sqlite};
    use services::Postgres;

    use super::*;
    use crate::accounts::postgres::PostgresAccounts;
    use crate::accounts::sqlite::SqliteAccounts;

    fn rows(numbers: std::ops::RangeInclusive<i64>) -> Vec<Row> {
        numbers.map(|number| Row { number, at: number, kind: "logout", ..Row::default() }).collect()
    }

    async fn times(table: &dyn EventTable) -> Vec<i64> {
        let query = EventQuery { after: Some(0), limit: 100, ..EventQuery::default() };
        table.events(&query).await.unwrap().iter().map(|event| event.at.as_micros()).collect()
    }

    async fn what_is_appended_again_is_there_once(table: &dyn EventTable) {
        let now = Timestamp::from_secs(1);
        table.append(7, &rows(1..=3), now).await.unwrap();
        // It was not known whether that was done; and the next ones came before the question was settled.
        table.append(7, &rows(1..=3), now).await.unwrap();
        table.append(7, &rows(2..=5), now).await.unwrap();
        assert_eq!(times(table).await, [1, 2, 3, 4, 5]);
        // Another writer has numbers of its own.
        table.append(-8, &rows(1..=1), now).await.unwrap();
        assert_eq!(times(table).await, [1, 2, 3, 4, 5, 1]);
    }

    #[tokio::test] // R38
    async fn what_is_appended_again_is_there_once_and_no_row_can_be_changed_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = sqlite::Database::open(folder.path().join("a.db")).unwrap();
        what_is_appended_again_is_there_once(&SqliteAccounts::open(database.clone()).unwrap()).await;
        let change = database.write(|tx| {
            Ok::<_, sqlite::DatabaseError>(tx.execute("UPDATE events SET kind = 'x' WHERE at = 1", [])?)
        });
        let refused = change.await.unwrap_err();
        assert!(exeunt::store::Causes(&refused).to_string().contains("never changed"), "{refused:?}");
    }

    #[tokio::test] // R38
    async fn what_is_appended_again_is_there_once_and_no_row_can_be_changed_in_postgres() {
        let server = Postgres::start(&[]).unwrap();
        let url = format!("{}?deadline=10s", server.url("postgres"));
        let database = postgres::Database::connect(&url).await.unwrap();
        what_is_appended_again_is_there_once(&PostgresAccounts::open(database.clone()).await.unwrap()).await;
        let change = database.query("UPDATE exeunt_events SET kind = 'x' WHERE at = 1", &[]);
        let refused = change.await.unwrap_err();
        assert!(exeunt::store::Causes(&refused).to_string().contains("never changed"), "{refused:?}");
        // A name of an account that is none of ours holds up nothing.
        let strange = Row { number: 9, user: Some("x' OR 1".to_owned()), ..rows(9..=9).remove(0) };
        let accounts = PostgresAccounts::open(database).await.unwrap();
        accounts.append(7, &[strange], Timestamp::from_secs(1)).await.unwrap();
        assert_eq!(times(&accounts).await.last(), Some(&9));
    }
}
