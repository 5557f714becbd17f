//! A forgotten password: asking for a link, and setting a new one by it.
//!
//! Must never answer otherwise for a name that is known than for one that is not, let the link's secret into a `Referer`,
//! log anybody in, nor use a link up by showing its page: programs that look for harm in mail open links (R42, R57).

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::check::EVIL;
use super::reasons::of_password;
use super::{Reader, Wrong, wrong};
use crate::accounts::{AccountError, RETRY_WHEN_BUSY, ResetAsked};
use crate::error;
use crate::html::{Action, Message, Page, Text, Tone};
use crate::site::AppState;

/// Whose password it is that was forgotten. There is nothing that could be wrong with it: that would tell something.
#[derive(Debug, Serialize)]
pub(super) struct Ask {
    errors: Wrong,
    focus: &'static str,
    username: &'static str,
}

impl Ask {
    pub(super) fn new() -> Self {
        Self { errors: Wrong::new(), focus: "username", username: "" }
    }
}

/// `GET /reset/ask`
pub(crate) async fn ask_reset_page(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
) -> Response {
    if !state.accounts.can_reset() {
        return error::refused(StatusCode::NOT_FOUND);
    }
    page.show(StatusCode::OK, "reset-ask.html", reader.around(), &Ask::new())
}

#[derive(Deserialize)]
pub(crate) struct AskForm {
    /// Or an e-mail address. Shown and logged nowhere: people type passwords where the name belongs.
    username: String,
}

/// `POST /reset/ask`
pub(crate) async fn ask_reset(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
    form: Result<Form<AskForm>, FormRejection>,
) -> Response {
    let AskForm { username } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    match state.accounts.ask_reset(&username, state.layer.sessions().now()) {
        ResetAsked::Accepted => page.message(StatusCode::OK, reader.around(), &ASKED),
        ResetAsked::Off => error::refused(StatusCode::NOT_FOUND),
        ResetAsked::TooMany { retry_after } => {
            error::later(error::refused(StatusCode::TOO_MANY_REQUESTS), retry_after)
        }
        ResetAsked::Busy => {
            let busy = page.message(StatusCode::SERVICE_UNAVAILABLE, reader.around(), &BUSY);
            error::later(busy, RETRY_WHEN_BUSY)
        }
    }
}

/// No Debug: it has the secret.
#[derive(Serialize)]
pub(super) struct Reset<'a> {
    secret: &'a str,
    /// For people and password managers: what is set belongs to it.
    username: &'a str,
    errors: Wrong,
    focus: &'static str,
}

impl Reset<'_> {
    pub(super) fn samples() -> [Self; 2] {
        let wrong = Wrong::from([
            ("password", Text("password-common").into()),
            ("again", Text("passwords-differ").into()),
        ]);
        [(Wrong::new(), "password"), (wrong, "again")].map(|(errors, focus)| Self {
            secret: EVIL,
            username: EVIL,
            errors,
            focus,
        })
    }
}

/// No Debug: it has the secret.
#[derive(Deserialize)]
pub(crate) struct ResetQuery {
    secret: String,
}

/// `GET /reset?secret=…`
pub(crate) async fn reset_page(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
    query: Result<Query<ResetQuery>, QueryRejection>,
) -> Response {
    let secret = query.map(|Query(query)| query.secret).unwrap_or_default();
    let found = state.accounts.reset_link(&secret, state.layer.sessions().now()).await;
    let response = match found {
        Ok(Some(account)) => reset_form(&page, &reader, &secret, &account.name, Wrong::new()),
        Ok(None) => link_is_dead(&state, &page, &reader),
        Err(cause) => error::of_account(cause),
    };
    keep_to_oneself(response)
}

/// No Debug: it has the secret and passwords.
#[derive(Deserialize)]
pub(crate) struct ResetForm {
    secret: String,
    password: String,
    again: String,
}

/// `POST /reset`
pub(crate) async fn reset(
    State(state): State<AppState>,
    page: Page,
    Extension(reader): Extension<Reader>,
    form: Result<Form<ResetForm>, FormRejection>,
) -> Response {
    let ResetForm { secret, password, again } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    let now = state.layer.sessions().now();
    let account = match state.accounts.reset_link(&secret, now).await {
        Ok(Some(account)) => account,
        Ok(None) => return link_is_dead(&state, &page, &reader),
        // Nothing was asked for yet but whose link it is.
        Err(cause) => return error::of_account(cause),
    };
    let wrong = |field, problem| {
        keep_to_oneself(reset_form(&page, &reader, &secret, &account.name, Wrong::from([(field, problem)])))
    };
    if password != again {
        return wrong("again", Text("passwords-differ").into());
    }
    let message = match state.accounts.redeem_reset(&secret, &password, now).await {
        // Of the account whose password it was no session is left, this one neither.
        Ok(_) => return page.message(StatusCode::OK, reader.without(&account.user()).around(), &DONE),
        Err(AccountError::BadPassword { reason }) => return wrong("password", of_password(&reason)),
        Err(AccountError::ResetInvalid) => return link_is_dead(&state, &page, &reader),
        Err(cause @ AccountError::SessionsLeft { .. }) => (cause, &LEFT),
        Err(cause @ AccountError::Database(_)) => (cause, &UNKNOWN),
        Err(cause @ AccountError::Busy) => (cause, &BUSY),
        Err(cause) => return error::of_account(cause),
    };
    // The one makes a note in the log, and says when to come back; the other says what is so.
    let (cause, message) = message;
    let page = page.message(StatusCode::SERVICE_UNAVAILABLE, reader.around(), message);
    error::dressed_as(error::of_account(cause), page)
}

fn reset_form(page: &Page, reader: &Reader, secret: &str, username: &str, errors: Wrong) -> Response {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let focus = wrong::first(&errors, &["password", "again"], "password");
    page.show(status, "reset.html", reader.around(), &Reset { secret, username, errors, focus })
}

/// Its address holds the secret, or its form does. Not `no-referrer`, under which browsers send a form with `Origin: null`,
/// which R31 refuses where they do not say `Sec-Fetch-Site`; of an address no more than the origin goes out so.
fn keep_to_oneself(mut response: Response) -> Response {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// With a way to ask for another one, where that can be done.
fn link_is_dead(state: &AppState, page: &Page, reader: &Reader) -> Response {
    let dead = if state.accounts.can_reset() { &DEAD } else { &DEAD_AND_OFF };
    page.message(StatusCode::NOT_FOUND, reader.around(), dead)
}

pub(super) const ASKED: Message = Message {
    title: Text("reset-asked-title"),
    text: Text("reset-asked"),
    tone: Tone::Plain,
    action: Action::LogIn,
};

pub(super) const BUSY: Message =
    Message { title: Text("error-503"), text: Text("reset-busy"), tone: Tone::Plain, action: Action::None };

pub(super) const DEAD: Message = Message {
    title: Text("reset-dead-title"),
    text: Text("reset-dead"),
    tone: Tone::Plain,
    action: Action::AskReset,
};

pub(super) const DEAD_AND_OFF: Message = Message { action: Action::LogIn, ..DEAD };

pub(super) const DONE: Message = Message {
    title: Text("reset-done-title"),
    text: Text("reset-done"),
    tone: Tone::Good,
    action: Action::LogIn,
};

pub(super) const LEFT: Message = Message {
    title: Text("reset-done-title"),
    text: Text("reset-sessions-left"),
    tone: Tone::Bad,
    action: Action::LogIn,
};

pub(super) const UNKNOWN: Message =
    Message { title: Text("error-503"), text: Text("reset-unknown"), tone: Tone::Bad, action: Action::LogIn };
