//! A forgotten password is replaced by whoever reads the account's mail, through a link that works once.
//!
//! Must never say or show whether there is an account, log anybody in, keep a secret other than as a hash, or build a
//! link of anything but the configured public URL (R42, R57).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use exeunt::store::async_trait;
use exeunt::{EventKind, Origin, SessionId, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::asking::Asking;
use super::email::Email;
use super::events::{self, Changed};
use super::name::Name;
use super::secret::LinkSecret;
use super::sources::Sources;
use super::task::to_the_end;
use super::{Account, AccountError, Accounts};
use crate::mail::texts::{Notice, ResetLink};

/// One address may belong to so many accounts that each gets a link; more than that is no person's.
const ACCOUNTS_OF_AN_ADDRESS: usize = 4;
/// The most links for one account within [`COUNTED_FOR`]: enough for a person, too few to fill a mailbox.
const LINKS_OF_AN_ACCOUNT: i64 = 3;
pub(super) const COUNTED_FOR: Duration = Duration::from_secs(60 * 60);
/// The most requests that wait for their work; it is done one at a time, so that a flood of them leaves the database to
/// those who log in.
const WAITING: u32 = 100;
/// How long to wait before asking a database again that did not answer.
const TRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

const RESET: Changed = Changed { kind: EventKind::PasswordReset, done: "the password is changed" };

/// What resetting passwords asks of the database that keeps accounts. Each method is one transaction.
#[async_trait]
pub(super) trait ResetBackend {
    /// Sets or removes the address, and voids the reset link, which went to the old one. The old address, and the account
    /// as it is now. `None`: there is no such account.
    async fn set_email(
        &self,
        id: i64,
        email: Option<&Email>,
    ) -> Result<Option<(Option<String>, Account)>, AccountError>;

    /// Keeps a new link for each enabled account of that name or address that has an address, in the place of the old one,
    /// unless it had [`NewLinks::most`] already. Which accounts got which of the verifiers.
    async fn put_reset_links(&self, new: NewLinks) -> Result<Vec<(Account, [u8; 32])>, AccountError>;

    /// The account whose password the link may set at `now`.
    async fn reset_link(&self, verifier: [u8; 32], now: Timestamp) -> Result<Option<Account>, AccountError>;

    /// Uses the link up, sets the password, and ends the sessions of the account, which live in the same database: as
    /// [`change_and_end`](super::backend::Backend::change_and_end). `None`: the link is not valid (any more).
    async fn reset_and_end(&self, reset: Reset) -> Result<Option<(Account, Vec<SessionId>)>, AccountError>;

    /// As `reset_and_end`, but notes that the sessions are to be ended, which live elsewhere.
    async fn reset_and_note(
        &self,
        reset: Reset,
        reason: &'static str,
    ) -> Result<Option<(Account, i64)>, AccountError>;
}

/// Links to be, for whoever it is that was asked for.
#[derive(Clone)]
pub(super) struct NewLinks {
    /// Folded; empty for what can be no name.
    pub(super) name: String,
    /// Folded; empty for what can be no address.
    pub(super) email: String,
    pub(super) verifiers: Vec<[u8; 32]>,
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
    /// Messages are counted from here on: an older count begins anew.
    pub(super) counted_since: Timestamp,
    pub(super) most: i64,
}

/// A password to be.
#[derive(Clone)]
pub(super) struct Reset {
    pub(super) verifier: [u8; 32],
    /// A PHC string.
    pub(super) password: String,
    pub(super) now: Timestamp,
}

/// What this server needs to send links. Cheap to clone; clones share the bounds.
#[derive(Clone)]
pub(super) struct Resets {
    /// Up to the secret.
    link: Arc<str>,
    lasts: Duration,
    waiting: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
    sources: Arc<Sources>,
}

impl Resets {
    pub(super) async fn finish(&self, until: Instant) {
        // What is left then is cut off by the end of the process; who asked may ask again.
        let _ = timeout_at(until, self.waiting.acquire_many(WAITING)).await;
        self.waiting.close();
    }
}

impl fmt::Debug for Resets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resets").field("link", &self.link).field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

/// What becomes of a request for a link. None of these depends on whether there is such an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetAsked {
    /// If there is such an account, and it has an address, a message is on its way.
    Accepted,
    /// Resetting is off on this server: it has no public URL, or nothing to send messages by.
    Off,
    /// That source asked too often.
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many wait already, whoever they are. Try again after [`RETRY_WHEN_BUSY`](super::RETRY_WHEN_BUSY).
    Busy,
}

impl Accounts {
    /// The same accounts, whose owners can reset a forgotten password by a link that begins with `public_url` and can be
    /// used for `lasts`. Without an [`Outbox`](crate::mail::Outbox) that sends, it stays off.
    #[must_use]
    pub fn resetting(self, public_url: &str, lasts: Duration) -> Self {
        let resets = Resets {
            link: format!("{public_url}/reset?secret=").into(),
            lasts,
            waiting: Arc::new(Semaphore::new(WAITING as usize)),
            at_work: Arc::new(Semaphore::new(1)),
            sources: Arc::default(),
        };
        Self { resets: Some(resets), ..self }
    }

    /// Whether a forgotten password can be reset on this server: for pages, which then offer it.
    #[must_use]
    pub fn can_reset(&self) -> bool {
        self.outbox.is_on() && self.resets.is_some()
    }

    /// Sends a link to whoever has that name or address, if anybody. Answers before it looks: neither the answer nor
    /// its time says whether there is such an account (R42, R57). `typed` is shown and logged nowhere: people type
    /// passwords where the name belongs. How often a source asks is counted by the address of the
    /// [`Origin`] of the request.
    ///
    /// A new link voids the old one. An account gets at most 3 an hour.
    pub fn ask_reset(&self, typed: &str, now: Timestamp) -> ResetAsked {
        let Some(resets) = self.resets.clone().filter(|_| self.outbox.is_on()) else {
            return ResetAsked::Off;
        };
        let from = Origin::current().address;
        if let Some(retry_after) = from.and_then(|from| resets.sources.refuse(from, now)) {
            self.told_reset_throttled();
            return ResetAsked::TooMany { retry_after };
        }
        let Ok(place) = Arc::clone(&resets.waiting).try_acquire_owned() else {
            return ResetAsked::Busy;
        };
        let name = Name::new(typed).map(|name| name.folded().to_owned()).unwrap_or_default();
        let email = Email::new(typed).map(|email| email.folded().to_owned()).unwrap_or_default();
        let accounts = self.clone();
        let work = async move {
            let Ok(_turn) = resets.at_work.acquire().await else { return };
            accounts.send_links(&resets, name, email, now).await;
            drop(place);
        };
        Origin::current().spawn(work);
        ResetAsked::Accepted
    }

    async fn send_links(&self, resets: &Resets, name: String, email: String, now: Timestamp) {
        let secrets: Vec<LinkSecret> = (0..ACCOUNTS_OF_AN_ADDRESS).map(|_| LinkSecret::generate()).collect();
        let new = NewLinks {
            name,
            email,
            verifiers: secrets.iter().map(LinkSecret::hash).collect(),
            now,
            expires_at: now.plus(resets.lasts),
            counted_since: Timestamp::from_micros(
                now.as_micros().saturating_sub(i64::try_from(COUNTED_FOR.as_micros()).unwrap_or(i64::MAX)),
            ),
            most: LINKS_OF_AN_ACCOUNT,
        };
        let mut waits = TRIES.into_iter();
        let put = loop {
            match (self.backend.put_reset_links(new.clone()).await, waits.next()) {
                (Ok(put), _) => break put,
                // Somebody was told that a message is on its way.
                (Err(_), Some(wait)) => tokio::time::sleep(wait).await,
                (Err(error), None) => return events::reset_not_sent(&error),
            }
        };
        self.told_reset_requested(put.iter().map(|(account, _)| account));
        for (account, verifier) in put {
            let secret = secrets.iter().find(|secret| secret.is(verifier));
            let Some((secret, to)) = secret.zip(account.email.as_deref()) else { continue };
            let link = format!("{}{}", resets.link, secret.expose());
            let link = ResetLink { link, lasts: resets.lasts };
            // Whoever asks for it is who reads it, or nobody asked for anything.
            self.outbox.send_link(
                account.id,
                to,
                &account.name,
                &link,
                Asking::current().language.as_deref(),
            );
        }
    }

    /// Whose password that secret could set now: for a page, which says the name, so that password managers know it.
    ///
    /// # Errors
    ///
    /// If the database did not answer.
    pub async fn reset_link(&self, secret: &str, now: Timestamp) -> Result<Option<Account>, AccountError> {
        let Some(secret) = LinkSecret::parse(secret) else { return Ok(None) };
        self.backend.reset_link(secret.hash(), now).await
    }

    /// Sets the password, uses the link up, and ends all sessions of the account: their number (R18, R42). Logs nobody in.
    /// A login that was being checked before is no longer current. It is done to its end also if the caller goes away.
    ///
    /// # Errors
    ///
    /// [`AccountError::ResetInvalid`]; or a bad password, which leaves the link valid; [`AccountError::SessionsLeft`]; or
    /// what else the enum says.
    pub async fn redeem_reset(
        &self,
        secret: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<usize, AccountError> {
        // Before the hash, so that a guess costs nothing; the transaction asks again.
        let account = self.reset_link(secret, now).await?.ok_or(AccountError::ResetInvalid)?;
        let verifier = LinkSecret::parse(secret).ok_or(AccountError::ResetInvalid)?.hash();
        let password = self.new_hash(password, &account.own_words()).await?;
        let reset = Reset { verifier, password, now };
        let accounts = self.clone();
        let work = async move {
            let done = accounts.reset(reset).await;
            if matches!(done, Ok(_) | Err(AccountError::SessionsLeft { .. })) {
                accounts.new_password_ends_the_count(&account.name).await;
            }
            done
        };
        to_the_end(work).await
    }

    async fn reset(&self, reset: Reset) -> Result<usize, AccountError> {
        let Some(sessions) = &self.apart else {
            let done = self.backend.reset_and_end(reset).await?;
            let (account, ended) = done.ok_or(AccountError::ResetInvalid)?;
            self.told_changed(RESET, &account, &ended);
            self.outbox.notify(&account, Notice::PasswordReset);
            return Ok(ended.len());
        };
        let done = self.backend.reset_and_note(reset, RESET.reason()).await?;
        let (account, note) = done.ok_or(AccountError::ResetInvalid)?;
        // The password is set, whatever comes of the sessions.
        self.told(RESET.kind, &account);
        self.outbox.notify(&account, Notice::PasswordReset);
        self.end_sessions_apart(sessions.clone(), account, note, RESET).await
    }
}
