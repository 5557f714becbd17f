//! What happened to accounts, once each, as structured log lines.
//!
//! Must never carry a password, a hash or a set-up secret. By whom it was done is on the span around it.

use exeunt::SessionId;
use exeunt::store::Causes;
use tracing::{info, warn};

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
