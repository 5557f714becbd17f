//! A store whose every operation is timed.
//!
//! Must never change an answer, nor ask for more than it was asked for.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exeunt::store::{Created, Purged, Saved, Store, StoreError, async_trait};
use exeunt::{Data, Record, SessionId, Timestamp, UserId, Verifier};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing::{Instrument as _, field};

use super::Labels;
use crate::site::TRACES;

/// From a read of a file to the deadline of a store, in seconds.
const BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0];

pub(super) struct Watched {
    store: Arc<dyn Store>,
    create: Operation,
    load: Operation,
    renew: Operation,
    save: Operation,
    touch: Operation,
    destroy: Operation,
    destroy_all: Operation,
    list: Operation,
    walk: Operation,
    purge: Operation,
    ping: Operation,
}

/// The figures of one operation, at hand without a look-up.
struct Operation {
    name: &'static str,
    store: &'static str,
    seconds: Histogram,
    errors: Counter,
}

impl Watched {
    pub(super) fn new(store: Arc<dyn Store>, name: &'static str, registry: &mut Registry) -> Self {
        let seconds = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let errors = Family::<Labels, Counter>::default();
        let operation = |operation: &'static str| {
            let labels = vec![("store", name), ("operation", operation)];
            Operation {
                name: operation,
                store: name,
                seconds: seconds.get_or_create_owned(&labels),
                errors: errors.get_or_create_owned(&labels),
            }
        };
        let watched = Self {
            store,
            create: operation("create"),
            load: operation("load"),
            renew: operation("renew"),
            save: operation("save"),
            touch: operation("touch"),
            destroy: operation("destroy"),
            destroy_all: operation("destroy_all"),
            list: operation("list"),
            walk: operation("walk"),
            purge: operation("purge"),
            ping: operation("ping"),
        };
        let help = "How long the session store took to answer. What was at hand in memory was not asked for";
        registry.register_with_unit("store_operation", help, Unit::Seconds, seconds);
        registry.register("store_errors", "Operations that the session store did not answer", errors);
        watched
    }
}

impl Operation {
    async fn timed<T>(
        &self,
        step: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let span = tracing::trace_span!(
            target: TRACES,
            "store",
            otel.name = self.name,
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = self.store,
        );
        let began = Instant::now();
        let outcome = step.instrument(span.clone()).await;
        self.seconds.observe(began.elapsed().as_secs_f64());
        if outcome.is_err() {
            self.errors.inc();
            span.record("otel.status_code", "ERROR");
        }
        outcome
    }
}

#[async_trait]
impl Store for Watched {
    fn peek(&self, id: &SessionId, now: Timestamp) -> Option<Arc<Record>> {
        self.store.peek(id, now)
    }

    async fn create(&self, record: &Record, limit: usize) -> Result<Created, StoreError> {
        self.create.timed(self.store.create(record, limit)).await
    }

    async fn load(&self, id: &SessionId, now: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
        self.load.timed(self.store.load(id, now)).await
    }

    async fn renew(
        &self,
        id: &SessionId,
        old: &Verifier,
        new: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.renew.timed(self.store.renew(id, old, new, now, expires_at)).await
    }

    async fn save(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        revision: u32,
        data: &Data,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.save.timed(self.store.save(id, verifier, revision, data, now)).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        verifier: &Verifier,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.touch.timed(self.store.touch(id, verifier, now, expires_at)).await
    }

    async fn destroy(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.destroy.timed(self.store.destroy(id)).await
    }

    async fn destroy_all(
        &self,
        user: &UserId,
        except: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.destroy_all.timed(self.store.destroy_all(user, except)).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.list.timed(self.store.list(user, now)).await
    }

    async fn walk(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, StoreError> {
        self.walk.timed(self.store.walk(after, limit, now)).await
    }

    async fn purge(
        &self,
        after: Option<&SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Purged, StoreError> {
        self.purge.timed(self.store.purge(after, limit, now)).await
    }

    fn purge_pause(&self) -> Duration {
        self.store.purge_pause()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ping.timed(self.store.ping()).await
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.store).finish()
    }
}
