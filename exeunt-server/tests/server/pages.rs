//! The pages of the built program, as a browser without scripts gets them.

use crate::common::{Kept, on_every_engine};
use crate::support::{Answer, PASSWORD, Place, Server};

on_every_engine!(
    a_person_logs_in_sees_home_and_logs_out,
    a_wrong_login_says_so_and_keeps_what_was_typed,
    a_login_leads_nowhere_but_to_this_site,
    the_logged_out_notice_shows_only_to_somebody_who_is,
    a_login_whose_cookie_does_not_come_back_is_told_so,
    only_who_asks_is_remembered,
    every_answer_tells_browsers_to_keep_to_themselves,
    the_forms_suit_password_managers_and_keyboards,
);

fn log_in(server: &Server, fields: &[(&str, &str)]) -> Answer {
    let fields: Vec<_> =
        [("username", "alice"), ("password", PASSWORD)].into_iter().chain(fields.iter().copied()).collect();
    server.submit("/login", None, &fields)
}

fn a_person_logs_in_sees_home_and_logs_out(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();

    let sent_away = server.browse("/", None);
    assert_eq!(sent_away.status, 303);
    assert!(sent_away.location().starts_with("/login"));
    let page = server.browse("/login", None);
    assert_eq!(page.status, 200);

    let login = log_in(&server, &[]);
    assert_eq!((login.status, login.location()), (303, "/login?done"));
    let token = login.token();
    let back = server.browse("/login?done", Some(&token));
    assert_eq!((back.status, back.location()), (303, "/"));
    let home = server.browse("/", Some(&token));
    assert_eq!(home.status, 200);
    assert!(home.body.contains("Hello, \u{2068}alice\u{2069}."), "{}", home.body);
    assert!(home.body.contains(r#"method="post" action="/logout""#)); // R21

    let lost = server.browse("/nothing", Some(&token));
    assert_eq!(lost.status, 404);
    assert!(lost.body.contains(r#"method="post" action="/logout""#)); // R21

    let logout = server.submit("/logout", Some(&token), &[]);
    assert_eq!((logout.status, logout.location()), (303, "/login?out"));
    assert!(logout.removes_cookie(), "{logout:?}"); // R07
    assert_eq!(logout.header("clear-site-data"), Some("\"cache\", \"storage\"")); // R49
    assert!(server.browse("/login?out", None).body.contains("You are logged out."));
    let replayed = server.browse("/", Some(&token)); // R01
    assert_eq!(replayed.status, 303);
    assert!(replayed.location().starts_with("/login"));

    let again = server.submit("/logout", Some(&token), &[]);
    assert_eq!((again.status, again.location()), (303, "/login?out"));
}

fn a_wrong_login_says_so_and_keeps_what_was_typed(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let fields =
        [("username", "<b>alice"), ("password", "wrong"), ("remember", "yes"), ("next", "/reports?of=1")];
    let wrong = server.submit("/login", None, &fields);
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.header("www-authenticate"), Some("Session realm=\"exeunt\"")); // R26
    assert_eq!(wrong.header("set-cookie"), None);
    assert!(wrong.body.contains("The username or the password is wrong."));
    assert!(!wrong.body.contains("<b>alice") && wrong.body.contains("alice"), "escaped, but there");
    assert!(wrong.body.contains("checked") && wrong.body.contains("/reports?of=1"));
    assert!(!wrong.body.contains("value=\"wrong\""), "no password goes back");

    for (body, status) in [("username=alice", 422), ("%ff", 422), ("", 422)] {
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(
            server.send("POST", "/login", &[form, ("Accept", "text/html")], body).status,
            status,
            "{body}"
        );
    }
    let json = ("Content-Type", "application/json");
    assert_eq!(server.send("POST", "/login", &[json, ("Accept", "text/html")], "{}").status, 415);
    let long = "x".repeat(20_000);
    let answer = server.submit("/login", None, &[("username", "alice"), ("password", &long)]);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
}

// R44
fn a_login_leads_nowhere_but_to_this_site(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let token = server.login();
    for next in ["/reports", "/reports?of=1&to=2", "/a%20b"] {
        let login = log_in(&server, &[("next", next)]);
        let back = server.browse(login.location(), Some(&login.token()));
        assert_eq!((back.status, back.location()), (303, next));
    }
    for next in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "evil",
        "javascript:alert(1)",
        "/\n/evil.example",
        "",
        " /",
        "///evil.example",
        "/%0d%0aSet-Cookie:a=b\r\n",
        "http:/a",
    ] {
        let login = log_in(&server, &[("next", next)]);
        assert_eq!(login.status, 303);
        let onward = server.browse(login.location(), Some(&login.token()));
        assert_eq!(onward.status, 303, "{next:?}");
        assert_eq!(onward.location(), "/", "{next:?}");
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let onward = server.browse(&format!("/login?next={encoded}"), Some(&token));
        assert_eq!(onward.location(), "/", "{next:?}");
    }
    // What a protected page was asked for comes back through the form.
    let sent_away = server.browse("/reports?of=1", None);
    let page = server.browse(sent_away.location(), None);
    assert!(page.body.contains(r#"name="next" value="/reports?of=1""#), "{page:?}");
}

fn the_logged_out_notice_shows_only_to_somebody_who_is(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let token = server.login();
    let page = server.browse("/login?out", Some(&token));
    assert_eq!((page.status, page.location()), (303, "/"));
    assert!(!page.body.contains("logged out"));
    assert!(!server.browse("/login", None).body.contains("You are logged out"));
    assert!(server.browse("/login?out", None).body.contains("You are logged out."));
}

fn a_login_whose_cookie_does_not_come_back_is_told_so(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let page = server.browse(log_in(&server, &[]).location(), None);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("your browser did not keep the session cookie"), "{page:?}");
    assert!(page.body.contains("allows cookies"));
    drop(server);
    let server = place.serve_with(&["--public-url", "https://login.example.org"]);
    let page = server.browse(log_in(&server, &[]).location(), None);
    assert!(page.body.contains("The cookie is for https only"), "{page:?}");
    assert!(page.body.contains(r#"<a href="https://login.example.org">"#));
}

// R55
fn only_who_asks_is_remembered(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    assert!(!log_in(&server, &[]).header("set-cookie").unwrap().contains("Max-Age"));
    let remembered = log_in(&server, &[("remember", "yes")]);
    let cookie = remembered.header("set-cookie").unwrap();
    let seconds: u64 = cookie.split_once("Max-Age=").unwrap().1.parse().unwrap();
    // 30 days, less the time that the answer took.
    assert!((2_591_900..=2_592_000).contains(&seconds), "{cookie}");
}

// R22, R45, R46
fn every_answer_tells_browsers_to_keep_to_themselves(kept: Kept) {
    let place = Place::with_alice(kept);
    for (url, https) in
        [(None, false), (Some("http://localhost"), false), (Some("https://login.example.org"), true)]
    {
        let args: Vec<&str> = url.map(|url| ["--public-url", url]).into_iter().flatten().collect();
        let server = place.serve_with(&args);
        let token = server.login();
        for (method, path, token) in [
            ("GET", "/", Some(&token)),
            ("GET", "/", None),
            ("GET", "/login", None),
            ("POST", "/login", None),
            ("GET", "/logout", None),
            ("GET", "/setup", None),
            ("GET", "/reset", None),
            ("GET", "/reset/ask", None),
            ("POST", "/reset", None),
            ("GET", "/nothing", Some(&token)),
            ("GET", "/nothing", None),
            ("GET", "/api/me", Some(&token)),
            ("GET", "/api/me", None),
            ("GET", "/healthz", None),
            ("GET", "/readyz", None),
            ("GET", "/assets/style.css", None),
            ("GET", "/assets/page.js", None),
            ("GET", "/assets/logo", None),
            ("GET", "/sessions", Some(&token)),
            ("GET", "/sessions", None),
            ("POST", "/api/auth/login", None),
            ("POST", "/logout", Some(&token)),
        ] {
            let mut headers = vec![("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
            headers.extend(token.map(|token| ("Cookie", token.as_str())));
            let answer = server.send(method, path, &headers, "");
            let header =
                |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {method} {path}"));
            assert_eq!(
                header("content-security-policy"),
                "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
                 form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            );
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert!(["same-origin", "strict-origin"].contains(&header("referrer-policy")));
            assert_eq!(header("cross-origin-opener-policy"), "same-origin");
            assert_eq!(header("cross-origin-resource-policy"), "same-origin");
            let cached = if path.starts_with("/assets") { "public, max-age=86400" } else { "no-store" };
            assert_eq!(header("cache-control"), cached, "{method} {path}");
            let strict = answer.header("strict-transport-security");
            assert_eq!(strict.is_some(), https, "{method} {path}");
            assert!(strict.is_none_or(|value| value == "max-age=63072000"));
            assert_eq!(answer.header("access-control-allow-origin"), None); // R54
            assert!(
                !answer.body.contains("<script>")
                    && !answer.body.contains("style=\"")
                    && !answer.body.contains("<style")
            );
        }
    }
}

// R62
fn the_forms_suit_password_managers_and_keyboards(kept: Kept) {
    let place = Place::with_alice(kept);
    let server = place.serve();
    let page = server.browse("/login", None).body;
    for wanted in [
        r#"<html lang="en" dir="ltr">"#,
        r#"<label for="username">"#,
        r#"<label for="password">"#,
        r#"autocomplete="username""#,
        r#"autocomplete="current-password""#,
        r#"<form method="post" action="/login">"#,
        r#"<button type="submit">"#,
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn a_server_looks_as_its_operator_wants_and_does_not_start_with_a_broken_template() {
    let place = Place::with_alice(Kept::OneFile);
    let brand = place.path().join("brand");
    std::fs::create_dir_all(brand.join("templates")).unwrap();
    std::fs::write(place.path().join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    let own = "{% extends \"base.html\" %}{% block title %}Welcome{% endblock %}{% block main %}<h1>Welcome, {{ who }}</h1>{% endblock %}";
    std::fs::write(brand.join("templates/home.html"), own).unwrap();
    let args = [
        "--brand-name",
        "Example & Sons",
        "--brand-logo",
        "logo.svg",
        "--brand-accent",
        "#ffff00",
        "--brand-links",
        "Privacy=https://example.org/privacy",
        "--brand-folder",
        "brand",
    ];
    let server = place.serve_with(&args);
    let home = server.browse("/", Some(&server.login())).body;
    for wanted in ["<h1>Welcome, alice</h1>", "Welcome · Example &amp; Sons", "Log out", ">Privacy</a>"] {
        assert!(home.contains(wanted), "{wanted}: {home}");
    }
    let logo = server.browse("/assets/logo", None);
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert!(logo.body.starts_with("<svg"));
    // Yellow on white cannot be read, so it is made darker.
    let style = server.browse("/assets/style.css", None).body;
    let accent = style.rsplit("--accent: #").nth(1).unwrap().split(';').next().unwrap();
    assert!(accent.len() == 6 && accent != "ffff00" && accent.ends_with("00"), "{accent}");
    drop(server);

    std::fs::write(brand.join("templates/home.html"), "<p>\n{{ nobody }}").unwrap();
    let (status, said) = Server::try_start(&place, &[], &args).err().unwrap();
    assert!(!status.success());
    assert!(said.contains("brand/templates/home.html, line 2"), "{said}");
    std::fs::remove_file(brand.join("templates/home.html")).unwrap();
    let (_, said) = Server::try_start(&place, &[], &["--brand-logo", "nothing.svg"]).err().unwrap();
    assert!(said.contains("nothing.svg"), "{said}");
}
