//! Traces for OpenTelemetry: a span for each request, and in it one for each question to the session store.
//!
//! Set by the usual `OTEL_*` variables, and off without them. Must never hold up or fail a request: spans wait in a bounded
//! queue of a thread of their own, and what does not fit is dropped. Must never hold a query, a header, a name or a token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::collector::Collector;
use crate::site::TRACES;

/// The span around a request, which the log has, too.
const REQUEST: &str = "request";
/// Whether this process keeps traces: as the log, there is one of it.
static ON: AtomicBool = AtomicBool::new(false);

/// How long a server that stops waits for the collector.
const REST_WITHIN: Duration = Duration::from_secs(5);
/// The most characters of a path in a span.
const LONGEST_PATH: usize = 200;

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// What the environment asks for; `None`: no traces. Call it within a Tokio runtime.
    ///
    /// On with `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER=otlp`. What else
    /// the SDK knows (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`,
    /// `OTEL_EXPORTER_OTLP_HEADERS` and so on) holds, too.
    ///
    /// # Errors
    ///
    /// Why they cannot be kept, though they are asked for.
    pub fn from_env() -> Result<Option<Self>, String> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if !wanted(set)? {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().with_http_client(Collector::from_env(set));
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        let mut resource = Resource::builder();
        let named = set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|named| named.contains("service.name="));
        if set("OTEL_SERVICE_NAME").is_none() && !named {
            resource = resource.with_service_name("exeunt");
        }
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter);
        Ok(Some(Self(provider.with_resource(resource.build()).build())))
    }

    /// What gathers them.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("exeunt"));
        let layer =
            layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        ON.store(true, Ordering::Relaxed);
        // No events: names are in them.
        layer.with_filter(filter_fn(|it| it.is_span() && (it.target() == TRACES || it.name() == REQUEST)))
    }

    /// Sends what was gathered, within 5 s. Blocks; the runtime has to go on meanwhile.
    pub fn send_the_rest(self) {
        if let Err(error) = self.0.shutdown_with_timeout(REST_WITHIN) {
            tracing::warn!(event = "traces_lost", error = %error, "the last traces were not sent");
        }
    }
}

fn wanted(set: impl Fn(&str) -> Option<String>) -> Result<bool, String> {
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    match set("OTEL_TRACES_EXPORTER").as_deref() {
        None if endpoint.is_none() => return Ok(false),
        Some("none") => return Ok(false),
        None | Some("otlp") => {}
        Some(_) => return Err("OTEL_TRACES_EXPORTER can be otlp or none".to_owned()),
    }
    let protocol = set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if protocol.is_some_and(|protocol| protocol != "http/protobuf") {
        return Err("OTEL_EXPORTER_OTLP_PROTOCOL can be http/protobuf".to_owned());
    }
    match endpoint.is_none_or(|endpoint| endpoint.starts_with("http://")) {
        true => Ok(true),
        false => Err(
            "OTEL_EXPORTER_OTLP_ENDPOINT has to be an http:// one: a collector on this machine or network \
                      that does TLS to where it sends them"
                .to_owned(),
        ),
    }
}

/// Says of the span around a request what it is. It goes on a trace that a trusted proxy began, and nobody else's.
pub(super) fn began(span: &Span, request: &Request, trusted: bool) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    if trusted {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
        // Where there is none, or none that can be read, the trace begins here.
        let _ = span.set_parent(parent);
    }
    let method = name_of(request.method());
    let path: String = request.uri().path().chars().take(LONGEST_PATH).collect();
    span.record("otel.name", method).record("otel.kind", "server");
    // No fields of the span: the log has them already.
    span.set_attribute("http.request.method", method);
    span.set_attribute("url.path", path);
}

/// Says what came of it.
pub(super) fn ended(span: &Span, status: StatusCode) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
}

/// A client may send any word; names of spans are few.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_kept_where_a_variable_asks_for_them_and_refused_where_they_cannot_be() {
        let ask = |given: &[(&str, &str)]| {
            wanted(|name| given.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        const AT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (given, is_wanted) in [
            (vec![], false),
            (vec![("OTEL_SERVICE_NAME", "login")], false),
            (vec![AT], true),
            (vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces")], true),
            (vec![("OTEL_TRACES_EXPORTER", "otlp")], true),
            (vec![AT, ("OTEL_TRACES_EXPORTER", "none")], false),
            (vec![AT, ("OTEL_SDK_DISABLED", "True")], false),
            (vec![AT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], true),
        ] {
            assert_eq!(ask(&given), Ok(is_wanted), "{given:?}");
        }
        for given in [
            vec![AT, ("OTEL_TRACES_EXPORTER", "zipkin")],
            vec![AT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")],
        ] {
            assert!(ask(&given).is_err(), "{given:?}");
        }
    }
}
