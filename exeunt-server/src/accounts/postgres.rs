//! Accounts in PostgreSQL.
//!
//! Must never take two statements for one step, nor find an account by anything but its number or folded name; but for a
//! password reset, by its address.

mod reset;

mod change_password;
mod edit;
mod events;
mod throttle;

use exeunt::store::async_trait;
use exeunt::store::postgres::{ConnectError, Database, DatabaseError, Row, ToSql, Type};
use exeunt::{SessionId, Timestamp, UserId};

use super::backend::{Backend, Change, ENDINGS, Ending, Login, NewAccount};
use super::email::Email;
use super::{Account, AccountError};

/// The migrations of the component [`COMPONENT`], in order. A step that was released is never edited.
pub const POSTGRES_STEPS: &[&str] = &[
    include_str!("../../migrations/postgres/1_accounts.sql"),
    include_str!("../../migrations/postgres/3_throttle.sql"),
    include_str!("../../migrations/postgres/4_events.sql"),
    include_str!("../../migrations/postgres/5_mail.sql"),
    include_str!("../../migrations/postgres/6_administration.sql"),
];

/// What the table of migrations calls these tables.
pub const COMPONENT: &str = "accounts";

/// Accounts in PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct PostgresAccounts(Database);

type Param<'a> = (&'a (dyn ToSql + Sync), Type);

const ACCOUNT: &str = "id, name, admin, disabled, created_at, email";

/// Every form of a change, up to what becomes of the sessions. `$1` is the folded name.
const PASSWORD: &str = "UPDATE exeunt_accounts SET password = $2, stamp = stamp + 1 WHERE folded = $1";

impl PostgresAccounts {
    /// Makes the tables if need be.
    pub(super) async fn open(database: Database) -> Result<Self, ConnectError> {
        database.migrate(COMPONENT, POSTGRES_STEPS).await?;
        Ok(Self(database))
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DatabaseError> {
        self.0.query(sql, params).await
    }

    async fn first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    async fn one(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Account>, AccountError> {
        self.first(sql, params).await?.as_ref().map(account).transpose()
    }

    /// A change with `then` done to the row, named `changed`, in the same statement. `more` follows the params of the
    /// change, which `then` finds behind `$2`.
    async fn changed(
        &self,
        folded: &str,
        change: &Change,
        then: &str,
        more: &[Param<'_>],
    ) -> Result<Option<Row>, AccountError> {
        let (sql, password) = match change {
            Change::Password(password) => (PASSWORD, Some(password.as_str())),
        };
        // All have both params, so that `then` can count on their numbers.
        let sql = format!("WITH changed AS ({sql} RETURNING {ACCOUNT}) {then}");
        let mut params: Vec<Param<'_>> = vec![(&folded, Type::TEXT), (&password, Type::TEXT)];
        params.extend_from_slice(more);
        Ok(self.first(&sql, &params).await?)
    }
}

#[async_trait]
impl Backend for PostgresAccounts {
    async fn add(&self, new: NewAccount) -> Result<Option<Account>, AccountError> {
        let sql = format!("SELECT {ACCOUNT} FROM exeunt_add_account($1, $2, $3, $4, $5, $6, $7, $8)");
        let link = new.link.as_ref().map(<[u8; 32]>::as_slice);
        let params: [Param<'_>; 8] = [
            (&new.name.as_str(), Type::TEXT),
            (&new.name.folded(), Type::TEXT),
            (&new.password, Type::TEXT),
            (&new.admin, Type::BOOL),
            (&new.now.as_micros(), Type::INT8),
            (&link, Type::BYTEA),
            (&new.email.as_ref().map(Email::as_str), Type::TEXT),
            (&new.email.as_ref().map(Email::folded), Type::TEXT),
        ];
        self.one(&sql, &params).await
    }

    async fn list(&self) -> Result<Vec<Account>, AccountError> {
        let sql = format!("SELECT {ACCOUNT} FROM exeunt_accounts ORDER BY id");
        self.query(&sql, &[]).await?.iter().map(account).collect()
    }

    async fn find(&self, folded: &str) -> Result<Option<Account>, AccountError> {
        let sql = format!("SELECT {ACCOUNT} FROM exeunt_accounts WHERE folded = $1");
        self.one(&sql, &[(&folded, Type::TEXT)]).await
    }

    async fn find_by_id(&self, id: i64) -> Result<Option<Account>, AccountError> {
        let sql = format!("SELECT {ACCOUNT} FROM exeunt_accounts WHERE id = $1");
        self.one(&sql, &[(&id, Type::INT8)]).await
    }

    async fn is_empty(&self) -> Result<bool, AccountError> {
        Ok(self.first("SELECT 1 FROM exeunt_accounts LIMIT 1", &[]).await?.is_none())
    }

    async fn login(&self, folded: &str) -> Result<Option<Login>, AccountError> {
        let sql = "SELECT id, name, password, stamp, disabled FROM exeunt_accounts WHERE folded = $1";
        let login = |row: Row| {
            Ok::<_, DatabaseError>(Login {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                password: row.try_get(2)?,
                stamp: row.try_get::<_, i64>(3)?.unsigned_abs(),
                disabled: row.try_get(4)?,
            })
        };
        Ok(self.first(sql, &[(&folded, Type::TEXT)]).await?.map(login).transpose()?)
    }

    async fn is_current(&self, id: i64, stamp: u64) -> Result<bool, AccountError> {
        let sql = "SELECT 1 FROM exeunt_accounts WHERE id = $1 AND stamp = $2 AND NOT disabled";
        let params: [Param<'_>; 2] = [(&id, Type::INT8), (&stamp.cast_signed(), Type::INT8)];
        Ok(self.first(sql, &params).await?.is_some())
    }

    /// The function waits for the logins of this user that are being stored, and holds off those to come until this
    /// transaction ends. So a session that was acknowledged before is seen by it and ends, and one that is acknowledged
    /// later finds the account as changed when it asks whether it is current.
    async fn change_and_end(
        &self,
        folded: &str,
        change: Change,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        let then =
            format!("SELECT {ACCOUNT}, ARRAY(SELECT exeunt_destroy_all(id::TEXT, -1)) AS ended FROM changed");
        let Some(row) = self.changed(folded, &change, &then, &[]).await? else { return Ok(None) };
        let ended: Vec<i64> = row.try_get("ended").map_err(DatabaseError::from)?;
        let ended = ended.into_iter().filter_map(SessionId::from_i64).collect();
        Ok(Some((account(&row)?, ended)))
    }

    async fn change_and_note(
        &self,
        folded: &str,
        change: Change,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        let then = ", noted AS (
                INSERT INTO exeunt_endings (user_id, reason, at) SELECT id::TEXT, $3, $4 FROM changed RETURNING id AS note
            )
            SELECT changed.*, note FROM changed, noted";
        let more: [Param<'_>; 2] = [(&reason, Type::TEXT), (&at.as_micros(), Type::INT8)];
        let Some(row) = self.changed(folded, &change, then, &more).await? else { return Ok(None) };
        Ok(Some((account(&row)?, row.try_get("note").map_err(DatabaseError::from)?)))
    }

    async fn rehash(&self, id: i64, old: &str, new: &str) -> Result<bool, AccountError> {
        let sql = "UPDATE exeunt_accounts SET password = $3 WHERE id = $1 AND password = $2 RETURNING 1";
        let params: [Param<'_>; 3] = [(&id, Type::INT8), (&old, Type::TEXT), (&new, Type::TEXT)];
        Ok(self.first(sql, &params).await?.is_some())
    }

    async fn put_setup_link(&self, verifier: [u8; 32], expires_at: Timestamp) -> Result<bool, AccountError> {
        let sql = "INSERT INTO exeunt_setup_link (verifier, expires_at)
            SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM exeunt_accounts)
            ON CONFLICT (one) DO UPDATE SET verifier = excluded.verifier, expires_at = excluded.expires_at
            RETURNING 1";
        let params: [Param<'_>; 2] =
            [(&verifier.as_slice(), Type::BYTEA), (&expires_at.as_micros(), Type::INT8)];
        Ok(self.first(sql, &params).await?.is_some())
    }

    async fn setup_link(&self, now: Timestamp) -> Result<Option<[u8; 32]>, AccountError> {
        let sql = "SELECT verifier FROM exeunt_setup_link
            WHERE $1 < expires_at AND NOT EXISTS (SELECT 1 FROM exeunt_accounts)";
        let found = self.first(sql, &[(&now.as_micros(), Type::INT8)]).await?;
        let verifier: Option<Vec<u8>> =
            found.map(|row| row.try_get(0)).transpose().map_err(DatabaseError::from)?;
        Ok(verifier.and_then(|bytes| bytes.try_into().ok()))
    }

    async fn endings(&self) -> Result<Vec<Ending>, AccountError> {
        let sql = "SELECT id, user_id, reason FROM exeunt_endings ORDER BY id LIMIT $1";
        let mut endings = Vec::new();
        for row in self.query(sql, &[(&ENDINGS, Type::INT8)]).await? {
            let ending =
                || Ok::<(i64, String, String), _>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (id, user, reason) = ending().map_err(|error: DatabaseError| error)?;
            // Whoever wrote what names nobody has no sessions.
            if let Ok(user) = UserId::new(user) {
                endings.push(Ending { id, user, reason });
            }
        }
        Ok(endings)
    }

    async fn forget_ending(&self, id: i64) -> Result<(), AccountError> {
        let sql = "DELETE FROM exeunt_endings WHERE id = $1";
        self.query(sql, &[(&id, Type::INT8)]).await?;
        Ok(())
    }
}

fn account(row: &Row) -> Result<Account, AccountError> {
    let account = || {
        Ok(Account {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            admin: row.try_get(2)?,
            disabled: row.try_get(3)?,
            created_at: Timestamp::from_micros(row.try_get(4)?),
            email: row.try_get(5)?,
        })
    };
    account().map_err(|error: DatabaseError| error.into())
}
