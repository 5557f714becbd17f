//! Refusals of administration, as problem documents (RFC 9457).
//!
//! Must never repeat what a client sent, nor show a cause.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use exeunt::http::{problem, problem_with};
use exeunt::store::Causes;
use serde_json::{Value, json};

use crate::accounts::AccountError;
use crate::error;

/// What is wrong with a member of the body: its name, or none for the whole, and why in words.
pub(super) type Fault<'a> = (&'static str, &'a str);

/// 422, with what is wrong with each member (RFC 9457, section 3: `errors`, each with `pointer` and `detail`).
pub(super) fn faulty(faults: Vec<Fault<'_>>) -> Response {
    let errors: Vec<Value> = faults
        .iter()
        .map(|(member, detail)| {
            let pointer = if member.is_empty() { "#".to_owned() } else { format!("#/{member}") };
            json!({ "pointer": pointer, "detail": detail })
        })
        .collect();
    let (status, title) = (StatusCode::UNPROCESSABLE_ENTITY, "Something is missing or cannot be");
    let (parts, _) = problem(status, title).into_parts();
    let body = json!({ "title": title, "status": status.as_u16(), "errors": errors });
    Response::from_parts(parts, Body::from(body.to_string()))
}

/// How many a list is to have: 100 if that is left out. `None`: so many it never has.
pub(super) fn limit_of(asked: Option<usize>) -> Option<usize> {
    const PAGE: usize = 100;
    const LARGEST_PAGE: usize = 1_000;
    Some(asked.unwrap_or(PAGE)).filter(|limit| (1..=LARGEST_PAGE).contains(limit))
}

/// 400: the query of the URL.
pub(super) fn bad_query(detail: &str) -> Response {
    problem_with(StatusCode::BAD_REQUEST, "The query cannot be understood", &[("detail", detail)])
}

/// What came of a change that could not be made, or not be made whole.
pub(super) fn failed(error: AccountError) -> Response {
    match error {
        AccountError::NoSuchAccount => problem(StatusCode::NOT_FOUND, "No such account"),
        AccountError::NameTaken => problem(StatusCode::CONFLICT, "There is an account of that name already"),
        AccountError::LastAdministrator => problem_with(
            StatusCode::CONFLICT,
            "Nobody would be left to administer",
            &[
                ("type", "urn:exeunt:last-administrator"),
                ("detail", "This is the last administrator who may log in. Make another one first."),
            ],
        ),
        AccountError::BadName { reason } => faulty(vec![("name", reason)]),
        AccountError::BadPassword { reason } => faulty(vec![("password", &reason.to_string())]),
        error => error::of_account(error),
    }
}

/// It panicked, or the server is stopping.
pub(super) fn unknown(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(event = "request_failed", error = %Causes(error), "a request could not be answered");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
