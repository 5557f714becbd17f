//! One's own password, changed by a program.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use exeunt::Session;
use serde::{Deserialize, Serialize};

use crate::error;
use crate::site::AppState;

/// What a change of password needs. No Debug: it has two passwords.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The password until now.
    #[schema(format = Password)]
    current: String,
    /// The password from now on.
    #[schema(format = Password)]
    new: String,
}

/// What ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Ended {
    /// How many sessions.
    pub(super) ended: usize,
}

/// Change one's own password
///
/// All other sessions of the account end, and this one gets a new token; the one before is dead at once.
#[utoipa::path(
    post, path = "/api/auth/password", tag = "account", request_body = ChangePassword, security(("session" = [])),
    responses(
        (status = 200, description = "The password is changed, and so many other sessions ended", body = Ended,
            headers(("Set-Cookie" = String, description = "The session's new token"))),
        (status = 403, description = "Not the current password: all is as it was. Or sent from another site"),
        (status = 409, description = "Somebody else changed the account meanwhile: nothing was done, and this session is over"),
        (status = 422, description = "A member is missing or unknown, or the new password is refused, which `detail` explains"),
        (status = 429, description = "Too many tries at this account, or from this address: `Retry-After`"),
        (status = 503, description = "Nothing is known, or, as `detail` says then, the password *is* changed and the sessions are yet to end"),
    )
)]
pub(crate) async fn change_password(
    State(state): State<AppState>,
    session: Session,
    given: Result<Json<ChangePassword>, JsonRejection>,
) -> Result<Json<Ended>, Response> {
    // Not what serde says: it quotes the input.
    let Json(ChangePassword { current, new }) =
        given.map_err(|rejection| error::refused(rejection.status()))?;
    let changed = state.accounts.change_password(session, current, new).await;
    Ok(Json(Ended { ended: changed.map_err(error::of_account)?.ended }))
}
