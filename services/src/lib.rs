//! Real servers for tests and benchmarks: started on free loopback ports, in a temporary folder, as their own user.
//!
//! Must never outlive the process that started them, touch a server that was there before, or be stopped by name.
//!
//! What is not installed is an error that names the Debian package; `cargo xtask test` installs it.

mod certificate;
mod chromedriver;
mod cluster;
mod command;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod redis;
mod sentinel;
mod soak;

#[cfg(test)]
mod tests;

pub use self::certificate::Certificate;
pub use self::chromedriver::ChromeDriver;
pub use self::cluster::Cluster;
pub use self::pgbouncer::PgBouncer;
pub use self::postgres::Postgres;
pub use self::redis::Redis;
pub use self::sentinel::Sentinel;
pub use self::soak::{minutes, rounds};
