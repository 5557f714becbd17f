//! JSON and signs of life.
//!
//! Must never redirect, and must never tell why a session is missing.

pub(crate) mod admin;
pub(crate) mod password;
pub(crate) mod reset;

use axum::Json;
use axum::extract::State;
use exeunt::{Error, Session};
use serde::Serialize;

pub(crate) use self::password::change_password;
pub(crate) use self::reset::routes as reset_routes;
use crate::site::AppState;

/// Who is logged in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// The account's name when it logged in.
    user: String,
}

/// Who is logged in
#[utoipa::path(
    get, path = "/api/me", tag = "account", security(("session" = [])),
    responses((status = 200, description = "Whose session it is", body = Me))
)]
pub(crate) async fn me(session: Session) -> Json<Me> {
    Json(Me { user: session.name().to_owned() })
}

/// Whether the process answers
///
/// Asks neither the store nor for a session.
#[utoipa::path(
    get, path = "/healthz", tag = "server",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether what keeps sessions answers, too
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "It does not: nobody can log in, and no session is known. `Retry-After` says when to ask again"),
    )
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Error> {
    state.layer.sessions().ping().await?;
    Ok("ready\n")
}
