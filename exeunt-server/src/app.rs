//! The whole route table, and what every request passes through, on one screen.
//!
//! Must never let a route that is not in `public` answer without a session.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use exeunt::{AuthRouter, Event, EventKind, Events, RequireSession};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::admin::{accounts, events, require_admin, sessions};
use crate::html::BrandError;
use crate::site::{AppState, Site};
use crate::{api, clients, cors, error, openapi, pages, telemetry};

/// The most bytes of a request's body.
const BODY: usize = 64 * 1024;
/// The most bytes of a login's body.
const LOGIN_BODY: usize = 16 * 1024;
/// How long a client may take to send a body.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Everything that the server answers.
pub fn router(state: AppState) -> Router {
    let app = public(&state).fallback_service(private(&state));
    around(app, &state)
}

/// Makes every page once.
///
/// # Errors
///
/// If an operator's template cannot be used: which, and where in it.
pub fn check_pages(state: &AppState) -> Result<(), BrandError> {
    pages::check(&state.site.pages)
}

/// The only routes that answer without a session.
fn public(state: &AppState) -> Router {
    let auth = AuthRouter::new(state.accounts.clone())
        .failure_status(state.site.logout_failure_status)
        .after_logout("/login?out")
        .into_router();
    let described = openapi::describe(&state.site.cookie_name);
    let pages = Router::new()
        .route("/setup", get(pages::setup_page).post(pages::setup))
        .route("/reset", get(pages::reset_page).post(pages::reset))
        .route("/reset/ask", get(pages::ask_reset_page).post(pages::ask_reset))
        .layer(from_fn_with_state(state.clone(), pages::note_reader))
        .route("/login", get(pages::login_page).post(pages::login))
        .route("/logout", post(pages::logout));
    Router::new()
        .merge(pages.with_state(state.clone()))
        .nest("/api/auth", auth.merge(api::reset_routes(state.clone())))
        .layer(DefaultBodyLimit::max(LOGIN_BODY))
        .route("/assets/style.css", get(pages::style).with_state(state.clone()))
        .route("/assets/page.js", get(pages::script))
        .route("/assets/logo", get(pages::logo).with_state(state.clone()))
        .route("/openapi.json", get(openapi::json).with_state(Arc::clone(&described)))
        .route("/openapi", get(openapi::page).with_state(described))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz).with_state(state.clone()))
}

/// All the rest, known or unknown: `401`, or the login page for somebody who browses.
fn private(state: &AppState) -> Router {
    let api = Router::new()
        .route("/me", get(api::me))
        .route("/auth/password", post(api::change_password).with_state(state.clone()))
        .layer(DefaultBodyLimit::max(LOGIN_BODY))
        .nest("/admin", admin(state))
        .fallback(error::not_found)
        .layer(from_fn(telemetry::note_session))
        .layer(RequireSession::new());
    Router::new()
        .route("/", get(pages::home))
        .nest("/admin", administration(state))
        .route("/again", get(pages::again_page).post(pages::again))
        .route("/password", get(pages::password_page).post(pages::password))
        .route("/sessions", get(pages::sessions))
        .route("/sessions/end", post(pages::end))
        .route("/sessions/others", post(pages::end_others))
        .route("/sessions/all", post(pages::end_all))
        .with_state(state.clone())
        .fallback(error::not_found)
        .layer(from_fn(telemetry::note_session))
        .layer(RequireSession::or_redirect_to("/login"))
        // What is nested at `/api` is not asked for `/api/`.
        .route("/api/", any(error::not_found).layer(RequireSession::new()))
        .nest("/api", api)
}

/// For administrators alone.
fn administration(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/accounts", get(pages::accounts).post(pages::add))
        .route("/account", get(pages::account).post(pages::change))
        .route("/sessions", get(pages::all_sessions).post(pages::end_session))
        .route("/events", get(pages::events))
        .fallback(error::not_found)
        .layer(from_fn_with_state(state.clone(), pages::require_admin))
}

/// What administrators alone may do, and, where it changes something, shortly after a login.
fn admin(state: &AppState) -> Router {
    let one = get(accounts::show).patch(accounts::change).delete(accounts::remove);
    Router::new()
        .route("/accounts", get(accounts::list).post(accounts::add))
        .route("/accounts/{id}", one)
        .route("/sessions", get(sessions::list).delete(sessions::end_many))
        .route("/events", get(events::list))
        .route("/sessions/{id}", get(sessions::show).delete(sessions::end_one))
        .fallback(error::not_found)
        .layer(from_fn_with_state(state.clone(), require_admin))
        .with_state(state.clone())
}

/// What every request passes, the last line first.
fn around(app: Router, state: &AppState) -> Router {
    let events = state.layer.sessions().events();
    app.layer(state.layer.clone())
        .layer(from_fn(pages::say_that_it_ended))
        .layer(from_fn_with_state(Arc::clone(&state.site), clients::note_client))
        .layer(from_fn_with_state((Arc::clone(&state.site), events.clone()), public_origin))
        .layer(from_fn(error::explain))
        .layer(from_fn(whole_body))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(Arc::clone(&state.site), error::for_people))
        .layer(from_fn_with_state(Arc::clone(&state.site), cors::cross_origin))
        .layer(from_fn_with_state(Arc::clone(&state.site), headers))
        .layer(from_fn_with_state(Arc::clone(&state.site), telemetry::log_request))
}

/// Takes in a body before anybody waits for it, so that a slow client holds up nothing but itself.
async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse().ok()).is_some_and(|bytes: usize| bytes > BODY) {
        return error::refused(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, BODY)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, bytes.into())).await,
        Ok(Err(error)) => error::body_refused(&error),
        Err(_) => error::body_too_slow(),
    }
}

/// R31: where the public URL is known, a browser that says nothing of the site it comes from is measured by that, and
/// never by the Host header, which the session layer goes by.
async fn public_origin(
    State((site, events)): State<(Arc<Site>, Events)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() || !is_foreign(&site, request.headers()) {
        return next.run(request).await;
    }
    events.report(Event::new(EventKind::CrossSiteRefused).because("public_url"));
    error::refused(StatusCode::FORBIDDEN)
}

fn is_foreign(site: &Site, headers: &HeaderMap) -> bool {
    let given = |name| headers.get(name).filter(|value| !value.is_empty());
    match (&site.public_url, given(SEC_FETCH_SITE), given(header::ORIGIN)) {
        (Some(public_url), None, Some(origin)) => {
            origin != public_url.as_str() && !site.allowed_origins.contains(origin)
        }
        _ => false,
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// R45, R46 and R22: what browsers are told with every answer.
async fn headers(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if let Some(value) = &site.transport_security {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
    }
    response
}

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Assets set their own.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

#[cfg(test)]
mod documented;
#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Method;
    use exeunt::store::sqlite::Database;
    use exeunt::store::{Created, Purged, Saved, Store, StoreError, async_trait};
    use exeunt::{Data, Record, SessionId, SessionLayer, Sessions, Timestamp, UserId, Verifier};
    use tower::ServiceExt as _;

    use super::*;
    use crate::accounts::{Accounts, Hasher};
    use crate::config::{Config, Options};

    /// Knows nothing, and says so.
    #[derive(Debug)]
    pub(super) struct Silent;

    fn silent<T>() -> Result<T, StoreError> {
        Err(StoreError::new("silent", "a cause that nobody outside may see"))
    }

    #[async_trait]
    impl Store for Silent {
        async fn create(&self, _: &Record, _: usize) -> Result<Created, StoreError> {
            silent()
        }
        async fn load(&self, _: &SessionId, _: Timestamp) -> Result<Option<Arc<Record>>, StoreError> {
            silent()
        }
        async fn renew(
            &self,
            _: &SessionId,
            _: &Verifier,
            _: &Verifier,
            _: Timestamp,
            _: Timestamp,
        ) -> Result<bool, StoreError> {
            silent()
        }
        async fn save(
            &self,
            _: &SessionId,
            _: &Verifier,
            _: u32,
            _: &Data,
            _: Timestamp,
        ) -> Result<Saved, StoreError> {
            silent()
        }
        async fn touch(
            &self,
            _: &SessionId,
            _: &Verifier,
            _: Timestamp,
            _: Timestamp,
        ) -> Result<bool, StoreError> {
            silent()
        }
        async fn destroy(&self, _: &SessionId) -> Result<bool, StoreError> {
            silent()
        }
        async fn destroy_all(&self, _: &UserId, _: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
            silent()
        }
        async fn list(&self, _: &UserId, _: Timestamp) -> Result<Vec<Record>, StoreError> {
            silent()
        }
        async fn walk(
            &self,
            _: Option<&SessionId>,
            _: usize,
            _: Timestamp,
        ) -> Result<Vec<Record>, StoreError> {
            silent()
        }
        async fn purge(&self, _: Option<&SessionId>, _: usize, _: Timestamp) -> Result<Purged, StoreError> {
            silent()
        }
        async fn ping(&self) -> Result<(), StoreError> {
            silent()
        }
    }

    async fn state(dir: &tempfile::TempDir) -> AppState {
        let sessions = Sessions::new(Silent);
        let config = Config::decide(Options::default()).unwrap();
        let site = Arc::new(Site::new(&config, sessions.now()).unwrap());
        let database = Database::open(dir.path().join("exeunt.db")).unwrap();
        let accounts = Accounts::open(database, Hasher::new().unwrap()).await.unwrap();
        AppState { layer: SessionLayer::new(sessions), accounts, site }
    }

    async fn ask(app: &Router, method: &str, path: &str, accept: &str) -> (Response, String) {
        // A token in form, of no session that ever was.
        let cookie = "__Host-session=NEB1pc4MX3ekHQQswZlZDdz31zjUWRZyjyY3m-mCQGNCbjYH7Gkz1A";
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request.header("accept", accept).header("sec-fetch-mode", "navigate");
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, BODY).await.unwrap();
        (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test] // R11
    async fn while_the_store_does_not_answer_nobody_is_told_that_they_are_logged_out() {
        let dir = tempfile::tempdir().unwrap();
        let app = router(state(&dir).await);
        for path in
            ["/", "/api/me", "/nothing", "/api/nothing", "/api/auth/sessions", "/login?out", "/readyz"]
        {
            for accept in ["*/*", "text/html"] {
                let (response, body) = ask(&app, "GET", path, accept).await;
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path} {accept}");
                assert!(response.headers().contains_key(header::RETRY_AFTER), "{path}");
                assert!(!response.headers().contains_key(header::SET_COOKIE), "{path}");
                assert!(!body.contains("logged out") && !body.contains("nobody outside"), "{path}: {body}");
                let page = body.starts_with("<!doctype html>");
                assert_eq!(page, accept == "text/html" && !path.starts_with("/api"), "{path}: {body}");
            }
        }
        let (response, body) = ask(&app, "DELETE", "/api/auth/logout", "*/*").await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::BAD_REQUEST, "Unable to log out"));
        let (response, body) = ask(&app, "POST", "/logout", "text/html").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(body.contains("You are not logged out"), "{body}");
        assert!(!response.headers().contains_key(header::SET_COOKIE));
        for path in ["/healthz", "/assets/style.css"] {
            assert_eq!(ask(&app, "GET", path, "*/*").await.0.status(), StatusCode::OK, "{path}");
        }
    }

    #[tokio::test] // R40
    async fn a_handler_that_panics_answers_500_without_the_reason() {
        async fn clumsy() {
            panic!("the reason");
        }
        let dir = tempfile::tempdir().unwrap();
        let app = around(Router::new().route("/", get(clumsy)), &state(&dir).await);
        for (accept, content_type) in
            [("*/*", "application/problem+json"), ("text/html", "text/html; charset=utf-8")]
        {
            let (response, body) = ask(&app, Method::GET.as_str(), "/", accept).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
            assert!(response.headers().contains_key("x-request-id"));
            assert!(!body.contains("the reason"), "{body}");
        }
    }
}
