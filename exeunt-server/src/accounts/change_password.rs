//! Changes a password on its owner's word: the old one is asked for.
//!
//! Must never change it for a session that ended meanwhile, nor over a change that came in between, and must never leave
//! another session, or the old token of this one, alive under a password that is no more (R18, R41).

use exeunt::http::Renewed;
use exeunt::store::async_trait;
use exeunt::{By, EventKind, Origin, Session, SessionId, Timestamp};

use super::events::{self, Changed};
use super::task::to_the_end;
use super::{Account, AccountError, Accounts, Credentials};
use crate::mail::texts::Notice;

/// A password that was changed by its owner.
#[derive(Debug)]
pub struct PasswordChanged {
    /// The session that asked, whose new token goes out.
    pub session: Session,
    /// How many other sessions ended.
    pub ended: usize,
}

/// A new hash in place of the one under that stamp.
#[derive(Clone)]
pub(super) struct Swap {
    pub(super) id: i64,
    /// Of the password that was checked.
    pub(super) stamp: u64,
    /// A PHC string.
    pub(super) password: String,
}

/// What changing a password asks of the database. Each method is one transaction. `None`: the account is not any more as
/// it was when the old password was checked, and nothing was done.
#[async_trait]
pub(super) trait ChangePassword: Send + Sync {
    /// Swaps, and ends the sessions of the account but this one, which live in the same database: the account, and exactly
    /// those that ended.
    async fn swap_and_end(
        &self,
        swap: Swap,
        except: SessionId,
    ) -> Result<Option<(Account, Vec<SessionId>)>, AccountError>;

    /// Swaps, and notes that the account's sessions are to be ended, which live elsewhere: the account, and the number of
    /// the note. It names no session to spare: who is left with it ends all.
    async fn swap_and_note(
        &self,
        swap: Swap,
        reason: &'static str,
        at: Timestamp,
    ) -> Result<Option<(Account, i64)>, AccountError>;
}

const CHANGED: Changed = Changed { kind: EventKind::PasswordChanged, done: "the password is changed" };

impl Accounts {
    /// Gives the account of this session another password. All its other sessions end, and this one gets a new token,
    /// which goes out with the answer. Goes on to its end even if the client is gone meanwhile.
    ///
    /// The steps: check the current password; hash the new one; renew this session, which fails if it ended meanwhile;
    /// change the password if it is still the one that was checked, and end the other sessions. Where sessions live in
    /// another store than accounts, the change is committed with a note that they are to end, and they end next.
    ///
    /// # Errors
    ///
    /// [`AccountError::WrongPassword`] and [`AccountError::BadPassword`], which leave all as it was;
    /// [`AccountError::Outdated`] if somebody else changed the account meanwhile: nothing was done, and this session is
    /// over; [`AccountError::Session`] if it ended meanwhile: nothing was done; [`AccountError::SessionsLeft`]: the
    /// password **is** changed, and no token goes out, since this session ends with the others; or what else the enum says.
    pub async fn change_password(
        &self,
        session: Session,
        current: String,
        new: String,
    ) -> Result<PasswordChanged, AccountError> {
        let accounts = self.clone();
        let change = async move { accounts.change_password_to_the_end(session, current, &new).await };
        Origin::current().by(By::Owner).scope(to_the_end(change)).await
    }

    async fn change_password_to_the_end(
        &self,
        session: Session,
        current: String,
        new: &str,
    ) -> Result<PasswordChanged, AccountError> {
        let found = self.find_user(session.user()).await?;
        // Of an account that is gone no password is right.
        let account = found.ok_or(AccountError::WrongPassword)?;
        let given = Credentials { username: account.name.clone(), password: current };
        let proved = self.prove(given).await.map_err(exeunt::Error::from)?;
        let verified = proved.map(|proved| proved.verified);
        let Some(verified) = verified.filter(|verified| verified.user() == session.user()) else {
            self.told_wrong_password(&account, session.id());
            return Err(AccountError::WrongPassword);
        };
        let (id, stamp) = (account.id, verified.stamp());
        let password = self.new_hash(new, &account.own_words()).await?;
        // Before the change: if all ends here, no old token is left under the new password.
        let renewed = session.renew().await?;
        let swap = Swap { id, stamp, password };
        let swapped = match self.apart.is_some() {
            false => self.swap_beside(swap, &renewed).await,
            true => self.swap_apart(swap, &renewed).await,
        };
        match swapped {
            Ok(Some(ended)) => {
                self.new_password_ends_the_count(&account.name).await;
                Ok(PasswordChanged { session: renewed.send(), ended })
            }
            Ok(None) => {
                renewed.end().await?;
                Err(AccountError::Outdated)
            }
            Err(error @ AccountError::SessionsLeft { .. }) => Err(error),
            Err(error) => {
                // Whether it happened is not known. This session's owner has just given the right password, and stays.
                let _ = renewed.send();
                Err(error)
            }
        }
    }

    async fn swap_beside(&self, swap: Swap, this: &Renewed) -> Result<Option<usize>, AccountError> {
        let Some((account, ended)) = self.backend.swap_and_end(swap, this.id()).await? else {
            return Ok(None);
        };
        self.told_changed(CHANGED, &account, &ended);
        self.outbox.notify(&account, Notice::PasswordChanged);
        Ok(Some(ended.len()))
    }

    async fn swap_apart(&self, swap: Swap, this: &Renewed) -> Result<Option<usize>, AccountError> {
        let Some(sessions) = &self.apart else { return Ok(None) };
        let noted = self.backend.swap_and_note(swap, CHANGED.reason(), sessions.now()).await?;
        let Some((account, note)) = noted else { return Ok(None) };
        self.told(CHANGED.kind, &account);
        self.outbox.notify(&account, Notice::PasswordChanged);
        let user = account.user();
        match sessions.logout_all_because(&user, Some(&this.id()), CHANGED.reason()).await {
            Ok(ended) => {
                if let Err(error) = self.backend.forget_ending(note).await {
                    events::note_not_removed(&user, &error);
                }
                Ok(Some(ended.len()))
            }
            Err(source) => {
                events::sessions_left(&account, CHANGED, &source);
                Err(AccountError::SessionsLeft { done: CHANGED.done, source })
            }
        }
    }
}
