//! How much waits, and for how much there is room.
//!
//! Must never wait itself: it is asked at each scrape.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use exeunt::Events;
use exeunt::store::sqlite::Database;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::accounts::Hasher;
use crate::engines::Engines;

#[derive(Debug)]
pub(super) struct Queues {
    engines: Engines,
    hasher: Hasher,
    events: OnceLock<Events>,
    length: Family<Labels, Gauge>,
    room: Family<Labels, Gauge>,
    unheard: Counter,
}

impl Queues {
    pub(super) fn new(engines: &Engines, hasher: Hasher, registry: &mut Registry) -> Self {
        let queues = Self {
            engines: engines.clone(),
            hasher,
            events: OnceLock::new(),
            length: Family::default(),
            room: Family::default(),
            unheard: Counter::default(),
        };
        let help = "What waits: passwords to be hashed, writes into a SQLite file, who wants a connection to PostgreSQL";
        registry.register("queue_length", help, queues.length.clone());
        let help = "How much may wait there. One more is refused";
        registry.register("queue_room", help, queues.room.clone());
        let help = "Events that no hook heard of, these figures neither, because too many waited";
        registry.register("events_unheard", help, queues.unheard.clone());
        queues
    }

    pub(super) fn listen_to(&self, events: &Events) {
        // It listens once; a second time would be the same.
        let _ = self.events.set(events.clone());
    }

    /// Looks at all of them now.
    pub(super) fn look(&self) {
        self.set("passwords", self.hasher.waiting(), Some(self.hasher.room()));
        for (name, database) in self.engines.written_files() {
            self.set(name, database.waiting(), Some(Database::MOST_WAITING));
        }
        for (name, database) in self.engines.postgres() {
            self.set(name, database.waiting(), None);
        }
        let unheard = self.events.get().map_or(0, Events::dropped);
        self.unheard.inner().store(unheard, Ordering::Relaxed);
    }

    fn set(&self, queue: &'static str, length: usize, room: Option<usize>) {
        let set = |family: &Family<Labels, Gauge>, value: usize| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&vec![("queue", queue)]).set(value);
        };
        set(&self.length, length);
        if let Some(room) = room {
            set(&self.room, room);
        }
    }
}
