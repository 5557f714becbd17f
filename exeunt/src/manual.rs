//! The longer answers: threats, stores, and why the defaults are what they are.

pub mod defaults;
pub mod other_origins;
pub mod stores;
pub mod threats;
