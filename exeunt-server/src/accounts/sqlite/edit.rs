//! Administration of accounts in a SQLite file.
//!
//! The writer does one step after another, so what is asked in a step holds until it is done.

use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::{Connection, params};
use exeunt::store::sqlite::{DatabaseError, Tx, destroy_all_in};

use super::super::edit::{Edit, Edited, Editing, Last, SessionsAre};
use super::super::find::Page;
use super::super::{Account, AccountError};
use super::{ACCOUNT, SqliteAccounts, account, find_by_id, note};

#[async_trait]
impl Editing for SqliteAccounts {
    async fn page(&self, page: &Page) -> Result<Vec<Account>, AccountError> {
        Ok(self.0.read(|connection| find_page(connection, page))?)
    }

    async fn find_many(&self, ids: &[i64]) -> Result<Vec<Account>, AccountError> {
        let many = |connection: &Connection| {
            let found = ids.iter().map(|id| find_by_id(connection, *id));
            found.filter_map(Result::transpose).collect::<Result<_, DatabaseError>>()
        };
        Ok(self.0.read(many)?)
    }

    async fn edit(&self, id: i64, edit: Edit, sessions: SessionsAre) -> Result<Option<Edited>, AccountError> {
        self.write(move |tx| {
            let Some(before) = find_by_id(tx, id)? else { return Ok(None) };
            let has_power = before.admin && !before.disabled;
            if edit.last == Last::Stays && has_power && edit.takes_power() && is_the_last(tx, id)? {
                return Err(AccountError::LastAdministrator);
            }
            let ends = edit.ends_sessions_of(&before);
            let after = change(tx, &before, &edit, ends)?;
            let (mut ended, mut noted) = (Vec::new(), None);
            match sessions {
                _ if !ends => {}
                SessionsAre::Here => ended = destroy_all_in(tx, &before.user(), None)?,
                SessionsAre::Elsewhere { reason, at } => noted = Some(note(tx, &before.user(), reason, at)?),
            }
            Ok(Some(Edited { before, after, ended, note: noted }))
        })
        .await
    }
}

fn find_page(connection: &Connection, page: &Page) -> Result<Vec<Account>, DatabaseError> {
    let Page { low, with_low, high, part, backward, limit } = page;
    let mut select = connection.prepare_cached(&page_sql(*with_low, *backward))?;
    let accounts = select.query_map(params![low, high, part, limit], account)?;
    Ok(accounts.collect::<Result<_, _>>()?)
}

fn page_sql(with_low: bool, backward: bool) -> String {
    let from = if with_low { ">=" } else { ">" };
    let order = if backward { "DESC" } else { "ASC" };
    format!(
        "SELECT {ACCOUNT} FROM accounts WHERE folded {from} ?1 AND folded < ?2 AND instr(folded, ?3) > 0
         ORDER BY folded {order} LIMIT ?4"
    )
}

fn is_the_last(tx: &Tx, id: i64) -> Result<bool, DatabaseError> {
    let others = "SELECT 1 FROM accounts WHERE admin = 1 AND disabled = 0 AND id <> ?1";
    Ok(!tx.prepare_cached(others)?.exists([id])?)
}

/// The account as it is then; a removed one as it was.
fn change(tx: &Tx, before: &Account, edit: &Edit, ends: bool) -> Result<Account, DatabaseError> {
    if edit.removed {
        tx.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([before.id])?;
        return Ok(before.clone());
    }
    let sql = format!(
        "UPDATE accounts SET admin = ifnull(?2, admin), disabled = ifnull(?3, disabled), password = ifnull(?4, password),
         stamp = stamp + ?5 WHERE id = ?1 RETURNING {ACCOUNT}"
    );
    let params = params![before.id, edit.admin, edit.disabled, edit.password, ends];
    Ok(tx.prepare_cached(&sql)?.query_row(params, account)?)
}

#[cfg(test)]
mod tests {
    use exeunt::store::sqlite::Database;

    use super::*;

    #[tokio::test]
    async fn a_page_is_a_walk_along_the_index_of_names_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let accounts = SqliteAccounts::open(Database::open(folder.path().join("a.db")).unwrap()).unwrap();
        for (with_low, backward) in [(false, false), (true, false), (true, true)] {
            let plan = accounts.0.read(|connection| {
                let sql = format!("EXPLAIN QUERY PLAN {}", page_sql(with_low, backward));
                let mut explain = connection.prepare(&sql)?;
                let steps = explain.query_map(params!["a", "b", "", 10], |row| row.get("detail"))?;
                Ok::<Vec<String>, DatabaseError>(steps.collect::<Result<_, _>>()?)
            });
            let plan = plan.unwrap();
            assert!(plan.len() == 1 && plan[0].contains("SEARCH accounts USING INDEX"), "{plan:?}");
            assert!(plan[0].contains("(folded>? AND folded<?)"), "{plan:?}");
        }
    }
}
