//! Who asked, and from where: what an event says of the request that it happened in.
//!
//! Must never be what a decision rests on but a throttle's: it is for the record.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::task::futures::TaskLocalFuture;
use tracing::Instrument as _;

use super::events::By;
use crate::session::Client;

tokio::task_local! {
    // Shared, since every poll of a request puts it in place and takes it away again.
    static ORIGIN: Arc<Origin>;
}

/// Who asked for what is being done in this task, and from where.
///
/// The session layer says it of each request; what runs in a task of its own takes it along:
///
/// ```
/// use exeunt::Origin;
///
/// # async fn handler() {
/// let step = async { /* goes on although nobody may wait for it */ };
/// Origin::current().spawn(step);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Who, where that is not the owner of the session that a handler has.
    pub by: Option<By>,
    /// Where the request came from, as far as proxies that are trusted say.
    pub address: Option<IpAddr>,
    /// What sent it.
    pub client: Option<Client>,
    /// Its id in the log.
    pub request: Option<Arc<str>>,
    carried: Carried,
}

/// What the application wants to know of the request where only [`Users`](crate::Users) is called.
#[derive(Clone, Default)]
struct Carried(Option<Arc<dyn Any + Send + Sync>>);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Carried(..)" } else { "Carried(None)" })
    }
}

impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr).map(<*const _>::cast::<()>)
            == other.0.as_ref().map(Arc::as_ptr).map(<*const _>::cast::<()>)
    }
}

impl Eq for Carried {}

impl Origin {
    /// The one of this task; of nobody and nowhere outside of any.
    #[must_use]
    pub fn current() -> Self {
        ORIGIN.try_with(|origin| Self::clone(origin)).unwrap_or_default()
    }

    /// The same, done by somebody else.
    #[must_use]
    pub fn by(self, by: By) -> Self {
        Self { by: Some(by), ..self }
    }

    /// The same, from this address.
    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The same, sent by this.
    #[must_use]
    pub fn client(self, client: Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The same, under this id in the log.
    #[must_use]
    pub fn request(self, id: &str) -> Self {
        Self { request: Some(id.into()), ..self }
    }

    /// The same, with something of the application's own in it, in the place of what was.
    ///
    /// So a [`Users`](crate::Users) learns more of a request than the credentials, such as a cookie of the application's.
    #[must_use]
    pub fn carrying<T: Any + Send + Sync>(self, value: Arc<T>) -> Self {
        Self { carried: Carried(Some(value)), ..self }
    }

    /// What the application put in, if it is of that type.
    #[must_use]
    pub fn carried<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.carried.0.as_ref()?).downcast().ok()
    }

    /// Runs `future` with this as the origin of all that it does.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Arc::new(self).around(future)
    }

    /// Runs `work` in a task of its own, with this as the origin, in the span of now: it goes to its end although nobody may wait
    /// for it. axum drops the handler of a lost connection.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio.
    pub fn spawn<T: Send + 'static>(self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        tokio::spawn(self.scope(work.in_current_span()))
    }

    /// As [`Origin::scope`], of a type that has a name.
    pub(crate) fn around<F: Future>(self: Arc<Self>, future: F) -> TaskLocalFuture<Arc<Self>, F> {
        ORIGIN.scope(self, future)
    }

    /// Runs `work` with this as the origin of all that it does.
    pub fn within<T>(self, work: impl FnOnce() -> T) -> T {
        Arc::new(self).around_now(work)
    }

    /// The same, of what is shared already.
    pub(crate) fn around_now<T>(self: Arc<Self>, work: impl FnOnce() -> T) -> T {
        ORIGIN.sync_scope(self, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_application_put_in_is_that_very_thing_and_does_not_show() {
        // R39
        let (one, other) = (Arc::new("badge".to_owned()), Arc::new("badge".to_owned()));
        let carrying = |value: &Arc<String>| Origin::default().carrying(Arc::clone(value));
        assert!(Arc::ptr_eq(&carrying(&one).carried::<String>().unwrap(), &one));
        assert_eq!(carrying(&one).carried::<u64>(), None);
        assert_eq!(carrying(&one), carrying(&one));
        assert_ne!(carrying(&one), carrying(&other), "alike is not the same");
        assert_ne!(carrying(&one), Origin::default());
        assert!(format!("{:?}", carrying(&one)).contains("Carried(..)"));
        assert!(format!("{:?}", Origin::default()).contains("Carried(None)"));
    }
}
