//! What real servers say of what happened: to the command, in the table, in the log. No text of others makes up a line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::common::Kept;
use crate::support::{PASSWORD, Place, Server};

/// What each engine keeps is tried in `tests/accounts`; here it is the whole way that counts.
#[test]
fn each_event_comes_to_the_command_once_from_a_server_on_one_file() {
    // R20, R38
    each_event_comes_to_the_command_once_while_a_server_runs_and_after_it_was_stopped(Kept::OneFile);
}

#[test]
fn each_event_comes_to_the_command_once_from_a_server_on_redis_and_postgres() {
    // R20, R38
    each_event_comes_to_the_command_once_while_a_server_runs_and_after_it_was_stopped(Kept::RedisAndPostgres);
}

#[test]
fn nothing_forges_a_line_of_a_server_on_one_file() {
    // R39
    no_header_name_or_path_forges_a_line_of_the_log_or_of_the_events(Kept::OneFile);
}

#[test]
fn nothing_forges_a_line_of_a_server_on_postgres() {
    // R39
    no_header_name_or_path_forges_a_line_of_the_log_or_of_the_events(Kept::Postgres);
}

/// `exeunt events --follow`, until it is dropped.
struct Follower(Child, BufReader<std::process::ChildStdout>);

impl Follower {
    fn new(place: &Place) -> Self {
        let mut command = place.command(["events", "--follow", "--json"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self(child, out)
    }

    /// The next event; waits for it.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.1.read_line(&mut line).unwrap() > 0, "it ended");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text<'a>(event: &'a Value, key: &str) -> Option<&'a str> {
    event.get(key).and_then(Value::as_str)
}

fn all(place: &Place) -> Vec<Value> {
    let shown = place.run(["events", "--json"], "");
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn each_event_comes_to_the_command_once_while_a_server_runs_and_after_it_was_stopped(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve_with(&["--public-url", "https://login.example.org"]);
    let mut follower = Follower::new(&place);
    let added = follower.next();
    assert_eq!((text(&added, "event"), text(&added, "by")), (Some("account_added"), Some("operator")));

    let token = server.login();
    server.try_login("alice", "wrong horse battery staple");
    server.call("DELETE", "/api/auth/logout", &token);
    for _ in 0..2 {
        server.call("GET", "/api/me", &token);
    }
    // The library's refusal, and the server's own, which goes by the public URL.
    let from = |header: (&str, &str)| server.send("POST", "/login", &[header], "").status;
    assert_eq!(from(("Sec-Fetch-Site", "cross-site")), 403);
    assert_eq!(from(("Origin", "https://evil.example")), 403);
    let _ended_by_the_change = server.login();
    let token = server.login();
    for (current, status) in [("wrong horse battery staple", 403), (PASSWORD, 200)] {
        let body = serde_json::json!({"current": current, "new": "another horse battery staple"}).to_string();
        let headers = [("Cookie", token.as_str()), ("Content-Type", "application/json")];
        assert_eq!(server.send("POST", "/api/auth/password", &headers, &body).status, status);
    }
    place.run(["account", "disable", "alice"], "");

    let expected = [
        ("login", None, Some("owner")),
        ("login_refused", Some("password"), None),
        ("logout", None, Some("owner")),
        ("cross_site_refused", Some("sec_fetch_site"), None),
        ("cross_site_refused", Some("public_url"), None),
        ("login", None, Some("owner")),
        ("login", None, Some("owner")),
        ("login_refused", Some("current_password"), None),
        ("session_renewed", None, Some("owner")),
        ("password_changed", None, Some("owner")),
        ("session_ended", Some("password_changed"), Some("owner")),
        ("account_disabled", None, Some("operator")),
        ("session_ended", Some("account_disabled"), Some("operator")),
        // Looked up a moment later, so that no node is too fast for another.
        ("dead_token", Some("logout"), None),
    ];
    let mut heard: Vec<Value> = (0..expected.len()).map(|_| follower.next()).collect();
    // Which comes to the table first is open where a command did not go through the server.
    heard.sort_by_key(|event| {
        (text(event, "event").map(str::to_owned), text(event, "reason").map(str::to_owned))
    });
    let mut sorted = expected;
    sorted.sort();
    for (event, (kind, reason, by)) in heard.iter().zip(sorted) {
        let found = (text(event, "event"), text(event, "reason"), text(event, "by"));
        assert_eq!(found, (Some(kind), reason, by), "{event}");
        let anonymous = kind == "cross_site_refused";
        assert_eq!(text(event, "account"), (!anonymous).then_some("alice"), "{event}");
        let from_network = by != Some("operator");
        assert_eq!(text(event, "address"), from_network.then_some("127.0.0.1"), "{event}");
        assert_eq!(event.get("request").is_some(), from_network, "{event}");
    }
    // What happened last is written before the server is gone.
    server.try_login("nobody", PASSWORD);
    assert!(server.stop().0.success());
    let events = all(&place);
    assert_eq!(events.len(), 1 + expected.len() + 1);
    assert_eq!(events.last().and_then(|event| text(event, "reason")), Some("credentials"));
    let of_alice = place.run(["events", "--account", "ALICE", "--limit", "3"], "");
    assert_eq!(of_alice.lines().count(), 3);
    assert!(of_alice.lines().all(|line| line.contains(" account=\"alice\"")), "{of_alice}");
}

fn no_header_name_or_path_forges_a_line_of_the_log_or_of_the_events(kept: Kept) {
    const EVIL: &str = "x\u{85}\u{2028}{\"event\":\"forged\"}\u{202e} event=forged\t";
    let place = Place::with_alice(kept);
    for format in ["json", "text"] {
        let server = place.serve_with(&["--log-format", format, "--log", "debug"]);
        let attack = |headers: &[(&str, &str)]| {
            for path in ["/", "/%0d%0aevent=forged", "/a\u{85}%1b[2Jevent=forged", "/login?x=%0aevent=forged"]
            {
                let _ = forge(&server, "GET", path, headers, "");
            }
            for name in ["alice", "alice\r\nevent=forged", "{\"event\":\"forged\"}\u{1b}[2J\u{2028}"] {
                let body = serde_json::json!({"username": name, "password": "\r\nevent=forged"}).to_string();
                let mut headers = headers.to_vec();
                headers.push(("Content-Type", "application/json"));
                let _ = forge(&server, "POST", "/api/auth/login", &headers, &body);
            }
        };
        for name in
            ["User-Agent", "Origin", "Referer", "X-Request-Id", "X-Forwarded-For", "Forwarded", "Cookie"]
        {
            attack(&[(name, EVIL)]);
        }
        attack(&[("User-Agent", EVIL), ("Sec-Fetch-Site", "cross-site")]);
        assert!(server.stop().0.success());
        let log = place.log();
        let json = log.lines().next().unwrap().starts_with('{');
        assert!(log.contains("cross_site_refused") && log.contains("login_refused"));
        for line in log.split('\n').filter(|line| !line.is_empty()) {
            let controls = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
            assert!(!line.contains(controls), "{line:?}");
            match json {
                true => {
                    let line: Value = serde_json::from_str(line).unwrap();
                    assert_ne!(text(&line, "event"), Some("forged"), "{line}");
                }
                // A time, a level, and nothing else, begins a line.
                false => assert!(line.starts_with("20") && line.contains("Z "), "{line}"),
            }
        }
        place.forget_log();
    }
    for event in all(&place) {
        assert_ne!(text(&event, "event"), Some("forged"));
    }
    let shown = place.run(["events"], "");
    assert!(shown.contains("client=\"x"), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("20") && !line.contains(" event=forged\n")), "{shown}");
    assert!(shown.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{shown:?}");
}

/// As [`Server::send`], for what a server may also refuse to read.
fn forge(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = server.connect();
    let _ = stream.write_all(text.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}
