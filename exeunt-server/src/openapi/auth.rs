//! The routes that the library brings, as the server mounts them. A test holds them to what they answer.

#![expect(dead_code, reason = "the routes themselves are the library's; these are their descriptions")]

use super::schema::{Credentials, LoggedIn, Login, Session};
use crate::api::password::Ended;

/// Log in
///
/// A session that the request came with ends. The answer to every kind of wrong credentials is the same.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "session", request_body = Login,
    responses(
        (status = 200, description = "Logged in", body = LoggedIn,
            headers(("Set-Cookie" = String, description = "The session"))),
        (status = 401, description = "Wrong credentials"),
        (status = 429, description = "Too many tries at this account, or from this address: `Retry-After`"),
    )
)]
fn login() {}

/// Log in again, within the session
///
/// Gives the session a new token; the one before is dead at once. Allows for 5 minutes what asks for a recent login.
#[utoipa::path(
    post, path = "/api/auth/reauthenticate", tag = "session", request_body = Credentials, security(("session" = [])),
    responses(
        (status = 200, description = "The session has a new token", body = LoggedIn,
            headers(("Set-Cookie" = String, description = "The session's new token"))),
        (status = 403, description = "Wrong credentials, or those of somebody else: the session is as it was. Or sent from another site"),
        (status = 429, description = "Too many tries at this account, or from this address: `Retry-After`"),
    )
)]
fn reauthenticate() {}

/// Log out
///
/// Asks for nothing but the cookie; without a live session there is nothing to do, which is no error. If the session could
/// not be ended the cookie stays: try again.
#[utoipa::path(
    delete, path = "/api/auth/logout", tag = "session",
    responses(
        (status = 200, description = "`Logout successful`: the session has ended, for good. Empty: there was none", body = String, content_type = "text/plain"),
        (status = 303, description = "The same, for a client that names `text/html` in `Accept`"),
        (status = 400, description = "`Unable to log out`: the session may live. The operator may have chosen another status", body = String, content_type = "text/plain"),
    )
)]
fn logout() {}

/// Log out, by a form
///
/// The same as `DELETE`, for forms, which know no other method.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "session",
    responses(
        (status = 200, description = "`Logout successful`: the session has ended, for good. Empty: there was none", body = String, content_type = "text/plain"),
        (status = 303, description = "The same, for a client that names `text/html` in `Accept`"),
        (status = 400, description = "`Unable to log out`: the session may live. The operator may have chosen another status", body = String, content_type = "text/plain"),
    )
)]
fn logout_by_form() {}

/// List one's sessions
///
/// Last seen first.
#[utoipa::path(
    get, path = "/api/auth/sessions", tag = "sessions", security(("session" = [])),
    responses((status = 200, description = "All live sessions of the account", body = [Session]))
)]
fn sessions() {}

/// End all one's sessions, or all others
///
/// Asks for a login, or a login again, at most 5 minutes ago.
#[utoipa::path(
    delete, path = "/api/auth/sessions", tag = "sessions", security(("session" = [])),
    params(("others" = Option<String>, Query, description = "Spares the session that asks. Has no value", allow_reserved)),
    responses(
        (status = 200, description = "They have ended", body = Ended),
        (status = 400, description = "Another query than `others`: nothing was done"),
        (status = 403, description = "Log in again first (`urn:exeunt:reauthenticate`), or sent from another site"),
    )
)]
fn end_sessions() {}

/// End one of one's sessions
///
/// Its own session anybody may end at any time; others ask for a login, or a login again, at most 5 minutes ago.
#[utoipa::path(
    delete, path = "/api/auth/sessions/{id}", tag = "sessions", security(("session" = [])),
    params(("id" = String, Path, description = "The session's public name")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 403, description = "Log in again first (`urn:exeunt:reauthenticate`), or sent from another site"),
        (status = 404, description = "The account has no such live session"),
    )
)]
fn end_session() {}
