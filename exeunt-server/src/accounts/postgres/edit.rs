//! Administration of accounts in PostgreSQL.
//!
//! An edit is one call of a function: what follows its wait for another administrator has to see what that one did, which
//! a single statement would not.

use exeunt::SessionId;
use exeunt::store::async_trait;
use exeunt::store::postgres::{DatabaseError, Row, Type};

use super::super::edit::{Edit, Edited, Editing, Last, SessionsAre};
use super::super::find::Page;
use super::super::{Account, AccountError};
use super::{ACCOUNT, Param, PostgresAccounts, account};

#[async_trait]
impl Editing for PostgresAccounts {
    async fn page(&self, page: &Page) -> Result<Vec<Account>, AccountError> {
        let Page { low, with_low, high, part, backward, limit } = page;
        let from = if *with_low { ">=" } else { ">" };
        let order = if *backward { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT {ACCOUNT} FROM exeunt_accounts
             WHERE folded {from} $1 AND folded < $2 AND strpos(folded, $3) > 0
             ORDER BY folded {order} LIMIT $4"
        );
        let params: [Param<'_>; 4] =
            [(low, Type::TEXT), (high, Type::TEXT), (part, Type::TEXT), (limit, Type::INT8)];
        self.query(&sql, &params).await?.iter().map(account).collect()
    }

    async fn find_many(&self, ids: &[i64]) -> Result<Vec<Account>, AccountError> {
        let sql = format!("SELECT {ACCOUNT} FROM exeunt_accounts WHERE id = ANY ($1)");
        self.query(&sql, &[(&ids, Type::INT8_ARRAY)]).await?.iter().map(account).collect()
    }

    async fn edit(&self, id: i64, edit: Edit, sessions: SessionsAre) -> Result<Option<Edited>, AccountError> {
        let sql = format!(
            "SELECT {ACCOUNT}, was_admin, was_disabled, refused, ended, note
             FROM exeunt_edit_account($1, $2, $3, $4, $5, $6, $7, $8, $9) AS edited,
                  LATERAL (SELECT (edited.account).*) AS account"
        );
        let (elsewhere, reason, at) = match sessions {
            SessionsAre::Here => (false, "", 0),
            SessionsAre::Elsewhere { reason, at } => (true, reason, at.as_micros()),
        };
        let even_the_last = edit.last == Last::Goes;
        let params: [Param<'_>; 9] = [
            (&id, Type::INT8),
            (&edit.admin, Type::BOOL),
            (&edit.disabled, Type::BOOL),
            (&edit.password, Type::TEXT),
            (&edit.removed, Type::BOOL),
            (&even_the_last, Type::BOOL),
            (&elsewhere, Type::BOOL),
            (&reason, Type::TEXT),
            (&at, Type::INT8),
        ];
        self.first(&sql, &params).await?.as_ref().map(edited).transpose()
    }
}

fn edited(row: &Row) -> Result<Edited, AccountError> {
    let after = account(row)?;
    let rest = || {
        let before = Account {
            admin: row.try_get("was_admin")?,
            disabled: row.try_get("was_disabled")?,
            ..after.clone()
        };
        let ended: Option<Vec<i64>> = row.try_get("ended")?;
        Ok((before, row.try_get("refused")?, ended.unwrap_or_default(), row.try_get("note")?))
    };
    let (before, refused, ended, note): (_, bool, _, _) = rest().map_err(|error: DatabaseError| error)?;
    if refused {
        return Err(AccountError::LastAdministrator);
    }
    Ok(Edited { before, after, ended: ended.into_iter().filter_map(SessionId::from_i64).collect(), note })
}
