//! The pages of a forgotten password, as a browser without scripts gets them.

use services::Redis;

use crate::common::{Kept, on_every_engine};
use crate::reset::{NEW, PUBLIC_URL, messages, serve, with_alice, without_changing_headers};
use crate::support::{Answer, PASSWORD, Place, Server};

on_every_engine!(a_forgotten_password_is_set_on_the_page_that_the_link_leads_to);

const LINK: &str = "href=\"/reset/ask\"";

fn ask(server: &Server, name: &str) -> Answer {
    server.submit("/reset/ask", None, &[("username", name)])
}

fn set(server: &Server, secret: &str, password: &str, again: &str) -> Answer {
    server.submit("/reset", None, &[("secret", secret), ("password", password), ("again", again)])
}

/// The secrets of all links that were sent, once the server that sent them has stopped.
fn secrets(place: &Place, server: Server) -> Vec<String> {
    let before = format!("{PUBLIC_URL}/reset?secret=");
    let sent = messages(place, server);
    let links = sent.iter().filter_map(|message| message.split_once(&before));
    links.map(|(_, rest)| rest.lines().next().unwrap().to_owned()).collect()
}

/// The path of the one link that was sent, and its secret.
fn link(place: &Place, server: Server) -> (String, String) {
    let sent = secrets(place, server);
    let [secret] = &sent[..] else { panic!("{sent:?}") };
    (format!("/reset?secret={secret}"), secret.clone())
}

/// The password cannot be set by it (any more), and another one can be asked for.
#[track_caller]
fn is_dead(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.body.contains("This link does not work") && answer.body.contains(LINK), "{answer:?}");
}

fn a_forgotten_password_is_set_on_the_page_that_the_link_leads_to(kept: Kept) {
    // R42, R18, R36, R62
    let place = with_alice(kept);
    let server = serve(&place);
    let session = server.login();
    let login = server.browse("/login", None);
    assert!(login.body.contains(LINK), "{login:?}");
    let page = server.browse("/reset/ask", None);
    assert_eq!(page.status, 200);
    for wanted in [
        r#"<form method="post" action="/reset/ask">"#,
        r#"<label for="username">"#,
        r#"autocomplete="username""#,
        r#"maxlength="254""#,
    ] {
        assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
    }
    let asked = ask(&server, "Alice@Example.org");
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.body.contains("If there is such an account with an e-mail address"), "{asked:?}");
    let (path, secret) = link(&place, server);

    // Another process: after a restart, or another node.
    let server = serve(&place);
    for _ in 0..2 {
        // Whoever looks for harm in mail opens the link, too.
        let page = server.browse(&path, None);
        assert_eq!((page.status, page.header("referrer-policy")), (200, Some("strict-origin")));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        for wanted in [
            r#"<form method="post" action="/reset">"#,
            r#"value="alice" autocomplete="username" hidden"#,
            r#"autocomplete="new-password""#,
            "\u{2068}alice\u{2069}",
            &secret,
        ] {
            assert!(page.body.contains(wanted), "{wanted}: {}", page.body);
        }
    }
    assert_eq!(server.me(&session), 200);
    for (password, again, field, problem) in [
        (NEW, "something else", "again", "The two passwords are not the same."),
        ("", "", "password", "Choose a password."),
        ("short", "short", "password", "A password has at least"),
        ("passwordpassword", "passwordpassword", "password", "repeats"), // R37
    ] {
        let refused = set(&server, &secret, password, again);
        assert_eq!((refused.status, refused.header("referrer-policy")), (422, Some("strict-origin")));
        let (_, beside) = refused.body.split_once(&format!("id=\"{field}-error\">")).unwrap();
        assert!(beside.split('<').next().unwrap().contains(problem), "{refused:?}");
        assert!(refused.body.contains("autocomplete=\"username\" hidden"), "{refused:?}");
        let sent_back = format!("value=\"{password}\"");
        assert!(password.is_empty() || !refused.body.contains(&sent_back), "no password goes back");
    }
    assert_eq!(server.me(&session), 200);

    // R21
    let own = server.browse(&path, Some(&session));
    assert!(own.body.contains("action=\"/logout\"") && own.body.contains("<bdi>alice</bdi>"), "{own:?}");
    let fields = [("secret", secret.as_str()), ("password", NEW), ("again", NEW)];
    let done = server.submit("/reset", Some(&session), &fields);
    assert_eq!((done.status, done.header("set-cookie")), (200, None), "nobody is logged in by it");
    assert!(!done.body.contains("action=\"/logout\""), "their session is over: {done:?}");
    assert!(done.body.contains("Your password is set") && done.body.contains("href=\"/login\""), "{done:?}");
    assert_eq!(server.me(&session), 401);
    assert_eq!(server.try_login("alice", PASSWORD).status, 401);
    let login = server.submit("/login", None, &[("username", "alice"), ("password", NEW)]);
    assert_eq!(login.status, 303);
    is_dead(&set(&server, &secret, "yet another one, long enough", "yet another one, long enough"));
    for dead in [
        path.as_str(),
        "/reset?secret=no-link-of-this-server",
        "/reset?secret=",
        "/reset?secret=%ff",
        "/reset",
    ] {
        let page = server.browse(dead, None);
        is_dead(&page);
        assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    }
    assert_eq!(server.me(&login.token()), 200);
    let (status, _) = server.stop();
    assert!(status.success());
    // R39
    let log = place.log();
    for hidden in [secret.as_str(), NEW, "staple+battery", "lice@", "lice%40"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
}

#[test]
fn whoever_else_is_logged_in_sees_who_they_are_and_stays_it() {
    // R21, R42
    let place = with_alice(Kept::OneFile);
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let server = serve(&place);
    let bob = server.try_login("bob", PASSWORD).token();
    let asks = server.submit("/reset/ask", Some(&bob), &[("username", "alice")]);
    let (_, secret) = link(&place, server);
    let server = serve(&place);
    let fields = [("secret", secret.as_str()), ("password", NEW), ("again", NEW)];
    let pages = [
        asks,
        server.browse("/reset/ask", Some(&bob)),
        server.submit("/reset", Some(&bob), &[("secret", &secret), ("password", NEW), ("again", "x")]),
        server.submit("/reset", Some(&bob), &fields),
    ];
    for page in &pages {
        assert!(page.body.contains("action=\"/logout\"") && page.body.contains("<bdi>bob</bdi>"), "{page:?}");
    }
    assert!(pages[3].body.contains("Your password is set"), "{:?}", pages[3]);
    assert!(!pages[3].body.contains("href=\"/login\""), "they are logged in: {:?}", pages[3]);
    assert_eq!((server.me(&bob), server.try_login("alice", NEW).status), (200, 200));
}

#[test]
fn the_page_after_asking_is_the_same_whoever_is_asked_for_byte_for_byte() {
    // R42, R57
    let place = with_alice(Kept::OneFile);
    place.run(["account", "add", "mute", "--password-stdin"], PASSWORD);
    let server = serve(&place);
    let long = "x".repeat(5_000);
    let names = ["alice", "alice@example.org", "nobody", "nobody@example.org", "mute", "", "<b>\0", &long];
    let answers = names.map(|name| without_changing_headers(ask(&server, name)));
    assert_eq!(answers[0].status, 200);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(secrets(&place, server).len(), 2, "alice by name and by address");
}

#[test]
fn forms_from_another_site_or_without_sense_set_and_send_nothing() {
    // R31, R61, R42
    let place = with_alice(Kept::OneFile);
    let server = serve(&place);
    assert_eq!(ask(&server, "alice").status, 200);
    let (path, secret) = link(&place, server);
    let server = serve(&place);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let given = format!("username=alice&secret={secret}&password={}&again={0}", NEW.replace(' ', "+"));
    for path in ["/reset", "/reset/ask"] {
        for from in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")]
        {
            assert_eq!(server.send("POST", path, &[form, from], &given).status, 403, "{path} {from:?}");
        }
        for (status, headers, body) in
            [(415, vec![], given.as_str()), (422, vec![form], ""), (422, vec![form], "%ff")]
        {
            assert_eq!(server.send("POST", path, &headers, body).status, status, "{path} {body}");
        }
        let long = given.replace("alice", &"x".repeat(17_000));
        assert_eq!(server.send("POST", path, &[form], &long).status, 413, "{path}");
    }
    assert_eq!(server.browse(&path, None).status, 200, "the link was not used");
    assert_eq!(server.try_login("alice", PASSWORD).status, 200);
    assert!(secrets(&place, server).is_empty());
}

#[test]
fn where_passwords_cannot_be_reset_no_page_offers_it() {
    let place = with_alice(Kept::OneFile);
    let server = place.serve_with(&["--public-url", PUBLIC_URL]);
    assert!(!server.browse("/login", None).body.contains("/reset"));
    assert_eq!(server.browse("/reset/ask", None).status, 404);
    let answers = ["alice", "nobody"].map(|name| without_changing_headers(ask(&server, name)));
    assert_eq!((answers[0].status, &answers[0]), (404, &answers[1]));
    let dead = server.browse("/reset?secret=no-link-of-this-server", None);
    assert!(dead.status == 404 && !dead.body.contains(LINK), "{dead:?}");
}

#[test]
fn who_asks_on_the_page_too_often_is_told_to_wait() {
    // R35
    let place = with_alice(Kept::OneFile);
    let server = serve(&place);
    for _ in 0..20 {
        assert_eq!(ask(&server, "nobody").status, 200);
    }
    for name in ["alice", "nobody"] {
        let refused = ask(&server, name);
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(
            refused.header("retry-after").is_some() && refused.body.contains("Too many tries"),
            "{refused:?}"
        );
    }
    assert!(secrets(&place, server).is_empty());
}

#[test]
fn a_page_says_that_the_password_is_set_also_while_its_sessions_cannot_be_ended() {
    // R19, R42
    let redis = Redis::start(&[]).unwrap();
    let place = Place::with_alice_on(&format!("{}?deadline=1s", redis.url()), Some("accounts.db"));
    place.run(["account", "email", "alice", "alice@example.org"], "");
    let server = serve(&place);
    let session = server.login();
    assert_eq!(ask(&server, "alice").status, 200);
    let (path, secret) = link(&place, server);
    let server = serve(&place);
    redis.pause();
    assert_eq!(server.browse(&path, None).status, 200);
    let done = set(&server, &secret, NEW, NEW);
    assert_eq!((done.status, done.header("referrer-policy")), (503, Some("same-origin")));
    assert!(done.header("retry-after").is_some(), "{done:?}");
    assert!(
        done.body.contains("Your password is set, but") && done.body.contains("Log in with the new password"),
        "{done:?}"
    );
    redis.go_on();
    is_dead(&server.browse(&path, None));
    assert_eq!(server.try_login("alice", NEW).status, 200);
    assert_eq!(server.try_login("alice", PASSWORD).status, 401);
    drop(server);
    // What is made up for is done before a server listens.
    assert_eq!(place.serve().me(&session), 401);
}

#[test]
fn a_page_says_that_it_is_not_known_whether_the_password_is_set_where_that_is_so() {
    // R42
    let place = with_alice(Kept::OneFile);
    let server = serve(&place);
    assert_eq!(ask(&server, "alice").status, 200);
    let (_, secret) = link(&place, server);
    let server = serve(&place);
    let other = place.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let unknown = set(&server, &secret, NEW, NEW);
    assert_eq!(unknown.status, 503, "{unknown:?}");
    assert!(
        unknown.header("retry-after").is_some()
            && unknown.body.contains("Whether your password is set is not known"),
        "{unknown:?}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(set(&server, &secret, NEW, NEW).status, 200);
    assert_eq!(server.try_login("alice", NEW).status, 200);
}
