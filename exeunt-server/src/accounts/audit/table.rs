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
