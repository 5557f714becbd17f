//! What goes wrong, in the form that the one who asked can read.
//!
//! Must never show a cause: what a person can do about it is here, the rest is in the log (R40).

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use exeunt::http::{names_html, problem, problem_with};
use exeunt::store::Causes;

use crate::accounts::{AccountError, RETRY_WHEN_BUSY};
use crate::html::{Action, Around, Message, Page, Text, Tone, Who};
use crate::site::Site;

const PROBLEM: &str = "application/problem+json";

/// There is a session, but nothing under this path.
pub(crate) async fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// Gives every bare refusal, of whatever layer or route, a problem document (RFC 9457).
pub(crate) async fn explain(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let empty = response.body().size_hint().exact() == Some(0);
    let bare = empty && !response.headers().contains_key(header::CONTENT_TYPE);
    match bare && (status.is_client_error() || status.is_server_error()) {
        true => dressed_as(response, refused(status)),
        false => response,
    }
}

/// Gives people a page where programs get a problem document.
///
/// Somebody browses if they name `text/html` and did not ask the API; `*/*` does not count.
pub(crate) async fn for_people(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let browses = names_html(request.headers()) && path != "/api" && !path.starts_with("/api/");
    let page = browses.then(|| Page::of(&site.pages, request.headers()));
    let response = next.run(request).await;
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == PROBLEM);
    let Some(page) = page.filter(|_| is_problem) else { return response };
    let status = response.status();
    let who = response.extensions().get::<Who>().map(|Who(name)| name.as_str());
    let page = page.message(status, Around { who, ..Around::default() }, &message(status));
    dressed_as(response, page)
}

/// A handler panicked: the client hears that it was not their fault, and the server lives on.
pub(crate) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<&str>().copied();
    let text = text.or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(event = "panic", message = text, "a handler panicked");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    problem(status, title(status))
}

/// A body that could not be taken in.
pub(crate) fn body_refused(error: &axum::Error) -> Response {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return refused(StatusCode::PAYLOAD_TOO_LARGE);
        }
        cause = error.source();
    }
    refused(StatusCode::BAD_REQUEST)
}

/// A body that took too long.
pub(crate) fn body_too_slow() -> Response {
    let mut response = refused(StatusCode::REQUEST_TIMEOUT);
    // What is left of the body would be read as the next request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A refusal with the one text of its status.
pub(crate) fn refused(status: StatusCode) -> Response {
    problem(status, title(status))
}

/// What could not be done to an account, to its owner.
pub(crate) fn of_account(error: AccountError) -> Response {
    let explained =
        |status: StatusCode, title: &str, detail: &str| problem_with(status, title, &[("detail", detail)]);
    let detail = error.to_string();
    match error {
        AccountError::Session(error) => error.into_response(),
        AccountError::WrongPassword => problem(StatusCode::FORBIDDEN, "Wrong password"),
        AccountError::BadPassword { reason } => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            problem_with(status, title(status), &[("detail", &detail), ("reason", reason.code())])
        }
        AccountError::BadName { .. } | AccountError::BadEmail { .. } => {
            explained(StatusCode::UNPROCESSABLE_ENTITY, title(StatusCode::UNPROCESSABLE_ENTITY), &detail)
        }
        AccountError::Outdated
        | AccountError::NameTaken
        | AccountError::NotEmpty
        | AccountError::LastAdministrator => {
            explained(StatusCode::CONFLICT, title(StatusCode::CONFLICT), &detail)
        }
        AccountError::NoSuchAccount => refused(StatusCode::NOT_FOUND),
        AccountError::ResetInvalid => {
            explained(StatusCode::NOT_FOUND, "This link does not work (any more)", "Ask for a new one.")
        }
        AccountError::SetupInvalid => explained(StatusCode::FORBIDDEN, title(StatusCode::FORBIDDEN), &detail),
        AccountError::Busy => {
            let busy =
                explained(StatusCode::SERVICE_UNAVAILABLE, title(StatusCode::SERVICE_UNAVAILABLE), &detail);
            later(busy, RETRY_WHEN_BUSY)
        }
        AccountError::SessionsLeft { source, .. } => {
            tracing::error!(event = "request_failed", error = %Causes(&source), "a change is done but for its sessions");
            let title = "Done, but its sessions could not be ended yet";
            later(explained(StatusCode::SERVICE_UNAVAILABLE, title, &detail), RETRY_SOON)
        }
        error @ AccountError::Database(_) => {
            tracing::error!(event = "request_failed", error = %Causes(&error), "a request could not be answered");
            let unknown = "Whether the change happened is not known: look before you try again.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            later(explained(status, title(status), unknown), RETRY_SOON)
        }
        error @ (AccountError::Hash(_) | AccountError::Breached(_)) => {
            tracing::error!(event = "request_failed", error = %Causes(&error), "a request could not be answered");
            refused(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

const RETRY_SOON: Duration = Duration::from_secs(1);

pub(crate) fn later(mut response: Response, after: Duration) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    response
}

/// `new` in place of `old`, with what else was said, such as `Allow`, `Retry-After` and cookies.
pub(crate) fn dressed_as(old: Response, mut new: Response) -> Response {
    let (old, _) = old.into_parts();
    let stays = |name: &HeaderName| name == header::CONTENT_TYPE || name == header::CONTENT_LENGTH;
    for name in old.headers.keys().filter(|name| !stays(name)) {
        new.headers_mut().remove(name);
        for value in old.headers.get_all(name) {
            new.headers_mut().append(name, value.clone());
        }
    }
    *new.extensions_mut() = old.extensions;
    new
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request cannot be understood",
        StatusCode::UNAUTHORIZED => "Not logged in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::METHOD_NOT_ALLOWED => "Method not allowed",
        StatusCode::REQUEST_TIMEOUT => "The request took too long",
        StatusCode::CONFLICT => "Somebody else was faster",
        StatusCode::PAYLOAD_TOO_LARGE => "Too large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "Unsupported media type",
        StatusCode::UNPROCESSABLE_ENTITY => "Something is missing or malformed",
        StatusCode::TOO_MANY_REQUESTS => "Too many tries",
        StatusCode::SERVICE_UNAVAILABLE => "Not available just now",
        _ => "Something went wrong",
    }
}

/// What a page says of it.
pub(crate) fn message(status: StatusCode) -> Message {
    let (title, text) = match status {
        StatusCode::BAD_REQUEST => (Text("error-400"), Text("error-not-done")),
        StatusCode::UNAUTHORIZED => (Text("error-401"), Text("error-401-text")),
        StatusCode::FORBIDDEN => (Text("error-403"), Text("error-403-text")),
        StatusCode::NOT_FOUND => (Text("error-404"), Text("error-404-text")),
        StatusCode::METHOD_NOT_ALLOWED => (Text("error-405"), Text("error-not-done")),
        StatusCode::REQUEST_TIMEOUT => (Text("error-408"), Text("error-not-done")),
        StatusCode::CONFLICT => (Text("error-409"), Text("error-not-done")),
        StatusCode::PAYLOAD_TOO_LARGE => (Text("error-413"), Text("error-not-done")),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (Text("error-415"), Text("error-not-done")),
        StatusCode::UNPROCESSABLE_ENTITY => (Text("error-422"), Text("error-not-done")),
        StatusCode::TOO_MANY_REQUESTS => (Text("error-429"), Text("error-429-text")),
        StatusCode::SERVICE_UNAVAILABLE => (Text("error-503"), Text("error-503-text")),
        status if status.is_server_error() => (Text("error-title"), Text("error-text")),
        _ => (Text("error-title"), Text("error-not-done")),
    };
    let action = match status {
        StatusCode::UNAUTHORIZED => Action::LogIn,
        _ => Action::Home,
    };
    Message { title, text, tone: Tone::Plain, action }
}
