//! The writer of the SQLite store and the near cache, under a checker that decides at each lock, channel and thread who
//! goes on.
//!
//! Must never check a copy that was written by hand: the build script takes the files of `exeunt`, and the checker sees
//! every step that they take but those within SQLite, which is the real one.
//!
//! What it does not see: what weaker orders of atomics than the strictest allow, and the orders that were not drawn. A
//! check that passes found nothing in so many.
#![expect(dead_code, reason = "the rings around the store use more of it than the checks do")]

pub mod checks;
pub mod explore;
pub mod fault;
mod stand_in;

include!(concat!(env!("OUT_DIR"), "/rings.rs"));
