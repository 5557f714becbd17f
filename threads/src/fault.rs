//! Which fault the faulty copy of the store has.
//!
//! Must never be asked by the other copy, which has none.

use std::cell::Cell;

thread_local! {
    static CHOSEN: Cell<&'static str> = const { Cell::new("") };
}

/// From now on the faulty copy has the fault of that name, for what is explored on this thread.
pub fn choose(name: &'static str) {
    CHOSEN.set(name);
}

pub(crate) fn is(name: &str) -> bool {
    CHOSEN.get() == name
}
