//! HTML: home, login, logout, first set-up. Works without scripts.
//!
//! Must never say "logged out" while a session lives, and must never send anybody to another site.

mod setup;

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use exeunt::http::local_path;
use exeunt::store::Causes;
use exeunt::{Error, Logout, Origin, Session, Visitor};
use serde::Deserialize;
use tracing::Instrument as _;

pub(crate) use self::setup::{setup, setup_page};
use crate::accounts::{Accounts, Credentials};
use crate::error;
use crate::html::{Action, Message, page};
use crate::site::AppState;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    name: &'a str,
}

/// `GET /`
pub(crate) async fn home(session: Session) -> Response {
    page(StatusCode::OK, &Home { name: session.name() })
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    notice: Notice<'a>,
    next: &'a str,
    username: &'a str,
    remember: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Notice<'a> {
    None,
    LoggedOut,
    Wrong,
    CookieNotKept { secure: bool, public_url: Option<&'a str> },
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct LoginQuery {
    next: Option<String>,
    /// Logged out just now, they say.
    out: Option<String>,
    /// Logged in just now, they say.
    done: Option<String>,
}

/// `GET /login`
///
/// Whoever has a session goes on: so "you are logged out" shows only to somebody who is, and a login that comes back
/// here without its cookie was not kept by the browser.
pub(crate) async fn login_page(
    State(state): State<AppState>,
    visitor: Visitor,
    query: Result<Query<LoginQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.unwrap_or_default();
    let next = local(query.next.as_deref());
    if visitor.session().await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = match query {
        LoginQuery { done: Some(_), .. } => Notice::CookieNotKept {
            secure: state.site.secure_cookie,
            public_url: state.site.public_url.as_deref(),
        },
        LoginQuery { out: Some(_), .. } => Notice::LoggedOut,
        _ => Notice::None,
    };
    Ok(page(StatusCode::OK, &Login { notice, next, username: "", remember: false }))
}

#[derive(Deserialize)]
pub(crate) struct LoginForm {
    username: String,
    password: String,
    remember: Option<String>,
    next: Option<String>,
}

/// For fuzzing alone: who logs in by a form, and where that leads.
#[cfg(fuzzing)]
pub async fn read_login_form(body: Vec<u8>) -> Option<(String, String)> {
    use axum::extract::FromRequest as _;

    let request = axum::http::Request::post("/login");
    let request =
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.into()).ok()?;
    let Form(form) = Form::<LoginForm>::from_request(request, &()).await.ok()?;
    Some((form.username, local(form.next.as_deref()).to_owned()))
}

/// `POST /login`
pub(crate) async fn login(
    State(state): State<AppState>,
    visitor: Visitor,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let LoginForm { username, password, remember, next } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    let (remember, next) = (remember.is_some(), local(next.as_deref()));
    let credentials = Credentials { username: username.clone(), password };
    match begin_session(visitor.remember(remember), state.accounts, credentials).await {
        Ok(true) => logged_in(next),
        Err(response) => response,
        Ok(false) => {
            let wrong = Login { notice: Notice::Wrong, next, username: &username, remember };
            let mut response = page(StatusCode::UNAUTHORIZED, &wrong);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
            response
        }
    }
}

/// To its end, even if the browser goes away: a login half done would leave a session that nobody has the token of.
async fn begin_session(
    visitor: Visitor,
    accounts: Accounts,
    credentials: Credentials,
) -> Result<bool, Response> {
    let login = async move { Ok(visitor.login(&accounts, credentials).await?.is_some()) };
    match tokio::spawn(Origin::current().scope(login.in_current_span())).await {
        Ok(outcome) => outcome.map_err(Error::into_response),
        Err(cause) => {
            tracing::error!(
                event = "login_failed",
                error = %Causes(&cause),
                "a login did not end"
            );
            Err(error::refused(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

const CHALLENGE: HeaderValue = HeaderValue::from_static("Session realm=\"exeunt\"");

/// By way of the login page, which sees whether the cookie came back.
fn logged_in(next: &str) -> Response {
    let done = match next {
        "/" => "/login?done".to_owned(),
        next => {
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            format!("/login?done&next={next}")
        }
    };
    Redirect::to(&done).into_response()
}

/// `POST /logout`
pub(crate) async fn logout(State(state): State<AppState>, visitor: Visitor) -> Response {
    match visitor.logout().await {
        Logout::Done => (CLEAR, Redirect::to("/login?out")).into_response(),
        Logout::NoSession => Redirect::to("/login?out").into_response(),
        Logout::Failed(_) => page(state.site.logout_failure_status, &NOT_LOGGED_OUT),
    }
}

/// R49: not `"cookies"`, which would hit every site of the registrable domain.
const CLEAR: [(HeaderName, HeaderValue); 1] =
    [(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""))];

const NOT_LOGGED_OUT: Message<'static> = Message {
    title: "You are not logged out",
    text: "You are not logged out: the session could not be ended. Try again.",
    who: None,
    action: Action::LogOutAgain,
};

/// The stylesheet.
pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("assets/style.css"))
}

/// The icon.
pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("assets/icon.svg"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=86400")];
    (headers, text).into_response()
}

/// Where to go on: a path of this site, or home (R44).
fn local(next: Option<&str>) -> &str {
    next.and_then(local_path).unwrap_or("/")
}
