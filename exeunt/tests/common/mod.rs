//! Stores for the tests of stores.

pub(crate) mod announcing;
pub(crate) mod pausing;
