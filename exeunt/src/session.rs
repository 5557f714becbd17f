//! What a session is: values and time.
//!
//! Must never do I/O, know HTTP, or make a [`Record`] other than by `Record::new` at login.

mod client;
mod clock;
mod data;
mod lifetime;
mod record;
mod token;

pub use client::{Agent, Client};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use data::{Data, DataError};
pub use lifetime::{LONGEST, Lifetime};
pub(crate) use record::{Login, allocated};
pub use record::{Parts, Record, UserId, UserIdError};
pub use token::{SessionId, SessionIdError, Token, Verifier};
