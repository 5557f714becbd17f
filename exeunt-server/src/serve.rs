//! Serves until told to stop. Must never answer before the store is open.

use crate::config::Config;

/// Opens the store, serves, and drains when asked to stop.
///
/// # Errors
///
/// If it could not start.
pub async fn serve(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("serving is not built in yet")
}
