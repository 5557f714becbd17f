//! Logging in again within a session, before what could lock its owner out (R41, R52).
//!
//! Must never go on with what was asked for before the password was right.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use exeunt::store::Causes;
use exeunt::{Error, Origin, Session};
use serde::{Deserialize, Serialize};

use super::check::EVIL;
use super::form::{self, Sent};
use super::{Wrong, admin, local, sessions};
use crate::accounts::{Accounts, Credentials};
use crate::error;
use crate::html::{Around, Page, Text};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(super) struct Again<'a> {
    /// What to do then, as [`sessions::Then`] or [`admin::Then`] writes it.
    then: &'a str,
    /// Where to go then.
    next: &'a str,
    errors: Wrong,
    focus: &'static str,
}

impl Again<'_> {
    pub(super) fn samples() -> [Self; 2] {
        let wrong = Wrong::from([("password", Text("password-wrong").into())]);
        [Wrong::new(), wrong].map(|errors| Self { then: EVIL, next: "/a?b=c&d=e", errors, focus: "password" })
    }
}

/// Asks for the password, to do something then.
pub(super) fn ask(page: &Page, session: &Session, status: StatusCode, then: &str, next: &str) -> Response {
    asked(page, &Shown::of(session), status, then, next, Wrong::new())
}

/// What of a session its pages show.
struct Shown {
    name: String,
    form: String,
}

impl Shown {
    fn of(session: &Session) -> Self {
        Self { name: session.name().to_owned(), form: form::token(session) }
    }
}

fn asked(page: &Page, shown: &Shown, status: StatusCode, then: &str, next: &str, errors: Wrong) -> Response {
    let around = Around { who: Some(&shown.name), form: Some(&shown.form), ..Around::default() };
    page.show(status, "again.html", around, &Again { then, next, errors, focus: "password" })
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct AgainQuery {
    next: Option<String>,
}

/// `GET /again`
pub(crate) async fn again_page(
    page: Page,
    session: Session,
    query: Result<Query<AgainQuery>, QueryRejection>,
) -> Response {
    let Query(query) = query.unwrap_or_default();
    ask(&page, &session, StatusCode::OK, "", local(query.next.as_deref()))
}

/// No Debug: it has a password.
#[derive(Deserialize)]
pub(crate) struct AgainForm {
    password: String,
    #[serde(default)]
    then: String,
    next: Option<String>,
}

/// `POST /again`
pub(crate) async fn again(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form }: Sent<AgainForm>,
) -> Result<Response, Response> {
    let next = local(form.next.as_deref());
    let shown = Shown::of(&session);
    let once_more = |status, text: Text| {
        asked(&page, &shown, status, &form.then, next, Wrong::from([("password", text.into())]))
    };
    let session = match renew(state.accounts.clone(), session, form.password).await {
        Ok(Some(session)) => session,
        Ok(None) => return Ok(once_more(StatusCode::FORBIDDEN, Text("password-wrong"))),
        Err(refused) if refused.status() == StatusCode::TOO_MANY_REQUESTS => {
            let page = once_more(StatusCode::TOO_MANY_REQUESTS, Text("too-many-tries"));
            return Ok(error::dressed_as(refused, page));
        }
        Err(response) => return Err(response),
    };
    if let Ok(then) = form.then.parse() {
        return Ok(sessions::go_on(&state, &page, session, then).await);
    }
    match admin::Then::parse(&form.then) {
        Some(then) => Ok(admin::go_on(&state, &page, session, then).await),
        None => Ok(Redirect::to(next).into_response()),
    }
}

/// To its end, even if the browser goes away: the old token is dead once the session is renewed.
async fn renew(accounts: Accounts, session: Session, password: String) -> Result<Option<Session>, Response> {
    let renewing = async move {
        let account = accounts.find_user(session.user()).await.map_err(error::of_account)?;
        let Some(account) = account else { return Ok(None) };
        let credentials = Credentials { username: account.name, password };
        session.reauthenticate(&accounts, credentials).await.map_err(Error::into_response)
    };
    match Origin::current().spawn(renewing).await {
        Ok(renewed) => renewed,
        Err(cause) => {
            tracing::error!(event = "login_failed", error = %Causes(&cause), "a login did not end");
            Err(error::refused(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}
