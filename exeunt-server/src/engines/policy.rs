//! What may be a password, as the configuration says it.
//!
//! Must never go on with a list of breached passwords that cannot be used.

use crate::accounts::{BreachedError, Policy};
use crate::config::Config;

/// What may be a password. Blocks for milliseconds where there is a list of breached ones.
///
/// # Errors
///
/// [`BreachedError`] says what is wrong with that list.
pub fn password_policy(config: &Config) -> Result<Policy, BreachedError> {
    let policy = Policy::default().shortest(config.password_min_length);
    let policy = match &config.public_url {
        Some(url) => policy.own_word(url.host()),
        None => policy,
    };
    match &config.breached_passwords {
        Some(path) => policy.breached_from(path),
        None => Ok(policy),
    }
}
