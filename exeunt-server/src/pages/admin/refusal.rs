//! What administrators hear of a change that was not made, or not made whole.
//!
//! Must never say that nothing was done where that is not known.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use exeunt::Session;

use crate::accounts::{AccountError, RETRY_WHEN_BUSY};
use crate::error;
use crate::html::{Action, Around, Message, Page, Text, Tone};
use crate::pages::reasons::{of_email, of_name, of_password};
use crate::pages::wrong::Wrong;

/// What is told beside a field, on the page that the form stands on. Nothing was done.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) errors: Wrong,
    pub(super) retry_after: Option<Duration>,
}

impl Default for Refusal {
    /// None.
    fn default() -> Self {
        Self { status: StatusCode::OK, errors: Wrong::new(), retry_after: None }
    }
}

impl Refusal {
    /// `of_power`: the field that asked for what the last administrator may not lose. Statuses are those of the API, but that
    /// a name that is taken is a mistake in a form like any other. An error that belongs to no field comes back.
    pub(super) fn of(error: AccountError, of_power: &'static str) -> Result<Self, AccountError> {
        let (status, field, problem) = match error {
            AccountError::NameTaken => (UNPROCESSABLE, "username", Text("name-taken").into()),
            AccountError::BadName { reason } => (UNPROCESSABLE, "username", of_name(&reason)),
            AccountError::BadEmail { reason } => (UNPROCESSABLE, "email", of_email(&reason)),
            AccountError::BadPassword { reason } => (UNPROCESSABLE, "password", of_password(&reason)),
            AccountError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "password", Text("password-busy").into()),
            AccountError::LastAdministrator => (StatusCode::CONFLICT, of_power, Text("admin-last").into()),
            error => return Err(error),
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_WHEN_BUSY);
        Ok(Self { status, errors: Wrong::from([(field, problem)]), retry_after })
    }
}

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// What is told on a page of its own.
pub(super) fn told(page: &Page, session: &Session, error: AccountError) -> Response {
    let message = match &error {
        AccountError::SessionsLeft { .. } => &LEFT,
        AccountError::Database(_) => &UNKNOWN,
        _ => return error::of_account(error),
    };
    let around = Around { who: Some(session.name()), admin: true, ..Around::default() };
    // The one makes a note in the log, and says when to come back; the other says what is so.
    let problem = error::of_account(error);
    let page = page.message(problem.status(), around, message);
    error::dressed_as(problem, page)
}

pub(in crate::pages) const LEFT: Message = Message {
    title: Text("admin-left-title"),
    text: Text("admin-left"),
    tone: Tone::Bad,
    action: Action::None,
};

pub(in crate::pages) const UNKNOWN: Message =
    Message { title: Text("error-503"), text: Text("admin-unknown"), tone: Tone::Bad, action: Action::None };
