//! A person's own password.
//!
//! Must never say that it is changed before it is, nor that it is not once it is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use exeunt::Session;
use serde::{Deserialize, Serialize};

use super::form::{self, Sent};
use super::reasons::of_password;
use super::{Wrong, is_admin, wrong};
use crate::accounts::{AccountError, RETRY_WHEN_BUSY};
use crate::error;
use crate::html::{Action, Around, Message, Page, Text, Tone};
use crate::site::AppState;

#[derive(Debug, Serialize)]
pub(super) struct Password {
    errors: Wrong,
    focus: &'static str,
}

impl Password {
    pub(super) fn samples() -> [Self; 2] {
        let wrong = Wrong::from([
            ("current", Text("password-wrong").into()),
            ("again", Text("passwords-differ").into()),
        ]);
        [(Wrong::new(), "current"), (wrong, "again")].map(|(errors, focus)| Self { errors, focus })
    }
}

/// `GET /password`
pub(crate) async fn password_page(State(state): State<AppState>, page: Page, session: Session) -> Response {
    let admin = is_admin(&state, &session).await;
    show(&page, StatusCode::OK, session.name(), admin, &form::token(&session), Wrong::new())
}

fn show(page: &Page, status: StatusCode, name: &str, admin: bool, form: &str, errors: Wrong) -> Response {
    let focus = wrong::first(&errors, &["current", "password", "again"], "current");
    let around = Around { who: Some(name), admin, form: Some(form), here: "/password" };
    page.show(status, "password.html", around, &Password { errors, focus })
}

/// No Debug: it has passwords.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    current: String,
    password: String,
    again: String,
}

/// `POST /password`
pub(crate) async fn password(
    State(state): State<AppState>,
    page: Page,
    Sent { session, form: given }: Sent<PasswordForm>,
) -> Response {
    let (name, form) = (session.name().to_owned(), form::token(&session));
    let admin = is_admin(&state, &session).await;
    let answer = |status, errors| show(&page, status, &name, admin, &form, errors);
    let wrong = |field, problem| answer(StatusCode::UNPROCESSABLE_ENTITY, Wrong::from([(field, problem)]));
    if given.password != given.again {
        return wrong("again", Text("passwords-differ").into());
    }
    let around = Around { who: Some(&name), admin, here: "/password", ..Around::default() };
    match state.accounts.change_password(session, given.current, given.password).await {
        Ok(_) => page.message(StatusCode::OK, around, &CHANGED),
        Err(AccountError::WrongPassword) => wrong("current", Text("password-wrong").into()),
        Err(AccountError::BadPassword { reason }) => wrong("password", of_password(&reason)),
        Err(cause @ AccountError::SessionsLeft { .. }) => {
            // It makes a note in the log, and says when to come back; the page says what is so.
            let problem = error::of_account(cause);
            error::dressed_as(
                problem,
                page.message(StatusCode::SERVICE_UNAVAILABLE, Around::default(), &LEFT),
            )
        }
        Err(AccountError::Busy) => {
            let busy = Wrong::from([("password", Text("password-busy").into())]);
            let page = answer(StatusCode::SERVICE_UNAVAILABLE, busy);
            error::later(page, RETRY_WHEN_BUSY)
        }
        Err(cause) => match error::of_account(cause) {
            problem if problem.status() == StatusCode::TOO_MANY_REQUESTS => {
                let tries = Wrong::from([("current", Text("too-many-tries").into())]);
                error::dressed_as(problem, answer(StatusCode::TOO_MANY_REQUESTS, tries))
            }
            problem => problem,
        },
    }
}

pub(super) const CHANGED: Message = Message {
    title: Text("password-changed-title"),
    text: Text("password-changed"),
    tone: Tone::Good,
    action: Action::Sessions,
};

pub(super) const LEFT: Message = Message {
    title: Text("password-changed-title"),
    text: Text("password-sessions-left"),
    tone: Tone::Bad,
    action: Action::LogIn,
};
