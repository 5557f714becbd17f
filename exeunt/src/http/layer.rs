//! The layer: a request gets its visit, the response its cookie.
//!
//! Must never ask the store: whoever needs the session does. Must never let a forged request in (R10, R31).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};
use tower_http::csrf::{
    self, Csrf, CsrfLayer, ProtectionError, ProtectionErrorKind, ResponseForProtectionError,
};

use super::cookie::{CookieConfig, CookieError};
use super::origin::origin_of;
use super::problem;
use super::visit::{Shared, Visit};
use crate::auth::{Event, EventKind, Events, Origin, Sessions};

/// Gives every request under it a session to ask for, and refuses forged requests with 403.
///
/// Around all routes that use `Session`, `Visitor` or `RequireSession`; routes that do not ask cost nothing and work
/// while the store is down. A request with an unsafe method that comes from another site or another origin of this
/// site is refused by its `Sec-Fetch-Site` and `Origin` headers. A client that sends neither, such as `curl`, passes:
/// what is forged comes from a browser.
///
/// ```
/// use axum::{Router, routing::get};
/// use exeunt::{MemoryStore, Session, SessionLayer, Sessions};
///
/// let app: Router = Router::new()
///     .route("/me", get(|session: Session| async move { session.name().to_owned() }))
///     .layer(SessionLayer::new(Sessions::new(MemoryStore::new())));
/// # let _ = app;
/// ```
///
/// A proxy in front must pass `Origin` and `Host` on unchanged: without `Sec-Fetch-Site` (browsers from before 2023)
/// the two are compared.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    shared: Arc<Shared>,
    cross_site: CsrfLayer<CrossSite>,
}

/// A text that is not an origin as browsers write it.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{origin:?} is no origin as browsers write it: scheme://host[:port], in lower case, no default port, no path"
)]
pub struct OriginError {
    origin: String,
}

impl SessionLayer {
    /// Sessions under the default cookie (see [`CookieConfig`]).
    #[must_use]
    pub fn new(sessions: Sessions) -> Self {
        let cookie = CookieConfig::default().build().expect("browsers accept the default cookie");
        Self {
            cross_site: CsrfLayer::new().with_rejection_response(CrossSite(sessions.events().clone())),
            shared: Arc::new(Shared { sessions, cookie }),
        }
    }

    /// The same sessions under another cookie.
    ///
    /// # Errors
    ///
    /// If browsers would refuse it, with the reason.
    pub fn cookie(self, cookie: CookieConfig) -> Result<Self, CookieError> {
        let sessions = self.shared.sessions.clone();
        Ok(Self { shared: Arc::new(Shared { sessions, cookie: cookie.build()? }), ..self })
    }

    /// Also lets in unsafe requests from pages of exactly this origin, such as `https://admin.example.org`.
    ///
    /// # Errors
    ///
    /// If no browser would send that text as an `Origin`, so that it could never match.
    pub fn trust_origin(self, origin: &str) -> Result<Self, OriginError> {
        let refused = || OriginError { origin: origin.to_owned() };
        if !is_canonical(origin) {
            return Err(refused());
        }
        let cross_site = self.cross_site.add_trusted_origin(origin).map_err(|_| refused())?;
        Ok(Self { cross_site, ..self })
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    #[cfg(feature = "testing")]
    pub(crate) fn sent_cookie(&self, token: &crate::session::Token) -> http::HeaderValue {
        self.shared.cookie.sent(token)
    }
}

/// tower-http checks the form; what parses but is never sent by a browser would silently match nothing.
fn is_canonical(origin: &str) -> bool {
    let default_port = match origin.split_once("://") {
        Some(("https", host)) => host.ends_with(":443"),
        Some(("http", host)) => host.ends_with(":80"),
        _ => true,
    };
    !default_port && !origin.contains('@') && !origin.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// The answer to a request from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct CrossSite(Events);

impl ResponseForProtectionError<Body> for CrossSite {
    fn response_for_protection_error(&mut self, error: ProtectionError) -> Response<Body> {
        let reason = match error.kind() {
            ProtectionErrorKind::CrossOriginRequest => "sec_fetch_site",
            ProtectionErrorKind::CrossOriginRequestFromOldBrowser => "origin",
            _ => "cross_site",
        };
        self.0.report(Event::new(EventKind::CrossSiteRefused).because(reason));
        problem::problem(StatusCode::FORBIDDEN, "Sent from another site")
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner: self.cross_site.layer(inner), shared: Arc::clone(&self.shared) }
    }
}

/// What [`SessionLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: Csrf<S, CrossSite>,
    shared: Arc<Shared>,
}

impl<S, B> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        <Csrf<S, CrossSite> as Service<Request<B>>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let visit = Arc::new(Visit::new(Arc::clone(&self.shared)));
        request.extensions_mut().insert(Arc::clone(&visit));
        let origin = Arc::new(origin_of(&request));
        // Also around the call: it is there that a request from elsewhere is refused.
        let inner = Arc::clone(&origin).around_now(|| self.inner.call(request));
        SessionFuture { inner: origin.around(inner), visit }
    }
}

pin_project! {
    /// The response of a [`SessionService`].
    pub struct SessionFuture<F: Future> {
        #[pin]
        inner: TaskLocalFuture<Arc<Origin>, csrf::ResponseFuture<F>>,
        visit: Arc<Visit>,
    }
}

impl<F: Future> std::fmt::Debug for SessionFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionFuture").finish_non_exhaustive()
    }
}

impl<F, E> Future for SessionFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut result {
            this.visit.finish(response);
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use http::header::COOKIE;
    use tower::ServiceExt as _;

    use super::super::require::RequireSession;
    use super::*;
    use crate::session::{Client, Data, UserId};
    use crate::store::MemoryStore;

    /// Asks to be asked before each call whether it is ready, as tower allows. Nobody has asked a clone.
    struct Careful {
        asked: bool,
    }

    impl Clone for Careful {
        fn clone(&self) -> Self {
            Self { asked: false }
        }
    }

    impl Service<Request<Body>> for Careful {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.asked = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            assert!(std::mem::take(&mut self.asked), "nobody asked");
            ready(Ok(Response::new(Body::empty())))
        }
    }

    #[tokio::test]
    async fn what_is_inside_is_called_only_once_it_is_ready() {
        let sessions = Sessions::new(MemoryStore::new());
        let (login, _) =
            sessions.create(UserId::from(1), Client::default(), false, Data::default()).await.unwrap();
        let require = RequireSession::new().layer(Careful { asked: false });
        let mut service = SessionLayer::new(sessions).layer(require);
        let cookie = format!("__Host-session={}", login.token.expose());
        let request = Request::get("/").header(COOKIE, cookie).body(Body::empty()).unwrap();
        let answering = service.ready().await.unwrap().call(request);
        assert!(format!("{answering:?}").starts_with("SessionFuture"));
        assert_eq!(answering.await.unwrap().status(), StatusCode::OK);

        let mut require = RequireSession::new().layer(Careful { asked: false });
        let refused = require.ready().await.unwrap().call(Request::new(Body::empty()));
        assert!(format!("{refused:?}").starts_with("RequireSessionFuture"));
        assert_eq!(refused.await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR, "there is no layer");
    }

    #[test]
    fn only_an_origin_that_a_browser_could_send_can_be_trusted() {
        // R31
        let layer = SessionLayer::new(Sessions::new(MemoryStore::new()));
        for good in ["https://example.org", "http://localhost:8080", "https://xn--exmple-cua.com:8443"] {
            assert!(layer.clone().trust_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "*",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org:443",
            "http://example.org:80",
            "https://Example.org",
            "https://exämple.org",
            "https://*.example.org/x",
            "https://me@example.org",
            "ftp://example.org",
            "https://example.org?x",
            "https://example.org#x",
        ] {
            assert!(layer.clone().trust_origin(bad).is_err(), "{bad}");
        }
    }
}
