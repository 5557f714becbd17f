//! Ends the sessions of a changed account where they live in another store than the accounts.
//!
//! Must never say "ended" before that store has, and must never forget a note before that.

use std::collections::BTreeMap;
use std::time::Duration;

use exeunt::{By, EventKind, Origin, Sessions, UserId};

use super::backend::Ending;
use super::events::Changed;
use super::task::to_the_end;
use super::{Account, AccountError, Accounts, events};

const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often a note must have been found before another than the one who made the change works it off. Whoever made
/// it is at it for a second or so; ended twice, sessions of a login that came in between would end, too.
const FOUND_BEFORE: u32 = 3;

impl Accounts {
    /// Ends the sessions that a change left, in a task of its own: who hangs up does not stop it half-way.
    pub(super) async fn end_sessions_apart(
        &self,
        sessions: Sessions,
        account: Account,
        note: i64,
        changed: Changed,
    ) -> Result<usize, AccountError> {
        let accounts = self.clone();
        let end = async move {
            match accounts.end_and_forget(&sessions, &account.user(), note, changed.reason()).await {
                Ok(ended) => Ok(ended),
                Err(source) => {
                    events::sessions_left(&account, changed, &source);
                    Err(AccountError::SessionsLeft { done: changed.done, source })
                }
            }
        };
        to_the_end(end).await
    }

    /// The number of sessions that ended.
    async fn end_and_forget(
        &self,
        sessions: &Sessions,
        user: &UserId,
        note: i64,
        reason: &'static str,
    ) -> Result<usize, exeunt::Error> {
        let ended = sessions.logout_all_because(user, None, reason).await?;
        if let Err(error) = self.backend.forget_ending(note).await {
            events::note_not_removed(user, &error);
        }
        Ok(ended.len())
    }

    /// Ends the sessions that changes before this start left. For a server before it serves: afterwards nobody comes
    /// in with a session that a change was to end. Also where sessions and accounts are together now: a note may be of a
    /// time when they were not, and the sessions may have been copied since.
    ///
    /// # Errors
    ///
    /// If the accounts or the session store did not answer.
    pub async fn work_off(&self, sessions: &Sessions) -> Result<(), AccountError> {
        loop {
            let endings = self.backend.endings().await?;
            if endings.is_empty() {
                return Ok(());
            }
            for ending in endings {
                let left =
                    |source| AccountError::SessionsLeft { done: "accounts were changed before", source };
                let ended = left_to_us(sessions.logout_all_because(&ending.user, None, reason(&ending)));
                let ended = ended.await.map_err(left)?;
                self.backend.forget_ending(ending.id).await?;
                events::worked_off(&ending, ended.len());
            }
        }
    }

    /// Works off what is left, each second, for ever: spawn it once, on every node.
    pub async fn keep_working_off(self) {
        let Some(sessions) = self.apart.clone() else { return };
        let mut found = BTreeMap::new();
        let mut failing = false;
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let outcome = self.work_off_old(&sessions, &mut found).await;
            // Said once, not each second for as long as it lasts.
            if let Err(error) = &outcome
                && !failing
            {
                events::not_worked_off(error.as_ref());
            }
            failing = outcome.is_err();
        }
    }

    /// `found`: how often each note was there so far.
    async fn work_off_old(
        &self,
        sessions: &Sessions,
        found: &mut BTreeMap<i64, u32>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let endings = self.backend.endings().await?;
        let counted = |ending: &Ending| (ending.id, found.get(&ending.id).copied().unwrap_or(0) + 1);
        *found = endings.iter().map(counted).collect();
        let mut failed = None;
        for ending in &endings {
            if found.get(&ending.id).is_some_and(|&times| times > FOUND_BEFORE) {
                // One that fails does not hold up the others.
                let end = self.end_and_forget(sessions, &ending.user, ending.id, reason(ending));
                match left_to_us(end).await {
                    Ok(ended) => events::worked_off(ending, ended),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Runs what nobody is asking for any more.
async fn left_to_us<F: Future>(step: F) -> F::Output {
    Origin::default().by(By::System).scope(step).await
}

/// Why, as the note says. One of another version may say what is not known here.
fn reason(ending: &Ending) -> &'static str {
    let kinds = EventKind::ALL.into_iter().map(EventKind::as_str);
    kinds.into_iter().find(|kind| *kind == ending.reason).unwrap_or("account_changed")
}
