//! What the service reports, in its own words.
//!
//! Must never be called before the store has said that it is so.

use std::time::Duration;

use tracing::warn;

use super::{By, Event, EventKind, Events};
use crate::auth::Origin;
use crate::auth::attempt::Attempt;
use crate::session::{Record, SessionId, UserId};
use crate::store::{Causes, StoreError};

impl Events {
    pub(in crate::auth) fn logged_in(
        &self,
        user: &UserId,
        name: Option<&str>,
        session: SessionId,
        ended_by_limit: &[SessionId],
    ) {
        let event = Event::new(EventKind::LoggedIn).of(user).session(session).by(By::Owner);
        self.report(match name {
            Some(name) => event.named(name),
            None => event,
        });
        self.ended(user, ended_by_limit, "limit", Some(By::System));
    }

    pub(in crate::auth) fn login_refused(&self, attempt: Attempt) {
        let Attempt { user, name, reason } = attempt;
        self.report(Event { user, name, ..Event::new(EventKind::LoginRefused).because(reason) });
    }

    /// A token came that opens no session (any more). R38 asks for the use after the end.
    pub(in crate::auth) fn refused(&self, session: SessionId, reason: &'static str) {
        self.report(Event::new(EventKind::TokenRefused).session(session).because(reason));
    }

    pub(in crate::auth) fn replaced(&self, by_login: &Record) {
        self.ended(by_login.user(), &[by_login.id()], "login", Some(By::Owner));
    }

    pub(in crate::auth) fn renewed(&self, user: &UserId, session: SessionId) {
        self.report(Event::new(EventKind::SessionRenewed).of(user).session(session).by(By::Owner));
    }

    pub(in crate::auth) fn logged_out(&self, record: &Record) {
        let event = Event::new(EventKind::LoggedOut).of(record.user()).session(record.id());
        self.report(event.by(By::Owner));
    }

    /// Without a `by`, whoever asked in this task.
    pub(in crate::auth) fn ended(
        &self,
        user: &UserId,
        sessions: &[SessionId],
        reason: &'static str,
        by: Option<By>,
    ) {
        for session in sessions {
            let event = Event::new(EventKind::SessionEnded).of(user).session(*session).because(reason);
            self.report(Event { by: by.clone(), ..event });
        }
    }

    /// One session of a user, by whoever asked in this task: that is the reason, too.
    pub(in crate::auth) fn ended_one(&self, user: &UserId, session: SessionId) {
        let by = Origin::current().by;
        let reason = by.as_ref().map_or("owner", By::as_str);
        self.ended(user, &[session], reason, by);
    }

    pub(in crate::auth) fn purged(&self, sessions: &[SessionId]) {
        for session in sessions {
            let event = Event::new(EventKind::SessionEnded).session(*session).because("expired");
            self.report(event.by(By::System));
        }
    }
}

pub(in crate::auth) fn not_touched(session: SessionId, error: &StoreError) {
    warn!(event = "touch_failed", %session, error = %Causes(error), "session not extended");
}

pub(in crate::auth) fn clock_jumped(by: Duration, purging_resumes_in: Duration) {
    warn!(
        event = "clock_jumped",
        by_seconds = by.as_secs(),
        purging_resumes_in_seconds = purging_resumes_in.as_secs(),
        "the clock jumped forward: sessions end early; if that is wrong, set it right and restart before purging resumes",
    );
}
