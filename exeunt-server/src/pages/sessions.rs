//! A person's own sessions: see them, end one, the others, or all. Below them, what happened lately.
//!
//! Must never end somebody else's, nor say that one has ended while it lives.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::{Error, RECENT, Record, Session, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ago::Ago;
use super::check::EVIL;
use super::client::ClientName;
use super::events::Happened;
use super::form::{self, Sent};
use super::lately::lately;
use super::{CLEAR, NOT_LOGGED_OUT, again, is_admin};
use crate::error;
use crate::html::{Action, Around, Message, Page, Text, Tone};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    notice: Notice,
    /// Whether there are others than this one.
    others: bool,
    sessions: Vec<Listed>,
    /// What happened lately to the account, if anybody can tell.
    lately: Option<Vec<Happened>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    None,
    Ended,
    Others,
}

#[derive(Debug, Serialize)]
pub(super) struct Listed {
    id: String,
    client: ClientName,
    /// Where it logged in from, if that is known.
    address: Option<String>,
    began: Ago,
    seen: Ago,
    expires: Ago,
    remembered: bool,
    current: bool,
}

impl Sessions {
    /// One alone, and two.
    pub(super) fn samples(now: Timestamp) -> [Self; 3] {
        let all = || Some(Happened::samples(now));
        let (one, two) = ((Notice::None, false, None), (Notice::Ended, true, all()));
        [one, two, (Notice::Others, false, Some(Vec::new()))].map(|(notice, others, lately)| {
            let sessions = if others {
                vec![Listed::sample(now, true), Listed::sample(now, false)]
            } else {
                vec![Listed::sample(now, true)]
            };
            Self { notice, others, sessions, lately }
        })
    }
}

impl Listed {
    pub(super) fn sample(now: Timestamp, current: bool) -> Self {
        Self {
            id: format!("{EVIL}{current}"),
            client: ClientName::new(if current { "Firefox/1 (Linux)" } else { "(Linux)" }),
            address: current.then(|| "2001:db8::1".to_owned()),
            began: Ago::new(now, now),
            seen: Ago::new(now, now),
            expires: Ago::new(now.plus(Duration::from_secs(90)), now),
            remembered: current,
            current,
        }
    }

    pub(super) fn new(record: &Record, current: SessionId, now: Timestamp) -> Self {
        Self {
            id: record.id().to_string(),
            client: ClientName::new(record.client()),
            address: record.address().map(|address| address.to_string()),
            began: Ago::new(record.created_at(), now),
            seen: Ago::new(record.seen_at(), now),
            expires: Ago::new(record.expires_at(), now),
            remembered: record.remembered(),
            current: record.id() == current,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SessionsQuery {
    /// Ended just now, they say.
    ended: Option<String>,
    /// All others ended just now, they say.
    others: Option<String>,
}

/// `GET /sessions`
pub(crate) async fn sessions(
    State(state): State<AppState>,
    page: Page,
    session: Session,
    query: Result<Query<SessionsQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.unwrap_or_default();
    let now = state.layer.sessions().now();
    // Side by side, so that accounts that do not answer cost no more time than they do for the navigation.
    let (records, admin, lately) =
        tokio::join!(session.list(), is_admin(&state, &session), lately(&state, &session, now));
    let records = records?;
    // This one first, then as they were seen.
    let (this, other): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.id() == session.id());
    let sessions: Vec<_> =
        this.iter().chain(&other).map(|record| Listed::new(record, session.id(), now)).collect();
    // Anybody can write such an address: it is believed where the list bears it out.
    let ended = |id: &str| id.parse::<SessionId>().is_ok() && sessions.iter().all(|listed| listed.id != id);
    let notice = match query {
        SessionsQuery { others: Some(_), .. } if other.is_empty() => Notice::Others,
        SessionsQuery { ended: Some(id), .. } if ended(&id) => Notice::Ended,
        _ => Notice::None,
    };
    let form = form::token(&session);
    let around = Around { who: Some(session.name()), admin, form: Some(&form), here: "/sessions" };
    let shown = Sessions { notice, others: !other.is_empty(), sessions, lately };
    Ok(page.show(StatusCode::OK, "sessions.html", around, &shown))
}

#[derive(Debug, Deserialize)]
pub(crate) struct EndForm {
    session: String,
}

/// `POST /sessions/end`
pub(crate) async fn end(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<EndForm>,
) -> Response {
    match form.session.parse() {
        Ok(id) => at_once_or_ask(&state, &page, session, Then::End(id)).await,
        Err(_) => error::refused(StatusCode::NOT_FOUND),
    }
}

/// What has no field but the token.
#[derive(Debug, Deserialize)]
pub(crate) struct NoFields {}

/// `POST /sessions/others`
pub(crate) async fn end_others(
    State(state): State<AppState>,
    page: Page,
    Sent { session, .. }: Sent<NoFields>,
) -> Response {
    at_once_or_ask(&state, &page, session, Then::Others).await
}

/// `POST /sessions/all`
pub(crate) async fn end_all(
    State(state): State<AppState>,
    page: Page,
    Sent { session, .. }: Sent<NoFields>,
) -> Response {
    at_once_or_ask(&state, &page, session, Then::All).await
}

/// What a page asks for that may need the password first. As a text it goes along until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    End(SessionId),
    Others,
    All,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End(id) => write!(f, "end {id}"),
            Self::Others => f.write_str("others"),
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for Then {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "others" => Ok(Self::Others),
            "all" => Ok(Self::All),
            text => text.strip_prefix("end ").and_then(|id| id.parse().ok()).map(Self::End).ok_or(()),
        }
    }
}

/// Ending this very session asks for nothing, ending others for a recent password (R52).
async fn at_once_or_ask(state: &AppState, page: &Page, session: Session, then: Then) -> Response {
    if then != Then::End(session.id()) && !session.is_recent(RECENT) {
        return again::ask(page, &session, StatusCode::FORBIDDEN, &then.to_string(), "/sessions");
    }
    go_on(state, page, session, then).await
}

/// Does it, for somebody who may.
pub(super) async fn go_on(state: &AppState, page: &Page, session: Session, then: Then) -> Response {
    let name = session.name().to_owned();
    let failed = |who, message| {
        let around = Around { who, here: "/sessions", ..Around::default() };
        page.message(state.site.logout_failure_status, around, message)
    };
    let logged_out = || (CLEAR, Redirect::to("/login?out")).into_response();
    match then {
        Then::End(id) if id == session.id() => match session.logout().await {
            Ok(()) => logged_out(),
            Err(_) => failed(None, &NOT_LOGGED_OUT),
        },
        Then::End(id) => match session.end(id).await {
            Ok(true) => Redirect::to(&format!("/sessions?ended={id}")).into_response(),
            // It ended by itself meanwhile, or is somebody else's, which is told alike: the list says what is so.
            Ok(false) => Redirect::to("/sessions").into_response(),
            Err(error) => error.into_response(),
        },
        Then::Others => match session.logout_others().await {
            Ok(_) => Redirect::to("/sessions?others").into_response(),
            Err(error) => error.into_response(),
        },
        Then::All => match session.logout_everywhere().await {
            Ok(_) => logged_out(),
            Err(_) => failed(Some(&name), &NOT_EVERYWHERE),
        },
    }
}

pub(super) const NOT_EVERYWHERE: Message = Message {
    title: Text("not-logged-out-title"),
    text: Text("not-everywhere"),
    tone: Tone::Bad,
    action: Action::Sessions,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_goes_along_as_a_text_and_nothing_else_is_taken_for_it() {
        for then in [Then::End(SessionId::from_i64(7).unwrap()), Then::Others, Then::All] {
            assert_eq!(then.to_string().parse(), Ok(then));
        }
        for text in ["", "end", "end ", "end x", "All", "others "] {
            assert_eq!(text.parse::<Then>(), Err(()), "{text:?}");
        }
    }
}
