//! The longer answers: what is defended against, which store to take, why the defaults are what they are.

pub mod defaults;
pub mod stores;
pub mod threats;
