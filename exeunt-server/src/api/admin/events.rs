//! What happened, for administrators.
//!
//! Must never change anything: what happened is told, and forgotten when it is old.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use exeunt::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::answer::{bad_query, failed, limit_of};
use crate::accounts::{EventLine, EventQuery, Whose, rfc3339};
use crate::site::AppState;

/// Which events to give.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those of the account with this number alone; also of one that is gone.
    #[param(nullable = false)]
    account: Option<i64>,
    /// Those from then on; RFC 3339.
    #[serde(default, deserialize_with = "time")]
    #[param(value_type = Option<String>, format = DateTime, nullable = false)]
    since: Option<Timestamp>,
    /// The first ones after this id, oldest first. Without it the last ones, newest first.
    #[param(nullable = false)]
    after: Option<i64>,
    /// Those before this id.
    #[param(nullable = false)]
    before: Option<i64>,
    /// At most so many; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<usize>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    rfc3339::deserialize(deserializer).map(Some)
}

/// Some events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Events)]
pub(crate) struct Listed {
    /// With `after`: oldest first; else: newest first.
    events: Vec<EventLine>,
    /// The id to go on with, in `before`, or in `after` where that was given, if there may be more.
    #[schema(required)]
    next: Option<i64>,
}

/// Read what happened
///
/// The last events, and those before; or, with `after`, what came since, to follow.
#[utoipa::path(
    get, path = "/api/admin/events", tag = "administration", security(("session" = [])), params(Which),
    operation_id = "list_events",
    responses(
        (status = 200, description = "Some events", body = Listed),
        (status = 400, description = "The query has something else, or something twice"),
    )
)]
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
    let limit = limit_of(limit).ok_or_else(wrong)?;
    let whose = account.map(|number| Whose::User(number.to_string()));
    let query = EventQuery { whose, since, after, before, limit };
    let events = state.accounts.events(&query).await.map_err(failed)?;
    let next = events.last().filter(|_| events.len() == limit).map(|event| event.id);
    Ok(Json(Listed { events, next }))
}
