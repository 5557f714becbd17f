//! Who is asking, as far as a check of a password needs to know: from which address, and with which marks of clients.
//!
//! Must never count as a proof of anything: a mark only says that a client was used for an account before.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use exeunt::Origin;

use super::client::Marks;

/// Who is asking. Cheap to clone; clones share what is to be sent back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    /// Where the request came from, if that is known.
    pub(crate) address: Option<IpAddr>,
    /// The marks that the request brought.
    pub(crate) marks: Marks,
    /// The marks that the client is to have from now on, if a login was right.
    new_marks: Arc<Mutex<Option<Marks>>>,
}

impl Asking {
    pub(crate) fn new(address: Option<IpAddr>, marks: Marks) -> Self {
        Self { address, marks, new_marks: Arc::default() }
    }

    /// Who is asking in what runs now; nobody known if nothing was said.
    pub(crate) fn current() -> Self {
        Origin::current().carried::<Self>().map(|asking| (*asking).clone()).unwrap_or_default()
    }

    /// Runs `work` as asked for by this one.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        Origin::current().carrying(Arc::new(self)).scope(work).await
    }

    /// Has the client keep these marks.
    pub(crate) fn keep(&self, marks: Marks) {
        *self.new_marks.lock().unwrap_or_else(PoisonError::into_inner) = Some(marks);
    }

    /// What the client is to keep, once.
    pub(crate) fn take_new_marks(&self) -> Option<Marks> {
        self.new_marks.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
