//! Looks the engines over.
//!
//! Must never change anything, and must never call sound what an engine finds fault with.

use exeunt::Record;

use super::{Admin, Check, EngineLine, Failure, Reply};

const PAGE: usize = 10_000;

impl Admin {
    /// Asks each engine for a sign of life and for what it is, and counts.
    pub(super) async fn check(&self) -> Result<Reply, Failure> {
        let (mut engines, mut problems) = (Vec::new(), Vec::new());
        for (keeps, place, report) in self.engines.look_over().await? {
            problems.extend(report.problems.into_iter().map(|problem| format!("{place}: {problem}")));
            engines.push(EngineLine::new(keeps, place, report.facts));
        }
        let accounts = self.accounts.list().await?;
        let administrators = accounts.iter().filter(|account| account.admin && !account.disabled).count();
        Ok(Reply::Check {
            check: Check {
                ok: problems.is_empty(),
                problems,
                engines,
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
