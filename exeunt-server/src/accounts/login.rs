//! Checks a name and a password: what the library asks of an application.
//!
//! Must never do less work for one kind of wrong than for another, nor tell them apart (R32, R33).

use std::fmt;

use exeunt::auth::refused_login_of;
use exeunt::{UserId, Users, UsersError, Verified};
use serde::Deserialize;

use super::backend::Login;
use super::name::Name;
use super::{Accounts, Checked, HashError, RETRY_WHEN_BUSY, events};

/// What a person logs in with.
#[derive(Deserialize)]
pub struct Credentials {
    /// The account's name, in any case.
    pub username: String,
    /// The password; NFC is the only thing done to it.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// Neither: people type passwords where the name belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Users for Accounts {
    type Credentials = Credentials;

    /// One try taken before, and one hash of the same cost, for an unknown name, a disabled account, a wrong and a right
    /// password (R32, R33, R35).
    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        let Some(proved) = self.prove(given).await? else { return Ok(None) };
        if self.remember_client(proved.id, proved.client).await {
            self.tell_of_new_client(proved.id).await;
        }
        Ok(Some(proved.verified))
    }

    async fn is_current(&self, verified: &Verified) -> Result<bool, UsersError> {
        let Ok(id) = verified.user().as_str().parse() else { return Ok(false) };
        self.backend.is_current(id, verified.stamp()).await.map_err(UsersError::new)
    }
}

/// Somebody whose password was right.
pub(super) struct Proved {
    pub(super) verified: Verified,
    id: i64,
    /// The badge by which the client is known.
    client: Option<[u8; 32]>,
}

impl Accounts {
    /// As `verify`, for somebody who is logged in: it says nothing of their client.
    pub(super) async fn prove(&self, given: Credentials) -> Result<Option<Proved>, UsersError> {
        let name = Name::new(&given.username);
        let counted_as = name.as_ref().map_or(given.username.as_str(), Name::folded);
        let client = self.known_client(counted_as).await.map_err(UsersError::new)?;
        let tried = self.take_try(counted_as, client.is_some()).await?;
        // Not before: who is refused must not hear by the time whether there is such an account.
        let found = match &name {
            Ok(name) => self.backend.login(name.folded()).await,
            Err(_) => Ok(None),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.settle_unchecked(tried).await;
                return Err(UsersError::new(error));
            }
        };
        let phc = found.as_ref().map(|login| login.password.as_str());
        let checked = match self.hasher.check(&given.password, phc).await {
            Ok(checked) => checked,
            Err(error) => {
                self.settle_unchecked(tried).await;
                return Err(unanswered(error));
            }
        };
        let login = match found {
            Some(login) if !login.disabled && checked != Checked::Wrong => login,
            found => {
                if let Some(login) = &found {
                    let reason = if checked == Checked::Wrong { "password" } else { "disabled" };
                    refused_login_of(&UserId::from(login.id), &login.name, reason);
                }
                self.settle_wrong(&tried, found.as_ref());
                return Ok(None);
            }
        };
        self.settle_right(tried).await;
        if checked == Checked::RightButCheap {
            self.rehash(&login, &given.password).await;
        }
        let verified = Verified::new(UserId::from(login.id), login.stamp).named(login.name);
        Ok(Some(Proved { verified, id: login.id, client }))
    }
}

fn unanswered(error: HashError) -> UsersError {
    match error {
        HashError::Busy => UsersError::new(error).retry_in(RETRY_WHEN_BUSY),
        error => UsersError::new(error),
    }
}

impl Accounts {
    /// Replaces a cheap hash. That it fails is no reason to refuse a right password.
    async fn rehash(&self, login: &Login, password: &str) {
        let id = login.id;
        let done = async {
            let new = self.hasher.hash(password).await?;
            self.backend.rehash(id, &login.password, &new).await
        };
        match done.await {
            Ok(replaced) => events::rehashed(id, replaced),
            Err(error) => events::not_rehashed(id, &error),
        }
    }
}
