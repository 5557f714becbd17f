//! What there is to know of the engines in use.
//!
//! Must never change anything.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use exeunt::store::sqlite::{Database, DatabaseError, SqliteStore};
use exeunt::store::{Report, Store as _};

use super::{ACCOUNTS, BOTH, EngineError, Engines, Opened, SESSIONS, Unusable};
use crate::accounts::Engine;

impl Engines {
    /// What each keeps, where it is, and what there is to know of it. Reads a file as a whole, which takes a while.
    ///
    /// # Errors
    ///
    /// If one of them did not answer.
    pub async fn look_over(&self) -> Result<Vec<(&'static str, String, Report)>, EngineError> {
        let store = if self.accounts.is_none() { BOTH } else { SESSIONS };
        let engines = [(store, "store", Some(&self.store)), (ACCOUNTS, "accounts", self.accounts.as_ref())];
        let mut reports = Vec::new();
        for (keeps, option, opened) in engines {
            let Some(opened) = opened else { continue };
            let report = opened.report().await;
            let report = report.map_err(|source| self.error(keeps, option, opened, source))?;
            reports.push((keeps, opened.place(), report));
        }
        Ok(reports)
    }
}

impl Opened {
    async fn report(&self) -> Result<Report, Unusable> {
        match self {
            Self::Database(Engine::Sqlite(database)) => {
                database.ping().await?;
                let database = database.clone();
                tokio::task::spawn_blocking(move || of_file(&database)).await?
            }
            Self::Redis(store) => {
                store.ping().await?;
                Ok(store.check().await?)
            }
            Self::Database(Engine::Postgres(database)) => {
                database.ping().await?;
                Ok(database.check().await?)
            }
        }
    }
}

fn of_file(database: &Database) -> Result<Report, Unusable> {
    let mut problems = database.integrity()?;
    problems.extend(
        database
            .loss()
            .map(|loss| format!("{loss}: look at what it keeps, then run `exeunt store accept-loss`")),
    );
    let schema = database.read(|connection| {
        let mut select = connection.prepare("SELECT component, version FROM migration")?;
        let versions = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok::<BTreeMap<String, u32>, DatabaseError>(versions.collect::<Result<_, _>>()?)
    })?;
    if schema.contains_key("sessions") {
        let damaged = SqliteStore::over(database.clone())?.damaged()?;
        if damaged > 0 {
            problems.push(format!("{damaged} stored sessions are not as they were written, and have ended"));
        }
    }
    let mode = std::fs::metadata(database.path())?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        problems.push(format!("others than its owner may use the file (mode {mode:04o}): chmod 600 it"));
    }
    let schema: Vec<String> =
        schema.into_iter().map(|(component, version)| format!("{component} {version}")).collect();
    let facts = vec![("mode", format!("{mode:04o}")), ("schema", schema.join(", "))];
    Ok(Report { facts, problems })
}
