//! Addresses and reset links in PostgreSQL.
//!
//! Must never take two statements for one step, use a link twice, nor one of another stamp than the account's.

use exeunt::store::async_trait;
use exeunt::store::postgres::{DatabaseError, Row, Type};
use exeunt::{SessionId, Timestamp};

use super::super::email::Email;
use super::super::reset::{NewLinks, Reset, ResetBackend};
use super::super::{Account, AccountError};
use super::{ACCOUNT, Param, PostgresAccounts, account};

impl PostgresAccounts {
    /// Uses the link up and sets the password, with `then` done to the row, named `changed`, in the same statement. Of two
    /// at once the second waits for the account's row, and finds that its stamp is no longer the link's; so it is with any
    /// other change that moves the stamp. The account is locked before the link, as whoever removes an account does.
    async fn reset(
        &self,
        given: &Reset,
        then: &str,
        more: &[Param<'_>],
    ) -> Result<Option<Row>, AccountError> {
        let sql = format!(
            "WITH link AS (
                SELECT account, stamp AS then_stamp FROM exeunt_reset_links WHERE verifier = $1 AND $3 < expires_at
            ), changed AS (
                UPDATE exeunt_accounts SET password = $2, stamp = stamp + 1 FROM link
                WHERE id = account AND stamp = then_stamp AND NOT disabled RETURNING {ACCOUNT}
            ), used AS (
                DELETE FROM exeunt_reset_links WHERE account IN (SELECT id FROM changed)
            ) {then}"
        );
        let (verifier, now) = (given.verifier.as_slice(), given.now.as_micros());
        let mut params: Vec<Param<'_>> =
            vec![(&verifier, Type::BYTEA), (&given.password, Type::TEXT), (&now, Type::INT8)];
        params.extend_from_slice(more);
        Ok(self.first(&sql, &params).await?)
    }
}

#[async_trait]
impl ResetBackend for PostgresAccounts {
    async fn set_email(
        &self,
        id: i64,
        email: Option<&Email>,
    ) -> Result<Option<(Option<String>, Account)>, AccountError> {
        let sql = format!(
            "WITH old AS (
                SELECT id AS number, email AS before FROM exeunt_accounts WHERE id = $1
                FOR NO KEY UPDATE
            ), changed AS (
                UPDATE exeunt_accounts SET email = $2, email_folded = $3 FROM old WHERE id = number
                RETURNING {ACCOUNT}, before
            ), voided AS (
                UPDATE exeunt_reset_links SET expires_at = 0 WHERE account IN (SELECT number FROM old)
            )
            SELECT * FROM changed"
        );
        let params: [Param<'_>; 3] = [
            (&id, Type::INT8),
            (&email.map(Email::as_str), Type::TEXT),
            (&email.map(Email::folded), Type::TEXT),
        ];
        let Some(row) = self.first(&sql, &params).await? else { return Ok(None) };
        Ok(Some((row.try_get("before").map_err(DatabaseError::from)?, account(&row)?)))
    }

    async fn put_reset_links(&self, new: NewLinks) -> Result<Vec<(Account, [u8; 32])>, AccountError> {
        let sql = format!(
            "WITH found AS (
                SELECT {ACCOUNT}, stamp, row_number() OVER (ORDER BY id) AS place FROM exeunt_accounts
                WHERE (folded = $1 OR email_folded = $2) AND NOT disabled AND email IS NOT NULL
            ), put AS (
                INSERT INTO exeunt_reset_links AS link (account, verifier, stamp, expires_at, began, messages)
                SELECT id, given, stamp, $4, $5, 1
                FROM found JOIN unnest($3) WITH ORDINALITY AS verifiers (given, place) USING (place)
                ON CONFLICT (account) DO UPDATE SET verifier = excluded.verifier, stamp = excluded.stamp,
                    expires_at = excluded.expires_at,
                    began = CASE WHEN link.began <= $6 THEN excluded.began ELSE link.began END,
                    messages = CASE WHEN link.began <= $6 THEN 1 ELSE link.messages + 1 END
                WHERE link.began <= $6 OR link.messages < $7
                RETURNING account, verifier
            )
            SELECT found.*, verifier FROM found JOIN put ON id = account ORDER BY id"
        );
        let verifiers: Vec<&[u8]> = new.verifiers.iter().map(<[u8; 32]>::as_slice).collect();
        let times = [new.expires_at, new.now, new.counted_since].map(Timestamp::as_micros);
        let [expires_at, now, since] = times;
        let params: [Param<'_>; 7] = [
            (&new.name, Type::TEXT),
            (&new.email, Type::TEXT),
            (&verifiers, Type::BYTEA_ARRAY),
            (&expires_at, Type::INT8),
            (&now, Type::INT8),
            (&since, Type::INT8),
            (&new.most, Type::INT8),
        ];
        let mut given = Vec::new();
        for row in self.query(&sql, &params).await? {
            let verifier: Vec<u8> = row.try_get("verifier").map_err(DatabaseError::from)?;
            if let Ok(verifier) = verifier.try_into() {
                given.push((account(&row)?, verifier));
            }
        }
        Ok(given)
    }

    async fn reset_link(&self, verifier: [u8; 32], now: Timestamp) -> Result<Option<Account>, AccountError> {
        let sql = format!(
            "SELECT {ACCOUNT} FROM exeunt_accounts JOIN (
                SELECT account, stamp AS then_stamp, expires_at FROM exeunt_reset_links WHERE verifier = $1
            ) AS link ON id = account
            WHERE then_stamp = stamp AND NOT disabled AND $2 < expires_at"
        );
        let params: [Param<'_>; 2] = [(&verifier.as_slice(), Type::BYTEA), (&now.as_micros(), Type::INT8)];
        self.one(&sql, &params).await
    }

    async fn reset_and_end(&self, given: Reset) -> Result<Option<(Account, Vec<SessionId>)>, AccountError> {
        let then =
            format!("SELECT {ACCOUNT}, ARRAY(SELECT exeunt_destroy_all(id::TEXT, -1)) AS ended FROM changed");
        let Some(row) = self.reset(&given, &then, &[]).await? else { return Ok(None) };
        let ended: Vec<i64> = row.try_get("ended").map_err(DatabaseError::from)?;
        Ok(Some((account(&row)?, ended.into_iter().filter_map(SessionId::from_i64).collect())))
    }

    async fn reset_and_note(
        &self,
        given: Reset,
        reason: &'static str,
    ) -> Result<Option<(Account, i64)>, AccountError> {
        let then = ", noted AS (
                INSERT INTO exeunt_endings (user_id, reason, at) SELECT id::TEXT, $4, $3 FROM changed
                RETURNING id AS note
            )
            SELECT changed.*, note FROM changed, noted";
        let Some(row) = self.reset(&given, then, &[(&reason, Type::TEXT)]).await? else { return Ok(None) };
        Ok(Some((account(&row)?, row.try_get("note").map_err(DatabaseError::from)?)))
    }
}
