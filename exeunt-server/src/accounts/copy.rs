//! All accounts at once, for a copy into another database.
//!
//! Must never change an account where copies come from, mix accounts of two origins, or show a hash.

use std::collections::BTreeMap;
use std::fmt;

use exeunt::store::postgres::{self, ToSql, Type};
use exeunt::store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};
use exeunt::store::sqlite::{self, Beside};
use serde::Serialize;

use super::postgres::PostgresAccounts;
use super::sqlite::{self as in_sqlite, SqliteAccounts};
use super::{COMPONENT, Engine, POSTGRES_STEPS};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Where accounts are copied from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A file that another process may own.
    Beside(&'a Beside),
    /// A database of ours.
    Engine(&'a Engine),
}

/// All accounts of a database, with what their logins are checked against.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Everybody {
    accounts: BTreeMap<i64, Whole>,
    /// The greatest number that was ever given, also to an account that is gone.
    highest: i64,
    endings: i64,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
struct Whole {
    id: i64,
    name: String,
    folded: String,
    password: String,
    stamp: i64,
    admin: bool,
    disabled: bool,
    created_at: i64,
    email: Option<String>,
    email_folded: Option<String>,
}

/// The columns of a [`Whole`], in its order.
const WHOLE: &str = "id, name, folded, password, stamp, admin, disabled, created_at, email, email_folded";

/// What a copy of accounts did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountsCopied {
    /// Accounts that were not there.
    pub made: usize,
    /// Accounts that were otherwise.
    pub changed: usize,
    /// Accounts that were there as they should be.
    pub same: usize,
    /// Accounts that are not at the origin any more.
    pub removed: usize,
}

/// Why accounts are not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A database did not answer, or cannot be used.
    #[error("the accounts of {place} cannot be used")]
    Unusable {
        /// Of which of both: `FROM` or `TO`.
        place: &'static str,
        /// Why.
        source: Cause,
    },
    /// There are accounts already that were not copied from there.
    #[error(
        "TO has accounts that do not come from FROM, such as number {id}: accounts are copied into a place that has \
         none, or only copies of them"
    )]
    Foreign {
        /// One of them.
        id: i64,
    },
    /// What would be written is older than what is there.
    #[error(
        "TO was used since it was copied: account number {id} was changed or given there. A copy would undo that"
    )]
    Used {
        /// One of them.
        id: i64,
    },
    /// The last pass would forget what is still to be done.
    #[error(
        "FROM still has to end the sessions of {accounts} changed accounts in the store where they live, which did not \
         answer: start a server on both until it has, stop it, and copy again"
    )]
    SessionsLeft {
        /// How many notes there are.
        accounts: i64,
    },
}

impl Everybody {
    /// Reads them in one step. `None`: this database keeps no accounts.
    ///
    /// # Errors
    ///
    /// [`CopyError::Unusable`].
    pub async fn read(origin: Origin<'_>) -> Result<Option<Self>, CopyError> {
        let read = match origin {
            Origin::Beside(file) => file
                .check(COMPONENT, in_sqlite::STEPS.len())
                .map_err(Cause::from)
                .and_then(|_| Ok(file.read(from_sqlite)?)),
            Origin::Engine(Engine::Sqlite(database)) => database.read(from_sqlite).map_err(Cause::from),
            Origin::Engine(Engine::Postgres(database)) => from_postgres(database).await,
        };
        let mut read = read.map_err(|source| CopyError::Unusable { place: "FROM", source })?;
        // A number that is there was given, also where the role may not ask the sequence.
        if let Some(everybody) = &mut read {
            let greatest = everybody.accounts.keys().next_back().copied();
            everybody.highest = everybody.highest.max(greatest.unwrap_or(0));
        }
        Ok(read)
    }

    /// How many accounts there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.accounts.len()
    }

    /// Refuses the last pass while sessions are still to be ended elsewhere.
    ///
    /// # Errors
    ///
    /// [`CopyError::SessionsLeft`].
    pub fn check_nothing_is_left(&self) -> Result<(), CopyError> {
        match self.endings {
            0 => Ok(()),
            accounts => Err(CopyError::SessionsLeft { accounts }),
        }
    }

    /// Makes these the accounts of `to`, in one step: the same numbers, hashes and stamps, and no number that was ever
    /// given is given again. Does so again and again, as long as `to` is not used.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; nothing is changed then.
    pub async fn write(&self, to: &Engine) -> Result<AccountsCopied, CopyError> {
        let unusable = |source| CopyError::Unusable { place: "TO", source };
        match to {
            Engine::Sqlite(database) => {
                SqliteAccounts::open(database.clone()).map_err(|error| unusable(error.into()))?;
            }
            Engine::Postgres(database) => {
                PostgresAccounts::open(database.clone()).await.map_err(|error| unusable(error.into()))?;
            }
        }
        let there = match Self::read(Origin::Engine(to)).await {
            Err(CopyError::Unusable { source, .. }) => return Err(unusable(source)),
            read => read?.unwrap_or_default(),
        };
        let copied = self.compare(&there)?;
        if *self != there {
            match to {
                Engine::Sqlite(database) => self.to_sqlite(database).await,
                Engine::Postgres(database) => self.to_postgres(database).await,
            }
            .map_err(unusable)?;
        }
        Ok(copied)
    }

    /// What a copy would do to what is there, if it may.
    fn compare(&self, there: &Self) -> Result<AccountsCopied, CopyError> {
        let mut copied = AccountsCopied::default();
        for (&id, other) in &there.accounts {
            match self.accounts.get(&id) {
                Some(own) if (own.created_at, &own.folded) != (other.created_at, &other.folded) => {
                    return Err(CopyError::Foreign { id });
                }
                Some(own) if own.stamp < other.stamp => return Err(CopyError::Used { id }),
                Some(own) if own == other => copied.same += 1,
                Some(_) => copied.changed += 1,
                None if id > self.highest => return Err(CopyError::Foreign { id }),
                None => copied.removed += 1,
            }
        }
        if there.highest > self.highest {
            return Err(CopyError::Used { id: there.highest });
        }
        copied.made = self.accounts.len() - copied.same - copied.changed;
        Ok(copied)
    }

    async fn to_sqlite(&self, database: &sqlite::Database) -> Result<(), Cause> {
        let (accounts, highest) = (self.accounts.clone(), self.highest);
        let replaced = database.write(move |tx| {
            tx.execute("DELETE FROM accounts", [])?;
            tx.execute("DELETE FROM setup_link", [])?;
            tx.execute("DELETE FROM reset_links", [])?;
            let sql =
                format!("INSERT INTO accounts ({WHOLE}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
            let mut insert = tx.prepare_cached(&sql)?;
            for account in accounts.values() {
                let Whole { id, name, folded, password, stamp, admin, disabled, created_at, .. } = account;
                let Whole { email, email_folded, .. } = account;
                insert.execute(params![
                    id,
                    name,
                    folded,
                    password,
                    stamp,
                    admin,
                    disabled,
                    created_at,
                    email,
                    email_folded
                ])?;
            }
            // Where no account was ever made there is no row, and it cannot be replaced: the table has no key.
            tx.execute("DELETE FROM sqlite_sequence WHERE name = 'accounts'", [])?;
            tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('accounts', ?1)", [highest])?;
            Ok::<_, sqlite::DatabaseError>(())
        });
        Ok(replaced.await?)
    }

    async fn to_postgres(&self, database: &postgres::Database) -> Result<(), Cause> {
        let accounts: Vec<&Whole> = self.accounts.values().collect();
        let accounts = serde_json::to_string(&accounts)?;
        let params: [(&(dyn ToSql + Sync), Type); 2] = [(&accounts, Type::TEXT), (&self.highest, Type::INT8)];
        // Those that go are counted by what inserts, so that they are gone before: a name may have changed hands.
        let sql = format!(
            "WITH given AS (
                SELECT * FROM json_to_recordset($1::text::json) AS given (
                    id BIGINT, name TEXT, folded TEXT, password TEXT, stamp BIGINT, admin BOOLEAN, disabled BOOLEAN,
                    created_at BIGINT, email TEXT, email_folded TEXT
                )
            ), gone AS (
                DELETE FROM exeunt_accounts WHERE id NOT IN (SELECT id FROM given) RETURNING 1
            ), no_link AS (
                DELETE FROM exeunt_setup_link
            ), no_reset AS (
                UPDATE exeunt_reset_links SET expires_at = 0
            ), put AS (
                INSERT INTO exeunt_accounts ({WHOLE}) SELECT {WHOLE} FROM given
                WHERE (SELECT count(*) FROM gone) >= 0
                ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
                    password = excluded.password, stamp = excluded.stamp, admin = excluded.admin,
                    disabled = excluded.disabled, created_at = excluded.created_at, email = excluded.email,
                    email_folded = excluded.email_folded
                RETURNING 1
            )
            SELECT count(*), CASE WHEN $2 > 0 THEN setval(pg_get_serial_sequence('exeunt_accounts', 'id'), $2) END
            FROM put"
        );
        database.query(&sql, &params).await?;
        Ok(())
    }
}

fn from_sqlite(connection: &Connection) -> Result<Option<Everybody>, sqlite::DatabaseError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'accounts'";
    if !connection.prepare(sql)?.exists([])? {
        return Ok(None);
    }
    // One transaction, so that all is of one moment.
    let tx = connection.unchecked_transaction()?;
    let sql = "SELECT 1 FROM pragma_table_info('accounts') WHERE name = 'email'";
    let whole = match tx.prepare(sql)?.exists([])? {
        true => WHOLE,
        // An older version, which sent no messages.
        false => "id, name, folded, password, stamp, admin, disabled, created_at, NULL, NULL",
    };
    let mut select = tx.prepare(&format!("SELECT {whole} FROM accounts"))?;
    let whole = select.query_map([], |row| {
        Ok(Whole {
            id: row.get(0)?,
            name: row.get(1)?,
            folded: row.get(2)?,
            password: row.get(3)?,
            stamp: row.get(4)?,
            admin: row.get(5)?,
            disabled: row.get(6)?,
            created_at: row.get(7)?,
            email: row.get(8)?,
            email_folded: row.get(9)?,
        })
    })?;
    let accounts: BTreeMap<i64, Whole> =
        whole.map(|whole| whole.map(|whole| (whole.id, whole))).collect::<Result<_, _>>()?;
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'accounts'";
    let highest: Option<i64> = tx.query_row(sql, [], |row| row.get(0)).optional()?;
    let noted =
        tx.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'endings'")?.exists([])?;
    let endings = match noted {
        true => tx.query_row("SELECT count(*) FROM endings", [], |row| row.get(0))?,
        // An older version, which had one file for everything.
        false => 0,
    };
    Ok(Some(Everybody { accounts, highest: highest.unwrap_or(0), endings }))
}

async fn from_postgres(database: &postgres::Database) -> Result<Option<Everybody>, Cause> {
    let there = database.query("SELECT to_regclass('exeunt_accounts') IS NOT NULL", &[]).await?;
    if !there.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
        return Ok(None);
    }
    database.migrate(COMPONENT, POSTGRES_STEPS).await?;
    // One statement, so that all is of one moment.
    let sql = format!(
        "SELECT {WHOLE},
            coalesce(pg_sequence_last_value(pg_get_serial_sequence('exeunt_accounts', 'id')::regclass), 0) AS highest,
            (SELECT count(*) FROM exeunt_endings) AS endings
        FROM (SELECT) AS one LEFT JOIN exeunt_accounts ON TRUE ORDER BY id"
    );
    let mut everybody = Everybody::default();
    for row in database.query(&sql, &[]).await? {
        (everybody.highest, everybody.endings) = (row.try_get("highest")?, row.try_get("endings")?);
        // Where there are no accounts, one row of nothing tells the rest.
        let Some(id) = row.try_get::<_, Option<i64>>(0)? else { continue };
        let whole = Whole {
            id,
            name: row.try_get(1)?,
            folded: row.try_get(2)?,
            password: row.try_get(3)?,
            stamp: row.try_get(4)?,
            admin: row.try_get(5)?,
            disabled: row.try_get(6)?,
            created_at: row.try_get(7)?,
            email: row.try_get(8)?,
            email_folded: row.try_get(9)?,
        };
        everybody.accounts.insert(id, whole);
    }
    Ok(Some(everybody))
}

impl fmt::Debug for Everybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accounts, highest, endings } = self;
        let mut shown = f.debug_struct("Everybody");
        shown.field("accounts", &accounts.len()).field("highest", highest).field("endings", endings).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everybody(ids: &[i64], highest: i64) -> Everybody {
        let whole = |id: i64| Whole {
            id,
            name: format!("N{id}"),
            folded: format!("n{id}"),
            password: "$argon2id$".to_owned(),
            stamp: 3,
            admin: false,
            disabled: false,
            created_at: id,
            email: None,
            email_folded: None,
        };
        Everybody { accounts: ids.iter().map(|&id| (id, whole(id))).collect(), highest, endings: 0 }
    }

    #[test]
    fn what_a_copy_would_do_is_counted() {
        let (from, to) = (everybody(&[1, 2, 4], 4), everybody(&[1, 3, 4], 4));
        let mut changed = to.clone();
        changed.accounts.get_mut(&4).unwrap().stamp = 2;
        let expected = AccountsCopied { made: 1, changed: 1, same: 1, removed: 1 };
        assert_eq!(from.compare(&changed).unwrap(), expected);
    }

    #[test]
    fn accounts_of_another_origin_and_a_place_that_was_used_are_refused() {
        let from = everybody(&[1, 2], 2);
        let mut other = everybody(&[1, 2], 2);
        other.accounts.get_mut(&2).unwrap().created_at = 7;
        assert!(matches!(from.compare(&other), Err(CopyError::Foreign { id: 2 })));
        assert!(matches!(from.compare(&everybody(&[3], 3)), Err(CopyError::Foreign { id: 3 })));
        assert!(matches!(everybody(&[], 0).compare(&from), Err(CopyError::Foreign { id: 1 })));
        assert!(matches!(from.compare(&everybody(&[1], 5)), Err(CopyError::Used { id: 5 })));
        let mut used = everybody(&[1, 2], 2);
        used.accounts.get_mut(&1).unwrap().stamp = 4;
        assert!(matches!(from.compare(&used), Err(CopyError::Used { id: 1 })));
    }
}
