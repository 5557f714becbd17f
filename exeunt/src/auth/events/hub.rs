//! Takes reports, writes the log line, and tells whoever listens.
//!
//! Must never wait for a listener, nor be broken by one that panics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, field, warn};

use super::{By, Event, plain};
use crate::auth::Origin;
use crate::session::{Clock, SystemClock, Timestamp};

/// How many events wait for listeners; some 2 MB at most. What comes on top is counted and not told.
const WAITING: usize = 8_192;
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// Where what happened is reported, and told from.
///
/// Cheap to clone; clones share everything. [`Sessions::events`](crate::Sessions::events) is the one of an application.
#[derive(Clone, Debug)]
pub struct Events {
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
}

type Hook = Box<dyn FnMut(&Event) + Send>;

#[derive(Default)]
struct Hub {
    /// Begins with the first hook.
    queue: OnceLock<Option<SyncSender<Item>>>,
    hooks: Arc<NewHooks>,
    dropped: Arc<Dropped>,
}

/// Hooks that the thread has not taken over yet. Not in the queue, so that a hook can add another.
type NewHooks = Mutex<Vec<Hook>>;

/// How many events no hook heard of: in all, and since that was last logged.
#[derive(Debug, Default)]
struct Dropped {
    ever: AtomicU64,
    unsaid: AtomicU64,
}

enum Item {
    Event(Box<Event>),
    /// Everything before this was told.
    Mark(oneshot::Sender<()>),
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("dropped", &self.dropped.ever).finish_non_exhaustive()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// A hub without listeners, by the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::by(Arc::new(SystemClock::new()))
    }

    /// The same, by another clock.
    #[must_use]
    pub fn by(clock: Arc<dyn Clock>) -> Self {
        Self { clock, hub: Arc::default() }
    }

    /// The same hub by another clock.
    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The time that events are dated by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says what happened: a line in the log now, and each hook soon.
    ///
    /// What the event leaves open is filled in from the [`Origin`] of this task. Never waits: while 8,192 events wait for
    /// slow hooks, further ones are counted ([`Events::dropped`]) and logged, and hooks do not hear of them.
    pub fn report(&self, event: Event) {
        let event = self.completed(event);
        write_line(&event);
        let Some(Some(queue)) = self.hub.queue.get() else { return };
        match queue.try_send(Item::Event(Box::new(event))) {
            Ok(()) => {}
            // Without the thread nothing is told either.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.hub.dropped.one(),
        }
    }

    fn completed(&self, mut event: Event) -> Event {
        if event.at == Timestamp::default() {
            event.at = self.clock.now();
        }
        let Origin { by, address, client, request, .. } = Origin::current();
        if event.kind.is_a_deed() {
            event.by = event.by.or(by);
        }
        event.name = event.name.map(|name| plain(&name));
        if let Some(By::Admin(_, name)) = &mut event.by {
            *name = plain(name);
        }
        event.address = event.address.or(address);
        event.client = event.client.or(client);
        event.request = event.request.or(request);
        event
    }

    /// Tells `hook` of everything from now on, in order, on a thread of its own that all hooks share.
    ///
    /// A hook may take its time; while it does, 8,192 events wait, and what comes on top it never hears of. One that panics
    /// is logged and stays. Must not hold the [`Sessions`](crate::Sessions) or [`Events`] that it listens to for good: the
    /// thread ends with the last of them.
    ///
    /// ```
    /// let sessions = exeunt::Sessions::new(exeunt::MemoryStore::new());
    /// sessions.on_event(|event| println!("{} {} {:?}", event.at, event.kind.as_str(), event.user));
    /// ```
    pub fn on_event(&self, hook: impl FnMut(&Event) + Send + 'static) {
        self.hub.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
        self.hub.queue.get_or_init(|| {
            let (queue, items) = sync_channel(WAITING);
            let (new, dropped) = (Arc::clone(&self.hub.hooks), Arc::clone(&self.hub.dropped));
            let thread = std::thread::Builder::new().name("exeunt-events".to_owned());
            match thread.spawn(move || tell(&items, &new, &dropped)) {
                Ok(_) => Some(queue),
                Err(cause) => {
                    error!(event = "no_event_hooks", error = %cause, "no thread to tell hooks on");
                    None
                }
            }
        });
    }

    /// How many events no hook heard of, because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.hub.dropped.ever.load(Ordering::Relaxed)
    }

    /// Returns once all that was reported before was told to all hooks. For a shutdown.
    pub async fn told(&self) {
        let Some(Some(queue)) = self.hub.queue.get() else { return };
        let (mark, told) = oneshot::channel();
        let mut item = Item::Mark(mark);
        while let Err(refused) = queue.try_send(item) {
            match refused {
                TrySendError::Full(again) => item = again,
                TrySendError::Disconnected(_) => return,
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        let _ = told.await;
    }
}

impl Dropped {
    fn one(&self) {
        self.ever.fetch_add(1, Ordering::Relaxed);
        self.unsaid.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that nobody said so of yet. From here on somebody has.
    fn unsaid(&self) -> u64 {
        self.unsaid.swap(0, Ordering::Relaxed)
    }
}

/// Until the last [`Events`] is gone, and then what still waits.
fn tell(items: &Receiver<Item>, new: &NewHooks, dropped: &Dropped) {
    let mut hooks: Vec<Hook> = Vec::new();
    while let Ok(item) = items.recv() {
        hooks.append(&mut new.lock().unwrap_or_else(PoisonError::into_inner));
        match item {
            Item::Event(event) => {
                for hook in &mut hooks {
                    if catch_unwind(AssertUnwindSafe(|| hook(&event))).is_err() {
                        error!(event = "event_hook_panicked", of = event.kind.as_str(), "a hook panicked");
                    }
                }
            }
            Item::Mark(told) => _ = told.send(()),
        }
        match dropped.unsaid() {
            0 => {}
            events => warn!(event = "events_dropped", events, "hooks are too slow and did not hear of these"),
        }
    }
}

fn write_line(event: &Event) {
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(
                tracing::Level::$level,
                event = event.kind.as_str(),
                reason = event.reason,
                user = event.user.as_ref().map(field::display),
                session = event.session.map(field::display),
                name = event.name.as_deref(),
                by = event.by.as_ref().map(By::as_str),
                administrator = match &event.by {
                    Some(By::Admin(user, _)) => Some(field::display(user)),
                    _ => None,
                },
                client = event.address.map(field::display),
                agent = event.client.as_ref().map(crate::session::Client::as_str),
                "{}",
                event.kind.in_words()
            )
        };
    }
    match event.kind.is_a_warning() {
        true => line!(WARN),
        false => line!(INFO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_hook_heard_of_is_said_once_and_counted_for_ever() {
        let dropped = Dropped::default();
        assert_eq!(dropped.unsaid(), 0);
        dropped.one();
        dropped.one();
        assert_eq!((dropped.unsaid(), dropped.unsaid()), (2, 0));
        dropped.one();
        assert_eq!((dropped.unsaid(), dropped.ever.into_inner()), (1, 3));
    }
}
