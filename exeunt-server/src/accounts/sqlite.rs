//! The SQL of accounts and of the set-up link.
//!
//! Must never end a session by itself, and must never find an account by anything but its number or folded name.

use exeunt::Timestamp;

use super::Account;
use exeunt::store::sqlite::rusqlite::{Connection, OptionalExtension as _, Row, params};
use exeunt::store::sqlite::{DatabaseError, Tx};

/// The steps that make the tables, in order. A step that was released is never edited.
pub(super) const STEPS: &[&str] = &[include_str!("../../migrations/1_accounts.sql")];

/// What logging in needs to know.
pub(super) struct Login {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) stamp: u64,
    pub(super) disabled: bool,
}

const ACCOUNT: &str = "id, name, admin, disabled, created_at";

fn account(row: &Row<'_>) -> Result<Account, exeunt::store::sqlite::rusqlite::Error> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        admin: row.get(2)?,
        disabled: row.get(3)?,
        created_at: Timestamp::from_micros(row.get(4)?),
    })
}

pub(super) fn list(connection: &Connection) -> Result<Vec<Account>, DatabaseError> {
    let mut select = connection.prepare_cached(&format!("SELECT {ACCOUNT} FROM accounts ORDER BY id"))?;
    let accounts = select.query_map([], account)?.collect::<Result<_, _>>()?;
    Ok(accounts)
}

pub(super) fn find(connection: &Connection, folded: &str) -> Result<Option<Account>, DatabaseError> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {ACCOUNT} FROM accounts WHERE folded = ?1"))?;
    Ok(select.query_row([folded], account).optional()?)
}

pub(super) fn find_by_id(connection: &Connection, id: i64) -> Result<Option<Account>, DatabaseError> {
    let mut select = connection.prepare_cached(&format!("SELECT {ACCOUNT} FROM accounts WHERE id = ?1"))?;
    Ok(select.query_row([id], account).optional()?)
}

pub(super) fn is_empty(connection: &Connection) -> Result<bool, DatabaseError> {
    let mut select = connection.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM accounts)")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

pub(super) fn login(connection: &Connection, folded: &str) -> Result<Option<Login>, DatabaseError> {
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

pub(super) fn is_current(connection: &Connection, id: i64, stamp: u64) -> Result<bool, DatabaseError> {
    let mut select =
        connection.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1 AND stamp = ?2 AND disabled = 0")?;
    Ok(select.exists(params![id, stamp.cast_signed()])?)
}

/// `None`: the name is taken.
pub(super) fn insert(
    tx: &Tx,
    name: &str,
    folded: &str,
    password: &str,
    admin: bool,
    now: Timestamp,
) -> Result<Option<Account>, DatabaseError> {
    let mut insert = tx.prepare_cached(&format!(
        "INSERT INTO accounts (name, folded, password, admin, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (folded) DO NOTHING RETURNING {ACCOUNT}"
    ))?;
    Ok(insert.query_row(params![name, folded, password, admin, now.as_micros()], account).optional()?)
}

/// Moves the stamp, so that a login that was being checked before is no longer current.
pub(super) fn disable(tx: &Tx, id: i64) -> Result<(), DatabaseError> {
    tx.prepare_cached("UPDATE accounts SET disabled = 1, stamp = stamp + 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Leaves the stamp: disabling has moved it, and a disabled account verifies nobody.
pub(super) fn enable(tx: &Tx, id: i64) -> Result<(), DatabaseError> {
    tx.prepare_cached("UPDATE accounts SET disabled = 0 WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn set_password(tx: &Tx, id: i64, password: &str) -> Result<(), DatabaseError> {
    tx.prepare_cached("UPDATE accounts SET password = ?2, stamp = stamp + 1 WHERE id = ?1")?
        .execute(params![id, password])?;
    Ok(())
}

/// Swaps a hash for a dearer one of the same password. Never replaces any but `old`, so it undoes no password change.
pub(super) fn rehash(tx: &Tx, id: i64, old: &str, new: &str) -> Result<bool, DatabaseError> {
    let mut update =
        tx.prepare_cached("UPDATE accounts SET password = ?3 WHERE id = ?1 AND password = ?2")?;
    Ok(update.execute(params![id, old, new])? == 1)
}

pub(super) fn delete(tx: &Tx, id: i64) -> Result<(), DatabaseError> {
    tx.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn put_setup_link(
    tx: &Tx,
    verifier: &[u8; 32],
    expires_at: Timestamp,
) -> Result<(), DatabaseError> {
    tx.prepare_cached("INSERT OR REPLACE INTO setup_link (only, verifier, expires_at) VALUES (1, ?1, ?2)")?
        .execute(params![verifier, expires_at.as_micros()])?;
    Ok(())
}

/// The verifier of the set-up link that is valid at `now`.
pub(super) fn setup_link(connection: &Connection, now: Timestamp) -> Result<Option<[u8; 32]>, DatabaseError> {
    let mut select = connection.prepare_cached(
        "SELECT verifier FROM setup_link WHERE ?1 < expires_at AND NOT EXISTS (SELECT 1 FROM accounts)",
    )?;
    Ok(select.query_row([now.as_micros()], |row| row.get(0)).optional()?)
}

pub(super) fn drop_setup_link(tx: &Tx) -> Result<(), DatabaseError> {
    tx.prepare_cached("DELETE FROM setup_link")?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use exeunt::store::sqlite::Database;

    use super::*;

    #[tokio::test]
    async fn a_new_hash_of_the_old_password_never_replaces_a_new_password() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("a.db")).unwrap();
        database.migrate("accounts", STEPS).unwrap();
        let replaced = database.write(|tx| {
            let account = insert(tx, "a", "a", "old", false, Timestamp::default())?.unwrap();
            let first = rehash(tx, account.id, "old", "old, dearer")?;
            set_password(tx, account.id, "new")?;
            Ok::<_, DatabaseError>((first, rehash(tx, account.id, "old, dearer", "old, dearest")?))
        });
        assert_eq!(replaced.await.unwrap(), (true, false));
        let login = database.read(|connection| login(connection, "a")).unwrap().unwrap();
        assert_eq!((login.password.as_str(), login.stamp), ("new", 1));
    }
}
