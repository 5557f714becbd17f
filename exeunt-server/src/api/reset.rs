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

use super::password::Ended;
use crate::accounts::{RETRY_WHEN_BUSY, ResetAsked};
use crate::error;
use crate::site::AppState;

/// `POST /reset`, `POST /reset/confirm`, to nest beside the other routes of login.
pub(crate) fn routes(state: AppState) -> Router {
    Router::new().route("/reset", post(ask)).route("/reset/confirm", post(confirm)).with_state(state)
}

/// Who forgot their password.
#[derive(Deserialize, utoipa::ToSchema)]
pub(crate) struct Ask {
    /// An account's name or its e-mail address.
    username: String,
}

/// What becomes of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Asked {
    /// For people; the same for every name.
    message: &'static str,
}

const ASKED: Asked =
    Asked { message: "If there is such an account, and it has an e-mail address, a link is on its way." };

/// Ask for a link to set a new password
///
/// Goes to the e-mail address of the account of that name or address. The answer says nothing about whether there is one.
#[utoipa::path(
    post, path = "/api/auth/reset", tag = "account", request_body = Ask,
    responses(
        (status = 202, description = "Whoever has that name or address, if anybody, gets a message", body = Asked),
        (status = 404, description = "Passwords cannot be reset on this server, whoever it is"),
        (status = 422, description = "A member is missing"),
        (status = 429, description = "Too many requests from this address: `Retry-After`"),
    )
)]
pub(crate) async fn ask(State(state): State<AppState>, asked: Result<Json<Ask>, JsonRejection>) -> Response {
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
        ResetAsked::Busy => error::later(error::refused(StatusCode::SERVICE_UNAVAILABLE), RETRY_WHEN_BUSY),
    }
}

/// A link, used. No Debug: it has a secret and a password.
#[derive(Deserialize, utoipa::ToSchema)]
pub(crate) struct Confirm {
    /// As it stands in the link.
    #[schema(format = Password)]
    secret: String,
    /// The password from now on.
    #[schema(format = Password)]
    password: String,
}

/// Set a new password by the link
///
/// All sessions of the account end, and nobody is logged in.
#[utoipa::path(
    post, path = "/api/auth/reset/confirm", tag = "account", request_body = Confirm,
    responses(
        (status = 200, description = "The password is set, and so many sessions ended", body = Ended),
        (status = 404, description = "The link was used, replaced, is too old, or never was one"),
        (status = 422, description = "A member is missing, or the password is refused, which `detail` explains: the link stays valid"),
        (status = 503, description = "Nothing is known, or, as `detail` says then, the password *is* set and the sessions are yet to end"),
    )
)]
pub(crate) async fn confirm(
    State(state): State<AppState>,
    given: Result<Json<Confirm>, JsonRejection>,
) -> Result<Json<Ended>, Response> {
    let Json(Confirm { secret, password }) = given.map_err(|rejection| error::refused(rejection.status()))?;
    let now = state.layer.sessions().now();
    let done = state.accounts.redeem_reset(&secret, &password, now).await;
    Ok(Json(Ended { ended: done.map_err(error::of_account)? }))
}
