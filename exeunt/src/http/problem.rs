//! Errors as the outside sees them: problem+json (RFC 9457) with a fixed text.
//!
//! Must never tell a cause: that is for the log.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::auth::{Error, ErrorKind};
use crate::store::Causes;

/// An error answer: `application/problem+json` (RFC 9457) with `title` and `status`, never kept by caches (R22, R40).
///
/// A 401 gets the `WWW-Authenticate` that RFC 9110, section 15.5.2, asks for. `title` is for people who write clients;
/// never put what a client sent into it.
///
/// ```
/// let answer = exeunt::http::problem(axum::http::StatusCode::NOT_FOUND, "No such article");
/// assert_eq!(answer.headers()["content-type"], "application/problem+json");
/// ```
#[must_use]
pub fn problem(status: StatusCode, title: &str) -> Response {
    problem_with(status, title, &[])
}

/// As [`problem`], with further members such as `type` and `detail` (RFC 9457, section 3).
///
/// ```
/// use axum::http::StatusCode;
/// use exeunt::http::problem_with;
///
/// let answer = problem_with(StatusCode::CONFLICT, "Sold out", &[("type", "https://shop.example/sold-out")]);
/// assert_eq!(answer.status(), StatusCode::CONFLICT);
/// ```
#[must_use]
pub fn problem_with(status: StatusCode, title: &str, further: &[(&str, &str)]) -> Response {
    let mut members = serde_json::Map::new();
    members.extend(further.iter().map(|&(name, value)| (name.to_owned(), value.into())));
    members.extend([("title".to_owned(), title.into()), ("status".to_owned(), status.as_u16().into())]);
    let mut response = Response::new(Body::from(serde_json::Value::Object(members).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Session realm=\"exeunt\""));
    }
    response
}

/// The `type` of the problem that [`reauthenticate_first`] answers with.
pub const REAUTHENTICATE: &str = "urn:exeunt:reauthenticate";

/// The 403 to somebody who is logged in, but has not proved lately who they are (R41, R52).
///
/// Its `type` is [`REAUTHENTICATE`], so that a program knows to ask for the password, send it to
/// `POST /reauthenticate`, and try again.
///
/// ```
/// use axum::response::{IntoResponse as _, Response};
/// use exeunt::{RECENT, Session, http::reauthenticate_first};
///
/// async fn delete_everything(session: Session) -> Response {
///     if !session.is_recent(RECENT) {
///         return reauthenticate_first();
///     }
///     "gone".into_response()
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::delete(delete_everything));
/// ```
#[must_use]
pub fn reauthenticate_first() -> Response {
    problem_with(StatusCode::FORBIDDEN, "Log in again to do this", &[("type", REAUTHENTICATE)])
}

/// The 401 of everything that needs a session.
pub(super) fn not_logged_in() -> Response {
    problem(StatusCode::UNAUTHORIZED, "Not logged in")
}

/// The 500 where `SessionLayer` is missing; the log line says what to add.
pub(super) fn no_layer() -> Response {
    tracing::error!(
        event = "session_layer_missing",
        "this route asks for a session, but no SessionLayer is around it: add `.layer(SessionLayer::new(sessions))` \
         to the router, after (outside of) the routes and of RequireSession"
    );
    problem(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn later(status: StatusCode, title: &str, retry_after: Duration) -> Response {
    let mut response = problem(status, title);
    // Rounded up: to come back too early is to be sent away once more.
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// 503 or 429 with `Retry-After`, 401, 409, 413 or 500 by [`Error::kind`], as problem+json; the cause goes to the log (R11, R40).
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self.kind() {
            ErrorKind::Ended => return not_logged_in(),
            ErrorKind::Conflict => return problem(StatusCode::CONFLICT, "Changed by others meanwhile"),
            ErrorKind::TooLarge => return problem(StatusCode::PAYLOAD_TOO_LARGE, "Too large to keep"),
            ErrorKind::Throttled => {
                // What led to it is an event of its own, once; who goes on trying writes nothing.
                let wait = self.retry_after().unwrap_or_default();
                return later(StatusCode::TOO_MANY_REQUESTS, "Too many tries", wait);
            }
            ErrorKind::Store | ErrorKind::Users | ErrorKind::Data => {}
        }
        tracing::error!(
            event = "request_failed",
            error = %Causes(&self),
            "a request could not be answered"
        );
        match self.retry_after() {
            Some(retry_after) => later(StatusCode::SERVICE_UNAVAILABLE, "Try again later", retry_after),
            None => problem(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UsersError;
    use crate::store::StoreError;

    #[test]
    fn waiting_times_are_whole_seconds_rounded_up() {
        for (wait, header) in [(0, "1"), (999, "1"), (1_000, "1"), (1_001, "2"), (30_000, "30")] {
            let error = UsersError::new("busy").retry_in(Duration::from_millis(wait));
            assert_eq!(Error::from(error).into_response().headers()[RETRY_AFTER], header, "{wait} ms");
        }
    }

    #[test]
    fn too_many_tries_are_429_and_say_when_to_come_back() {
        // R35
        let error = Error::from(UsersError::throttled(Duration::from_millis(1_500)));
        assert_eq!(error.kind(), ErrorKind::Throttled);
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn a_store_that_does_not_answer_is_never_not_logged_in() {
        // R11
        let response = Error::from(StoreError::new("memory", "secret reason")).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }
}
