//! The built program's traces, as a small collector of the test gets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;

use crate::common::{Kept, on_every_engine};
use crate::support::{PASSWORD, Place};

on_every_engine!(a_request_is_a_span_and_so_is_each_question_to_the_store);

/// Takes traces until the last one who could send some is gone.
struct Collector {
    endpoint: String,
    bodies: Receiver<Vec<u8>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (told, bodies) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.send(take(stream.unwrap())).is_err() {
                    return;
                }
            }
        });
        Self { endpoint, bodies }
    }

    /// Everything that came. The server that sent it has stopped.
    fn all(&self) -> Vec<Vec<u8>> {
        self.bodies.try_iter().collect()
    }
}

/// The body of one request.
fn take(mut stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut line) = (0, String::new());
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /v1/traces HTTP/1.1"), "{line}");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    body
}

fn decoded(bodies: &[Vec<u8>]) -> Vec<ResourceSpans> {
    let each = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
    each.flat_map(|request| request.resource_spans).collect()
}

fn spans(of: &[ResourceSpans]) -> Vec<Span> {
    of.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
}

fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

fn a_request_is_a_span_and_so_is_each_question_to_the_store(kept: Kept) {
    let place = Place::with_alice(kept);
    let collector = Collector::start();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    let server = place.serve_in(&variables, &[]);
    let token = server.login();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("Cookie", token.as_str()), ("Traceparent", parent)];
    assert_eq!(server.send("DELETE", "/api/auth/logout?secret=42", &headers, "").status, 200);
    assert_eq!(server.send("STRANGE", "/api/me", &[], "").status, 401);
    assert!(server.stop().0.success());

    let bodies = collector.all();
    let resources = decoded(&bodies);
    let service = resources.first().and_then(|resource| resource.resource.clone()).unwrap();
    assert!(format!("{service:?}").contains(r#"StringValue("exeunt")"#), "{service:?}");
    let spans = spans(&resources);
    let of_request = |path: &str, method: &str| -> &Span {
        let is = |span: &&Span| {
            text(span, "url.path").as_deref() == Some(path)
                && text(span, "http.request.method").as_deref() == Some(method)
        };
        spans.iter().find(is).unwrap_or_else(|| panic!("no {method} {path}: {spans:?}"))
    };
    let (login, logout) = (of_request("/api/auth/login", "POST"), of_request("/api/auth/logout", "DELETE"));
    assert_eq!(text(login, "http.response.status_code").as_deref(), Some("200"));
    assert!(place.log().contains(&text(login, "id").unwrap()), "to find it in the log by");
    assert_eq!(text(of_request("/api/me", "_OTHER"), "http.response.status_code").as_deref(), Some("401"));
    for (request, name) in [(login, "create"), (logout, "destroy")] {
        let of_store = |span: &&Span| span.name == name && span.parent_span_id == request.span_id;
        let question = spans.iter().find(of_store).unwrap_or_else(|| panic!("no {name}: {spans:?}"));
        assert_eq!(question.trace_id, request.trace_id);
        assert!(text(question, "db.system.name").is_some());
    }
    // R47: a client does not choose the trace that it is found in.
    assert!(logout.parent_span_id.is_empty());
    // R39
    let (_, secret) = token.split_once('=').unwrap();
    for body in &bodies {
        let has = |part: &str| body.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(![secret, PASSWORD, "alice", "secret=42"].into_iter().any(has), "{spans:?}");
    }
    assert!(!place.log().contains("exeunt_traces"), "spans are not the log's");
}

#[test] // R47
fn a_trusted_proxy_says_which_trace_a_request_belongs_to() {
    let place = Place::with_alice(Kept::OneFile);
    let collector = Collector::start();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    let server = place.serve_in(&variables, &["--trusted-proxies", "127.0.0.1"]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(server.send("GET", "/healthz", &[("Traceparent", parent)], "").status, 200);
    assert!(server.stop().0.success());
    let spans = spans(&decoded(&collector.all()));
    let span = spans.iter().find(|span| span.name == "GET").unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
}

#[test] // R40
fn a_collector_that_is_away_or_silent_costs_no_request_anything() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The system accepts for it, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [away, silent.local_addr().unwrap()] {
        let place = Place::with_alice(Kept::OneFile);
        let endpoint = format!("http://{address}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ];
        let server = place.serve_in(&variables, &[]);
        for _ in 0..20 {
            let token = server.login();
            assert_eq!(server.call("DELETE", "/api/auth/logout", &token).body, "Logout successful");
            assert_eq!(server.me(&token), 401);
        }
        assert!(server.stop().0.success());
        let log = place.log();
        assert_eq!(log.matches("traces_not_sent").count(), 1, "said once: {log}");
    }
}

#[test]
fn who_asks_for_traces_that_cannot_be_kept_is_told_and_served_without() {
    let place = Place::with_alice(Kept::OneFile);
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let server = place.serve_in(&variables, &[]);
    server.login();
    assert!(place.log().contains("OTEL_EXPORTER_OTLP_PROTOCOL can be http/protobuf"), "{}", place.log());
}
