//! The one-time link that makes the first administrator.
//!
//! Must never make a second account, never work twice, and never be kept in the file other than as a hash (R43).

use std::time::Duration;

use exeunt::Timestamp;

use super::backend::NewAccount;
use super::name::Name;
use super::secret::LinkSecret;
use super::{Account, AccountError, Accounts};

/// How long a set-up link can be used.
pub const SETUP_LINK_LASTS: Duration = Duration::from_secs(15 * 60);

impl Accounts {
    /// Makes a set-up link, valid for 15 minutes while there is no account. The one before is void from now on.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotEmpty`], or the database did not answer.
    pub async fn new_setup_link(&self, now: Timestamp) -> Result<LinkSecret, AccountError> {
        let secret = LinkSecret::generate();
        let verifier = secret.hash();
        if !self.backend.put_setup_link(verifier, now.plus(SETUP_LINK_LASTS)).await? {
            return Err(AccountError::NotEmpty);
        }
        self.told_setup_link();
        Ok(secret)
    }

    /// Whether that secret could make the first administrator now.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn setup_is_valid(&self, secret: &str, now: Timestamp) -> Result<bool, AccountError> {
        let Some(secret) = LinkSecret::parse(secret) else { return Ok(false) };
        let verifier = self.backend.setup_link(now).await?;
        Ok(verifier.is_some_and(|verifier| secret.is(verifier)))
    }

    /// Makes the first administrator, and uses the link up, in one transaction.
    ///
    /// # Errors
    ///
    /// [`AccountError::SetupInvalid`]; or a bad name or password, which leave the link valid; or what else the enum says.
    pub async fn redeem_setup(
        &self,
        secret: &str,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Account, AccountError> {
        // Before the hash, so that a guess costs nothing; the transaction asks again.
        if !self.setup_is_valid(secret, now).await? {
            return Err(AccountError::SetupInvalid);
        }
        let secret = LinkSecret::parse(secret).ok_or(AccountError::SetupInvalid)?;
        let name = Name::new(name)?;
        let password = self.new_hash(password, &[name.as_str()]).await?;
        let link = Some(secret.hash());
        let made =
            self.backend.add(NewAccount { name, password, admin: true, email: None, now, link }).await?;
        made.ok_or(AccountError::SetupInvalid).inspect(|account| self.told_added(account))
    }
}

#[cfg(test)]
mod tests {
    use exeunt::store::sqlite::Database;

    use super::super::Hasher;
    use super::*;

    #[tokio::test]
    async fn a_link_that_was_replaced_while_the_password_was_being_hashed_makes_no_account() {
        // R43
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("a.db")).unwrap();
        let accounts = Accounts::open(database, Hasher::new().unwrap()).await.unwrap();
        let now = Timestamp::from_secs(1_767_225_600);
        let (old, new) =
            (accounts.new_setup_link(now).await.unwrap(), accounts.new_setup_link(now).await.unwrap());
        let with = async |secret: LinkSecret| {
            let name = Name::new("alice").unwrap();
            let (password, link) = ("phc".to_owned(), Some(secret.hash()));
            accounts
                .backend
                .add(NewAccount { name, password, admin: true, email: None, now, link })
                .await
                .unwrap()
        };
        assert!(with(old).await.is_none());
        assert!(accounts.is_empty().await.unwrap());
        assert!(with(new).await.unwrap().admin);
    }
}
