//! The longer answers: threats, stores, and why the defaults are what they are.

pub mod defaults;
pub mod stores;
pub mod threats;
