//! What happened, once each: a structured line in the log, and a value for hooks.
//!
//! Must never carry a token, a verifier, a password or session data: sessions are named by their public id (R38, R39).
//! Must never wait for whoever listens: what happened has happened, and a logout is answered all the same.

mod hub;
mod kind;
mod service;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::hub::Events;
pub use self::kind::EventKind;
pub(super) use self::service::{clock_jumped, not_touched};
use crate::session::{Client, SessionId, Timestamp, UserId};

/// Something that happened: what, when, to whom, by whom, why and from where (R38, R51).
///
/// Whoever reports says what they know; [`Events::report`] fills in the time and, from the
/// [`Origin`](super::Origin) of the request, the rest. Has no secret in it, and no text that could forge a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When; 1970 until it is reported, unless whoever reports it knows better.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Whose account, where that is known.
    pub user: Option<UserId>,
    /// Which session.
    pub session: Option<SessionId>,
    /// The account's name, at most 200 bytes. Never what somebody typed: people type passwords there.
    pub name: Option<String>,
    /// Why, as one word for programs, such as `limit`.
    pub reason: Option<&'static str>,
    /// Who did it.
    pub by: Option<By>,
    /// Where the request came from, as far as proxies that are trusted say.
    pub address: Option<IpAddr>,
    /// What sent the request.
    pub client: Option<Client>,
    /// The request's id in the log.
    pub request: Option<Arc<str>>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// The person whose account it is.
    Owner,
    /// An administrator, with their name.
    Admin(UserId, String),
    /// Whoever may run commands on the machine.
    Operator,
    /// Nobody: a timeout, a limit, or what was left of a change.
    System,
}

impl By {
    /// One word for logs and programs: `owner`, `administrator`, `operator` or `system`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin(..) => "administrator",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

impl Event {
    /// Something of this kind, of which no more is known yet.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            at: Timestamp::default(),
            kind,
            user: None,
            session: None,
            name: None,
            reason: None,
            by: None,
            address: None,
            client: None,
            request: None,
        }
    }

    /// It is this user's account.
    #[must_use]
    pub fn of(self, user: &UserId) -> Self {
        Self { user: Some(user.clone()), ..self }
    }

    /// It is this session.
    #[must_use]
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The account has this name: of an account that exists, never what somebody typed.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(plain(name)), ..self }
    }

    /// Why.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Who did it, whatever the request's origin says.
    #[must_use]
    pub fn by(self, by: By) -> Self {
        Self { by: Some(by), ..self }
    }
}

/// At most 200 bytes without what could forge a line: control characters, line ends, marks that turn the reading.
fn plain(text: &str) -> String {
    Client::new(text).as_str().to_owned()
}
