//! Guessing over TCP: what guessers hear, and that it costs nobody else anything.

use crate::common::Kept;
use crate::support::{Answer, PASSWORD, Place, Server};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Where the proxy in front says that a request came from.
pub(crate) const THE_PROXY: [&str; 2] = ["--trusted-proxies", "127.0.0.1"];

pub(crate) fn from(
    server: &Server,
    address: &str,
    name: &str,
    password: &str,
    badge: Option<&str>,
) -> Answer {
    let body = serde_json::json!({"username": name, "password": password}).to_string();
    let mut headers = vec![JSON, ("X-Forwarded-For", address)];
    headers.extend(badge.map(|badge| ("Cookie", badge)));
    server.send("POST", "/api/auth/login", &headers, &body)
}

fn comparable(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date" && name != "x-request-id");
    answer
}

pub(crate) fn is_429(answer: &Answer) -> bool {
    answer.status == 429
        && answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|it| it > 0))
        && answer.header("content-type") == Some("application/problem+json")
        && answer.header("cache-control") == Some("no-store")
        && answer.headers.iter().all(|(name, _)| name != "set-cookie")
}

/// As many wrong tries as are free, and then, so that no test has to wait, as many as stop all further ones.
fn lock(place: &Place, server: &Server, name: &str) {
    for number in 1..=10 {
        assert_eq!(from(server, &format!("192.0.2.{number}"), name, "wrong", None).status, 401, "{number}");
    }
    count(place, "kind = 1 AND level >= 10000000", 80);
}

/// Sets some counts to so many failures.
fn count(place: &Place, which: &str, failures: i64) {
    let sql = format!("UPDATE throttle SET level = {failures} * 1000000 WHERE {which}");
    assert!(place.connection().execute(&sql, []).unwrap() > 0, "{which}");
}

#[test] // R32, R33, R35, R57
fn who_guesses_hears_the_same_byte_for_byte_whoevers_name_it_is() {
    let place = Place::with_alice(Kept::OneFile);
    place.run(["account", "add", "mallory", "--password-stdin"], PASSWORD);
    place.run(["account", "disable", "mallory"], "");
    let server = place.serve();
    let all = || {
        let heard = ["alice", "nobody", "mallory"].map(|name| comparable(server.try_login(name, "wrong")));
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[0], heard[2]);
        heard[0].clone()
    };
    for _ in 0..10 {
        assert!(all().is_401());
    }
    count(&place, "kind = 1", 80);
    for _ in 0..3 {
        assert!(is_429(&all()));
    }
    // The page says it too, and says what to do.
    let page = server.submit("/login", None, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(page.status, 429);
    assert!(page.header("retry-after").is_some());
    assert!(page.body.contains("Too many tries") && page.body.contains("Wait a while"), "{page:?}");
    assert!(
        page.body.contains("name=\"username\" value=\"alice\"") && !page.body.contains(PASSWORD),
        "{page:?}"
    );
    // R38: once for each try that made others wait, and never for those that were refused.
    let log = place.log();
    assert_eq!(log.matches("\"event\":\"throttled\"").count(), 3, "{log}");
    assert!(!log.contains("\"nobody\""), "what is nobody's name may be a password");
}

#[test] // R35
fn guessers_hold_up_no_logout_no_session_and_no_client_that_was_used_before() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&THE_PROXY);
    let login = from(&server, "198.51.100.1", "alice", PASSWORD, None);
    let (session, badge) = (login.token(), login.badge().unwrap().to_owned());
    let other = from(&server, "198.51.100.1", "alice", PASSWORD, None).token();
    lock(&place, &server, "alice");
    assert!(is_429(&from(&server, "198.51.100.2", "alice", PASSWORD, None)), "a stranger waits");

    assert_eq!(server.me(&session), 200);
    let logout = server.call("DELETE", "/api/auth/logout", &other);
    assert_eq!((logout.status, logout.body.as_str()), (200, "Logout successful"));
    let back = from(&server, "198.51.100.1", "alice", PASSWORD, Some(&badge));
    assert_eq!((back.status, back.badge()), (200, Some(badge.as_str())), "the badge stays good");
    assert!(is_429(&from(&server, "198.51.100.2", "alice", PASSWORD, None)), "strangers still wait");

    // A badge is nobody else's, and no way in.
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    lock(&place, &server, "bob");
    assert!(is_429(&from(&server, "198.51.100.3", "bob", PASSWORD, Some(&badge))));
    let forged = format!("client={}", "A".repeat(22));
    assert!(is_429(&from(&server, "198.51.100.3", "alice", PASSWORD, Some(&forged))));
    let wrong = (0..40).map(|_| from(&server, "198.51.100.1", "alice", "wrong", Some(&badge)).status);
    let taken = wrong.filter(|status| *status == 401).count();
    assert!((5..19).contains(&taken), "clients of before have few tries of their own: {taken}");

    place.run(["account", "unlock", "alice"], "");
    assert_eq!(from(&server, "198.51.100.2", "alice", PASSWORD, None).status, 200);
}

#[test] // R35, R47
fn who_guesses_at_many_names_from_one_address_is_held_back_there_alone() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&THE_PROXY);
    let badge = from(&server, "2001:db8::1", "alice", PASSWORD, None).badge().unwrap().to_owned();
    let guess = |number: usize| {
        from(&server, &format!("2001:db8::{number:x}"), &format!("name {number}"), "wrong", None)
    };
    let taken = (1..200).find(|number| guess(*number).status == 429).unwrap() - 1;
    assert!((100..110).contains(&taken), "{taken}");
    count(&place, "kind = 3", 200);
    assert!(is_429(&from(&server, "2001:db8::ffff", "alice", PASSWORD, None)), "the whole network");
    assert_eq!(from(&server, "2001:db8::1", "alice", PASSWORD, Some(&badge)).status, 200);
    assert_eq!(from(&server, "2001:db8:0:1::1", "alice", PASSWORD, None).status, 200);
}

#[test] // R35, R47
fn behind_a_proxy_that_is_not_trusted_nobody_is_held_back_for_others() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--public-url", "https://login.example.org"]);
    for number in 1..110 {
        let name = format!("name {number}");
        assert_eq!(from(&server, "192.0.2.1", &name, "wrong", None).status, 401, "{number}");
    }
    let login = from(&server, "192.0.2.1", "alice", PASSWORD, None);
    assert_eq!(login.status, 200);
    let badge = login.headers.iter().find(|(_, value)| value.starts_with("__Host-client=")).unwrap();
    let attributes: Vec<_> = badge.1.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=34560000", "Secure"]);
    assert!(place.log().contains("trusted_proxies is empty"), "and the operator is told");
}
