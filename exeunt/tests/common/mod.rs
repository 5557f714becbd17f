//! Stores for the tests of stores.

pub(crate) mod announcing;
