//! Resets a forgotten password, for programs; pages do the same by the same functions.
//!
//! Must never answer otherwise for a name that is known than for one that is not, nor take a secret from a path or query
//! (R42, R57).

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use exeunt::http::problem;
use serde::{Deserialize, Serialize};

use crate::accounts::ResetAsked;
use crate::error;
use crate::site::AppState;

/// `POST /reset`, `POST /reset/confirm`, to nest beside the other routes of login.
pub(crate) fn routes(state: AppState) -> Router {
    Router::new().route("/reset", post(ask)).route("/reset/confirm", post(confirm)).with_state(state)
}

#[derive(Deserialize)]
struct Ask {
    /// An account's name or its e-mail address.
    username: String,
}

#[derive(Serialize)]
struct Asked {
    message: &'static str,
}

const ASKED: Asked =
    Asked { message: "If there is such an account, and it has an e-mail address, a link is on its way." };

/// `POST /api/auth/reset`
async fn ask(State(state): State<AppState>, asked: Result<Json<Ask>, JsonRejection>) -> Response {
    let Ask { username } = match asked {
        Ok(Json(asked)) => asked,
        // Nothing of what serde says: it quotes the input.
        Err(rejection) => return error::refused(rejection.status()),
    };
    match state.accounts.ask_reset(&username, state.layer.sessions().now()) {
        ResetAsked::Accepted => (StatusCode::ACCEPTED, Json(ASKED)).into_response(),
        ResetAsked::Off => problem(StatusCode::NOT_FOUND, "Passwords cannot be reset on this server"),
        ResetAsked::TooMany { retry_after } => {
            error::later(error::refused(StatusCode::TOO_MANY_REQUESTS), retry_after)
        }
    }
}

#[derive(Deserialize)]
struct Confirm {
    /// As it stands in the link.
    secret: String,
    password: String,
}

#[derive(Serialize)]
struct Confirmed {
    /// How many sessions ended: all that the account had.
    ended: usize,
}

/// `POST /api/auth/reset/confirm`
async fn confirm(
    State(state): State<AppState>,
    given: Result<Json<Confirm>, JsonRejection>,
) -> Result<Json<Confirmed>, Response> {
    let Json(Confirm { secret, password }) = given.map_err(|rejection| error::refused(rejection.status()))?;
    let now = state.layer.sessions().now();
    let done = state.accounts.redeem_reset(&secret, &password, now).await;
    Ok(Json(Confirmed { ended: done.map_err(error::of_account)? }))
}
