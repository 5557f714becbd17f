//! Who may log in, and changes after which sessions end: the steps of the server's accounts.
//!
//! Must have the order of `exeunt-server/src/accounts.rs`, `accounts/change_password.rs` and `accounts/endings.rs`.

use std::sync::{Arc, LazyLock, Mutex};

use exeunt::auth::LoggedIn;
use exeunt::{Record, SessionId, Sessions, UserId, Users, UsersError, Verified};

use crate::desk::Desk;
use crate::shared::Shared;
use crate::store::{Fault, Kind, StepStore};

/// The accounts, as one request asks them.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) desk: Desk,
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    /// Under which stamp a password was checked.
    pub(crate) checked: Arc<Mutex<u64>>,
}

/// The one whose account changes, and who has several sessions.
pub(crate) fn anna() -> UserId {
    static ANNA: LazyLock<UserId> = LazyLock::new(|| UserId::from(1));
    ANNA.clone()
}

/// Somebody else, with one session, to whom nothing may happen.
pub(crate) fn ben() -> UserId {
    static BEN: LazyLock<UserId> = LazyLock::new(|| UserId::from(2));
    BEN.clone()
}

impl Users for People {
    type Credentials = UserId;

    /// The password is right at that moment, whichever it is.
    async fn verify(&self, user: UserId) -> Result<Option<Verified>, UsersError> {
        let account = |shared: &mut Shared| (!shared.account.disabled).then_some(shared.account.stamp);
        let stamp = match user == ben() {
            true => Some(0),
            false => self.desk.step("verify", account).await,
        };
        *self.checked.lock().expect("no test panics here") = stamp.unwrap_or(0);
        let verified = stamp.map(|stamp| Verified::new(user.clone(), stamp).named(user.as_str()));
        if let (Fault::LoginAsksFirst, Some(verified)) = (self.fault, &verified)
            && !self.ask(verified).await
        {
            return Ok(None);
        }
        Ok(verified)
    }

    async fn is_current(&self, verified: &Verified) -> Result<bool, UsersError> {
        Ok(self.fault == Fault::LoginAsksFirst || self.ask(verified).await)
    }
}

impl People {
    /// What the sessions of this request lie in.
    pub(crate) fn store(&self, by: u8) -> StepStore {
        StepStore { desk: self.desk.clone(), kind: self.kind, fault: self.fault, by }
    }

    async fn ask(&self, verified: &Verified) -> bool {
        if verified.user() == &ben() {
            return true;
        }
        let stamp = verified.stamp();
        let ask = move |shared: &mut Shared| !shared.account.disabled && shared.account.stamp == stamp;
        self.desk.step("is current", ask).await
    }

    /// Changes the account, and ends its sessions: the new stamp.
    pub(crate) async fn change(&self, sessions: &Sessions, disable: bool) -> u64 {
        let together = self.together();
        let change = move |shared: &mut Shared| {
            shared.account.disabled |= disable;
            changed(shared, together, None)
        };
        let stamp = self.desk.step("change", change).await;
        if !together {
            // A task of its own: who hangs up stops nothing from here on.
            self.desk.detach();
            self.end_and_forget(sessions, stamp, None).await;
        }
        stamp
    }

    /// Changes the password on the word of who knows the present one, and ends all sessions but this, which gets a new
    /// token: that, and the new stamp.
    pub(crate) async fn change_own(
        &self,
        by: u8,
        sessions: &Sessions,
        this: &Record,
    ) -> Option<(LoggedIn, u64)> {
        // All of it is a task of its own.
        self.desk.detach();
        let verified = self.verify(anna()).await.expect("the accounts answer")?;
        let renewed = sessions.renew(this).await.expect("the store answers")?;
        let (checked, spared, together) = (verified.stamp(), this.id(), self.together());
        let swap = move |shared: &mut Shared| {
            (shared.account.stamp == checked).then(|| changed(shared, together, Some(spared)))
        };
        let Some(stamp) = self.desk.step("swap", swap).await else {
            exeunt::Store::destroy(&self.store(by), &spared).await.expect("the store answers");
            return None;
        };
        if !together {
            self.end_and_forget(sessions, stamp, Some(&spared)).await;
        }
        Some((renewed, stamp))
    }

    /// Whether accounts and sessions change in one step.
    fn together(&self) -> bool {
        matches!(self.kind, Kind::Sqlite | Kind::Postgres)
    }

    /// Ends the sessions that changes before a crash left. The stamp that the account had: whatever changed up to there was
    /// noted, or its sessions had ended.
    pub(crate) async fn work_off(&self, sessions: &Sessions) -> u64 {
        let notes = |shared: &mut Shared| {
            (shared.account.stamp, shared.account.notes.iter().copied().collect::<Vec<_>>())
        };
        let (stamp, notes) = self.desk.step("notes", notes).await;
        for note in notes {
            self.end_and_forget(sessions, note, None).await;
        }
        stamp
    }

    async fn end_and_forget(&self, sessions: &Sessions, stamp: u64, except: Option<&SessionId>) {
        let forget = move |shared: &mut Shared| shared.account.notes.remove(&stamp);
        if self.fault == Fault::ForgetsFirst {
            self.desk.step("forget", forget).await;
        }
        sessions.logout_all(&anna(), except).await.expect("the store answers");
        self.desk.step("forget", forget).await;
    }
}

/// The account has a new stamp. Its sessions end in the same step, or are noted to end.
fn changed(shared: &mut Shared, together: bool, except: Option<SessionId>) -> u64 {
    shared.account.stamp += 1;
    let stamp = shared.account.stamp;
    if together {
        Shared::of(exeunt::Store::destroy_all(&shared.store, &anna(), except.as_ref()));
    } else {
        shared.account.notes.insert(stamp);
    }
    stamp
}
