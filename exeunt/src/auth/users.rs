//! What the application tells us about its people.
//!
//! Must never tell one kind of wrong from another: unknown, wrong and disabled are all `None`.

use std::time::Duration;

use crate::session::UserId;

/// The application's accounts, as far as logging in needs them.
///
/// ```
/// use exeunt::{UserId, Users, UsersError, Verified};
///
/// struct OnlyAlice;
///
/// #[derive(serde::Deserialize)]
/// struct Password {
///     username: String,
///     password: String,
/// }
///
/// impl Users for OnlyAlice {
///     type Credentials = Password;
///
///     async fn verify(&self, given: Password) -> Result<Option<Verified>, UsersError> {
///         let right = given.username == "alice" && given.password == "correct horse battery staple";
///         Ok(right.then(|| Verified::new(UserId::from(1), 0).named("alice")))
///     }
///
///     async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
///         Ok(true)
///     }
/// }
/// ```
pub trait Users: Send + Sync + 'static {
    /// What a person proves who they are with. `AuthRouter` reads it from JSON.
    type Credentials: Send;

    /// Checks credentials. `None` is the one answer to every kind of wrong (R32).
    ///
    /// Do the same work for an account that does not exist as for a wrong password, or the time it takes tells which
    /// names exist (R33).
    ///
    /// # Errors
    ///
    /// If the accounts could not be asked: nothing is known about the credentials then.
    fn verify(
        &self,
        credentials: Self::Credentials,
    ) -> impl Future<Output = Result<Option<Verified>, UsersError>> + Send;

    /// Whether what was verified still holds: `false` once the password was changed or the account disabled.
    ///
    /// Asked after the session was stored and before its token is given out, so that a login that was being checked
    /// while the password changed does not slip through. Ask the primary database, not a replica or a cache.
    ///
    /// # Errors
    ///
    /// If the accounts could not be asked; the login then fails.
    fn is_current(&self, verified: &Verified) -> impl Future<Output = Result<bool, UsersError>> + Send;
}

/// Somebody whose credentials were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    user: UserId,
    stamp: u64,
    name: Option<String>,
}

impl Verified {
    /// A user, and the version of the credentials that were checked.
    ///
    /// The stamp is the application's: a number on the account that changes with its password and when it is disabled.
    #[must_use]
    pub fn new(user: UserId, stamp: u64) -> Self {
        Self { user, stamp, name: None }
    }

    /// The name to show. It travels in the session's data, under `"name"`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The credential version that was checked.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The name to show, if one was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The application's accounts could not be asked: answered with 503 and `Retry-After`. Or they do not take another try
/// yet: 429.
#[derive(Debug, thiserror::Error)]
#[error("{}", if *.throttled { "there were too many tries" } else { "the accounts did not answer" })]
pub struct UsersError {
    retry_after: Duration,
    throttled: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl UsersError {
    /// That the accounts could not be asked, and why. Clients are told to try again after a second.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { retry_after: Duration::from_secs(1), throttled: false, source: source.into() }
    }

    /// That there were too many wrong tries (R35): nothing was checked, and nothing is known about the credentials.
    /// Clients are told to try again after that time, in whole seconds.
    ///
    /// Say it before any work is done, and of names that nobody has just as of others.
    #[must_use]
    pub fn throttled(retry_after: Duration) -> Self {
        Self { retry_after, throttled: true, source: "another try is not taken yet".into() }
    }

    /// Tells clients to try again after that time, in whole seconds.
    #[must_use]
    pub fn retry_in(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// Whether there were too many tries, and the accounts are well.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.throttled
    }

    pub(crate) fn retry_after(&self) -> Duration {
        self.retry_after
    }
}
