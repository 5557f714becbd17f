//! Everybody's sessions, for administrators.
//!
//! Must never show a token, nor end everything where something less was meant.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use exeunt::http::problem;
use exeunt::{Record, Session, SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::answer::{bad_query, failed, limit_of};
use super::to_the_end;
use crate::admin::{SessionLine, end_everybodys};
use crate::site::AppState;

/// Which sessions to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// All of the account with this number, and of no other. Goes with nothing else.
    #[param(nullable = false)]
    account: Option<i64>,
    /// Those after this one.
    #[param(value_type = Option<String>, nullable = false)]
    after: Option<SessionId>,
    /// At most so many; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<usize>,
}

/// Whose sessions to end.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// Those of the account with this number alone.
    #[param(nullable = false)]
    account: Option<i64>,
}

/// Some live sessions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Sessions)]
pub(crate) struct Listed {
    /// Of one account: last seen first. Of all: by id, which is by login.
    sessions: Vec<Line>,
    /// The id to go on after, if there may be more.
    #[schema(value_type = Option<String>, required)]
    next: Option<SessionId>,
}

/// A live session, and whether it asks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AnySession)]
pub(crate) struct Line {
    #[serde(flatten)]
    session: SessionLine,
    /// Whether it is the one that asks.
    current: bool,
}

/// How many sessions ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SessionsEnded)]
pub(crate) struct Ended {
    /// Those of one account, or of everybody.
    sessions_ended: usize,
}

/// List everybody's sessions
#[utoipa::path(
    get, path = "/api/admin/sessions", tag = "administration", security(("session" = [])), params(Which),
    operation_id = "list_everybodys_sessions",
    responses(
        (status = 200, description = "Some live sessions", body = Listed),
        (status = 400, description = "The query has something else, something twice, or more than `account`"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Listed>, Response> {
    let wrong = || {
        bad_query(
            "It takes `account` (a number) alone, or `after` (an id) and `limit` (1 to 1000), each once.",
        )
    };
    let Query(Which { account, after, limit }) = which.map_err(|_| wrong())?;
    let sessions = state.layer.sessions();
    let (records, next) = match (account, after, limit_of(limit)) {
        // As many as one account may have, which is not many.
        (Some(account), None, _) if limit.is_none() => {
            (sessions.list(&UserId::from(account)).await.map_err(|error| error.into_response())?, None)
        }
        (None, after, Some(limit)) => {
            let found = sessions.walk(after.as_ref(), limit).await.map_err(|error| error.into_response())?;
            let next = found.last().filter(|_| found.len() == limit).map(Record::id);
            (found, next)
        }
        _ => return Err(wrong()),
    };
    let lines = SessionLine::of(&state.accounts, &records).await.map_err(failed)?;
    let line = |line: SessionLine| Line { current: line.id == session.id(), session: line };
    Ok(Json(Listed { sessions: lines.into_iter().map(line).collect(), next }))
}

/// Show a session
#[utoipa::path(
    get, path = "/api/admin/sessions/{id}", tag = "administration", security(("session" = [])),
    operation_id = "show_any_session",
    params(("id" = String, Path, description = "The session's public name")),
    responses(
        (status = 200, description = "The session", body = Line),
        (status = 404, description = "There is no such live session"),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    session: Session,
    id: Result<Path<SessionId>, PathRejection>,
) -> Result<Json<Line>, Response> {
    let Ok(Path(id)) = id else { return Err(no_such_session()) };
    let found = state.layer.sessions().find(&id).await.map_err(|error| error.into_response())?;
    let found = found.as_deref().map(std::slice::from_ref).unwrap_or_default();
    let lines = SessionLine::of(&state.accounts, found).await.map_err(failed)?;
    let line = lines.into_iter().next().ok_or_else(no_such_session)?;
    Ok(Json(Line { current: line.id == session.id(), session: line }))
}

/// End a session
#[utoipa::path(
    delete, path = "/api/admin/sessions/{id}", tag = "administration", security(("session" = [])),
    operation_id = "end_any_session",
    params(("id" = String, Path, description = "The session's public name")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 404, description = "There is no such live session"),
    )
)]
pub(crate) async fn end_one(
    State(state): State<AppState>,
    id: Result<Path<SessionId>, PathRejection>,
) -> Result<StatusCode, Response> {
    let Ok(Path(id)) = id else { return Err(no_such_session()) };
    let end = async move { state.layer.sessions().end_any(&id).await.map_err(|error| error.into_response()) };
    to_the_end(end).await?.map(|_| StatusCode::NO_CONTENT).ok_or_else(no_such_session)
}

/// End all sessions of an account, or of everybody
///
/// Without a query those of everybody: one's own, too.
#[utoipa::path(
    delete, path = "/api/admin/sessions", tag = "administration", security(("session" = [])), params(Whose),
    operation_id = "end_everybodys_sessions",
    responses(
        (status = 200, description = "They have ended", body = Ended),
        (status = 400, description = "Another query than `account`: nothing was done"),
    )
)]
pub(crate) async fn end_many(
    State(state): State<AppState>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Ended>, Response> {
    // A misspelt `account` must not end everything.
    let Query(Whose { account }) =
        whose.map_err(|_| bad_query("It is `account` (a number), or there is none."))?;
    let end = async move {
        let sessions = state.layer.sessions();
        let ended = match account {
            Some(account) => sessions.logout_all(&UserId::from(account), None).await.map(|ended| ended.len()),
            None => end_everybodys(sessions).await,
        };
        ended.map_err(|error| error.into_response())
    };
    Ok(Json(Ended { sessions_ended: to_the_end(end).await? }))
}

fn no_such_session() -> Response {
    problem(StatusCode::NOT_FOUND, "No such session")
}
