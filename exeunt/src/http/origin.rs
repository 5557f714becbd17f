//! Where a request came from, for the events that happen in it.
//!
//! Must never believe a header: whoever knows the proxies says the address.

use std::net::IpAddr;

use http::Request;
use http::header::USER_AGENT;

use crate::auth::Origin;
use crate::session::Client;

/// A request's extension: the address of the client, as far as proxies that are trusted say (R47).
///
/// Put it there in a layer around `SessionLayer`. Without one, events have no address.
///
/// ```
/// use axum::{Router, extract::Request, middleware::{Next, from_fn}, routing::get};
/// use exeunt::{MemoryStore, SessionLayer, Sessions, http::ClientAddress};
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(SessionLayer::new(Sessions::new(MemoryStore::new())))
///     .layer(from_fn(async |mut request: Request, next: Next| {
///         request.extensions_mut().insert(ClientAddress([192, 0, 2, 1].into())); // the peer's, or a trusted proxy's word
///         next.run(request).await
///     }));
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// What is known around the layer, and what the request says of itself.
pub(super) fn origin_of<B>(request: &Request<B>) -> Origin {
    let mut origin = Origin::current();
    if origin.address.is_none() {
        origin.address = request.extensions().get().map(|&ClientAddress(address)| address);
    }
    if origin.client.is_none() {
        let agent = request.headers().get(USER_AGENT);
        origin.client = agent.map(|agent| Client::new(&String::from_utf8_lossy(agent.as_bytes())));
    }
    origin
}
