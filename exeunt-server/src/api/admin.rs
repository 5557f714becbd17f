//! Administration over HTTP: accounts, and everybody's sessions.
//!
//! Must never be reached by who is no administrator at this moment, and must never change anything for whoever did not
//! prove who they are within the last few minutes.

pub(crate) mod accounts;
mod answer;
mod body;
pub(crate) mod events;
mod guard;
mod schema;
pub(crate) mod sessions;

use axum::response::Response;
use exeunt::Origin;

pub(crate) use self::guard::require_admin;

/// Goes on to its end even if the client is gone meanwhile, so that what was done is always told, too.
async fn to_the_end<T: Send + 'static>(
    step: impl Future<Output = Result<T, Response>> + Send + 'static,
) -> Result<T, Response> {
    match Origin::current().spawn(step).await {
        Ok(result) => result,
        Err(error) => Err(answer::unknown(&error)),
    }
}
