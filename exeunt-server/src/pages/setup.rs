//! The first set-up: a one-time link makes the first administrator.
//!
//! Must never let the link's secret into a `Referer`, nor work twice.

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use exeunt::Visitor;
use exeunt::store::Causes;
use serde::Deserialize;

use super::{begin_session, logged_in};
use crate::accounts::{AccountError, Credentials, RETRY_WHEN_BUSY};
use crate::error;
use crate::html::{Action, Message, page};
use crate::site::AppState;

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup<'a> {
    problem: &'a str,
    secret: &'a str,
    username: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct SetupQuery {
    secret: String,
}

/// `GET /setup?secret=…`
pub(crate) async fn setup_page(
    State(state): State<AppState>,
    query: Result<Query<SetupQuery>, QueryRejection>,
) -> Response {
    let secret = query.map(|Query(query)| query.secret).unwrap_or_default();
    match state.accounts.setup_is_valid(&secret, state.layer.sessions().now()).await {
        Ok(true) => setup_form(StatusCode::OK, "", &secret, ""),
        Ok(false) => link_is_dead(),
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
    visitor: Visitor,
    form: Result<Form<SetupForm>, FormRejection>,
) -> Response {
    let SetupForm { secret, username, password, again } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    if password != again {
        let problem = "The two passwords are not the same.";
        return setup_form(StatusCode::UNPROCESSABLE_ENTITY, problem, &secret, &username);
    }
    let now = state.layer.sessions().now();
    match state.accounts.redeem_setup(&secret, &username, &password, now).await {
        Ok(_) => {}
        // Says which of the two it is: the reason alone fits both.
        Err(cause @ (AccountError::BadName { .. } | AccountError::BadPassword { .. })) => {
            return setup_form(StatusCode::UNPROCESSABLE_ENTITY, &cause.to_string(), &secret, &username);
        }
        Err(AccountError::SetupInvalid | AccountError::NotEmpty) => return link_is_dead(),
        Err(cause) => return account_failure(&cause),
    }
    // The account exists now, whatever comes of this login.
    match begin_session(visitor, state.accounts, Credentials { username, password }).await {
        Ok(true) => logged_in("/"),
        Ok(false) | Err(_) => Redirect::to("/login").into_response(),
    }
}

fn setup_form(status: StatusCode, problem: &str, secret: &str, username: &str) -> Response {
    let mut response = page(status, &Setup { problem, secret, username });
    // Its address holds the secret. Not `no-referrer`, under which browsers send a form with `Origin: null`.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

fn link_is_dead() -> Response {
    let title = "This link does not work";
    let text = "A set-up link works once, for 15 minutes, while there is no account. \
                On the server, “exeunt account setup-link” makes a new one.";
    page(StatusCode::NOT_FOUND, &Message { title, text, who: None, action: Action::None })
}

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
