//! Counts of tries and badges of clients in a SQLite file.
//!
//! Must never take a try outside of the writer, where every step follows the one before; a refusal takes nothing.

use exeunt::Timestamp;
use exeunt::store::async_trait;
use exeunt::store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};
use exeunt::store::sqlite::{DatabaseError, Tx};

use super::super::AccountError;
use super::super::client::{Clients, MOST_OF_AN_ACCOUNT};
use super::super::throttle::{Count, FAILURE, Key, Kind, Taken, Tries, Wait};
use super::SqliteAccounts;

#[async_trait]
impl Tries for SqliteAccounts {
    async fn take(&self, keys: &[Key], now: Timestamp) -> Result<Taken, AccountError> {
        // Every commit waits for the disk, also one that changes nothing: who is held back must not hold up those who write.
        if let Err(refused) = self.0.read(|connection| look(connection, keys, now))? {
            return Ok(refused);
        }
        let keys = keys.to_vec();
        self.write(move |tx| Ok(take(tx, &keys, now)?)).await
    }

    async fn give_back(&self, keys: &[Key]) -> Result<(), AccountError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys = keys.to_vec();
        self.write(move |tx| Ok(give_back(tx, &keys)?)).await
    }

    async fn forget(&self, keys: &[Key]) -> Result<bool, AccountError> {
        let keys = keys.to_vec();
        self.write(move |tx| Ok(forget(tx, &keys)?)).await
    }

    async fn purge(
        &self,
        now: Timestamp,
        before: Timestamp,
        most: i64,
        step: i64,
    ) -> Result<u64, AccountError> {
        self.write(move |tx| Ok(purge(tx, now, before, most, step)?)).await
    }
}

#[async_trait]
impl Clients for SqliteAccounts {
    async fn find_client(
        &self,
        folded: &str,
        verifiers: Vec<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, AccountError> {
        let found = self.0.read(|connection| {
            let sql = "SELECT 1 FROM client
                       WHERE account = (SELECT id FROM accounts WHERE folded = ?1) AND verifier = ?2";
            let mut select = connection.prepare_cached(sql)?;
            let mut known = None;
            // All of them, whichever it is.
            for verifier in verifiers {
                if select.exists(params![folded, verifier])? {
                    known = known.or(Some(verifier));
                }
            }
            Ok::<_, DatabaseError>(known)
        });
        Ok(found?)
    }

    async fn put_client(
        &self,
        account: i64,
        verifier: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        self.write(move |tx| Ok(put_client(tx, account, verifier, now)?)).await
    }

    async fn purge_clients(&self, before: Timestamp) -> Result<u64, AccountError> {
        self.write(move |tx| {
            let sql = "DELETE FROM client WHERE seen_at < ?1 OR account NOT IN (SELECT id FROM accounts)";
            let dropped = tx.prepare_cached(sql).and_then(|mut delete| delete.execute([before.as_micros()]));
            Ok(dropped.map_err(DatabaseError::from)? as u64)
        })
        .await
    }
}

/// What is to be kept if the try is taken. `Err` in the `Ok`: it is not.
fn look(
    connection: &Connection,
    keys: &[Key],
    now: Timestamp,
) -> Result<Result<Vec<Count>, Taken>, DatabaseError> {
    let mut counts = Vec::with_capacity(keys.len());
    for key in keys {
        let (rule, known) = (key.kind.rule(), count(connection, key)?);
        match known.map_or(Wait::None, |known| rule.wait(known, now)) {
            Wait::None => counts.push(rule.taken(known, now)),
            wait => return Ok(Err(Taken::No(key.clone(), wait))),
        }
    }
    Ok(Ok(counts))
}

fn take(tx: &Tx, keys: &[Key], now: Timestamp) -> Result<Taken, DatabaseError> {
    let counts = match look(tx, keys, now)? {
        Ok(counts) => counts,
        Err(refused) => return Ok(refused),
    };
    let sql = "INSERT INTO throttle (hash, kind, level, tried_at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (hash) DO UPDATE SET level = excluded.level, tried_at = excluded.tried_at";
    let mut put = tx.prepare_cached(sql)?;
    for (Key { hash, kind }, Count { level, tried_at }) in keys.iter().zip(&counts) {
        put.execute(params![hash, kind.number(), level, tried_at.as_micros()])?;
    }
    Ok(Taken::Yes(counts))
}

fn count(connection: &Connection, key: &Key) -> Result<Option<Count>, DatabaseError> {
    let mut select = connection.prepare_cached("SELECT level, tried_at FROM throttle WHERE hash = ?1")?;
    let found = select.query_row([&key.hash], |row| {
        Ok(Count { level: row.get(0)?, tried_at: Timestamp::from_micros(row.get(1)?) })
    });
    Ok(found.optional()?)
}

fn give_back(tx: &Tx, keys: &[Key]) -> Result<(), DatabaseError> {
    let mut update = tx.prepare_cached("UPDATE throttle SET level = max(0, level - ?2) WHERE hash = ?1")?;
    for key in keys {
        update.execute(params![key.hash, FAILURE])?;
    }
    Ok(())
}

fn forget(tx: &Tx, keys: &[Key]) -> Result<bool, DatabaseError> {
    let mut delete = tx.prepare_cached("DELETE FROM throttle WHERE hash = ?1")?;
    let mut any = false;
    for key in keys {
        any |= delete.execute([&key.hash])? > 0;
    }
    Ok(any)
}

fn purge(tx: &Tx, now: Timestamp, before: Timestamp, most: i64, step: i64) -> Result<u64, DatabaseError> {
    let source = Kind::Source;
    let sql = "DELETE FROM throttle WHERE hash IN (
                   SELECT hash FROM throttle WHERE tried_at < ?1
                       OR (kind = ?2 AND level <= (?3 - tried_at) / ?4) LIMIT ?5)";
    let old = tx.prepare_cached(sql)?.execute(params![
        before.as_micros(),
        source.number(),
        now.as_micros(),
        source.rule().leak_divisor(),
        step
    ])?;
    let sql = "DELETE FROM throttle WHERE hash IN (
                   SELECT hash FROM throttle ORDER BY level, tried_at
                   LIMIT min(?2, max(0, (SELECT count(*) FROM throttle) - ?1)))";
    let low = tx.prepare_cached(sql)?.execute(params![most, step])?;
    Ok((old + low) as u64)
}

fn put_client(tx: &Tx, account: i64, verifier: [u8; 32], now: Timestamp) -> Result<bool, DatabaseError> {
    let had_others = tx.prepare_cached("SELECT 1 FROM client WHERE account = ?1")?.exists([account])?;
    let sql = "INSERT INTO client (account, verifier, seen_at) VALUES (?1, ?2, ?3)
               ON CONFLICT (account, verifier) DO UPDATE SET seen_at = excluded.seen_at";
    tx.prepare_cached(sql)?.execute(params![account, verifier, now.as_micros()])?;
    let sql = "DELETE FROM client WHERE account = ?1 AND verifier IN (
                   SELECT verifier FROM client WHERE account = ?1 ORDER BY seen_at DESC LIMIT -1 OFFSET ?2)";
    tx.prepare_cached(sql)?.execute(params![account, MOST_OF_AN_ACCOUNT])?;
    Ok(had_others)
}
