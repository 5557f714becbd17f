//! A password changed by its owner, in PostgreSQL.

use exeunt::store::async_trait;
use exeunt::store::postgres::{DatabaseError, Row, Type};
use exeunt::{SessionId, Timestamp};

use super::super::change_password::{ChangePassword, Swap};
use super::{ACCOUNT, Account, AccountError, Param, PostgresAccounts, account};

impl PostgresAccounts {
    /// The swap with `then` done to the row, named `changed`, in the same statement. `more` follows behind `$3`.
    async fn swapped(
        &self,
        swap: &Swap,
        then: &str,
        more: &[Param<'_>],
    ) -> Result<Option<Row>, AccountError> {
        let sql = format!(
            "WITH changed AS (
                UPDATE exeunt_accounts SET password = $3, stamp = stamp + 1
                WHERE id = $1 AND stamp = $2 AND NOT disabled RETURNING {ACCOUNT}
            ) {then}"
        );
        let stamp = swap.stamp.cast_signed();
        let mut params: Vec<Param<'_>> =
            vec![(&swap.id, Type::INT8), (&stamp, Type::INT8), (&swap.password, Type::TEXT)];
        params.extend_from_slice(more);
        Ok(self.first(&sql, &params).await?)
    }
}

#[async_trait]
impl ChangePassword for PostgresAccounts {
    /// Waits for logins and holds them off as [`change_and_end`](super::Backend::change_and_end) does.
    async fn swap_and_end(
        &self,
        swap: Swap,
        except: SessionId,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        let then =
            format!("SELECT {ACCOUNT}, ARRAY(SELECT exeunt_destroy_all(id::TEXT, $4)) AS ended FROM changed");
        let except = except.to_i64();
        let Some(row) = self.swapped(&swap, &then, &[(&except, Type::INT8)]).await? else { return Ok(None) };
        let ended: Vec<i64> = row.try_get("ended").map_err(DatabaseError::from)?;
        Ok(Some((account(&row)?, ended.into_iter().filter_map(SessionId::from_i64).collect())))
    }

    async fn swap_and_note(
        &self,
        swap: Swap,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        let then = ", noted AS (
                INSERT INTO exeunt_endings (user_id, reason, at) SELECT id::TEXT, $4, $5 FROM changed RETURNING id AS note
            )
            SELECT changed.*, note FROM changed, noted";
        let more: [Param<'_>; 2] = [(&reason, Type::TEXT), (&at.as_micros(), Type::INT8)];
        let Some(row) = self.swapped(&swap, then, &more).await? else { return Ok(None) };
        Ok(Some((account(&row)?, row.try_get("note").map_err(DatabaseError::from)?)))
    }
}
