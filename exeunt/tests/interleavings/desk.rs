//! Where requests stop: each step on what they share is laid down here, and taken only when the schedule says so.
//!
//! Must never take a step by itself, but for who asks while no request has its turn: the checks between two steps.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use crate::shared::{Seen, Shared};

/// A step that waits to be taken. It says what it saw, as a number.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    act: Box<dyn FnOnce(&mut Shared) -> u64 + Send>,
}

impl Step {
    pub(crate) fn new<A: Seen>(
        name: &'static str,
        act: impl FnOnce(&mut Shared) -> A + Send + 'static,
    ) -> Self {
        Self::telling(name, act, |_| ())
    }

    fn telling<A: Seen>(
        name: &'static str,
        act: impl FnOnce(&mut Shared) -> A + Send + 'static,
        tell: impl FnOnce(A) + Send + 'static,
    ) -> Self {
        let act = move |shared: &mut Shared| {
            let answer = act(shared);
            let mut seen = DefaultHasher::new();
            answer.see(&shared.names, &mut seen);
            tell(answer);
            seen.finish()
        };
        Self { name, act: Box::new(act) }
    }

    pub(crate) fn take(self, shared: &mut Shared) -> u64 {
        (self.act)(shared)
    }
}

/// What all requests share, and the steps that they wait for.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Inner>>);

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) shared: Shared,
    /// Who is being polled.
    pub(crate) turn: Option<u8>,
    /// What the one who was polled last stopped at.
    pub(crate) laid: Option<Step>,
    /// What was put off until after the answer, by whom it was.
    pub(crate) put_off: Vec<(u8, Step)>,
    /// All that the one who is being polled has seen so far, as a number.
    pub(crate) history: u64,
    /// That the one who was polled last goes on in a task of its own, which nobody drops.
    pub(crate) detached: bool,
}

impl Desk {
    pub(crate) fn open(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no step panics")
    }

    /// Stops until the step is taken.
    pub(crate) async fn step<A: Seen>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut Shared) -> A + Send + 'static,
    ) -> A {
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        let step =
            Step::telling(name, act, move |answer| *told.lock().expect("no step panics") = Some(answer));
        {
            let mut inner = self.open();
            match inner.turn {
                Some(_) => inner.laid = Some(step),
                None => _ = step.take(&mut inner.shared),
            }
        }
        std::future::poll_fn(|_| match answer.lock().expect("no step panics").take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    /// An operation of several steps: what it saw on the way is forgotten with it, and its answer alone stays.
    pub(crate) async fn operation<A: Seen>(&self, operation: impl Future<Output = A> + Send) -> A {
        let before = self.open().history;
        let answer = operation.await;
        let mut inner = self.open();
        let mut seen = DefaultHasher::new();
        seen.write_u64(before);
        answer.see(&inner.shared.names, &mut seen);
        inner.history = seen.finish();
        drop(inner);
        answer
    }

    /// Lets a step happen later, whenever the schedule says so, without waiting for it.
    pub(crate) fn put_off(&self, step: Step) {
        let mut inner = self.open();
        match inner.turn {
            Some(whose) => inner.put_off.push((whose, step)),
            None => _ = step.take(&mut inner.shared),
        }
    }

    /// From here on a lost connection stops nothing.
    pub(crate) fn detach(&self) {
        self.open().detached = true;
    }
}
