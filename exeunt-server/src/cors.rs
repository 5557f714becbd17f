//! Lets pages of other origins call the API: those on the list, and no others (R54).
//!
//! Must never name an origin that is not exactly on the list, never open a page of this server, and never let a
//! preflight reach a route.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::proxy::REQUEST_ID;
use crate::site::Site;

/// How long a browser may go by one preflight. Chromium keeps none longer than 2 hours; an origin that was struck off
/// the list is refused by the request itself all the same.
const PREFLIGHT_LASTS: Duration = Duration::from_secs(10 * 60);

const SESSION_EXTEND: HeaderName = HeaderName::from_static("session-extend");

/// Answers preflights, and adds what a browser needs to see before it shows an answer to another origin's page.
pub(crate) async fn cross_origin(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if site.allowed_origins.is_empty() || !(path.starts_with("/api/") || path == "/openapi.json") {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN);
    if !origin.is_some_and(|origin| site.allowed_origins.contains(origin)) {
        let mut response = next.run(request).await;
        // For caches: the same request from a page on the list is answered otherwise.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        return response;
    }
    let answered = layer(&site.allowed_origins).layer(next).oneshot(request).await;
    answered.unwrap_or_else(|never| match never {}).into_response()
}

fn layer(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::CONTENT_TYPE, SESSION_EXTEND])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID])
        .max_age(PREFLIGHT_LASTS)
}
