//! Ready-made routes: log in, log out, see and end one's sessions.
//!
//! Must never log out on a GET (R09), and never tell one kind of wrong credentials from another (R32).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, RawQuery, Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::extract::{Logout, Session, Visitor};
use super::problem::{problem, reauthenticate_first};
use super::visit::{is_navigation, names_html, to_the_end};
use crate::auth::{Error, RECENT, Users};
use crate::session::{Agent, Record, SessionId};

const LONGEST_LOGIN: usize = 16 * 1024;
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Ready-made routes around [`Users`], to nest where the application likes, such as `/api/auth`.
///
/// | route | what it does |
/// | --- | --- |
/// | `POST /login` | JSON credentials, plus `"remember": true`; 200 `{"user":"…"}` and the cookie, or 401 |
/// | `POST /reauthenticate` | the caller's credentials once more: 200 `{"user":"…"}` and a new cookie, the old one is dead; 403 if they are wrong |
/// | `DELETE /logout`, `POST /logout` | the logout contract, see [`Logout`] |
/// | `GET /sessions` | the caller's sessions: `id`, `created_at`, `seen_at`, `expires_at`, `client` (`Firefox on Windows`), `user_agent`, `address` (see [`ClientAddress`](super::ClientAddress)), `remembered`, `current` |
/// | `DELETE /sessions/{id}` | ends one of them: 204, or 404 for what is not the caller's |
/// | `DELETE /sessions?others` | ends all but the current one: 200 `{"ended": n}` |
/// | `DELETE /sessions` | ends all of them: 200 `{"ended": n}` |
///
/// Ending any session but one's current one asks for a login, or a login again, at most [`RECENT`] ago: 403 with
/// [`REAUTHENTICATE`](super::REAUTHENTICATE) otherwise (R52). Ending the current one, and logging out, ask for nothing.
///
/// Other methods get 405 with `Allow`, a login that is not small valid JSON gets 415, 400 or 413. Every error is
/// problem+json. Needs a `SessionLayer` around it.
///
/// ```no_run
/// # use exeunt::{UserId, Users, UsersError, Verified};
/// # struct Accounts;
/// # impl Users for Accounts {
/// #     type Credentials = serde_json::Value;
/// #     async fn verify(&self, _: serde_json::Value) -> Result<Option<Verified>, UsersError> { Ok(None) }
/// #     async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> { Ok(true) }
/// # }
/// use exeunt::{AuthRouter, MemoryStore, SessionLayer, Sessions};
///
/// let app: axum::Router = axum::Router::new()
///     .nest("/api/auth", AuthRouter::new(Accounts).into_router())
///     .layer(SessionLayer::new(Sessions::new(MemoryStore::new())));
/// # let _ = app;
/// ```
#[derive(Debug)]
pub struct AuthRouter<U> {
    users: Arc<U>,
    failure_status: StatusCode,
    after_logout: String,
}

impl<U: Users> AuthRouter<U>
where
    U::Credentials: DeserializeOwned + 'static,
{
    /// Routes for these people.
    pub fn new(users: impl Into<Arc<U>>) -> Self {
        Self { users: users.into(), failure_status: StatusCode::BAD_REQUEST, after_logout: "/".to_owned() }
    }

    /// The status of a logout that the store could not confirm. Default: 400.
    ///
    /// A failure is never told as a success (R02), nor as "not logged in" (R11): only 4xx and 5xx are taken, and not 401.
    #[must_use]
    pub fn failure_status(self, status: StatusCode) -> Self {
        let fails = status.is_client_error() || status.is_server_error();
        match fails && status != StatusCode::UNAUTHORIZED {
            true => Self { failure_status: status, ..self },
            false => self,
        }
    }

    /// The page that a browser is sent to after logging out. Default: `/`.
    ///
    /// What cannot stand in a header, such as a line break, is not taken.
    #[must_use]
    pub fn after_logout(self, page: impl Into<String>) -> Self {
        let page = page.into();
        match HeaderValue::try_from(&page) {
            Ok(_) => Self { after_logout: page, ..self },
            Err(_) => self,
        }
    }

    /// The routes, for `Router::nest` or `Router::merge`.
    pub fn into_router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        Router::new()
            .route("/login", post(login::<U>).layer(DefaultBodyLimit::max(LONGEST_LOGIN)))
            .route("/reauthenticate", post(reauthenticate::<U>).layer(DefaultBodyLimit::max(LONGEST_LOGIN)))
            .route("/logout", delete(logout::<U>).post(logout::<U>))
            .route("/sessions", get(list).delete(end_many))
            .route("/sessions/{id}", delete(end_one))
            .method_not_allowed_fallback(not_allowed)
            .with_state(Arc::new(self))
    }
}

async fn not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

async fn login<U: Users>(
    State(router): State<Arc<AuthRouter<U>>>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Response>
where
    U::Credentials: DeserializeOwned + 'static,
{
    let (credentials, remember) = read_login::<U::Credentials>(request).await?;
    let visitor = visitor.remember(remember);
    let login = to_the_end(async move {
        let session = visitor.login(&*router.users, credentials).await?;
        Ok(session.map(|session| Json(json!({ "user": session.name() }))))
    });
    match login.await.map_err(Error::into_response)? {
        Some(user) => Ok(user.into_response()),
        None => Err(problem(StatusCode::UNAUTHORIZED, "Wrong credentials")),
    }
}

async fn reauthenticate<U: Users>(
    State(router): State<Arc<AuthRouter<U>>>,
    session: Session,
    request: Request,
) -> Result<Response, Response>
where
    U::Credentials: DeserializeOwned + 'static,
{
    let (credentials, _) = read_login::<U::Credentials>(request).await?;
    let again = to_the_end(async move {
        let session = session.reauthenticate(&*router.users, credentials).await?;
        Ok(session.map(|session| Json(json!({ "user": session.name() }))))
    });
    match again.await.map_err(Error::into_response)? {
        Some(user) => Ok(user.into_response()),
        // Not 401: there is a session, and it goes on.
        None => Err(problem(StatusCode::FORBIDDEN, "Wrong credentials")),
    }
}

/// Nothing of what serde says goes out or into the log: it quotes the input, which has a password in it.
async fn read_login<C: DeserializeOwned>(request: Request) -> Result<(C, bool), Response> {
    let malformed = || problem(StatusCode::BAD_REQUEST, "Not the JSON object that a login needs");
    let mut fields = match Json::<Map<String, Value>>::from_request(request, &()).await {
        Ok(Json(fields)) => fields,
        Err(JsonRejection::MissingJsonContentType(_)) => {
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "A login is application/json"));
        }
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "A login has at most 16 KiB"));
        }
        Err(_) => return Err(malformed()),
    };
    let remember = match fields.remove("remember") {
        None => false,
        Some(Value::Bool(remember)) => remember,
        Some(_) => return Err(malformed()),
    };
    let credentials = C::deserialize(Value::Object(fields)).map_err(|_| malformed())?;
    Ok((credentials, remember))
}

async fn logout<U: Users>(
    State(router): State<Arc<AuthRouter<U>>>,
    method: Method,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let logout = visitor.logout().await;
    if !names_html(&headers) {
        let mut response = logout.into_response();
        if response.status().is_client_error() {
            *response.status_mut() = router.failure_status;
        }
        return response;
    }
    match logout {
        Logout::Failed(_) => failure_page(router.failure_status, &method),
        Logout::NoSession => Redirect::to(&router.after_logout).into_response(),
        Logout::Done => {
            let mut response = Redirect::to(&router.after_logout).into_response();
            if is_navigation(&headers) {
                // R49. Not "cookies": that reaches every host of the registrable domain.
                let parts = HeaderValue::from_static("\"cache\", \"storage\"");
                response.headers_mut().insert(CLEAR_SITE_DATA, parts);
            }
            response
        }
    }
}

/// Works without a script: the button sends the same form again.
fn failure_page(status: StatusCode, method: &Method) -> Response {
    const RETRY: &str = r#"<form method="post"><button>Try again</button></form>"#;
    const START: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>Unable to log out</title>\n\
        <h1>Unable to log out</h1>\n<p>You may still be logged in. Please try again.</p>\n";
    let retry = if *method == Method::POST { RETRY } else { "" };
    let headers = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, Html(format!("{START}{retry}\n"))).into_response()
}

#[derive(Serialize)]
struct Listed {
    id: SessionId,
    created_at: String,
    seen_at: String,
    expires_at: String,
    client: String,
    user_agent: String,
    address: Option<IpAddr>,
    remembered: bool,
    current: bool,
}

async fn list(session: Session) -> Result<Json<Vec<Listed>>, Error> {
    let listed = |record: Record| Listed {
        id: record.id(),
        created_at: record.created_at().to_string(),
        seen_at: record.seen_at().to_string(),
        expires_at: record.expires_at().to_string(),
        client: Agent::of(record.client()).to_string(),
        user_agent: record.client().to_owned(),
        address: record.address(),
        remembered: record.remembered(),
        current: record.id() == session.id(),
    };
    Ok(Json(session.list().await?.into_iter().map(listed).collect()))
}

async fn end_many(session: Session, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let others = match query.as_deref() {
        None | Some("") => false,
        Some("others" | "others=") => true,
        // A misspelt `others` must not end everything.
        Some(_) => return Ok(problem(StatusCode::BAD_REQUEST, "The query is `others` or nothing")),
    };
    if !session.is_recent(RECENT) {
        return Ok(reauthenticate_first());
    }
    let ended = match others {
        true => session.logout_others().await?,
        false => session.logout_everywhere().await?,
    };
    Ok(Json(json!({ "ended": ended })).into_response())
}

async fn end_one(session: Session, id: Result<Path<String>, PathRejection>) -> Result<Response, Error> {
    // What is not even text is nobody's session either.
    let ended = match id.ok().and_then(|Path(id)| id.parse().ok()) {
        // Before it is looked up: whose it is, is nobody's to learn without a password.
        Some(id) if id != session.id() && !session.is_recent(RECENT) => return Ok(reauthenticate_first()),
        Some(id) => session.end(id).await?,
        None => false,
    };
    Ok(match ended {
        true => StatusCode::NO_CONTENT.into_response(),
        false => problem(StatusCode::NOT_FOUND, "No such session"),
    })
}
