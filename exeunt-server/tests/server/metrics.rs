//! The built program's figures for Prometheus, on a listener of their own.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{Kept, on_every_engine};
use crate::support::{Answer, Place, Server};

on_every_engine!(what_happens_and_how_long_the_store_takes_can_be_scraped);

/// Where the figures of a server are, by what it said.
pub(crate) fn scrape(server: &Server) -> String {
    let line = server.said.lines().find_map(|line| line.strip_prefix("figures for Prometheus at http://"));
    let address = line.unwrap().strip_suffix("/metrics").unwrap();
    let answer = ask(address, "/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.body.ends_with("# EOF\n"));
    for (path, status) in [("/", 404), ("/api/me", 404), ("/healthz", 404), ("/login", 404)] {
        assert_eq!(ask(address, path).status, status, "{path}");
    }
    answer.body
}

fn ask(address: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    Answer::read(&mut stream)
}

/// The value of a sample, labels included; 0 where there is none yet.
pub(crate) fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Scrapes until it is so: what happened is told to the figures a moment after it was answered.
fn until(server: &Server, sample: &str, expected: f64) -> String {
    let began = Instant::now();
    loop {
        let text = scrape(server);
        if value(&text, sample) == expected {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{sample} is not {expected}:\n{text}");
        std::thread::yield_now();
    }
}

fn what_happens_and_how_long_the_store_takes_can_be_scraped(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve_with(&["--metrics", "127.0.0.1:0"]);
    let (one, _two) = (server.login(), server.login());
    assert_eq!(server.try_login("alice", "wrong").status, 401);
    assert_eq!(server.me(&one), 200);
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).status, 200);
    assert_eq!(server.me(&one), 401);

    let text = until(&server, "exeunt_logouts_total", 1.0);
    let store = match kept {
        Kept::OneFile | Kept::TwoFiles | Kept::FileAndPostgres => "sqlite",
        Kept::Postgres => "postgres",
        Kept::RedisAndFile | Kept::RedisAndPostgres => "redis",
    };
    let count = |operation: &str| {
        let sample =
            format!("exeunt_store_operation_seconds_count{{store=\"{store}\",operation=\"{operation}\"}}");
        value(&text, &sample)
    };
    assert_eq!((count("create"), count("destroy")), (2.0, 1.0), "{text}");
    assert_eq!(value(&text, "exeunt_logins_total{outcome=\"ok\"}"), 2.0);
    assert_eq!(value(&text, "exeunt_logins_total{outcome=\"refused\"}"), 1.0);
    assert_eq!(value(&text, "exeunt_events_total{kind=\"login\"}"), 2.0);
    assert_eq!(value(&text, "exeunt_responses_total{class=\"4xx\"}"), 2.0);
    assert_eq!(value(&text, "exeunt_responses_total{class=\"2xx\"}"), 4.0);
    assert!(text.contains("exeunt_queue_length{queue=\"passwords\"} 0\n"), "{text}");
    assert!(value(&text, "exeunt_queue_room{queue=\"passwords\"}") >= 64.0);
    let file = matches!(kept, Kept::OneFile | Kept::TwoFiles | Kept::FileAndPostgres);
    assert_eq!(text.contains("exeunt_queue_length{queue=\"sqlite_sessions\"} 0\n"), file, "{text}");
    // R39: whatever is a label, it is nobody's.
    assert!(!text.contains("alice") && !text.contains("127.0.0.1") && !text.contains(&one), "{text}");
    // Those that were there are counted from the start; before the first count there is no figure, and not zero.
    let (_three, _four) = (server.login(), server.login());
    drop(server);
    let server = place.serve_with(&["--metrics", "127.0.0.1:0"]);
    let text = until(&server, "exeunt_sessions_live", 3.0);
    assert!(value(&text, "exeunt_sessions_live_counted_seconds") > 1_700_000_000.0, "{text}");
}

#[test]
fn without_being_asked_to_the_server_measures_nothing_and_the_address_must_be_its_own() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    assert!(!server.said.contains("Prometheus"), "{}", server.said);
    assert_eq!(server.call("GET", "/metrics", &server.login()).status, 404);
    let address = server.address.to_string();
    drop(server);
    let output = place.try_run(["serve", "--listen", &address, "--metrics", &address], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("metrics must not be the address of listen"), "{said}");
}

#[test]
fn what_the_store_does_not_answer_is_counted_as_an_error() {
    // R11
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--metrics", "127.0.0.1:0"]);
    let token = server.login();
    let other = place.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(server.call("DELETE", "/api/auth/logout", &token).status, 400);
    let text = scrape(&server);
    assert_eq!(
        value(&text, "exeunt_store_errors_total{store=\"sqlite\",operation=\"destroy\"}"),
        1.0,
        "{text}"
    );
    assert_eq!(value(&text, "exeunt_logouts_total"), 0.0);
    other.execute_batch("ROLLBACK").unwrap();
}
