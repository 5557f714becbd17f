//! Whose login is being tried: for the log and the audit, and never for the answer.
//!
//! Must never reach the one who tries: to them every wrong is the same (R32).

use std::cell::RefCell;

use crate::session::UserId;

tokio::task_local! {
    static ATTEMPT: RefCell<Attempt>;
}

/// What [`Users::verify`](super::Users::verify) found out about a login that it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) user: Option<UserId>,
    pub(super) name: Option<String>,
    pub(super) reason: &'static str,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { user: None, name: None, reason: "credentials" }
    }
}

/// Tells the log why a login is refused, and of which account, from within [`Users::verify`](super::Users::verify).
///
/// Only ever of an account that exists: what somebody typed as a name may be their password. The one who tries hears
/// nothing of it. Outside of a login it does nothing.
///
/// ```
/// use exeunt::{UserId, auth::refused_login_of};
///
/// refused_login_of(&UserId::from(7), "alice", "disabled");
/// ```
pub fn refused_login_of(user: &UserId, name: &str, reason: &'static str) {
    let attempt = Attempt { user: Some(user.clone()), name: Some(name.to_owned()), reason };
    let _ = ATTEMPT.try_with(|kept| kept.replace(attempt));
}

/// Runs a check of credentials, and gives what was told on the way.
pub(super) async fn noting<F: Future>(check: F) -> (F::Output, Attempt) {
    let both = async {
        let output = check.await;
        (output, ATTEMPT.with(RefCell::take))
    };
    ATTEMPT.scope(RefCell::default(), both).await
}
