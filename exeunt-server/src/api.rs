//! JSON and signs of life.
//!
//! Must never redirect, and must never tell why a session is missing.

mod password;
mod reset;

use axum::Json;
use axum::extract::State;
use exeunt::{Error, Session};
use serde::Serialize;

pub(crate) use self::password::change_password;
pub(crate) use self::reset::routes as reset_routes;
use crate::site::AppState;

/// Who is logged in.
#[derive(Debug, Serialize)]
pub struct Me {
    /// The account's name when it logged in.
    user: String,
}

/// `GET /api/me`
pub(crate) async fn me(session: Session) -> Json<Me> {
    Json(Me { user: session.name().to_owned() })
}

/// `GET /healthz`: the process answers. Asks neither the store nor for a session.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers too.
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Error> {
    state.layer.sessions().ping().await?;
    Ok("ready\n")
}
