//! Everybody's live sessions.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::{Error, Record, Session, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{AT_ONCE, proof};
use crate::error;
use crate::html::{Around, Page};
use crate::pages::check::EVIL;
use crate::pages::form::{self, Sent};
use crate::pages::sessions::Listed;
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(in crate::pages) struct SessionsPage {
    sessions: Vec<Whose>,
    /// The session that the next page begins after.
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct Whose {
    user: String,
    name: String,
    #[serde(flatten)]
    session: Listed,
}

impl SessionsPage {
    pub(in crate::pages) fn samples(now: Timestamp) -> [Self; 2] {
        [None, Some("x".to_owned())].map(|after| {
            let whose = |_| Whose {
                user: "7".to_owned(),
                name: EVIL.to_owned(),
                session: Listed::sample(now, false),
            };
            Self { sessions: after.iter().map(whose).collect(), after }
        })
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SessionsQuery {
    after: Option<String>,
}

/// `GET /admin/sessions`
pub(crate) async fn sessions(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<SessionsQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.unwrap_or_default();
    let after: Option<SessionId> = query.after.and_then(|after| after.parse().ok());
    let now = state.layer.sessions().now();
    let records = state.layer.sessions().walk(after.as_ref(), AT_ONCE).await?;
    let last = records.last().filter(|_| records.len() == AT_ONCE).map(|record| record.id().to_string());
    let whose = |record: &Record| Whose {
        user: record.user().to_string(),
        name: name(record),
        session: Listed::new(record, session.id(), now),
    };
    let shown = SessionsPage { sessions: records.iter().map(whose).collect(), after: last };
    let form = form::token(&session);
    let around =
        Around { who: Some(session.name()), admin: true, form: Some(&form), here: "/admin/sessions" };
    Ok(page.show(StatusCode::OK, "admin-sessions.html", around, &shown))
}

/// As it was at login.
fn name(record: &Record) -> String {
    let named = record.data().get::<String>("name").ok().flatten();
    named.unwrap_or_else(|| record.user().to_string())
}

#[derive(Debug, Deserialize)]
pub(crate) struct EndForm {
    user: String,
    session: String,
}

/// `POST /admin/sessions`
pub(crate) async fn end(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<EndForm>,
) -> Result<Response, Error> {
    if let Some(first) = proof(&page, &session, "/admin/sessions") {
        return Ok(first);
    }
    let (Ok(user), Ok(id)) = (UserId::new(&form.user), form.session.parse::<SessionId>()) else {
        return Ok(error::refused(StatusCode::NOT_FOUND));
    };
    // That it ended already is as good.
    state.layer.sessions().end(&user, &id).await?;
    Ok(Redirect::to("/admin/sessions").into_response())
}
