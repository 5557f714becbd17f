//! What happened, once each, as structured log lines.
//!
//! Must never carry a token, a verifier, a password or session data; sessions are named by their public id (R38, R39).

use std::time::Duration;

use tracing::{info, warn};

use crate::session::{Record, SessionId, UserId};
use crate::store::{Causes, StoreError};

pub(super) fn logged_in(user: &UserId, session: SessionId, ended_by_limit: &[SessionId]) {
    info!(event = "login", %user, %session, "logged in");
    ended(user, ended_by_limit, "limit");
}

pub(super) fn login_refused(reason: &'static str) {
    info!(event = "login_refused", reason, "login refused");
}

/// A token came that opens no session (any more): late, replayed or guessed. R38 asks for the use after the end.
pub(super) fn refused(session: SessionId, reason: &'static str) {
    info!(event = "session_refused", reason, %session, "a token that opens no session");
}

pub(super) fn replaced(by_login: &Record) {
    ended(by_login.user(), &[by_login.id()], "login");
}

pub(super) fn renewed(user: &UserId, session: SessionId) {
    info!(event = "session_renewed", %user, %session, "session renewed");
}

pub(super) fn logged_out(record: &Record) {
    info!(event = "logout", user = %record.user(), session = %record.id(), "logged out");
}

pub(super) fn ended(user: &UserId, sessions: &[SessionId], reason: &'static str) {
    for session in sessions {
        info!(event = "session_ended", reason, %user, %session, "session ended");
    }
}

pub(super) fn purged(sessions: &[SessionId]) {
    for session in sessions {
        info!(event = "session_ended", reason = "expired", %session, "session ended");
    }
}

pub(super) fn not_touched(session: SessionId, error: &StoreError) {
    warn!(event = "touch_failed", %session, error = %Causes(error), "session not extended");
}

pub(super) fn clock_jumped(by: Duration, purging_resumes_in: Duration) {
    warn!(
        event = "clock_jumped",
        by_seconds = by.as_secs(),
        purging_resumes_in_seconds = purging_resumes_in.as_secs(),
        "the clock jumped forward: sessions end early; if that is wrong, set it right and restart before purging resumes",
    );
}
