//! Looks the store over.
//!
//! Must never change anything, and must never call a file sound that SQLite finds fault with.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use exeunt::Record;
use exeunt::store::sqlite::{Database, DatabaseError};

use super::{Admin, Check, Code, Failure, Reply};

const PAGE: usize = 10_000;

impl Admin {
    /// Asks the writer for a sign of life, reads the whole file, and counts.
    pub(super) async fn check(&self) -> Result<Reply, Failure> {
        let store = |error: DatabaseError| Failure::caused(Code::Store, &error);
        self.database.ping().await.map_err(store)?;
        let database = self.database.clone();
        let read = tokio::task::spawn_blocking(move || read_whole(&database)).await;
        let (mut problems, schema) =
            read.map_err(|error| Failure::caused(Code::Failed, &error))?.map_err(store)?;
        let path = self.database.path();
        let metadata = std::fs::metadata(path).map_err(|error| Failure::caused(Code::Store, &error))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            problems.push(format!("others than its owner may use the file (mode {mode:04o}): chmod 600 it"));
        }
        let accounts = self.accounts.list()?;
        let administrators = accounts.iter().filter(|account| account.admin && !account.disabled).count();
        Ok(Reply::Check {
            check: Check {
                ok: problems.is_empty(),
                problems,
                store: path.display().to_string(),
                mode: format!("{mode:04o}"),
                schema,
                accounts: accounts.len(),
                administrators,
                sessions: self.count_sessions().await?,
            },
        })
    }

    async fn count_sessions(&self) -> Result<usize, Failure> {
        let (mut count, mut after) = (0, None);
        loop {
            let found = self.sessions.walk(after.as_ref(), PAGE).await?;
            let Some(last) = found.last().map(Record::id) else { return Ok(count) };
            count += found.len();
            after = Some(last);
        }
    }
}

fn read_whole(database: &Database) -> Result<(Vec<String>, BTreeMap<String, u32>), DatabaseError> {
    let problems = database.integrity()?;
    let schema = database.read(|connection| {
        let mut select = connection.prepare("SELECT component, version FROM migration")?;
        let versions = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok::<_, DatabaseError>(versions.collect::<Result<_, _>>()?)
    })?;
    Ok((problems, schema))
}
