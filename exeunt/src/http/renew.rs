//! A new token for a live session, after its owner proved again who they are.
//!
//! Must never send a cookie before everything that it was asked for is done.

use std::sync::Arc;
use std::time::Duration;

use super::extract::Session;
use super::visit::Visit;
use crate::auth::{Error, ErrorKind, LoggedIn, Users};
use crate::session::{Record, SessionId};

impl Session {
    /// Whether its owner last proved who they are at most `within` ago (R41, R52). [`RECENT`](crate::RECENT) is 5 minutes.
    ///
    /// Where not, answer with [`reauthenticate_first`](super::reauthenticate_first).
    #[must_use]
    pub fn is_recent(&self, within: Duration) -> bool {
        self.visit().sessions().is_recent(self.record(), within)
    }

    /// Checks its owner's credentials again, and gives it a new token, which goes out whatever the handler then answers
    /// (R12). `None`: they are wrong, or those of somebody else; the session goes on as it was, under the old token.
    ///
    /// Run it in a task of its own, as `AuthRouter` does: axum drops the handler of a lost connection.
    ///
    /// # Errors
    ///
    /// The session ended meanwhile (401; no cookie), or the store or the accounts did not answer (503).
    pub async fn reauthenticate<U: Users>(
        self,
        users: &U,
        credentials: U::Credentials,
    ) -> Result<Option<Self>, Error> {
        let visit = Arc::clone(self.visit());
        match visit.sessions().reauthenticate(users, credentials, self.record()).await {
            Ok(None) => Ok(None),
            Ok(Some(login)) => Ok(Some(Renewed { visit, login }.send())),
            Err(error) => Err(lost(&visit, error)),
        }
    }

    /// Gives it a new token, which goes out once [`Renewed::send`] is called. For what must not happen in a session that
    /// somebody may have stolen, such as a change of password: renew, make the change, send.
    ///
    /// The old token is dead from here on, for everything but logging out, also if the new one never goes out.
    ///
    /// # Errors
    ///
    /// The session ended meanwhile (401), or the store did not answer (503).
    pub async fn renew(self) -> Result<Renewed, Error> {
        let visit = Arc::clone(self.visit());
        match visit.sessions().renew(self.record()).await {
            Ok(Some(login)) => {
                // The request's own token is that of before. Whoever asks now is told so.
                visit.forget();
                Ok(Renewed { visit, login })
            }
            Ok(None) => Err(lost(&visit, Error::ended())),
            Err(error) => Err(lost(&visit, error)),
        }
    }
}

/// What the request knows of its session does not hold any more.
fn lost(visit: &Visit, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Ended => visit.changed(None),
        _ => visit.forget(),
    }
    error
}

/// A session with a new token that nobody has yet.
#[derive(Debug)]
#[must_use = "without the new token its owner can only log out"]
pub struct Renewed {
    visit: Arc<Visit>,
    login: LoggedIn,
}

impl Renewed {
    /// The session's public name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.login.record.id()
    }

    /// The session as it is now.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.login.record
    }

    /// From here on the request is that of the session with its new token, whose cookie goes out whatever is answered.
    #[must_use]
    pub fn send(self) -> Session {
        let Self { visit, login } = self;
        let record = visit.began(login);
        Session::new(&visit, record)
    }

    /// Ends the session, whose new token goes to nobody. That it ended already is no error.
    ///
    /// # Errors
    ///
    /// If the store did not answer.
    pub async fn end(self) -> Result<(), Error> {
        self.visit.changed(None);
        self.visit.sessions().end_outdated(&self.login.record).await
    }
}
