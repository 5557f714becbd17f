//! Refusals of administration, as problem documents (RFC 9457).
//!
//! Must never repeat what a client sent, nor show a cause.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use exeunt::http::problem;
use exeunt::store::Causes;
use serde_json::{Map, Value, json};

use crate::accounts::{AccountError, RETRY_WHEN_BUSY};

/// What is wrong with a member of the body: its name, and why in words.
pub(super) type Fault = (&'static str, &'static str);

/// 422, with what is wrong with each member (RFC 9457, section 3: `errors`, each with `pointer` and `detail`).
pub(super) fn faulty(faults: &[Fault]) -> Response {
    let errors: Vec<Value> = faults
        .iter()
        .map(|(member, detail)| {
            let pointer = if member.is_empty() { "#".to_owned() } else { format!("#/{member}") };
            json!({ "pointer": pointer, "detail": detail })
        })
        .collect();
    let title = "Something is missing or cannot be";
    detailed(StatusCode::UNPROCESSABLE_ENTITY, title, [("errors", Value::Array(errors))])
}

/// 400: the query of the URL.
pub(super) fn bad_query(detail: &'static str) -> Response {
    let title = "The query cannot be understood";
    detailed(StatusCode::BAD_REQUEST, title, [("detail", detail.into())])
}

/// 403: who they are has to be proved again first.
pub(super) fn log_in_again() -> Response {
    let kind = ("type", "urn:exeunt:reauthenticate".into());
    detailed(StatusCode::FORBIDDEN, "Log in again to do this", [kind])
}

/// What came of a change that could not be made, or not be made whole.
pub(super) fn failed(error: AccountError) -> Response {
    match error {
        AccountError::NoSuchAccount => problem(StatusCode::NOT_FOUND, "No such account"),
        AccountError::NameTaken => {
            detailed(StatusCode::CONFLICT, "There is an account of that name already", [])
        }
        AccountError::LastAdministrator => detailed(
            StatusCode::CONFLICT,
            "Nobody would be left to administer",
            [
                ("type", "urn:exeunt:last-administrator".into()),
                ("detail", "This is the last administrator who may log in. Make another one first.".into()),
            ],
        ),
        AccountError::BadName { reason } => faulty(&[("name", reason)]),
        AccountError::BadPassword { reason } => faulty(&[("password", reason)]),
        error => unavailable(&error),
    }
}

/// 503: told in the log, with when to come back.
fn unavailable(error: &AccountError) -> Response {
    tracing::error!(event = "request_failed", error = %Causes(error), "a request could not be answered");
    let (detail, wait) = match error {
        // What is done is done, and whoever asked has to know.
        AccountError::SessionsLeft { .. } => (
            "The account is changed. Its sessions could not be ended yet: they end as soon as their store answers.",
            1,
        ),
        AccountError::Busy => {
            ("Nothing was done: too many passwords are being checked.", RETRY_WHEN_BUSY.as_secs())
        }
        _ => ("It is not known whether anything was done.", 1),
    };
    let title = "Try again later";
    let mut response = detailed(StatusCode::SERVICE_UNAVAILABLE, title, [("detail", detail.into())]);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// It panicked, or the server is stopping.
pub(super) fn unknown(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(event = "request_failed", error = %Causes(error), "a request could not be answered");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn detailed<const N: usize>(status: StatusCode, title: &str, more: [(&str, Value); N]) -> Response {
    let (parts, _) = problem(status, title).into_parts();
    let mut body =
        Map::from_iter([("title".to_owned(), title.into()), ("status".to_owned(), status.as_u16().into())]);
    body.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Response::from_parts(parts, Body::from(Value::Object(body).to_string()))
}
