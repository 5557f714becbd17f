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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The password until now.
    current: String,
    /// The password from now on.
    new: String,
}

/// What a change of password did.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    /// How many other sessions ended.
    ended: usize,
}

/// `POST /api/auth/password`: the other sessions end, this one gets a new token.
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
