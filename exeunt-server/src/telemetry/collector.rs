//! Sends what is given to a collector over HTTP, one connection each time.
//!
//! Must never wait longer than the variables allow, nor fill the log while a collector is away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// As the specification has it.
const WITHIN: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where traces go. It works on the runtime, for a thread that is none of its own.
#[derive(Debug)]
pub(super) struct Collector {
    runtime: Handle,
    within: Duration,
    failing: AtomicBool,
}

impl Collector {
    /// By the variables that say how long an answer may take, in milliseconds.
    pub(super) fn from_env(set: impl Fn(&str) -> Option<String>) -> Self {
        let given = set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| set("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let within = given.and_then(|given| given.parse().ok()).map_or(WITHIN, Duration::from_millis);
        Self { runtime: Handle::current(), within, failing: AtomicBool::new(false) }
    }

    /// Said once, until it works again.
    fn say(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let reason = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let failed = self.failing.swap(reason.is_some(), Ordering::Relaxed);
        if let Some(reason) = reason.filter(|_| !failed) {
            tracing::warn!(
                event = "traces_not_sent",
                reason,
                "the collector does not take traces; some are dropped"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Its clock is the runtime's, too, which the thread that asks knows nothing of.
        let within = self.within;
        let sent = async move { tokio::time::timeout(within, send(request)).await };
        let outcome = match self.runtime.spawn(sent).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("no answer in time".into()),
            Err(stopping) => Err(stopping.into()),
        };
        self.say(&outcome);
        outcome
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("no host")?.clone();
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    parts.headers.insert(HOST, HeaderValue::try_from(authority.as_str())?);
    parts.uri = parts.uri.path_and_query().map_or(Uri::from_static("/"), |path| path.clone().into());
    let (parts, body) = sender.send_request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
