//! Stores for the tests of stores.

pub(crate) mod announcing;
#[cfg(any(feature = "postgres", feature = "redis"))]
#[expect(dead_code, reason = "each of the tests uses a part of it")]
pub(crate) mod gate;
