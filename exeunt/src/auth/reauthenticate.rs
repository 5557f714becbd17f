//! Logging in again within a session: a new token for who proves once more who they are.
//!
//! Must never give a token to a session that ended while a password was being checked, nor to anybody but its owner.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, noting};
use super::events::{By, Event, EventKind};
use super::users::Users;
use super::{Cause, Error, LoggedIn, Sessions};
use crate::session::{Record, Token, Verifier};

/// How long after a login, or a login again, a person may do what asks for a recent one, such as ending other sessions.
///
/// 5 minutes: whoever finds an open browser can log it out, but not lock its owner out of the others (R41, R52; OWASP
/// ASVS 5.0, 7.5.1 to 7.5.3).
pub const RECENT: Duration = Duration::from_secs(5 * 60);

impl Sessions {
    /// Whether the owner of this session last proved who they are at most `within` ago. Asks nobody but the clock.
    #[must_use]
    pub fn is_recent(&self, record: &Record, within: Duration) -> bool {
        self.now().since(record.authenticated_at()) <= within
    }

    /// Gives a session a new token after its owner proved again who they are (R12).
    ///
    /// The old token is dead at once, for everything but logging out. `None`: the session ended or was renewed
    /// meanwhile; there is no new token then.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn renew(&self, record: &Record) -> Result<Option<LoggedIn>, Error> {
        let now = self.now();
        let token = Token::generate(record.id());
        let new: Verifier = token.verifier();
        let expires_at = self.timeouts().expires_at(now, record.ends_at(), record.remembered());
        if !self.0.store.renew(&record.id(), record.verifier(), &new, now, expires_at).await? {
            return Ok(None);
        }
        self.events().renewed(record.user(), record.id());
        Ok(Some(LoggedIn { token, record: Arc::new(record.renewed(new, now, expires_at)) }))
    }

    /// Checks its owner's credentials again, and gives the session a new token (R12). `None`: they are wrong, or those of
    /// somebody else; the session goes on as it was.
    ///
    /// The old token is dead at once, for everything but logging out. The absolute timeout stays as it was at login. The
    /// steps: verify; renew, which only a session that lives under the old token can; ask whether what was verified is
    /// still current. If the last one fails, the session ends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ended`](super::ErrorKind::Ended) if the session ended or was renewed meanwhile: there is no new token
    /// then. Or the store or the accounts did not answer.
    pub async fn reauthenticate<U: Users>(
        &self,
        users: &U,
        credentials: U::Credentials,
        record: &Record,
    ) -> Result<Option<LoggedIn>, Error> {
        let (verified, attempt) = noting(users.verify(credentials)).await;
        let verified = match verified? {
            Some(verified) if verified.user() == record.user() => verified,
            other => {
                let Attempt { user, name, reason } = attempt;
                let reason = if other.is_some() { "another_account" } else { reason };
                let event = Event::new(EventKind::LoginRefused).session(record.id()).because(reason);
                self.events().report(Event { user, name, ..event });
                return Ok(None);
            }
        };
        let renewed = self.renew(record).await?.ok_or(Cause::Ended)?;
        match users.is_current(&verified).await {
            Ok(true) => Ok(Some(renewed)),
            // The change that moved the stamp ends this session, too; here it may be quicker.
            Ok(false) => {
                self.end_outdated(&renewed.record).await?;
                Err(Cause::Ended.into())
            }
            Err(error) => {
                // Nobody has its new token, and the old one only logs out: failing to end it loses nothing but its room.
                let _ = self.end_outdated(&renewed.record).await;
                Err(error.into())
            }
        }
    }

    /// Ends a session that was renewed on the word of an account that changed meanwhile. That it ended already is no
    /// error.
    pub(crate) async fn end_outdated(&self, renewed: &Record) -> Result<(), Error> {
        if self.0.store.destroy(&renewed.id()).await? {
            self.events().ended(renewed.user(), &[renewed.id()], "no_longer_current", Some(By::System));
        }
        Ok(())
    }
}
