//! A forgotten password, over TCP: what is answered, to whom, and what stands in the message.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::common::{Kept, on_every_engine};
use crate::support::{Answer, PASSWORD, Place, Server};

on_every_engine!(a_forgotten_password_is_reset_by_the_link_in_the_message);

const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const PUBLIC_URL: &str = "https://login.example.org";
pub(crate) const NEW: &str = "staple battery horse correct";

fn ask(server: &Server, name: &str) -> Answer {
    let body = serde_json::json!({ "username": name }).to_string();
    server.send("POST", "/api/auth/reset", &[JSON], &body)
}

fn confirm(server: &Server, secret: &str, password: &str) -> Answer {
    let body = serde_json::json!({ "secret": secret, "password": password }).to_string();
    server.send("POST", "/api/auth/reset/confirm", &[JSON], &body)
}

/// That sends its messages into a folder.
pub(crate) fn serve(place: &Place) -> Server {
    place.serve_with(&["--mail-dir", "mail", "--public-url", PUBLIC_URL, "--log", "trace"])
}

/// With an account `alice` who has an address.
pub(crate) fn with_alice(kept: Kept) -> Place {
    let place = Place::with_alice(kept);
    place.run(["account", "email", "alice", "alice@example.org"], "");
    place
}

const NEW_CLIENT: &str = "Subject: A login from a new device\r\n";

/// All messages but those of new clients, once the server that sent them has stopped: here every login is from a new one.
pub(crate) fn messages(place: &Place, server: Server) -> Vec<String> {
    let (status, _) = server.stop();
    assert!(status.success());
    let folder: PathBuf = place.path().join("mail");
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.unwrap().path()).unwrap();
    let mut messages: Vec<String> = fs::read_dir(&folder).unwrap().map(read).collect();
    fs::remove_dir_all(folder).unwrap();
    messages.retain(|message| !message.contains(NEW_CLIENT));
    messages
}

pub(crate) fn without_changing_headers(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date" && name != "x-request-id");
    answer
}

fn a_forgotten_password_is_reset_by_the_link_in_the_message(kept: Kept) {
    // R42, R18, R59, R39
    let place = with_alice(kept);
    let server = serve(&place);
    let session = server.login();
    // The link is made of what was configured, whatever a request says.
    let evil = [JSON, ("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example")];
    let body = r#"{"username":"ALICE"}"#;
    let length = body.len();
    let asked = server.send_raw(
        format!(
            "POST /api/auth/reset HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\n\
             X-Forwarded-Host: evil.example\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!(server.send("POST", "/api/auth/reset", &evil, r#"{"username":"nobody"}"#).status, 202);
    assert_eq!(server.me(&session), 200, "asking changes nothing");
    let sent = messages(&place, server);
    let [message] = &sent[..] else { panic!("{sent:?}") };
    assert!(!message.contains("evil"), "{message}");
    let (_, rest) = message.split_once(&format!("{PUBLIC_URL}/reset?secret=")).unwrap();
    let secret = rest.lines().next().unwrap();

    // Another process: after a restart, or another node.
    let server = serve(&place);
    assert_eq!(server.me(&session), 200);
    assert_eq!(confirm(&server, secret, "").status, 422);
    assert_eq!(confirm(&server, "a-guess", NEW).status, 404);
    let done = confirm(&server, secret, NEW);
    assert_eq!((done.status, done.body.as_str()), (200, r#"{"ended":1}"#));
    assert_eq!(done.header("set-cookie"), None, "nobody is logged in by it");
    assert_eq!(server.me(&session), 401);
    assert_eq!(server.try_login("alice", PASSWORD).status, 401);
    assert_eq!(server.try_login("alice", NEW).status, 200);
    for used in [secret, "a-guess", ""] {
        let refused = confirm(&server, used, "yet another one, long enough");
        assert_eq!(refused.status, 404, "{refused:?}");
        assert!(refused.body.contains("This link does not work"), "{refused:?}");
    }
    assert_eq!(server.try_login("alice", NEW).status, 200);
    let sent = messages(&place, server);
    let [notice] = &sent[..] else { panic!("{sent:?}") };
    assert!(notice.contains("Subject: Your password was reset\r\n") && !notice.contains(secret), "{notice}");

    let log = place.log();
    for hidden in [secret, NEW, "alice@example.org"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
    for event in ["reset_requested", "password_reset", "mail_sent"] {
        assert!(log.contains(&format!("\"event\":\"{event}\"")), "{event}");
    }
}

#[test]
fn the_answer_is_the_same_whoever_is_asked_for_byte_for_byte() {
    // R42, R57
    let place = with_alice(Kept::OneFile);
    for (name, email) in [("mute", ""), ("gone", "gone@example.org")] {
        place.run(["account", "add", name, "--password-stdin"], PASSWORD);
        if !email.is_empty() {
            place.run(["account", "email", name, email], "");
            place.run(["account", "disable", name], "");
        }
    }
    let server = serve(&place);
    let long = "x".repeat(5_000);
    let names =
        ["alice", "alice@example.org", "nobody", "nobody@example.org", "mute", "gone", "", "a\0b", &long];
    let answers: Vec<Answer> =
        names.iter().map(|name| without_changing_headers(ask(&server, name))).collect();
    let first = answers.first().unwrap();
    assert_eq!((first.status, first.header("cache-control")), (202, Some("no-store")));
    for answer in &answers {
        assert_eq!(answer, first);
    }
    assert_eq!(messages(&place, server).len(), 2, "alice by name and by address");
}

#[test]
fn a_request_from_another_site_or_without_sense_is_refused() {
    // R31, R61
    let place = with_alice(Kept::OneFile);
    let server = serve(&place);
    for path in ["/api/auth/reset", "/api/auth/reset/confirm"] {
        let body = r#"{"username":"alice","secret":"x","password":"y"}"#;
        for from in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")]
        {
            assert_eq!(server.send("POST", path, &[JSON, from], body).status, 403, "{path} {from:?}");
        }
        for (status, headers, body) in
            [(415, vec![], body), (400, vec![JSON], "{"), (422, vec![JSON], "{}"), (422, vec![JSON], "[1]")]
        {
            let refused = server.send("POST", path, &headers, body);
            assert_eq!(refused.status, status, "{path} {body}");
            assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{refused:?}");
        }
        let wrong = server.send("GET", path, &[], "");
        assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    }
    assert!(messages(&place, server).is_empty());
}

#[test]
fn without_mail_or_a_public_url_resetting_is_off_for_every_name_and_the_log_says_why() {
    // R42, R57
    for (args, why) in [
        (&["--public-url", PUBLIC_URL][..], "nothing sends messages"),
        (&["--mail-dir", "mail"][..], "its links begin with the public URL"),
    ] {
        let place = with_alice(Kept::OneFile);
        let server = place.serve_with(args);
        assert!(place.log().contains(why), "{}", place.log());
        let answers = ["alice", "nobody"].map(|name| without_changing_headers(ask(&server, name)));
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].status, 404);
        assert!(answers[0].body.contains("Passwords cannot be reset on this server"), "{:?}", answers[0]);
    }
}

#[test]
fn one_source_is_told_to_wait_after_twenty_requests() {
    // R35
    let place = with_alice(Kept::OneFile);
    let server = serve(&place);
    for _ in 0..20 {
        assert_eq!(ask(&server, "nobody").status, 202);
    }
    for name in ["alice", "nobody"] {
        let refused = ask(&server, name);
        assert_eq!(refused.status, 429, "{refused:?}");
        let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    }
    assert_eq!(server.try_login("alice", PASSWORD).status, 200, "logging in is another matter");
    assert!(messages(&place, server).is_empty());
}

#[test]
fn a_mail_server_that_hangs_delays_no_answer() {
    let place = with_alice(Kept::OneFile);
    // Takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = format!("smtp://{}", silent.local_addr().unwrap());
    let server = place.serve_with(&["--smtp", &smtp, "--public-url", PUBLIC_URL]);
    let session = server.login();
    for _ in 0..10 {
        assert_eq!(ask(&server, "alice").status, 202);
    }
    // It waits for messages that are on their way, so it is not asked to stop.
    assert_eq!(server.call("DELETE", "/api/auth/logout", &session).body, "Logout successful");
    server.kill();
}

#[test]
fn messages_go_to_the_log_only_where_that_was_asked_for() {
    // R39
    let place = with_alice(Kept::OneFile);
    let server = place.serve_with(&["--mail-log", "--public-url", PUBLIC_URL]);
    assert!(place.log().contains("messages go to the log"));
    assert_eq!(ask(&server, "alice").status, 202);
    let (status, _) = server.stop();
    assert!(status.success());
    let log = place.log();
    let (_, rest) = log.split_once(&format!("{PUBLIC_URL}/reset?secret=")).unwrap();
    assert!(rest.split('\\').next().unwrap().len() == 43, "{log}");
}

#[test]
fn whoever_changes_their_own_password_is_told_of_it() {
    // R59
    for kept in [Kept::OneFile, Kept::TwoFiles] {
        let place = with_alice(kept);
        let server = serve(&place);
        let token = server.login();
        let body = serde_json::json!({ "current": PASSWORD, "new": NEW }).to_string();
        let headers = [JSON, ("Cookie", token.as_str())];
        assert_eq!(server.send("POST", "/api/auth/password", &headers, &body).status, 200);
        let sent = messages(&place, server);
        let [notice] = &sent[..] else { panic!("{sent:?}") };
        assert!(notice.contains("Subject: Your password was changed\r\n"), "{notice}");
    }
}

#[test]
fn a_login_from_another_client_than_those_before_is_told() {
    // R59
    for kept in [Kept::OneFile, Kept::Postgres] {
        let place = with_alice(kept);
        let server = serve(&place);
        let log_in = |badge: &str| {
            let body = serde_json::json!({ "username": "alice", "password": PASSWORD }).to_string();
            let headers = [JSON, ("User-Agent", "Firefox/140.0 (X11; Linux x86_64)"), ("Cookie", badge)];
            let answer = server.send("POST", "/api/auth/login", &headers, &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
            let set: Vec<_> = set.filter_map(|(_, value)| value.split(';').next()).collect();
            set.iter().find(|cookie| cookie.contains("client=")).map(|cookie| (*cookie).to_owned()).unwrap()
        };
        // The first one of all, and the same again.
        let badge = log_in("");
        log_in(&badge);
        let told = || fs::read_dir(place.path().join("mail")).map_or(0, Iterator::count);
        log_in("");
        let (status, _) = server.stop();
        assert!(status.success());
        assert_eq!(told(), 1);
        let message = fs::read_dir(place.path().join("mail")).unwrap().next().unwrap().unwrap();
        let message = fs::read_to_string(message.path()).unwrap();
        assert!(message.contains(NEW_CLIENT) && message.contains("Firefox on Linux"), "{message}");
    }
}

#[test]
fn a_link_comes_in_the_language_of_who_asks_and_a_notice_in_that_of_the_server() {
    // R59: whoever caused a notice may be somebody else, and must not choose a language that its owner cannot read.
    let place = with_alice(Kept::OneFile);
    let serve = |language: &[&str]| {
        place.serve_with(&[&["--mail-dir", "mail", "--public-url", PUBLIC_URL], language].concat())
    };
    let change = |server: &Server, current: &str, new: &str| {
        let session = server.try_login("alice", current).token();
        let body = serde_json::json!({ "current": current, "new": new }).to_string();
        let headers = [JSON, ("Cookie", session.as_str()), ("Accept-Language", "de")];
        assert_eq!(server.send("POST", "/api/auth/password", &headers, &body).status, 200);
    };
    let in_what = |server: Server| {
        let mut languages =
            messages(&place, server).iter().map(|message| language(message)).collect::<Vec<_>>();
        languages.sort();
        languages
    };

    let server = serve(&[]);
    let german = [JSON, ("Accept-Language", "xx, de-AT;q=0.9, en;q=0.5")];
    assert_eq!(server.send("POST", "/api/auth/reset", &german, r#"{"username":"alice"}"#).status, 202);
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Accept-Language", "fr"),
    ];
    assert_eq!(server.send("POST", "/reset/ask", &form, "username=alice").status, 200);
    change(&server, PASSWORD, NEW);
    assert!(server.browse("/login", None).body.contains("<html lang=\"en\""));
    assert_eq!(
        in_what(server),
        ["de: Ein neues Passwort setzen", "en: Set a new password", "en: Your password was changed"]
    );

    let server = serve(&["--language", "de"]);
    assert_eq!(ask(&server, "alice").status, 202);
    change(&server, NEW, PASSWORD);
    assert!(server.browse("/login", None).body.contains("<html lang=\"de\""));
    let told = in_what(server);
    assert_eq!(told.len(), 3, "{told:?}");
    for (subject, begins) in told.iter().zip([
        "de: Ein neues Passwort setzen",
        "de: Eine Anmeldung von einem neuen",
        "de: Ihr Passwort wurde =?utf-8?",
    ]) {
        assert!(subject.starts_with(begins), "{told:?}");
    }

    let refused = Server::try_start(&place, &[], &["--language", "xx"]).err().unwrap();
    assert!(!refused.0.success());
    assert!(
        refused.1.contains("no texts in the language \"xx\"") && refused.1.contains("en, de"),
        "{}",
        refused.1
    );
}

/// Language and subject of a message.
fn language(message: &str) -> String {
    let header = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    format!("{}: {}", header("Content-Language: "), header("Subject: "))
}
