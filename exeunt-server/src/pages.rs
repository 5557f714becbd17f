//! HTML: home, login, logout, sessions, first set-up, forgotten passwords. Works without scripts.
//!
//! Must never say "logged out" while a session lives, and must never send anybody to another site.

mod admin;
mod again;
mod ago;
mod check;
mod client;
mod events;
mod form;
mod lately;
mod password;
mod reader;
mod reasons;
mod reset;
mod sessions;
mod setup;
mod wrong;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use exeunt::http::local_path;
use exeunt::store::Causes;
use exeunt::{Error, Logout, Origin, Session, Timestamp, Visitor};
use serde::{Deserialize, Serialize};

pub(crate) use self::admin::sessions as all_sessions;
pub(crate) use self::admin::{account, accounts, add, change, end_session, events, require_admin};
pub(crate) use self::again::{again, again_page};
use self::ago::Ago;
pub(crate) use self::check::check;
use self::client::ClientName;
pub(crate) use self::password::{password, password_page};
pub(crate) use self::reader::{Reader, note_reader};
pub(crate) use self::reset::{ask_reset, ask_reset_page, reset, reset_page};
pub(crate) use self::sessions::{end, end_all, end_others, sessions};
pub(crate) use self::setup::{setup, setup_page};
use self::wrong::{Problem, Wrong};
use crate::accounts::{Accounts, Credentials};
use crate::error;
use crate::html::{Action, Around, Message, Page, SCRIPT, Text, Tone};
use crate::site::AppState;

#[derive(Debug, Serialize)]
struct Home {
    since: Ago,
    client: ClientName,
}

impl Home {
    fn sample(now: Timestamp) -> Self {
        Self { since: Ago::new(now, now), client: ClientName::new("curl/8") }
    }
}

/// Whether there is to be a way to the administrators' pages. Those ask for themselves; where nobody can tell, there is none.
async fn is_admin(state: &AppState, session: &Session) -> bool {
    let found = state.accounts.find_user(session.user()).await;
    found.is_ok_and(|account| account.is_some_and(|account| account.admin && !account.disabled))
}

/// `GET /`
pub(crate) async fn home(State(state): State<AppState>, page: Page, session: Session) -> Response {
    let record = session.record();
    let now = state.layer.sessions().now();
    let shown = Home { since: Ago::new(record.created_at(), now), client: ClientName::new(record.client()) };
    let admin = is_admin(&state, &session).await;
    let around = Around { who: Some(session.name()), admin, here: "/", ..Around::default() };
    page.show(StatusCode::OK, "home.html", around, &shown)
}

#[derive(Debug, Serialize)]
struct Login<'a> {
    notice: Notice,
    /// Whether the session cookie goes over https alone.
    secure: bool,
    public_url: Option<&'a str>,
    next: &'a str,
    username: &'a str,
    remember: bool,
    /// Whether a forgotten password can be reset here.
    can_reset: bool,
    errors: Wrong,
    focus: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    None,
    LoggedOut,
    Ended,
    Wrong,
    TooMany,
    Unavailable,
    CookieNotKept,
}

impl Login<'_> {
    /// With something in every place.
    fn sample(notice: Notice, secure: bool) -> Self {
        let url = secure.then_some("https://example.org");
        let errors = Wrong::from([("username", Text("name-empty").into())]);
        let (next, username, focus) = (if secure { "/a?b=c&d=e" } else { "/" }, check::EVIL, "username");
        Self {
            notice,
            secure,
            public_url: url,
            next,
            username,
            remember: secure,
            can_reset: secure,
            errors,
            focus,
        }
    }
}

impl<'a> Login<'a> {
    fn new(state: &'a AppState, notice: Notice, next: &'a str) -> Self {
        Self {
            notice,
            secure: state.site.secure_cookie,
            public_url: state.site.public_url.as_deref(),
            next,
            username: "",
            remember: false,
            can_reset: state.accounts.can_reset(),
            errors: Wrong::new(),
            focus: "username",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct LoginQuery {
    next: Option<String>,
    /// Logged out just now, they say.
    out: Option<String>,
    /// Logged in just now, they say.
    done: Option<String>,
    /// Sent here because the session had ended, they say.
    ended: Option<String>,
}

/// `GET /login`
///
/// Whoever has a session goes on: so "you are logged out" shows only to somebody who is, and a login that comes back
/// here without its cookie was not kept by the browser.
pub(crate) async fn login_page(
    State(state): State<AppState>,
    page: Page,
    visitor: Visitor,
    query: Result<Query<LoginQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.unwrap_or_default();
    let next = local(query.next.as_deref());
    if visitor.session().await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = match query {
        LoginQuery { done: Some(_), .. } => Notice::CookieNotKept,
        LoginQuery { out: Some(_), .. } => Notice::LoggedOut,
        LoginQuery { ended: Some(_), .. } => Notice::Ended,
        _ => Notice::None,
    };
    Ok(page.show(StatusCode::OK, "login.html", Around::default(), &Login::new(&state, notice, next)))
}

/// Whoever is sent to log in with a cookie that is dead had a session, and is told that it is over.
pub(crate) async fn say_that_it_ended(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers();
    let removed = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|cookie| cookie.to_str().is_ok_and(|cookie| cookie.split("; ").any(|part| part == "Max-Age=0")));
    let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    if let (StatusCode::SEE_OTHER, true, Some(to)) = (response.status(), removed, to)
        && to.starts_with("/login?next=")
        && let Ok(to) = HeaderValue::try_from(format!("{to}&ended"))
    {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
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
    page: Page,
    visitor: Visitor,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let LoginForm { username, password, remember, next } = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return error::refused(rejection.status()),
    };
    let (remember, next) = (remember.is_some(), local(next.as_deref()));
    let credentials = Credentials { username: username.clone(), password };
    // The form once more: nothing typed is lost but the password.
    let again = |status, notice| {
        let login =
            Login { username: &username, remember, focus: "password", ..Login::new(&state, notice, next) };
        page.show(status, "login.html", Around::default(), &login)
    };
    match begin_session(visitor.remember(remember), state.accounts.clone(), credentials).await {
        Ok(true) => logged_in(next),
        Ok(false) => {
            let mut response = again(StatusCode::UNAUTHORIZED, Notice::Wrong);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
            response
        }
        // What it says of when to try again stays.
        Err(response) => match response.status() {
            status @ StatusCode::TOO_MANY_REQUESTS => {
                error::dressed_as(response, again(status, Notice::TooMany))
            }
            status @ StatusCode::SERVICE_UNAVAILABLE => {
                error::dressed_as(response, again(status, Notice::Unavailable))
            }
            _ => response,
        },
    }
}

/// To its end, even if the browser goes away: a login half done would leave a session that nobody has the token of.
async fn begin_session(
    visitor: Visitor,
    accounts: Accounts,
    credentials: Credentials,
) -> Result<bool, Response> {
    let login = async move { Ok(visitor.login(&accounts, credentials).await?.is_some()) };
    match Origin::current().spawn(login).await {
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
pub(crate) async fn logout(State(state): State<AppState>, page: Page, visitor: Visitor) -> Response {
    match visitor.logout().await {
        Logout::Done => (CLEAR, Redirect::to("/login?out")).into_response(),
        Logout::NoSession => Redirect::to("/login?out").into_response(),
        Logout::Failed(_) => {
            page.message(state.site.logout_failure_status, Around::default(), &NOT_LOGGED_OUT)
        }
    }
}

/// R49: not `"cookies"`, which would hit every site of the registrable domain.
const CLEAR: [(HeaderName, HeaderValue); 1] =
    [(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""))];

const NOT_LOGGED_OUT: Message = Message {
    title: Text("not-logged-out-title"),
    text: Text("not-logged-out"),
    tone: Tone::Bad,
    action: Action::LogOutAgain,
};

/// The stylesheet.
pub(crate) async fn style(State(state): State<AppState>) -> Response {
    asset("text/css; charset=utf-8", state.site.pages.style().to_owned())
}

/// The script.
pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// The image at the top of the pages.
pub(crate) async fn logo(State(state): State<AppState>) -> Response {
    let (content_type, bytes) = state.site.pages.logo();
    asset(content_type, bytes.to_vec())
}

fn asset(content_type: &'static str, body: impl IntoResponse) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=86400")];
    (headers, body).into_response()
}

/// Where to go on: a path of this site, or home (R44).
fn local(next: Option<&str>) -> &str {
    next.and_then(local_path).unwrap_or("/")
}
