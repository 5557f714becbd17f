//! What a crash, or damage to a file, leaves behind: what was acknowledged as ended stays ended, and what nobody can know
//! is never taken for alive.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod chance;
mod damage;
mod kill;
mod load;
#[cfg(target_os = "linux")]
mod order;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod servers;
