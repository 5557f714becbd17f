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

use super::answer::{bad_query, failed};
use super::to_the_end;
use crate::admin::{SessionLine, end_everybodys};
use crate::site::AppState;

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// Which sessions to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those of the account with this number alone.
    account: Option<i64>,
    /// Those after this one.
    after: Option<SessionId>,
    limit: Option<usize>,
}

/// Whose sessions to end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// Those of the account with this number alone.
    account: Option<i64>,
}

/// Some live sessions.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    /// Of one account: last seen first. Of all: by id, which is by login.
    sessions: Vec<Line>,
    /// The id to go on after, if there may be more.
    next: Option<SessionId>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    session: SessionLine,
    /// Whether it is the one that asks.
    current: bool,
}

/// How many sessions ended.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    sessions_ended: usize,
}

/// `GET /api/admin/sessions?account=` or `?after=&limit=`
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
    let (records, next) = match (account, after, limit.unwrap_or(PAGE)) {
        // As many as one account may have, which is not many.
        (Some(account), None, _) if limit.is_none() => {
            (sessions.list(&UserId::from(account)).await.map_err(|error| error.into_response())?, None)
        }
        (None, after, limit @ 1..=LARGEST_PAGE) => {
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

/// `GET /api/admin/sessions/{id}`
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

/// `DELETE /api/admin/sessions/{id}`
pub(crate) async fn end_one(
    State(state): State<AppState>,
    id: Result<Path<SessionId>, PathRejection>,
) -> Result<StatusCode, Response> {
    let Ok(Path(id)) = id else { return Err(no_such_session()) };
    let end = async move { state.layer.sessions().end_any(&id).await.map_err(|error| error.into_response()) };
    to_the_end(end).await?.map(|_| StatusCode::NO_CONTENT).ok_or_else(no_such_session)
}

/// `DELETE /api/admin/sessions?account=` ends those of one account, without a query those of everybody: one's own, too.
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
