//! Every law on every store, one line a store.

mod common;

use exeunt::{MemoryStore, Near};

use crate::common::announcing::Announcing;

exeunt::store_laws!(memory, async || (MemoryStore::new(), ()));

// A full, an almost empty and no cache tell the same truth.
const TINY: usize = 64 * 1024;
exeunt::store_laws!(near, async || (Near::new(Announcing::default(), Near::<Announcing>::DEFAULT_BYTES), ()));
exeunt::store_laws!(near_tiny, async || (Near::new(Announcing::default(), TINY), ()));
exeunt::store_laws!(near_without_room, async || (Near::new(Announcing::default(), 0), ()));
