//! Tells the owner of an account what happened to it (R59).
//!
//! Must never hold up, undo or refuse what happened because nobody can be told.

use exeunt::Origin;
use tokio::time::Instant;

use super::email::Email;
use super::{Account, AccountError, Accounts, events};
use crate::mail::Outbox;
use crate::mail::texts::Notice;

impl Outbox {
    /// Tells the owner of an account, if it has an address, what happened just now. Answers at once.
    pub fn notify(&self, account: &Account, notice: Notice) {
        if let Some(email) = &account.email {
            self.tell(account.id, email, &account.name, &notice);
        }
    }
}

impl Accounts {
    /// The same accounts, whose owners are told of changes. Without it nobody is.
    #[must_use]
    pub fn mailing(self, outbox: Outbox) -> Self {
        Self { outbox, ..self }
    }

    /// Tells the owner of an account that somebody proved to be them from a client that was not used before.
    pub(super) async fn tell_of_new_client(&self, id: i64) {
        let origin = Origin::current();
        let client = origin.client.as_ref().map_or_else(String::new, |client| client.as_str().to_owned());
        match self.backend.find_by_id(id).await {
            Ok(Some(account)) => {
                self.outbox.notify(&account, Notice::NewClient { client, address: origin.address });
            }
            Ok(None) => (),
            Err(error) => events::new_client_not_told(id, &error),
        }
    }

    /// Waits for the links that were asked for until then at most, and takes no more requests. For a server that stops, before
    /// it [drains](Outbox::drain) the outbox.
    pub async fn finish_resets(&self, until: Instant) {
        if let Some(resets) = &self.resets {
            resets.finish(until).await;
        }
    }

    /// Sets where the account's messages go; `None` for nowhere. The old address hears of it, and a reset link that was
    /// sent there is void. For administration: it asks for no password, and whether another account has the address is
    /// neither asked nor told.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchAccount`], [`AccountError::BadEmail`], or the database did not answer.
    pub async fn set_email(&self, name: &str, email: Option<&str>) -> Result<Account, AccountError> {
        let email = email.map(Email::new).transpose()?;
        self.put_email(self.number_of(name).await?, email).await
    }

    /// As [`Accounts::set_email`], of the account of that number.
    ///
    /// # Errors
    ///
    /// As [`Accounts::set_email`].
    pub async fn set_email_by_id(&self, id: i64, email: Option<&str>) -> Result<Account, AccountError> {
        self.put_email(id, email.map(Email::new).transpose()?).await
    }

    async fn put_email(&self, id: i64, email: Option<Email>) -> Result<Account, AccountError> {
        let changed = self.backend.set_email(id, email.as_ref()).await?;
        let (before, account) = changed.ok_or(AccountError::NoSuchAccount)?;
        if before != account.email {
            self.told_email_changed(&account);
            if let Some(old) = before {
                self.outbox.tell(account.id, &old, &account.name, &Notice::EmailChanged);
            }
        }
        Ok(account)
    }
}
