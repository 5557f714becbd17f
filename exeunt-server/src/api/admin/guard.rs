//! Who may administer: asked of the accounts' database with every request.
//!
//! Must never go by what a session knew at login: a role is taken away at once.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use exeunt::http::{problem, reauthenticate_first};
use exeunt::{By, Origin, RECENT, Session};

use super::answer;
use crate::site::AppState;

/// 403 for all but administrators; and, where something is to be changed, for those who logged in too long ago.
pub(crate) async fn require_admin(
    State(state): State<AppState>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    let account = match state.accounts.find_user(session.user()).await {
        Ok(account) => account,
        Err(error) => return answer::failed(error),
    };
    let Some(account) = account.filter(|account| account.admin && !account.disabled) else {
        return problem(StatusCode::FORBIDDEN, "For administrators alone");
    };
    // R41, R52
    if !request.method().is_safe() && !session.is_recent(RECENT) {
        return reauthenticate_first();
    }
    // Every event that follows says by whom (R20).
    let by = By::Admin(session.user().clone(), account.name);
    Origin::current().by(by).scope(next.run(request)).await
}
