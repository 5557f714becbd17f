//! The built program over TCP: the main job, and what it must do when something is wrong.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::common::{Kept, on_every_engine};
use crate::support::{Answer, PASSWORD, Place, Server};
use rustix::process::Signal;

on_every_engine!(
    the_main_job,
    after_logout_no_protected_route_takes_the_old_cookie,
    nothing_but_the_public_routes_answers_without_a_session,
    methods_that_a_public_route_does_not_have_are_refused_by_name,
    every_wrong_login_gets_the_same_answer_byte_for_byte,
    a_login_that_is_not_small_valid_json_is_refused_by_what_is_wrong_with_it,
    strange_cookies_belong_to_a_visitor,
    nobody_is_logged_in_or_out_from_another_site,
    commands_reach_the_server_that_owns_the_file_and_hold_at_once,
    a_stop_waits_for_the_request_under_way_and_for_nothing_else,
    a_second_signal_stops_at_once,
    the_first_administrator_is_made_in_the_browser_once,
    no_secret_is_in_the_log,
    request_ids_and_client_addresses_come_from_trusted_proxies_alone,
    who_does_not_finish_a_request_is_let_go,
    a_login_over_a_live_session_ends_the_old_one,
    with_an_https_public_url_cookies_are_host_only_and_secure,
);

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Everything that is there and needs a session, and some that is not there.
const PROTECTED: [(&str, &str); 9] = [
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/api/me"),
    ("HEAD", "/api/me"),
    ("GET", "/api/auth/sessions"),
    ("HEAD", "/api/auth/sessions"),
    ("DELETE", "/api/auth/sessions"),
    ("GET", "/nothing/here"),
    ("GET", "/api/nothing"),
];

fn the_main_job(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();

    let login = server.try_login("alice", PASSWORD);
    assert_eq!((login.status, login.body.as_str()), (200, r#"{"user":"alice"}"#));
    let token = login.token();

    let me = server.call("GET", "/api/me", &token);
    assert_eq!((me.status, me.body.as_str()), (200, r#"{"user":"alice"}"#));
    assert_eq!(me.header("content-type"), Some("application/json"));

    let logout = server.call("DELETE", "/api/auth/logout", &token);
    assert_eq!((logout.status, logout.body.as_str()), (200, "Logout successful"));
    assert!(logout.removes_cookie(), "{logout:?}"); // R07

    let me = server.call("GET", "/api/me", &token);
    assert!(me.is_401(), "{me:?}");

    // R08
    let again = server.call("DELETE", "/api/auth/logout", &token);
    assert_eq!((again.status, again.body.as_str()), (200, ""));
    let none = server.send("POST", "/api/auth/logout", &[], "");
    assert_eq!((none.status, none.body.as_str()), (200, ""));
}

// R01
fn after_logout_no_protected_route_takes_the_old_cookie(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    for method in ["DELETE", "POST"] {
        let (old, other) = (server.login(), server.login());
        assert_eq!(server.call(method, "/api/auth/logout", &old).body, "Logout successful");
        for (method, path) in PROTECTED {
            let answer = server.call(method, path, &old);
            assert_eq!(answer.status, 401, "{method} {path}");
        }
        assert_eq!(server.me(&other), 200, "another session of the same account lives on");
    }
}

#[test] // R02, R04
fn a_logout_that_the_store_did_not_confirm_fails_keeps_the_cookie_and_can_be_tried_again() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let token = server.login();

    let other = place.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = Instant::now();
    let refused = server.call("DELETE", "/api/auth/logout", &token);
    let took = asked.elapsed();
    assert_eq!((refused.status, refused.body.as_str()), (400, "Unable to log out"));
    assert_eq!(refused.header("set-cookie"), None);
    assert!(took < Duration::from_secs(3), "{took:?}");

    let page = server.submit("/logout", Some(&token), &[]);
    assert_eq!((page.status, page.header("set-cookie")), (400, None));
    assert!(
        page.body.contains("You are not logged out: the session could not be ended. Try again."),
        "{page:?}"
    );
    assert!(page.body.contains(r#"<form method="post" action="/logout">"#));

    let asked = Instant::now();
    let ready = server.send("GET", "/readyz", &[], "");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.header("retry-after").is_some());
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!(server.send("GET", "/healthz", &[], "").status, 200);

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.call("DELETE", "/api/auth/logout", &token).body, "Logout successful");
    assert!(server.call("GET", "/api/me", &token).is_401());
    assert_eq!(server.send("GET", "/readyz", &[], "").status, 200);

    // R40: what nobody outside is told stands in the log, which is JSON here.
    let log = place.log();
    let failed = log.lines().find(|line| line.contains("logout_failed")).unwrap();
    let failed: serde_json::Value = serde_json::from_str(failed).unwrap();
    let error = failed.get("error").and_then(|error| error.as_str()).unwrap();
    assert!(error.starts_with("the SQLite store did not answer: "), "{error}");
}

#[test]
fn the_status_of_a_failed_logout_can_be_chosen() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--logout-failure-status", "503"]);
    let token = server.login();
    let other = place.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = server.call("DELETE", "/api/auth/logout", &token);
    assert_eq!((refused.status, refused.body.as_str()), (503, "Unable to log out"));
    assert_eq!(server.submit("/logout", Some(&token), &[]).status, 503);
}

// R25
fn nothing_but_the_public_routes_answers_without_a_session(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let paths = [
        "/",
        "//",
        "/?a",
        "/.",
        "/..",
        "/%2e",
        "/%2F",
        "/./",
        "/index.html",
        "/admin",
        "/Login",
        "/LOGIN",
        "/login/",
        "//login",
        "/login//",
        "/%6cogin",
        "/login%2f",
        "/login%00",
        "/login;a",
        "/./login",
        "/a/../login",
        "/logout/",
        "/setup/",
        "/Setup",
        "/reset/",
        "/reset/ask/",
        "/reset/confirm",
        "/healthz/",
        "/HEALTHZ",
        "//healthz",
        "/readyz/x",
        "/assets",
        "/assets/",
        "/assets/style.css/",
        "/assets/../api/me",
        "/assets/%2e%2e/api/me",
        "/assets/STYLE.css",
        "/api",
        "/api/",
        "/api/me",
        "/api/me/",
        "//api/me",
        "/api//me",
        "/api/ME",
        "/API/me",
        "/api/%6de",
        "/api/me?x=/login",
        "/api/auth",
        "/api/auth/",
        "/api/auth/Login",
        "/api/auth/login/",
        "/api/auth/logout/",
        "/api/auth/me",
        "/api/auth/../me",
        "/favicon.ico",
        "/robots.txt",
        "/.well-known/change-password",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"] {
            let answer = server.send(method, path, &[], "");
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Session realm=\"exeunt\""),
                "{method} {path}"
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        }
        // R26
        let page = server.browse(path, None);
        if path.starts_with("/api/") || path == "/api" {
            assert_eq!(page.status, 401, "{path}");
        } else {
            assert_eq!(page.status, 303, "{path}");
            assert!(page.location().starts_with("/login"), "{page:?}");
        }
    }
    let token = server.login();
    for path in ["/nothing", "/login/", "//", "/api/nothing", "/api/auth/nothing", "/assets/", "/%2e"] {
        let answer = server.call("GET", path, &token);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    assert_eq!(
        server.browse("/nothing", Some(&token)).header("content-type"),
        Some("text/html; charset=utf-8")
    );
}

// R09, R61
fn methods_that_a_public_route_does_not_have_are_refused_by_name(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let token = server.login();
    for (method, path, allow) in [
        ("GET", "/api/auth/logout", "DELETE,POST"),
        ("HEAD", "/api/auth/logout", "DELETE,POST"),
        ("GET", "/logout", "POST"),
        ("HEAD", "/logout", "POST"),
        ("GET", "/api/auth/login", "POST"),
        ("DELETE", "/login", "GET,HEAD,POST"),
        ("TRACE", "/login", "GET,HEAD,POST"),
        ("TRACE", "/api/auth/login", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("POST", "/api/me", "GET,HEAD"),
        ("TRACE", "/api/me", "GET,HEAD"),
        ("PUT", "/assets/style.css", "GET,HEAD"),
    ] {
        let answer = server.call(method, path, &token);
        assert_eq!(answer.status, 405, "{method} {path}");
        let mut given: Vec<_> =
            answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        given.sort_unstable();
        assert_eq!(given.join(","), allow, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        }
    }
    assert_eq!(server.me(&token), 200, "none of these logged anybody out");
}

// R32
fn every_wrong_login_gets_the_same_answer_byte_for_byte(kept: Kept) {
    let place = Place::with_alice(kept);
    place.run(["account", "add", "mallory", "--password-stdin"], PASSWORD);
    let server = place.serve();
    place.run(["account", "disable", "mallory"], "");
    let answers: Vec<Answer> = [
        ("alice", "wrong but long enough"),
        ("nobody", PASSWORD),
        ("mallory", PASSWORD),
        ("", ""),
        ("alice", ""),
        ("a\0lice", PASSWORD),
        (&"x".repeat(5000), PASSWORD),
        ("alice", &"x".repeat(5000)),
    ]
    .into_iter()
    .map(|(name, password)| without_changing_headers(server.try_login(name, password)))
    .collect();
    let first = answers.first().unwrap();
    assert!(first.is_401(), "{first:?}");
    assert!(first.header("set-cookie").is_none());
    for answer in &answers {
        assert_eq!(answer, first);
    }
}

fn without_changing_headers(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date" && name != "x-request-id");
    answer
}

// R61
fn a_login_that_is_not_small_valid_json_is_refused_by_what_is_wrong_with_it(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let right = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let big = format!(r#"{{"username":"alice","password":"{}"}}"#, "x".repeat(17_000));
    let huge = "x".repeat(70_000);
    for (status, headers, body) in [
        (200, vec![JSON], right.as_str()),
        (415, vec![], right.as_str()),
        (415, vec![("Content-Type", "text/plain")], right.as_str()),
        (415, vec![("Content-Type", "application/x-www-form-urlencoded")], "username=alice"),
        (400, vec![JSON], ""),
        (400, vec![JSON], "{"),
        (400, vec![JSON], "\u{feff}{}"),
        (413, vec![JSON], big.as_str()),
        (413, vec![JSON], huge.as_str()),
    ] {
        let answer = server.send("POST", "/api/auth/login", &headers, body);
        assert_eq!(answer.status, status, "{headers:?} {:.60}", body);
        if status != 200 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
            assert!(answer.header("set-cookie").is_none());
        }
    }
    for body in ["[]", "null", "{}", r#"{"username":"alice"}"#, r#"{"username":1,"password":2}"#] {
        let answer = server.send("POST", "/api/auth/login", &[JSON], body);
        assert!([400, 422].contains(&answer.status), "{body}: {answer:?}");
    }
}

// R13, R27
fn strange_cookies_belong_to_a_visitor(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let right = server.login();
    let (name, token) = right.split_once('=').unwrap();
    let other = server.login();
    for cookie in [
        format!("{name}="),
        format!("{name}=x"),
        format!("{name}={}", "A".repeat(token.len())),
        format!("{name}={token}x"),
        format!("{name}={}", token.get(..token.len() - 1).unwrap()),
        format!("{name}={}", "A".repeat(7_000)),
        format!("{name}=%00%ff"),
        format!("{}={token}", name.to_uppercase()),
        format!("{right}; {other}"),
        format!("{right}; {right}"),
        "=".repeat(100),
        ";;;".to_owned(),
    ] {
        let answer = server.call("GET", "/api/me", &cookie);
        assert!(answer.is_401(), "{cookie:.80}: {answer:?}");
        let answer = server.call("GET", "/login", &cookie);
        assert_eq!(answer.status, 200, "{cookie:.80}");
    }
    // R30: nowhere but in the cookie.
    assert_eq!(server.send("GET", &format!("/api/me?{right}"), &[], "").status, 401);
    assert_eq!(
        server.send("GET", "/api/me", &[("Authorization", &format!("Session {token}"))], "").status,
        401
    );
    assert_eq!(server.me(&right), 200);
}

// R10, R31
fn nobody_is_logged_in_or_out_from_another_site(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let token = server.login();
    let evil: [&[(&str, &str)]; 5] = [
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")],
    ];
    for headers in evil {
        let with_cookie: Vec<_> = headers.iter().copied().chain([("Cookie", token.as_str())]).collect();
        for (method, path) in
            [("POST", "/logout"), ("POST", "/api/auth/logout"), ("DELETE", "/api/auth/logout")]
        {
            let answer = server.send(method, path, &with_cookie, "");
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
            assert!(answer.header("set-cookie").is_none());
        }
        let with_type: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
        assert_eq!(server.send("POST", "/api/auth/login", &with_type, &body).status, 403, "{headers:?}");
        assert_eq!(server.send("POST", "/login", headers, "").status, 403, "{headers:?}");
    }
    assert_eq!(server.me(&token), 200);
}

fn commands_reach_the_server_that_owns_the_file_and_hold_at_once(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();

    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let bob = server.try_login("bob", PASSWORD).token();
    place.run(["account", "disable", "bob"], ""); // R19
    assert_eq!(server.me(&bob), 401);
    assert_eq!(server.try_login("bob", PASSWORD).status, 401);
    place.run(["account", "enable", "bob"], "");
    assert_eq!(server.me(&bob), 401, "enabling brings no session back");

    let bob = server.try_login("bob", PASSWORD).token();
    place.run(["account", "password", "bob", "--password-stdin"], "another horse, another staple"); // R18
    assert_eq!(server.me(&bob), 401);
    assert_eq!(server.try_login("bob", PASSWORD).status, 401);
    let bob = server.try_login("bob", "another horse, another staple").token();
    place.run(["account", "remove", "bob"], "");
    assert_eq!(server.me(&bob), 401);

    // R20
    let (one, two) = (server.login(), server.login());
    let listed: serde_json::Value =
        serde_json::from_str(&server.call("GET", "/api/auth/sessions", &one).body).unwrap();
    let current = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session.get("current") == Some(&true.into()))
        .unwrap();
    let id = current.get("id").and_then(|id| id.as_str()).unwrap();
    place.run(["session", "end", id], "");
    assert_eq!((server.me(&one), server.me(&two)), (401, 200));
    place.run(["session", "end-all", "--account", "alice"], "");
    assert_eq!(server.me(&two), 401);
    assert_eq!(server.me(&server.login()), 200);
}

#[test]
fn a_second_server_on_the_same_file_is_refused_with_the_reason() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let second = place.try_run(["serve", "--listen", "127.0.0.1:0"], "");
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("exeunt.db") && said.contains("lock"), "{said}");
    assert_eq!(server.send("GET", "/readyz", &[], "").status, 200);
}

fn a_stop_waits_for_the_request_under_way_and_for_nothing_else(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    // One connection that asked nothing yet, one that is idle after an answer, one in the middle of a login.
    let unused = server.connect();
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut idle).status, 200);
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let mut busy = server.connect();
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: so the request is under way.
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

    let address = server.address;
    server.signal(Signal::TERM);
    // A refused connection says that the server has heard.
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    let asked = Instant::now();
    busy.write_all(body.as_bytes()).unwrap();
    let answer = Answer::read(&mut busy);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"user":"alice"}"#));
    assert_eq!(server.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "idle connections held it up: {:?}", asked.elapsed());
    drop((unused, idle));

    // Everything is in the one file now, and the place by it is clean.
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with("sock")), "{left:?}");
    let server = place.serve();
    assert_eq!(server.me(&answer.token()), 200);
}

fn a_second_signal_stops_at_once(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let mut busy = server.connect();
    busy.write_all(b"POST /login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .unwrap();
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).unwrap();
    let address = server.address;
    server.signal(Signal::INT);
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    let asked = Instant::now();
    server.signal(Signal::INT);
    assert_ne!(server.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5));
}

// R43, R30
fn the_first_administrator_is_made_in_the_browser_once(kept: Kept) {
    let place = Place::new(kept);
    let server = place.serve();
    let link =
        server.said.split_whitespace().find(|word| word.contains("/setup?secret=")).unwrap().to_owned();
    let path = link.get(link.find("/setup").unwrap()..).unwrap();
    let secret = path.strip_prefix("/setup?secret=").unwrap();

    let page = server.browse(path, None);
    assert_eq!(page.status, 200);
    assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    assert!(page.body.contains(secret));
    assert_eq!(server.browse("/setup?secret=wrong", None).status, 404);
    assert_eq!(server.browse("/setup", None).status, 404);

    let fill = |secret: &str, name: &str, password: &str, again: &str| {
        let fields = [("secret", secret), ("username", name), ("password", password), ("again", again)];
        server.submit("/setup", None, &fields)
    };
    assert_eq!(fill("wrong", "root", PASSWORD, PASSWORD).status, 404);
    assert_eq!(fill(secret, "root", PASSWORD, "something else entirely").status, 422);
    for (name, password, problem) in [
        ("", PASSWORD, "Choose a name."),
        ("root", "", "Choose a password."),
        ("root", "short", "A password has at least"), // R36
        ("root", "passwordpassword", "repeats"),      // R37
    ] {
        let refused = fill(secret, name, password, password);
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains(problem), "{refused:?}");
    }
    let done = fill(secret, "root", PASSWORD, PASSWORD);
    assert_eq!((done.status, done.location()), (303, "/login?done"));
    let home = server.browse("/", Some(&done.token()));
    assert!(home.body.contains("root"), "{home:?}");

    assert_eq!(fill(secret, "second", PASSWORD, PASSWORD).status, 404);
    assert_eq!(server.browse(path, None).status, 404);
    let listed: serde_json::Value =
        serde_json::from_str(&place.run(["account", "list", "--json"], "")).unwrap();
    let listed = listed.get("accounts").and_then(|list| list.as_array()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed.first().unwrap().get("admin"), Some(&true.into()));
    assert!(!place.log().contains(secret));

    drop(server);
    assert!(!place.serve().said.contains("/setup"), "there is an account now");
}

// R38, R39
fn no_secret_is_in_the_log(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve_with(&["--log", "trace"]);
    let token = server.login();
    let value = token.split_once('=').unwrap().1.to_owned();
    server.call("GET", "/api/me", &token);
    server.call("GET", &format!("/api/me?token={value}"), "");
    server.try_login("alice", "wrong horse battery staple");
    server.submit("/login", None, &[("username", "alice"), ("password", PASSWORD)]);
    server.submit(
        "/setup",
        None,
        &[("secret", "a-secret-of-setup"), ("username", "a"), ("password", PASSWORD)],
    );
    server.browse("/setup?secret=a-secret-of-setup", Some(&token));
    server.call("GET", "/api/me", &format!("{token}; {token}"));
    server.call("DELETE", "/api/auth/logout", &token);
    server.call("GET", "/api/me", &token);
    let (status, _) = server.stop();
    assert!(status.success());
    let log = place.log();
    for secret in [value.as_str(), PASSWORD, "wrong horse", "correct+horse", "a-secret-of-setup"] {
        assert!(!log.contains(secret), "{secret}");
    }
    // Each line is JSON, since this is no terminal; each request has one, with its session's public id.
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| {
        lines.iter().filter(|line| line.get("event").is_some_and(|found| found == event)).count()
    };
    assert_eq!((of("login"), of("logout"), of("login_refused")), (2, 1, 1));
    assert_eq!(of("session_refused"), 1, "the use of the token after its end");
    let logout = lines.iter().find(|line| line.get("event").is_some_and(|event| event == "logout")).unwrap();
    assert_eq!(logout.get("user").and_then(|user| user.as_str()), Some("1"), "who it was: {logout}");
    assert_eq!(of("request"), 10);
    let me = lines.iter().find(|line| line.get("path").is_some_and(|path| path == "/api/me")).unwrap();
    let span = me.get("span").unwrap();
    assert!(span.get("id").is_some() && span.get("session").is_some(), "{me}");
}

// R47
fn request_ids_and_client_addresses_come_from_trusted_proxies_alone(kept: Kept) {
    let headers = [("X-Request-Id", "given-by-proxy"), ("X-Forwarded-For", "198.51.100.7")];
    for (args, trusted) in [(&[][..], false), (&["--trusted-proxies", "127.0.0.1"][..], true)] {
        let place = Place::new(kept);
        let server = place.serve_with(args);
        let answer = server.send("GET", "/healthz", &headers, "");
        assert_eq!(answer.header("x-request-id") == Some("given-by-proxy"), trusted);
        server.stop();
        assert_eq!(place.log().contains("198.51.100.7"), trusted);
    }
}

// R40, slow clients
fn who_does_not_finish_a_request_is_let_go(kept: Kept) {
    let place = Place::new(kept);
    let server = place.serve();
    let mut half = server.connect();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ").unwrap();
    let mut body = server.connect();
    body.write_all(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nuser").unwrap();
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(Answer::read(&mut body).status, 408);
    // More than announced, and more than fits.
    let head = "POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let chunk = format!("{:x}\r\n{}\r\n", 0x8000, "a".repeat(0x8000));
    let raw = [head, chunk.clone(), chunk.clone(), chunk].concat();
    assert_eq!(server.send_raw(raw.as_bytes()).status, 413);
    for bad in ["GET / HTTP/1.1\r\n\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"] {
        assert!(server.send_raw(bad.as_bytes()).status >= 400, "{bad}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(60_000));
    assert!([401, 414].contains(&server.send_raw(long.as_bytes()).status));
    assert_eq!(server.send("GET", "/healthz", &[], "").status, 200);
}

// R12
fn a_login_over_a_live_session_ends_the_old_one(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let old = server.login();
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let new = server.send("POST", "/api/auth/login", &[JSON, ("Cookie", &old)], &body).token();
    assert_eq!((server.me(&old), server.me(&new)), (401, 200));
}

// R27, R46
fn with_an_https_public_url_cookies_are_host_only_and_secure(kept: Kept) {
    let place = Place::with_alice(kept);
    let server: Server = place.serve_with(&["--public-url", "https://login.example.org"]);
    let login = server.try_login("alice", PASSWORD);
    let cookie = login.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-session="));
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    assert_eq!(server.call("DELETE", "/api/auth/logout", pair).body, "Logout successful");
    // R31: the public origin is trusted whatever the Host header says, and no other because of it.
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    for (origin, host, status) in [
        ("https://login.example.org", "127.0.0.1", 200),
        ("https://login.example.org", "login.example.org", 200),
        ("http://login.example.org", "login.example.org", 403),
        ("https://login.example.org:8443", "login.example.org:8443", 403),
        ("https://evil.example", "evil.example", 403),
    ] {
        let head = format!("POST /api/auth/login HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n");
        let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(server.send_raw([head, rest].concat().as_bytes()).status, status, "{origin} at {host}");
    }
}
