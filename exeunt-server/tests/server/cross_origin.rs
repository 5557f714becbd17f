//! A page on another origin: an exact list, and nothing for anybody else.

use crate::common::Kept;
use crate::support::{Answer, PASSWORD, Place, Server};

const APP: &str = "https://app.example.org";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn serve(place: &Place) -> Server {
    let args = [
        "--public-url",
        "https://login.example.org",
        "--allowed-origins",
        "https://app.example.org,https://b.example.net:8443",
    ];
    place.serve_with(&args)
}

fn login_from(server: &Server, origin: &str) -> Answer {
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    let headers = [JSON, ("Origin", origin), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")];
    server.send("POST", "/api/auth/login", &headers, &body)
}

fn preflight(server: &Server, origin: &str, path: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "DELETE"),
        ("Access-Control-Request-Headers", "content-type"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    server.send("OPTIONS", path, &headers, "")
}

/// Whether a browser would show this answer to a page of `origin` that sent its credentials.
fn is_open_to(answer: &Answer, origin: &str) -> bool {
    answer.header("access-control-allow-origin") == Some(origin)
        && answer.header("access-control-allow-credentials") == Some("true")
}

fn names_no_origin(answer: &Answer) -> bool {
    !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"))
}

fn varies_with_origin(answer: &Answer) -> bool {
    let mut vary = answer.headers.iter().filter(|(name, _)| name == "vary");
    vary.any(|(_, value)| value.to_ascii_lowercase().contains("origin"))
}

#[test]
fn a_page_on_the_list_logs_in_acts_and_logs_out() {
    // R54
    let place = Place::with_alice(Kept::OneFile);
    let server = serve(&place);
    for origin in [APP, "https://b.example.net:8443"] {
        let asked = preflight(&server, origin, "/api/auth/logout");
        assert_eq!(asked.status, 200);
        assert!(is_open_to(&asked, origin) && varies_with_origin(&asked), "{asked:?}");
        for (name, values) in [
            ("access-control-allow-methods", vec!["GET", "POST", "PATCH", "DELETE"]),
            ("access-control-allow-headers", vec!["content-type", "session-extend"]),
        ] {
            let given = asked.header(name).unwrap();
            assert!(values.iter().all(|value| given.contains(value)), "{name}: {given}");
        }
        assert_eq!(asked.header("access-control-max-age"), Some("600"));

        let login = login_from(&server, origin);
        assert_eq!(login.status, 200, "{login:?}");
        assert!(is_open_to(&login, origin) && varies_with_origin(&login), "{login:?}");
        let token = login.token();
        let headers = [("Cookie", token.as_str()), ("Origin", origin), ("Sec-Fetch-Site", "cross-site")];
        let me = server.send("GET", "/api/me", &headers, "");
        assert!(me.status == 200 && is_open_to(&me, origin) && varies_with_origin(&me), "{me:?}");
        let logout = server.send("DELETE", "/api/auth/logout", &headers, "");
        assert_eq!((logout.status, logout.body.as_str()), (200, "Logout successful"));
        assert!(is_open_to(&logout, origin));
        // Errors, too, or the page could not tell what went wrong.
        let late = server.send("GET", "/api/me", &headers, "");
        assert!(late.is_401() && is_open_to(&late, origin), "{late:?}");
        // A browser from before Fetch Metadata.
        let old = [JSON, ("Origin", origin)];
        let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
        assert_eq!(server.send("POST", "/api/auth/login", &old, &body).status, 200);
    }
}

#[test]
fn a_page_that_is_not_exactly_on_the_list_gets_and_does_nothing() {
    // R31, R54
    let place = Place::with_alice(Kept::OneFile);
    let server = serve(&place);
    let token = server.login();
    for origin in [
        "https://app.example.org.evil.example",
        "https://evil-app.example.org",
        "https://app.example.org:443",
        "https://app.example.org/",
        "http://app.example.org",
        "https://APP.example.org",
        "https://b.example.net",
        "https://example.org",
        "null",
        "*",
        "",
    ] {
        let asked = preflight(&server, origin, "/api/auth/logout");
        assert!(names_no_origin(&asked) && varies_with_origin(&asked), "{origin}: {asked:?}");
        let login = login_from(&server, origin);
        assert!(login.status == 403 && names_no_origin(&login), "{origin}: {login:?}");
        let headers = [("Cookie", token.as_str()), ("Origin", origin), ("Sec-Fetch-Site", "cross-site")];
        let read = server.send("GET", "/api/me", &headers, "");
        assert!(names_no_origin(&read) && varies_with_origin(&read), "{origin}: {read:?}");
        let logout = server.send("DELETE", "/api/auth/logout", &headers, "");
        assert!(logout.status == 403 && names_no_origin(&logout), "{origin}: {logout:?}");
    }
    assert_eq!(server.me(&token), 200);
}

#[test]
fn pages_of_this_server_are_open_to_no_other_origin() {
    // R54
    let place = Place::with_alice(Kept::OneFile);
    let server = serve(&place);
    for path in ["/login", "/", "/assets/style.css", "/healthz", "/apis"] {
        let headers = [("Origin", APP), ("Sec-Fetch-Site", "cross-site")];
        assert!(names_no_origin(&server.send("GET", path, &headers, "")), "{path}");
        assert!(names_no_origin(&preflight(&server, APP, path)), "{path}");
    }
}

#[test]
fn without_a_list_nobody_is_let_in_and_nothing_is_said() {
    // R54
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--public-url", "https://login.example.org"]);
    assert!(names_no_origin(&preflight(&server, APP, "/api/me")));
    assert_eq!(preflight(&server, APP, "/api/me").status, 401);
    let login = login_from(&server, APP);
    assert!(login.status == 403 && names_no_origin(&login), "{login:?}");
}

#[test]
fn the_cookie_goes_to_other_sites_only_where_the_operator_says_so() {
    // R27
    let place = Place::with_alice(Kept::OneFile);
    for (same_site, expected) in [("lax", "SameSite=Lax"), ("none", "SameSite=None")] {
        let server = place.serve_with(&[
            "--public-url",
            "https://login.example.org",
            "--allowed-origins",
            "https://app.example.net",
            "--cookie-same-site",
            same_site,
        ]);
        let login = login_from(&server, "https://app.example.net");
        let cookie = login.header("set-cookie").unwrap();
        assert!(cookie.contains(expected) && cookie.contains("Secure"), "{cookie}");
        drop(server);
    }
    let refused = place.try_run(["serve", "--cookie-same-site", "none"], "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("https alone"), "{refused:?}");
}
