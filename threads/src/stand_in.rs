//! What stands in for the locks, threads, channels and deadlines that the store ring uses.
//!
//! Must never behave otherwise than theirs: the checker decides who goes on at each call, and that is all.

/// For `std::sync`.
pub(crate) mod sync {
    pub(crate) use std::sync::OnceLock;

    pub(crate) use shuttle::sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    };

    pub(crate) mod mpsc {
        use std::time::Duration;

        use shuttle::rand::Rng as _;
        pub(crate) use shuttle::sync::mpsc::{RecvError, RecvTimeoutError, SyncSender, TryRecvError};

        pub(crate) fn sync_channel<T>(room: usize) -> (SyncSender<T>, Receiver<T>) {
            let (sender, receiver) = shuttle::sync::mpsc::sync_channel(room);
            (sender, Receiver(receiver))
        }

        pub(crate) struct Receiver<T>(shuttle::sync::mpsc::Receiver<T>);

        impl<T> Receiver<T> {
            pub(crate) fn recv(&self) -> Result<T, RecvError> {
                self.0.recv()
            }

            /// The time is up now and then; the checker's own waits for ever.
            pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
                if !shuttle::rand::thread_rng().gen_bool(0.25) {
                    return self.0.recv().map_err(|_| RecvTimeoutError::Disconnected);
                }
                self.0.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            }
        }
    }

    pub(crate) mod atomic {
        // Counts threads in a static, which outlives what the checker knows.
        pub(crate) use std::sync::atomic::AtomicUsize;

        pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicI32, Ordering};
    }
}

/// For `std::thread`.
pub(crate) mod thread {
    use std::num::NonZeroUsize;

    pub(crate) use shuttle::thread::{Builder, JoinHandle, ThreadId, current};

    /// The least, on every machine: the fewer connections there are, the sooner readers meet.
    pub(crate) fn available_parallelism() -> std::io::Result<NonZeroUsize> {
        Ok(NonZeroUsize::MIN)
    }
}

/// For `tokio::sync`: tokio's own channels, with somebody else's turn before each call.
pub(crate) mod channels {
    use super::turn;

    pub(crate) mod mpsc {
        pub(crate) use tokio::sync::mpsc::error;

        use super::turn;

        pub(crate) fn channel<T>(room: usize) -> (Sender<T>, Receiver<T>) {
            let (sender, receiver) = tokio::sync::mpsc::channel(room);
            (Sender(sender), Receiver(receiver))
        }

        pub(crate) struct Sender<T>(tokio::sync::mpsc::Sender<T>);

        impl<T> Sender<T> {
            pub(crate) fn capacity(&self) -> usize {
                turn();
                self.0.capacity()
            }

            pub(crate) fn try_send(&self, message: T) -> Result<(), error::TrySendError<T>> {
                turn();
                self.0.try_send(message)
            }
        }

        pub(crate) struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

        impl<T> Receiver<T> {
            /// Tokio's own would stop the one real thread on which all of the checker's run.
            pub(crate) fn blocking_recv(&mut self) -> Option<T> {
                turn();
                shuttle::future::block_on(self.0.recv())
            }

            pub(crate) fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                turn();
                self.0.try_recv()
            }

            /// For a fault.
            pub(crate) fn is_closed(&self) -> bool {
                self.0.is_closed()
            }
        }
    }

    pub(crate) mod oneshot {
        pub(crate) use tokio::sync::oneshot::Receiver;

        use super::turn;

        pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            (Sender(sender), receiver)
        }

        pub(crate) struct Sender<T>(tokio::sync::oneshot::Sender<T>);

        impl<T> Sender<T> {
            pub(crate) fn send(self, message: T) -> Result<(), T> {
                turn();
                self.0.send(message)
            }
        }
    }
}

/// For `tokio::time`: no clock, so that who waits in vain waits for ever, and the checker says so.
pub(crate) mod time {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use shuttle::rand::Rng as _;

    thread_local! {
        static PASS: Cell<bool> = const { Cell::new(false) };
    }

    /// From now on deadlines pass at any moment, or they do not pass.
    pub(crate) fn let_deadlines_pass(pass: bool) {
        PASS.set(pass);
    }

    #[derive(Debug)]
    pub(crate) struct Elapsed;

    pub(crate) async fn timeout<T>(_: Duration, awaited: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut awaited = pin!(awaited);
        if PASS.get() && shuttle::rand::thread_rng().gen_bool(0.5) {
            for _ in 0..shuttle::rand::thread_rng().gen_range(0..4_u32) {
                let now = std::future::poll_fn(|cx| Poll::Ready(awaited.as_mut().poll(cx))).await;
                if let Poll::Ready(answer) = now {
                    return Ok(answer);
                }
                shuttle::future::yield_now().await;
            }
            return Err(Elapsed);
        }
        Ok(awaited.await)
    }
}

/// A point at which the checker may let another thread go on.
fn turn() {
    shuttle::thread::sleep(std::time::Duration::ZERO);
}
