//! What happened to accounts, once each: reported to the hub of the sessions, or logged where it is no event.
//!
//! Must never carry a password, a hash or a set-up secret. By whom it was done says the origin of the task.

use exeunt::store::Causes;
use exeunt::{By, Event, EventKind, SessionId, UserId};
use tracing::{info, warn};

use super::backend::{Ending, Login};
use super::edit::Edit;
use super::{Account, AccountError, Accounts};

/// A change of an account that ends its sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) kind: EventKind,
    /// What to tell the one who asked, even where the sessions could not be ended yet.
    pub(super) done: &'static str,
}

impl Changed {
    /// Why its sessions end.
    pub(super) fn reason(self) -> &'static str {
        self.kind.as_str()
    }
}

impl Accounts {
    pub(super) fn told(&self, kind: EventKind, account: &Account) {
        self.events.report(of(kind, account));
    }

    /// Whoever wanted another password did not know the one there is.
    pub(super) fn told_wrong_password(&self, account: &Account, session: SessionId) {
        let event = of(EventKind::LoginRefused, account).session(session);
        self.events.report(event.because("current_password"));
    }

    pub(super) fn told_added(&self, account: &Account) {
        let event = of(EventKind::AccountAdded, account);
        self.events.report(if account.admin { event.because("administrator") } else { event });
    }

    /// The change is durable, and these sessions ended in the same transaction.
    pub(super) fn told_changed(&self, changed: Changed, account: &Account, sessions: &[SessionId]) {
        self.told(changed.kind, account);
        self.told_ended(changed, account, sessions);
    }

    fn told_ended(&self, changed: Changed, account: &Account, sessions: &[SessionId]) {
        for session in sessions {
            let event = of(EventKind::SessionEnded, account).session(*session);
            self.events.report(event.because(changed.reason()));
        }
    }

    /// A wrong try makes the next ones wait. Once for each such try, never for those that are refused then.
    pub(super) fn told_throttled(&self, reason: &'static str, login: Option<&Login>) {
        let event = Event::new(EventKind::Throttled).because(reason);
        self.events.report(match login {
            Some(login) => event.of(&UserId::from(login.id)).named(&login.name),
            None => event,
        });
    }

    pub(super) fn told_unlocked(&self, account: &Account) {
        self.events.report(of(EventKind::AccountChanged, account).because("unlocked"));
    }

    /// What an administrator changed, each once, and the sessions that ended with it; nothing of what was so before.
    pub(super) fn told_edited(&self, edit: &Edit, before: &Account, after: &Account, sessions: &[SessionId]) {
        let disabled = if after.disabled { EventKind::AccountDisabled } else { EventKind::AccountEnabled };
        for (kind, happened) in [
            (EventKind::AccountRemoved, edit.removed),
            (disabled, before.disabled != after.disabled),
            (EventKind::PasswordSet, edit.password.is_some()),
        ] {
            if happened {
                self.told(kind, after);
            }
        }
        if before.admin != after.admin {
            let role = if after.admin { "administrator" } else { "user" };
            self.events.report(of(EventKind::AccountChanged, after).because(role));
        }
        self.told_ended(edit.changed(), after, sessions);
    }

    /// Somebody asked for a reset link, which these accounts got; none, if there is nobody of that name or address, they
    /// have no address, or had their links already.
    pub(super) fn told_reset_requested<'a>(&self, accounts: impl Iterator<Item = &'a Account>) {
        let mut nobody = true;
        for account in accounts {
            nobody = false;
            self.told(EventKind::ResetRequested, account);
        }
        if nobody {
            self.events.report(Event::new(EventKind::ResetRequested).because("nobody"));
        }
    }

    pub(super) fn told_reset_throttled(&self) {
        self.events.report(Event::new(EventKind::Throttled).because("reset"));
    }

    pub(super) fn told_email_changed(&self, account: &Account) {
        self.events.report(of(EventKind::AccountChanged, account).because("email"));
    }

    pub(super) fn told_setup_link(&self) {
        self.events.report(Event::new(EventKind::SetupLinkMade).by(By::Operator));
    }
}

fn of(kind: EventKind, account: &Account) -> Event {
    Event::new(kind).of(&account.user()).named(&account.name)
}

/// An account changed, and its sessions are still to be ended.
pub(super) fn sessions_left(account: &Account, changed: Changed, error: &exeunt::Error) {
    warn!(
        event = "sessions_left",
        reason = changed.reason(),
        account = account.id,
        name = account.name,
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

pub(super) fn try_not_settled(error: &AccountError) {
    warn!(event = "try_not_settled", error = %Causes(error), "a try counts as wrong that was not");
}

pub(super) fn client_not_remembered(account: i64, error: &AccountError) {
    warn!(event = "client_not_remembered", account, error = %Causes(error), "a client will count as a new one");
}

pub(super) fn new_client_not_told(account: i64, error: &AccountError) {
    warn!(event = "new_client_not_told", account, error = %Causes(error), "nobody was told of a login from a new client");
}

pub(super) fn tries_not_purged(error: &AccountError) {
    warn!(event = "tries_not_purged", error = %Causes(error), "old counts could not be dropped; tried again each minute");
}

/// Somebody waits for a link in vain, and may ask for another.
pub(super) fn reset_not_sent(error: &AccountError) {
    warn!(event = "reset_not_sent", error = %Causes(error), "a link to reset a password was not made");
}
