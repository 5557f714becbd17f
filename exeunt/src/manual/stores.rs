//! Which store to take.
//!
//! | store | take it for | sessions after a restart | logout is durable |
//! | --- | --- | --- | --- |
//! | `exeunt::open(path)`, feature `sqlite` | one process, any size: the default | live on | when acknowledged, after `kill -9`, and after power loss on disks that do what a sync asks |
//! | [`MemoryStore`](crate::MemoryStore) | tests, and services whose sessions may end with the process | are gone | there is nothing to outlast |
//! | your own [`Store`](crate::Store) | what you already run | as you build it | as you build it; `store::laws` (feature `laws`) tells |
//!
//! The embedded default is one SQLite file with a near cache of 64 MiB in front. One process owns the file: a second one
//! that opens it gets an error that says so. The application's own tables can live in the same file, and a session can
//! end in the same transaction as what made it end (`store::sqlite::Database`).
//!
//! Expired sessions cannot be loaded from the instant they expire. They take up space until they are purged: spawn
//! [`Sessions::keep_purged`](crate::Sessions::keep_purged) once.
//!
//! Every store keeps its own deadlines. Do not put a time limit around a handler: a step that is cut off may still happen.
