//! Accounts in a SQLite file.
//!
//! Must never find an account by anything but its number or folded name; but for a password reset, by its address.

mod reset;

mod change_password;
mod edit;
mod events;
mod throttle;

use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::{self, Connection, OptionalExtension as _, Row, params};
use exeunt::store::sqlite::{Database, DatabaseError, OpenError, Tx, destroy_all_in};
use exeunt::{SessionId, Timestamp, UserId, Verifier};

use super::backend::{Backend, Change, ENDINGS, Ending, Login, NewAccount};
use super::email::Email;
use super::{Account, AccountError};

/// The steps that make the tables, in order. A step that was released is never edited.
pub(super) const STEPS: &[&str] = &[
    include_str!("../../migrations/1_accounts.sql"),
    include_str!("../../migrations/2_endings.sql"),
    include_str!("../../migrations/3_throttle.sql"),
    include_str!("../../migrations/4_events.sql"),
    include_str!("../../migrations/5_mail.sql"),
    include_str!("../../migrations/6_administration.sql"),
];

/// Accounts in a SQLite file.
#[derive(Clone, Debug)]
pub(super) struct SqliteAccounts(Database);

impl SqliteAccounts {
    /// Blocks for milliseconds.
    pub(super) fn open(database: Database) -> Result<Self, OpenError> {
        database.migrate("accounts", STEPS)?;
        Ok(Self(database))
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.0.write(change).await
    }
}

#[async_trait]
impl Backend for SqliteAccounts {
    async fn add(&self, new: NewAccount) -> Result<Option<Account>, AccountError> {
        self.write(move |tx| Ok(add(tx, &new)?)).await
    }

    async fn list(&self) -> Result<Vec<Account>, AccountError> {
        Ok(self.0.read(list)?)
    }

    async fn find(&self, folded: &str) -> Result<Option<Account>, AccountError> {
        Ok(self.0.read(|connection| find(connection, folded))?)
    }

    async fn find_by_id(&self, id: i64) -> Result<Option<Account>, AccountError> {
        Ok(self.0.read(|connection| find_by_id(connection, id))?)
    }

    async fn is_empty(&self) -> Result<bool, AccountError> {
        Ok(self.0.read(is_empty)?)
    }

    async fn login(&self, folded: &str) -> Result<Option<Login>, AccountError> {
        Ok(self.0.read(|connection| login(connection, folded))?)
    }

    async fn is_current(&self, id: i64, stamp: u64) -> Result<bool, AccountError> {
        Ok(self.0.read(|connection| is_current(connection, id, stamp))?)
    }

    async fn change_and_end(
        &self,
        folded: &str,
        change: Change,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        let folded = folded.to_owned();
        self.write(move |tx| {
            let Some(account) = change_in(tx, &folded, &change)? else { return Ok(None) };
            let ended = destroy_all_in(tx, &account.user(), None)?;
            Ok(Some((account, ended)))
        })
        .await
    }

    async fn change_and_note(
        &self,
        folded: &str,
        change: Change,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        let folded = folded.to_owned();
        self.write(move |tx| {
            let Some(account) = change_in(tx, &folded, &change)? else { return Ok(None) };
            let note = note(tx, &account.user(), reason, at)?;
            Ok(Some((account, note)))
        })
        .await
    }

    async fn rehash(&self, id: i64, old: &str, new: &str) -> Result<bool, AccountError> {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.write(move |tx| Ok(rehash(tx, id, &old, &new)?)).await
    }

    async fn put_setup_link(&self, verifier: [u8; 32], expires_at: Timestamp) -> Result<bool, AccountError> {
        let sql = "INSERT OR REPLACE INTO setup_link (only, verifier, expires_at)
                   SELECT 1, ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM accounts)";
        self.write(move |tx| done(tx, sql, params![verifier, expires_at.as_micros()])).await
    }

    async fn setup_link(&self, now: Timestamp) -> Result<Option<[u8; 32]>, AccountError> {
        Ok(self.0.read(|connection| setup_link(connection, now))?)
    }

    async fn endings(&self) -> Result<Vec<Ending>, AccountError> {
        Ok(self.0.read(endings)?)
    }

    async fn forget_ending(&self, id: i64) -> Result<(), AccountError> {
        self.write(move |tx| done(tx, "DELETE FROM endings WHERE id = ?1", [id]).map(drop)).await
    }
}

const ACCOUNT: &str = "id, name, admin, disabled, created_at, email";

fn account(row: &Row<'_>) -> Result<Account, rusqlite::Error> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        admin: row.get(2)?,
        disabled: row.get(3)?,
        created_at: Timestamp::from_micros(row.get(4)?),
        email: row.get(5)?,
    })
}

/// The account that a statement gives, if any.
fn one(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Option<Account>, DatabaseError> {
    Ok(connection.prepare_cached(sql)?.query_row(params, account).optional()?)
}

/// Whether a statement changed anything.
fn done(tx: &Tx, sql: &str, params: impl rusqlite::Params) -> Result<bool, AccountError> {
    let changed = tx.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
    Ok(changed.map_err(DatabaseError::from)? > 0)
}

fn list(connection: &Connection) -> Result<Vec<Account>, DatabaseError> {
    let mut select = connection.prepare_cached(&format!("SELECT {ACCOUNT} FROM accounts ORDER BY id"))?;
    let accounts = select.query_map([], account)?.collect::<Result<_, _>>()?;
    Ok(accounts)
}

fn find(connection: &Connection, folded: &str) -> Result<Option<Account>, DatabaseError> {
    one(connection, &format!("SELECT {ACCOUNT} FROM accounts WHERE folded = ?1"), [folded])
}

fn find_by_id(connection: &Connection, id: i64) -> Result<Option<Account>, DatabaseError> {
    one(connection, &format!("SELECT {ACCOUNT} FROM accounts WHERE id = ?1"), [id])
}

fn is_empty(connection: &Connection) -> Result<bool, DatabaseError> {
    let mut select = connection.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM accounts)")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

fn login(connection: &Connection, folded: &str) -> Result<Option<Login>, DatabaseError> {
    let mut select = connection
        .prepare_cached("SELECT id, name, password, stamp, disabled FROM accounts WHERE folded = ?1")?;
    let login = |row: &Row<'_>| {
        Ok(Login {
            id: row.get(0)?,
            name: row.get(1)?,
            password: row.get(2)?,
            stamp: row.get::<_, i64>(3)?.unsigned_abs(),
            disabled: row.get(4)?,
        })
    };
    Ok(select.query_row([folded], login).optional()?)
}

fn is_current(connection: &Connection, id: i64, stamp: u64) -> Result<bool, DatabaseError> {
    let mut select =
        connection.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1 AND stamp = ?2 AND disabled = 0")?;
    Ok(select.exists(params![id, stamp.cast_signed()])?)
}

fn add(tx: &Tx, new: &NewAccount) -> Result<Option<Account>, DatabaseError> {
    if let Some(verifier) = new.link {
        let valid = setup_link(tx, new.now)?;
        // In constant time.
        if valid.is_none_or(|valid| Verifier::from_bytes(valid) != Verifier::from_bytes(verifier)) {
            return Ok(None);
        }
    }
    let sql = format!(
        "INSERT INTO accounts (name, folded, password, admin, created_at, email, email_folded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (folded) DO NOTHING RETURNING {ACCOUNT}"
    );
    let NewAccount { name, password, admin, email, now, .. } = new;
    let (name, folded, now) = (name.as_str(), name.folded(), now.as_micros());
    let (email, email_folded) = (email.as_ref().map(Email::as_str), email.as_ref().map(Email::folded));
    let added = one(tx, &sql, params![name, folded, password, admin, now, email, email_folded])?;
    // With the first account a set-up link is used up, or has lost its purpose.
    tx.prepare_cached("DELETE FROM setup_link")?.execute([])?;
    Ok(added)
}

/// The account as it was before.
fn change_in(tx: &Tx, folded: &str, change: &Change) -> Result<Option<Account>, DatabaseError> {
    let Some(account) = find(tx, folded)? else { return Ok(None) };
    match change {
        Change::Password(password) => set_password(tx, account.id, password)?,
    }
    Ok(Some(account))
}

fn note(tx: &Tx, user: &UserId, reason: &str, at: Timestamp) -> Result<i64, DatabaseError> {
    let sql = "INSERT INTO endings (user, reason, at) VALUES (?1, ?2, ?3) RETURNING id";
    let mut note = tx.prepare_cached(sql)?;
    Ok(note.query_row(params![user.as_str(), reason, at.as_micros()], |row| row.get(0))?)
}

fn set_password(tx: &Tx, id: i64, password: &str) -> Result<(), DatabaseError> {
    tx.prepare_cached("UPDATE accounts SET password = ?2, stamp = stamp + 1 WHERE id = ?1")?
        .execute(params![id, password])?;
    Ok(())
}

fn rehash(tx: &Tx, id: i64, old: &str, new: &str) -> Result<bool, DatabaseError> {
    let mut update =
        tx.prepare_cached("UPDATE accounts SET password = ?3 WHERE id = ?1 AND password = ?2")?;
    Ok(update.execute(params![id, old, new])? == 1)
}

fn setup_link(connection: &Connection, now: Timestamp) -> Result<Option<[u8; 32]>, DatabaseError> {
    let mut select = connection.prepare_cached(
        "SELECT verifier FROM setup_link WHERE ?1 < expires_at AND NOT EXISTS (SELECT 1 FROM accounts)",
    )?;
    Ok(select.query_row([now.as_micros()], |row| row.get(0)).optional()?)
}

fn endings(connection: &Connection) -> Result<Vec<Ending>, DatabaseError> {
    let mut select =
        connection.prepare_cached("SELECT id, user, reason FROM endings ORDER BY id LIMIT ?1")?;
    let mut rows = select.query([ENDINGS])?;
    let mut endings = Vec::new();
    while let Some(row) = rows.next()? {
        let user: String = row.get(1)?;
        // Whoever wrote what names nobody has no sessions.
        if let Ok(user) = UserId::new(user) {
            endings.push(Ending { id: row.get(0)?, user, reason: row.get(2)? });
        }
    }
    Ok(endings)
}

#[cfg(test)]
mod tests {
    use super::super::name::Name;
    use super::*;

    #[tokio::test]
    async fn a_new_hash_of_the_old_password_never_replaces_a_new_password() {
        let folder = tempfile::tempdir().unwrap();
        let accounts = SqliteAccounts::open(Database::open(folder.path().join("a.db")).unwrap()).unwrap();
        let (name, now) = (Name::new("a").unwrap(), Timestamp::default());
        let new = NewAccount { name, password: "old".to_owned(), admin: false, email: None, now, link: None };
        let id = accounts.add(new).await.unwrap().unwrap().id;
        assert!(accounts.rehash(id, "old", "old, dearer").await.unwrap());
        accounts.write(move |tx| Ok(set_password(tx, id, "new")?)).await.unwrap();
        assert!(!accounts.rehash(id, "old, dearer", "old, dearest").await.unwrap());
        let login = accounts.login("a").await.unwrap().unwrap();
        assert_eq!((login.password.as_str(), login.stamp), ("new", 1));
    }
}
