//! Who is asking, as far as accounts need to know: from which address, with which badges of clients, in which language.
//!
//! Must never count as a proof of anything: a badge only says that a client was used for an account before.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use exeunt::Origin;

use super::client::Badges;

/// Who is asking. Cheap to clone; clones share what is to be sent back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    /// Where the request came from, if that is known.
    pub(crate) address: Option<IpAddr>,
    /// The badges that the request brought.
    pub(crate) badges: Badges,
    /// The tag of the language that is best read there, if that is known.
    pub(crate) language: Option<String>,
    /// The badges that the client is to have from now on, if a login was right.
    new_badges: Arc<Mutex<Option<Badges>>>,
}

impl Asking {
    pub(crate) fn new(address: Option<IpAddr>, badges: Badges) -> Self {
        Self { address, badges, ..Self::default() }
    }

    /// The same, who reads that language best.
    pub(crate) fn reading(self, language: &str) -> Self {
        Self { language: Some(language.to_owned()), ..self }
    }

    /// Who is asking in what runs now; nobody known if nothing was said.
    pub(crate) fn current() -> Self {
        Origin::current().carried::<Self>().map(|asking| (*asking).clone()).unwrap_or_default()
    }

    /// Runs `work` as asked for by this one.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        Origin::current().carrying(Arc::new(self)).scope(work).await
    }

    /// Has the client keep these badges.
    pub(crate) fn keep(&self, badges: Badges) {
        *self.new_badges.lock().unwrap_or_else(PoisonError::into_inner) = Some(badges);
    }

    /// What the client is to keep, once.
    pub(crate) fn take_new_badges(&self) -> Option<Badges> {
        self.new_badges.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
