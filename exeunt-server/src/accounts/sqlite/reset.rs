//! Addresses and reset links in a SQLite file.
//!
//! Must never use a link twice, nor one of another stamp than the account's.

use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};
use exeunt::store::sqlite::{DatabaseError, Tx, destroy_all_in};
use exeunt::{SessionId, Timestamp};

use super::super::email::Email;
use super::super::reset::{NewLinks, Reset, ResetBackend};
use super::super::{Account, AccountError};
use super::{ACCOUNT, SqliteAccounts, account, find_by_id, note, one, set_password};

#[async_trait]
impl ResetBackend for SqliteAccounts {
    async fn set_email(
        &self,
        id: i64,
        email: Option<&Email>,
    ) -> Result<Option<(Option<String>, Account)>, AccountError> {
        let email = email.cloned();
        self.write(move |tx| Ok(set_email(tx, id, email.as_ref())?)).await
    }

    async fn put_reset_links(&self, new: NewLinks) -> Result<Vec<(Account, [u8; 32])>, AccountError> {
        self.write(move |tx| Ok(put_reset_links(tx, &new)?)).await
    }

    async fn reset_link(&self, verifier: [u8; 32], now: Timestamp) -> Result<Option<Account>, AccountError> {
        Ok(self.0.read(|connection| reset_link(connection, verifier, now))?)
    }

    async fn reset_and_end(&self, given: Reset) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        self.write(move |tx| {
            let Some(account) = reset(tx, &given)? else { return Ok(None) };
            let ended = destroy_all_in(tx, &account.user(), None)?;
            Ok(Some((account, ended)))
        })
        .await
    }

    async fn reset_and_note(
        &self,
        given: Reset,
        reason: &'static str,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        self.write(move |tx| {
            let Some(account) = reset(tx, &given)? else { return Ok(None) };
            let note = note(tx, &account.user(), reason, given.now)?;
            Ok(Some((account, note)))
        })
        .await
    }
}

fn set_email(
    tx: &Tx,
    id: i64,
    email: Option<&Email>,
) -> Result<Option<(Option<String>, Account)>, DatabaseError> {
    let Some(before) = find_by_id(tx, id)? else { return Ok(None) };
    let sql = format!("UPDATE accounts SET email = ?2, email_folded = ?3 WHERE id = ?1 RETURNING {ACCOUNT}");
    let (address, folded) = (email.map(Email::as_str), email.map(Email::folded));
    let now = one(tx, &sql, params![before.id, address, folded])?;
    // Its row stays, for the number of messages.
    tx.prepare_cached("UPDATE reset_links SET expires_at = 0 WHERE account = ?1")?.execute([before.id])?;
    Ok(now.map(|now| (before.email, now)))
}

fn put_reset_links(tx: &Tx, new: &NewLinks) -> Result<Vec<(Account, [u8; 32])>, DatabaseError> {
    let sql = format!(
        "SELECT {ACCOUNT} FROM accounts
         WHERE (folded = ?1 OR email_folded = ?2) AND disabled = 0 AND email IS NOT NULL ORDER BY id LIMIT ?3"
    );
    let most = i64::try_from(new.verifiers.len()).unwrap_or(i64::MAX);
    let mut select = tx.prepare_cached(&sql)?;
    let found = select.query_map(params![new.name, new.email, most], account)?;
    let found: Vec<Account> = found.collect::<Result<_, _>>()?;
    let mut put = tx.prepare_cached(
        "INSERT INTO reset_links AS link (account, verifier, stamp, expires_at, began, messages)
         SELECT id, ?2, stamp, ?3, ?4, 1 FROM accounts WHERE id = ?1
         ON CONFLICT (account) DO UPDATE SET verifier = excluded.verifier, stamp = excluded.stamp,
             expires_at = excluded.expires_at,
             began = iif(link.began <= ?5, excluded.began, link.began),
             messages = iif(link.began <= ?5, 1, link.messages + 1)
         WHERE link.began <= ?5 OR link.messages < ?6",
    )?;
    let mut given = Vec::new();
    for (account, &verifier) in found.into_iter().zip(&new.verifiers) {
        let times = [new.expires_at, new.now, new.counted_since].map(Timestamp::as_micros);
        let [expires_at, now, since] = times;
        if put.execute(params![account.id, verifier, expires_at, now, since, new.most])? == 1 {
            given.push((account, verifier));
        }
    }
    Ok(given)
}

fn reset_link(
    connection: &Connection,
    verifier: [u8; 32],
    now: Timestamp,
) -> Result<Option<Account>, DatabaseError> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {ACCOUNT} FROM accounts JOIN (SELECT account, stamp AS then_stamp, expires_at FROM reset_links
             WHERE verifier = ?1) ON id = account
         WHERE then_stamp = stamp AND disabled = 0 AND ?2 < expires_at"
    ))?;
    Ok(select.query_row(params![verifier, now.as_micros()], account).optional()?)
}

/// The account as it was before.
fn reset(tx: &Tx, given: &Reset) -> Result<Option<Account>, DatabaseError> {
    let Some(account) = reset_link(tx, given.verifier, given.now)? else { return Ok(None) };
    tx.prepare_cached("DELETE FROM reset_links WHERE account = ?1")?.execute([account.id])?;
    set_password(tx, account.id, &given.password)?;
    Ok(Some(account))
}
