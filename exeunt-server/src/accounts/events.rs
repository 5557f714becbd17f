//! What happened to accounts, once each, as structured log lines.
//!
//! Must never carry a password, a hash or a set-up secret. By whom it was done is on the span around it.

use exeunt::store::Causes;
use exeunt::{SessionId, UserId};
use tracing::{info, warn};

use super::backend::Ending;
use super::{Account, AccountError};

pub(super) fn added(account: &Account) {
    info!(
        event = "account_added",
        account = account.id,
        name = account.name,
        admin = account.admin,
        "account added"
    );
}

pub(super) fn enabled(account: &Account) {
    info!(event = "account_enabled", account = account.id, name = account.name, "account enabled");
}

/// `event` happened to the account, and ended these sessions.
pub(super) fn ended(account: &Account, sessions: &[SessionId], event: &'static str) {
    info!(
        event,
        account = account.id,
        name = account.name,
        sessions_ended = sessions.len(),
        "account changed"
    );
    for session in sessions {
        info!(event = "session_ended", reason = event, user = %account.user(), %session, "session ended");
    }
}

/// `event` happened to the account, and ended so many sessions elsewhere, which logged that themselves.
pub(super) fn ended_apart(account: &Account, sessions: usize, event: &'static str) {
    info!(event, account = account.id, name = account.name, sessions_ended = sessions, "account changed");
}

/// `event` happened to the account, and its sessions are still to be ended.
pub(super) fn sessions_left(account: &Account, event: &'static str, error: &exeunt::Error) {
    warn!(
        event,
        account = account.id,
        name = account.name,
        sessions_left = true,
        error = %Causes(error),
        "account changed; its sessions are still to be ended"
    );
}

/// What was left of a change is done.
pub(super) fn worked_off(ending: &Ending, sessions: usize) {
    let Ending { user, reason, .. } = ending;
    info!(event = "sessions_ended_late", %user, reason, sessions_ended = sessions, "sessions ended late");
}

/// Sessions that are to be ended live on for now.
pub(super) fn not_worked_off(error: &(dyn std::error::Error + 'static)) {
    warn!(
        event = "sessions_not_ended",
        error = %Causes(error),
        "sessions of changed accounts could not be ended, or not be asked for; tried again each second"
    );
}

/// Sessions ended, and the note that they are to be could not be removed: they, and newer ones, end once more.
pub(super) fn note_not_removed(user: &UserId, error: &AccountError) {
    warn!(event = "note_not_removed", %user, error = %Causes(error), "sessions will be ended once more");
}

pub(super) fn rehashed(account: i64, replaced: bool) {
    // Not replaced: the password was changed while the old one was being hashed anew. That one wins.
    info!(event = "password_rehashed", account, replaced, "password hashed at today's cost");
}

pub(super) fn not_rehashed(account: i64, error: &AccountError) {
    warn!(event = "password_not_rehashed", account, error = %Causes(error), "password not hashed anew");
}

pub(super) fn setup_link_made() {
    info!(event = "setup_link_made", "set-up link made; the one before is void");
}
