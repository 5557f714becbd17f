//! Lets nobody in without a session: 401, or the way to the login page.
//!
//! Must never call what it guards before the session is known to live (R25).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::OriginalUri;
use axum::response::IntoResponse as _;
use http::header::{HeaderMap, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::extract::SessionRejection;
use super::visit::{Touch, Visit, is_navigation};
use crate::auth::Error;

/// What needs no encoding in the value of a query: RFC 3986's unreserved characters, and the slash.
const IN_NEXT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// What must be encoded in a whole location: everything that a header or a link could trip over.
const IN_LOCATION: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\');

/// A layer that lets in only requests with a live session (R25).
///
/// Put it on a whole router, inside of `SessionLayer`; it then guards every route, and every path that is none. (Where
/// routers are merged, the fallback of one of them counts: set it on the guarded router with `Router::fallback` to
/// keep unknown paths private.)
///
/// ```
/// use axum::{Router, routing::get};
/// use exeunt::{MemoryStore, RequireSession, SessionLayer, Sessions};
///
/// let app: Router = Router::new()
///     .route("/secret", get(|| async { "for people who are logged in" }))
///     .layer(RequireSession::or_redirect_to("/login"))
///     .layer(SessionLayer::new(Sessions::new(MemoryStore::new())));
/// # let _ = app;
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequireSession {
    login_page: Option<Arc<str>>,
}

impl RequireSession {
    /// Visitors get a 401 as problem+json.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Visitors who ask for a page are sent to the login page with 303, others get the 401 (R26).
    ///
    /// The login page's address gets a query `next`, the local path and query that was asked for. Read it there
    /// through [`local_path`].
    #[must_use]
    pub fn or_redirect_to(login_page: impl AsRef<str>) -> Self {
        let login_page = utf8_percent_encode(login_page.as_ref(), IN_LOCATION).to_string();
        Self { login_page: Some(login_page.into()) }
    }

    fn refuse(&self, rejection: SessionRejection, asked: &Asked<'_>) -> Response<Body> {
        rejection.into_response_or(|| {
            let page = self.login_page.as_deref()?;
            if !matches!(*asked.method, Method::GET | Method::HEAD) || !is_navigation(asked.headers) {
                return None;
            }
            let location = HeaderValue::try_from(with_next(page, asked.uri)).ok()?;
            Some((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
        })
    }
}

struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    uri: &'a Uri,
}

impl<'a> Asked<'a> {
    fn of<B>(request: &'a Request<B>) -> Self {
        // Nested routers see a shortened address.
        let original = request.extensions().get::<OriginalUri>();
        Self {
            method: request.method(),
            headers: request.headers(),
            uri: original.map_or(request.uri(), |original| &original.0),
        }
    }
}

fn with_next(page: &str, uri: &Uri) -> String {
    let Some(path) = uri.path_and_query().and_then(|path| local_path(path.as_str())) else {
        return page.to_owned();
    };
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}next={}", utf8_percent_encode(path, IN_NEXT))
}

/// `next` if it is a path on this very server, to redirect to after login; otherwise `None` (R44).
///
/// Refuses what a browser could read as another server's address: no `//` or `/\` at the start, no backslash, no
/// scheme, nothing but visible ASCII.
///
/// ```
/// use exeunt::http::local_path;
///
/// assert_eq!(local_path("/articles?page=2"), Some("/articles?page=2"));
/// assert_eq!(local_path("//evil.example"), None);
/// ```
#[must_use]
pub fn local_path(next: &str) -> Option<&str> {
    let rest = next.strip_prefix('/')?;
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (plain && !rest.starts_with('/')).then_some(next)
}

impl<S> Layer<S> for RequireSession {
    type Service = RequireSessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireSessionService { inner, require: self.clone() }
    }
}

/// What [`RequireSession`] makes of a service.
#[derive(Clone, Debug)]
pub struct RequireSessionService<S> {
    inner: S,
    require: RequireSession,
}

impl<S, B> Service<Request<B>> for RequireSessionService<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = RequireSessionFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(visit) = Visit::of(request.headers(), request.extensions()) else {
            let refused = self.require.refuse(SessionRejection::no_layer(), &Asked::of(&request));
            return State::Refused { response: Some(refused) }.into();
        };
        match visit.at_hand(Touch::Later) {
            Some(Some(_)) => {
                let visit = visit.wants_touch().then_some(visit);
                State::LetIn { future: self.inner.call(request), visit }.into()
            }
            Some(None) => {
                let asked = Asked::of(&request);
                let rejection = SessionRejection::not_logged_in(&visit, asked.headers);
                State::Refused { response: Some(self.require.refuse(rejection, &asked)) }.into()
            }
            None => {
                // The service that was found ready is the one to call.
                let clone = self.inner.clone();
                let guarded = Guarded {
                    inner: std::mem::replace(&mut self.inner, clone),
                    require: self.require.clone(),
                    visit: Arc::clone(&visit),
                    request,
                };
                let live = Box::pin(async move { Ok(visit.session(Touch::Later).await?.is_some()) });
                State::Asking { live, guarded: Some(guarded) }.into()
            }
        }
    }
}

struct Guarded<S, B> {
    inner: S,
    require: RequireSession,
    visit: Arc<Visit>,
    request: Request<B>,
}

type Touching = Pin<Box<dyn Future<Output = ()> + Send>>;
type Live = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send>>;

pin_project! {
    /// The response of a [`RequireSessionService`].
    pub struct RequireSessionFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Asking { live: Live, guarded: Option<Guarded<S, B>> },
        LetIn { #[pin] future: F, visit: Option<Arc<Visit>> },
        Touching { touch: Touching, response: Option<Response<Body>> },
        Refused { response: Option<Response<Body>> },
    }
}

impl<S: Service<Request<B>>, B> From<State<S, B, S::Future>> for RequireSessionFuture<S, B> {
    fn from(state: State<S, B, S::Future>) -> Self {
        Self { state }
    }
}

impl<S: Service<Request<B>>, B> std::fmt::Debug for RequireSessionFuture<S, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequireSessionFuture").finish_non_exhaustive()
    }
}

impl<S, B> Future for RequireSessionFuture<S, B>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::LetIn { future, visit } => {
                    let response = ready!(future.poll(cx))?;
                    let Some(visit) = visit.take().filter(|visit| visit.wants_touch()) else {
                        return Poll::Ready(Ok(response));
                    };
                    let touch = Box::pin(async move { visit.touch().await });
                    State::Touching { touch, response: Some(response) }
                }
                StateProjection::Touching { touch, response } => {
                    ready!(touch.as_mut().poll(cx));
                    let response = response.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refused { response } => {
                    let response = response.take().expect("a future is not polled after it was ready");
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Asking { live, guarded } => {
                    let live = ready!(live.as_mut().poll(cx));
                    let guarded = guarded.take().expect("this state is left at once");
                    let Guarded { mut inner, require, visit, request } = guarded;
                    let rejection = match live {
                        Ok(true) => None,
                        Ok(false) => Some(SessionRejection::not_logged_in(&visit, request.headers())),
                        Err(error) => Some(SessionRejection::failed(error)),
                    };
                    match rejection {
                        None => State::LetIn { future: inner.call(request), visit: Some(visit) },
                        Some(rejection) => {
                            let response = require.refuse(rejection, &Asked::of(&request));
                            State::Refused { response: Some(response) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_local() {
        // R44
        for good in
            ["/", "/a", "/a/b?c=d&e=/f", "/a//b", "/%2f%2fevil.example", "/?next=https://evil.example"]
        {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\\b",
            "/a\r\nSet-Cookie: x=y",
            "/\u{0}",
            "/é",
            "/a b",
            " /a",
            "\t//evil.example",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn next_is_one_encoded_value() {
        let uri = Uri::from_static("https://example.org/a/b?c=d&e=%20f");
        assert_eq!(with_next("/login", &uri), "/login?next=/a/b%3Fc%3Dd%26e%3D%2520f");
        assert_eq!(with_next("/login?lang=en", &uri), "/login?lang=en&next=/a/b%3Fc%3Dd%26e%3D%2520f");
        assert_eq!(with_next("/login", &Uri::builder().path_and_query("//evil").build().unwrap()), "/login");
    }
}
