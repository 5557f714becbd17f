//! Counts of tries and badges of clients in PostgreSQL.
//!
//! Must never take a try by what a statement before saw: the row that takes a try is the one that allows it. A refusal takes
//! nothing, and may go by what was seen.

use exeunt::Timestamp;
use exeunt::store::async_trait;
use exeunt::store::postgres::{DatabaseError, Type};

use super::super::AccountError;
use super::super::client::{Clients, MOST_OF_AN_ACCOUNT};
use super::super::throttle::{Count, FAILURE, Key, Kind, Taken, Tries, Wait};
use super::{Param, PostgresAccounts};

/// The waits are those of `Rule::delays`, and what leaks away is what `Rule::level` says: `$5` and `$6` of the rule.
const TAKE: &str = "INSERT INTO exeunt_throttle AS t (hash, kind, level, tried_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (hash) DO UPDATE SET
        level = greatest(0, t.level - greatest(0, $4 - t.tried_at) / $5) + $3, tried_at = greatest($4, t.tried_at)
    WHERE greatest(0, $4 - t.tried_at) >= ($6::BIGINT[])[least(cardinality($6::BIGINT[]),
        greatest(0, t.level - greatest(0, $4 - t.tried_at) / $5) / $3 + 1)]
    RETURNING level, tried_at";

impl PostgresAccounts {
    /// One key's part of a try. `Err` in the `Ok`: what to wait for.
    async fn take_one(&self, key: &Key, now: Timestamp) -> Result<Result<Count, Wait>, AccountError> {
        let rule = key.kind.rule();
        let params: [Param<'_>; 6] = [
            (&key.hash, Type::BYTEA),
            (&key.kind.number(), Type::INT2),
            (&FAILURE, Type::INT8),
            (&now.as_micros(), Type::INT8),
            (&rule.leak_divisor(), Type::INT8),
            (&rule.delays(), Type::INT8_ARRAY),
        ];
        if let Some(count) = self.count(TAKE, &params).await? {
            return Ok(Ok(count));
        }
        // Only to say how long: that it is refused was decided.
        let sql = "SELECT level, tried_at FROM exeunt_throttle WHERE hash = $1";
        let count = self.count(sql, &[(&key.hash, Type::BYTEA)]).await?;
        let wait = count.map_or(Wait::None, |count| rule.wait(count, now));
        Ok(Err(match wait {
            // Somebody gave a try back in between: the next one will be taken.
            Wait::None => Wait::For(std::time::Duration::ZERO),
            wait => wait,
        }))
    }

    /// What refuses a try, as things are. `None`: nothing so far.
    async fn look(&self, keys: &[Key], now: Timestamp) -> Result<Option<Taken>, AccountError> {
        let sql = "SELECT level, tried_at FROM exeunt_throttle WHERE hash = $1";
        for key in keys {
            let count = self.count(sql, &[(&key.hash, Type::BYTEA)]).await?;
            match count.map_or(Wait::None, |count| key.kind.rule().wait(count, now)) {
                Wait::None => {}
                wait => return Ok(Some(Taken::No(key.clone(), wait))),
            }
        }
        Ok(None)
    }

    async fn count(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Count>, AccountError> {
        let Some(row) = self.first(sql, params).await? else { return Ok(None) };
        let count =
            || Ok(Count { level: row.try_get(0)?, tried_at: Timestamp::from_micros(row.try_get(1)?) });
        count().map(Some).map_err(|error: DatabaseError| error.into())
    }

    async fn dropped(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, AccountError> {
        let sql = format!("WITH dropped AS ({sql} RETURNING 1) SELECT count(*) FROM dropped");
        let Some(row) = self.first(&sql, params).await? else { return Ok(0) };
        let number: i64 = row.try_get(0).map_err(DatabaseError::from)?;
        Ok(number.unsigned_abs())
    }
}

#[async_trait]
impl Tries for PostgresAccounts {
    /// One after the other; what was taken before a refusal is given back.
    async fn take(&self, keys: &[Key], now: Timestamp) -> Result<Taken, AccountError> {
        // To ask by `TAKE` alone would lock the row, which is a write.
        if let Some(refused) = self.look(keys, now).await? {
            return Ok(refused);
        }
        let mut counts = Vec::with_capacity(keys.len());
        for key in keys {
            match self.take_one(key, now).await? {
                Ok(count) => counts.push(count),
                Err(wait) => {
                    let taken: Vec<_> = keys.iter().take(counts.len()).cloned().collect();
                    self.give_back(&taken).await?;
                    return Ok(Taken::No(key.clone(), wait));
                }
            }
        }
        Ok(Taken::Yes(counts))
    }

    async fn give_back(&self, keys: &[Key]) -> Result<(), AccountError> {
        if keys.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE exeunt_throttle SET level = greatest(0, level - $2) WHERE hash = ANY($1)";
        let params: [Param<'_>; 2] = [(&hashes(keys), Type::BYTEA_ARRAY), (&FAILURE, Type::INT8)];
        self.query(sql, &params).await?;
        Ok(())
    }

    async fn forget(&self, keys: &[Key]) -> Result<bool, AccountError> {
        let sql = "DELETE FROM exeunt_throttle WHERE hash = ANY($1)";
        Ok(self.dropped(sql, &[(&hashes(keys), Type::BYTEA_ARRAY)]).await? > 0)
    }

    async fn purge(
        &self,
        now: Timestamp,
        before: Timestamp,
        most: i64,
        step: i64,
    ) -> Result<u64, AccountError> {
        let source = Kind::Source;
        let sql = "DELETE FROM exeunt_throttle WHERE hash IN (
                       SELECT hash FROM exeunt_throttle WHERE tried_at < $1
                           OR (kind = $2 AND level <= ($3 - tried_at) / $4) LIMIT $5)";
        let params: [Param<'_>; 5] = [
            (&before.as_micros(), Type::INT8),
            (&source.number(), Type::INT2),
            (&now.as_micros(), Type::INT8),
            (&source.rule().leak_divisor(), Type::INT8),
            (&step, Type::INT8),
        ];
        let old = self.dropped(sql, &params).await?;
        let sql = "DELETE FROM exeunt_throttle WHERE hash IN (
                       SELECT hash FROM exeunt_throttle ORDER BY level, tried_at
                       LIMIT least($2, greatest(0, (SELECT count(*) FROM exeunt_throttle) - $1)))";
        let low = self.dropped(sql, &[(&most, Type::INT8), (&step, Type::INT8)]).await?;
        Ok(old + low)
    }
}

#[async_trait]
impl Clients for PostgresAccounts {
    async fn find_client(
        &self,
        folded: &str,
        verifiers: Vec<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, AccountError> {
        let sql = "SELECT verifier FROM exeunt_client
                   WHERE account = (SELECT id FROM exeunt_accounts WHERE folded = $1) AND verifier = ANY($2) LIMIT 1";
        let given: Vec<&[u8]> = verifiers.iter().map(<[u8; 32]>::as_slice).collect();
        let params: [Param<'_>; 2] = [(&folded, Type::TEXT), (&given, Type::BYTEA_ARRAY)];
        let Some(row) = self.first(sql, &params).await? else { return Ok(None) };
        let verifier: Vec<u8> = row.try_get(0).map_err(DatabaseError::from)?;
        Ok(verifier.try_into().ok())
    }

    async fn put_client(
        &self,
        account: i64,
        verifier: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        // All parts see the table as it was before: of the others, one fewer than may be stays.
        let sql = "WITH kept AS (
                INSERT INTO exeunt_client (account, verifier, seen_at) VALUES ($1, $2, $3)
                ON CONFLICT (account, verifier) DO UPDATE SET seen_at = excluded.seen_at
            ), dropped AS (
                DELETE FROM exeunt_client WHERE account = $1 AND verifier IN (
                    SELECT verifier FROM exeunt_client WHERE account = $1 AND verifier <> $2
                    ORDER BY seen_at DESC OFFSET $4)
            )
            SELECT EXISTS (SELECT 1 FROM exeunt_client WHERE account = $1)";
        let params: [Param<'_>; 4] = [
            (&account, Type::INT8),
            (&verifier.as_slice(), Type::BYTEA),
            (&now.as_micros(), Type::INT8),
            (&(MOST_OF_AN_ACCOUNT - 1), Type::INT8),
        ];
        let row = self.first(sql, &params).await?;
        Ok(row.map(|row| row.try_get(0)).transpose().map_err(DatabaseError::from)?.unwrap_or_default())
    }

    async fn purge_clients(&self, before: Timestamp) -> Result<u64, AccountError> {
        let sql = "DELETE FROM exeunt_client WHERE seen_at < $1
                       OR account NOT IN (SELECT id FROM exeunt_accounts)";
        self.dropped(sql, &[(&before.as_micros(), Type::INT8)]).await
    }
}

fn hashes(keys: &[Key]) -> Vec<&[u8]> {
    keys.iter().map(|key| key.hash.as_slice()).collect()
}
