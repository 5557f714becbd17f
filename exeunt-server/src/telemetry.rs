//! The log: how it is written, and one line for every request.
//!
//! Must never hold a token, a password, a set-up secret or a query string (R39).

mod plain;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::middleware::Next;
use axum::response::Response;
use exeunt::http::ClientAddress;
use exeunt::{Client, Origin, Session};
use tracing::{Instrument, Span, field};
use tracing_subscriber::EnvFilter;

use self::plain::Plain;
use crate::config::LogFormat;
use crate::html::Who;
use crate::proxy::{Peer, REQUEST_ID};
use crate::site::Site;

/// Logs to standard error what `filter` selects, such as `info` or `warn,exeunt=debug`.
///
/// Without a `format`: text to a terminal, JSON elsewhere.
///
/// # Errors
///
/// If the filter cannot be understood, or the process logs already.
pub fn init(format: Option<LogFormat>, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("the log filter {filter:?}"))?;
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let colours = terminal && format == LogFormat::Text;
    let writer = move || Plain::new(std::io::stderr(), colours);
    let log = tracing_subscriber::fmt().with_writer(writer).with_env_filter(filter);
    // It would say on standard error that standard error cannot be written to, which panics: with the disk of the log
    // full, no request would be answered.
    let log = log.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(colours).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error))
}

/// Gives every request an id and a line in the log: its path without the query, never its headers.
pub(crate) async fn log_request(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<Peer>().copied();
    let id = site.request_id(peer, request.headers());
    let client = peer.map(|Peer(address)| site.proxies.client(address.ip(), request.headers()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or("-"), session = field::Empty);
    let mut origin = origin_of(request.headers()).request(id.to_str().unwrap_or("-"));
    if let Some(address) = client {
        request.extensions_mut().insert(ClientAddress(address));
        origin = origin.at(address);
    }
    let mut response = origin.scope(next.run(request).instrument(span.clone())).await;
    response.headers_mut().insert(REQUEST_ID, id);
    span.in_scope(|| {
        tracing::info!(
            event = "request",
            %method,
            path,
            status = response.status().as_u16(),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            client = client.map(field::display),
            "answered"
        );
    });
    response
}

/// What sent a request, as it says itself.
fn origin_of(headers: &HeaderMap) -> Origin {
    match headers.get(USER_AGENT) {
        Some(agent) => Origin::default().client(Client::new(&String::from_utf8_lossy(agent.as_bytes()))),
        None => Origin::default(),
    }
}

/// Notes whose request this is: in the log by the session's public id, for pages by name.
pub(crate) async fn note_session(session: Session, request: Request, next: Next) -> Response {
    Span::current().record("session", field::display(session.id()));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Who(session.name().to_owned()));
    response
}
