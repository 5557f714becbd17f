//! Steps that nobody may stop half-way.
//!
//! Must never leave a change untold because whoever asked for it is gone.

use exeunt::Origin;

use super::AccountError;

/// Runs a step in a task of its own: who hangs up neither stops it half-way nor keeps it from being told.
pub(crate) async fn to_the_end<T: Send + 'static>(
    step: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, AccountError> {
    Origin::current().spawn(step).await.map_err(|error| AccountError::Database(error.into()))?
}
