//! What happened, for administrators.
//!
//! Must never change anything: what happened is told, and forgotten when it is old.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use exeunt::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::answer::{bad_query, failed};
use crate::accounts::{EventLine, EventQuery, Whose, rfc3339};
use crate::site::AppState;

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// Which events to give.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those of the account with this number alone; also of one that is gone.
    account: Option<i64>,
    /// Those from then on; RFC 3339.
    #[serde(default, deserialize_with = "time")]
    since: Option<Timestamp>,
    /// The first ones after this id, oldest first. Without it the last ones, newest first.
    after: Option<i64>,
    /// Those before this id.
    before: Option<i64>,
    limit: Option<usize>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    rfc3339::deserialize(deserializer).map(Some)
}

/// Some events.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    events: Vec<EventLine>,
    /// The id to go on with, in `before`, or in `after` where that was given, if there may be more.
    next: Option<i64>,
}

/// `GET /api/admin/events?account=&since=&before=&limit=`, or `after=` to follow.
pub(crate) async fn list(
    State(state): State<AppState>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Listed>, Response> {
    let wrong = || {
        bad_query(
            "It takes `account` (a number), `since` (such as 2026-01-31T12:00:00Z), `after` and `before` (ids), and \
             `limit` (1 to 1000), each once.",
        )
    };
    let Query(Which { account, since, after, before, limit }) = which.map_err(|_| wrong())?;
    let limit @ 1..=LARGEST_PAGE = limit.unwrap_or(PAGE) else { return Err(wrong()) };
    let whose = account.map(|number| Whose::User(number.to_string()));
    let query = EventQuery { whose, since, after, before, limit };
    let events = state.accounts.events(&query).await.map_err(failed)?;
    let next = events.last().filter(|_| events.len() == limit).map(|event| event.id);
    Ok(Json(Listed { events, next }))
}
