//! The first set-up: a one-time link makes the first administrator.
//!
//! Must never let the link's secret into a `Referer`, nor work twice.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use exeunt::Visitor;
use exeunt::store::Causes;
use serde::{Deserialize, Serialize};

use super::check::EVIL;
use super::reasons::{of_name, of_password};
use super::{Reader, Wrong, begin_session, logged_in, wrong};
use crate::accounts::{AccountError, Credentials, RETRY_WHEN_BUSY};
use crate::error;
use crate::html::{Action, Message, Page, Text, Tone};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(super) struct Setup<'a> {
    secret: &'a str,
    username: &'a str,
    errors: Wrong,
    focus: &'static str,
}

impl Setup<'_> {
    pub(super) fn samples() -> [Self; 2] {
        let wrong = Wrong::from([
            ("username", Text("name-empty").into()),
            ("again", Text("passwords-differ").into()),
        ]);
        [(Wrong::new(), "password"), (wrong, "username")].map(|(errors, focus)| Self {
            secret: EVIL,
            username: EVIL,
            errors,
            focus,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct SetupQuery {
    secret: String,
}

/// `GET /setup?secret=…`
pub(crate) async fn setup_page(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
    query: Result<Query<SetupQuery>, QueryRejection>,
) -> Response {
    let secret = query.map(|Query(query)| query.secret).unwrap_or_default();
    match state.accounts.setup_is_valid(&secret, state.layer.sessions().now()).await {
        Ok(true) => setup_form(&page, StatusCode::OK, &reader, &secret, "", Wrong::new()),
        Ok(false) => link_is_dead(&page, &reader),
        Err(cause) => account_failure(&cause),
    }
}

#[derive(Deserialize)]
pub(crate) struct SetupForm {
    secret: String,
    username: String,
    password: String,
    again: String,
}

/// `POST /setup`
pub(crate) async fn setup(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
    visitor: Visitor,
    form: Result<Form<SetupForm>, FormRejection>,
) -> Response {
    let SetupForm { secret, username, password, again } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    let answer = |status, field, problem| {
        setup_form(&page, status, &reader, &secret, &username, Wrong::from([(field, problem)]))
    };
    let wrong = |field, problem| answer(StatusCode::UNPROCESSABLE_ENTITY, field, problem);
    if password != again {
        return wrong("again", Text("passwords-differ").into());
    }
    let now = state.layer.sessions().now();
    match state.accounts.redeem_setup(&secret, &username, &password, now).await {
        Ok(_) => {}
        Err(AccountError::BadName { reason }) => return wrong("username", of_name(&reason)),
        Err(AccountError::BadPassword { reason }) => return wrong("password", of_password(&reason)),
        Err(AccountError::SetupInvalid | AccountError::NotEmpty) => return link_is_dead(&page, &reader),
        Err(AccountError::Busy) => {
            let busy = answer(StatusCode::SERVICE_UNAVAILABLE, "password", Text("password-busy").into());
            return error::later(busy, RETRY_WHEN_BUSY);
        }
        Err(cause) => return account_failure(&cause),
    }
    // The account exists now, whatever comes of this login.
    match begin_session(visitor, state.accounts, Credentials { username, password }).await {
        Ok(true) => logged_in("/"),
        Ok(false) | Err(_) => Redirect::to("/login").into_response(),
    }
}

fn setup_form(
    page: &Page,
    status: StatusCode,
    reader: &Reader,
    secret: &str,
    username: &str,
    errors: Wrong,
) -> Response {
    let focus = wrong::first(&errors, &["username", "password", "again"], "username");
    let shown = Setup { secret, username, errors, focus };
    let mut response = page.show(status, "setup.html", reader.around(), &shown);
    // Its address holds the secret. Not `no-referrer`, under which browsers send a form with `Origin: null`.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

fn link_is_dead(page: &Page, reader: &Reader) -> Response {
    page.message(StatusCode::NOT_FOUND, reader.around(), &DEAD)
}

pub(super) const DEAD: Message = Message {
    title: Text("setup-dead-title"),
    text: Text("setup-dead"),
    tone: Tone::Plain,
    action: Action::None,
};

fn account_failure(cause: &AccountError) -> Response {
    tracing::error!(
        event = "accounts_failed",
        error = %Causes(cause),
        "accounts did not answer"
    );
    let mut response = error::refused(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_WHEN_BUSY.as_secs()));
    response
}
