//! A password changed by its owner, in a SQLite file.

use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::params;
use exeunt::store::sqlite::{DatabaseError, Tx, destroy_all_in};
use exeunt::{SessionId, Timestamp};

use super::super::change_password::{ChangePassword, Swap};
use super::{ACCOUNT, Account, AccountError, SqliteAccounts, note, one};

#[async_trait]
impl ChangePassword for SqliteAccounts {
    async fn swap_and_end(
        &self,
        swap: Swap,
        except: SessionId,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        self.write(move |tx| {
            let Some(account) = swap_in(tx, &swap)? else { return Ok(None) };
            let ended = destroy_all_in(tx, &account.user(), Some(&except))?;
            Ok(Some((account, ended)))
        })
        .await
    }

    async fn swap_and_note(
        &self,
        swap: Swap,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        self.write(move |tx| {
            let Some(account) = swap_in(tx, &swap)? else { return Ok(None) };
            let note = note(tx, &account.user(), reason, at)?;
            Ok(Some((account, note)))
        })
        .await
    }
}

fn swap_in(tx: &Tx, swap: &Swap) -> Result<Option<Account>, DatabaseError> {
    let sql = format!(
        "UPDATE accounts SET password = ?3, stamp = stamp + 1
         WHERE id = ?1 AND stamp = ?2 AND disabled = 0 RETURNING {ACCOUNT}"
    );
    one(tx, &sql, params![swap.id, swap.stamp.cast_signed(), swap.password])
}
