//! Each answer that the document promises of administration.
//!
//! Must never leave the accounts otherwise than they were: others ask after it.

use super::*;

pub(super) const ROOT: &str = r#"{"username":"root","password":"correct horse battery staple"}"#;

const ACCOUNTS: (&str, &str) = ("/api/admin/accounts", "");
const SESSIONS: (&str, &str) = ("/api/admin/sessions", "");
const ACCOUNT: &str = "/api/admin/accounts/{id}";
const SESSION: &str = "/api/admin/sessions/{id}";

pub(super) const ALL: [(&str, (&str, &str)); 10] = [
    ("GET", ACCOUNTS),
    ("POST", ACCOUNTS),
    ("GET", (ACCOUNT, "1")),
    ("PATCH", (ACCOUNT, "1")),
    ("DELETE", (ACCOUNT, "1")),
    ("GET", SESSIONS),
    ("DELETE", SESSIONS),
    ("GET", (SESSION, "AAAAAAAAAAA")),
    ("DELETE", (SESSION, "AAAAAAAAAAA")),
    ("GET", ("/api/admin/events", "")),
];

fn member(answer: &Answer, pointer: &str) -> Value {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {body}")).clone()
}

pub(super) async fn each_answer(world: &mut World) {
    let audit = world.state.accounts.audit();
    let login = ("/api/auth/login", "");
    let alice = world.ask("POST", login, &[], Some(RIGHT)).await.cookie();
    let cookie = world.ask("POST", login, &[], Some(ROOT)).await.cookie();
    let root = ("cookie", cookie.as_str());
    for (method, path) in ALL {
        assert_eq!(world.ask(method, path, &[], None).await.status, 401, "{method} {path:?}");
        let refused = world.ask(method, path, &[("cookie", &alice)], None).await;
        assert_eq!(member(&refused, "/title"), "For administrators alone", "{method} {path:?}");
        if method != "GET" {
            let refused = world.ask(method, path, &[root, ("sec-fetch-site", "cross-site")], None).await;
            assert_eq!(refused.status, 403, "{method} {path:?}");
        }
    }
    for (list, wrong) in [
        ("/api/admin/accounts?prefix=A&name=L&after=&limit=1000", "/api/admin/accounts?limit=0"),
        ("/api/admin/sessions?limit=1000", "/api/admin/sessions?account=1&limit=7"),
        (
            "/api/admin/events?account=1&since=2000-01-31T12:00:00Z&after=0&before=9&limit=1000",
            "/api/admin/events?limit=1001",
        ),
    ] {
        let [path, ..] = list.split('?').collect::<Vec<_>>()[..] else { panic!("{list}") };
        for (path, status) in [(list, 200), (path, 200), (wrong, 400)] {
            assert_eq!(world.ask("GET", (path, ""), &[root], None).await.status, status, "{path}");
        }
    }
    changes_of_accounts(world, root).await;
    audit.stop().await;
    let told = world.ask("GET", ("/api/admin/events", ""), &[root], None).await;
    assert_eq!(member(&told, "/events/0/by_name"), "root", "{}", told.body);
    ends_of_sessions(world, root).await;
}

async fn changes_of_accounts(world: &mut World, root: (&str, &str)) {
    let big = json!({"name": "x".repeat(65 * 1024)}).to_string();
    for (method, path) in [("POST", ACCOUNTS), ("PATCH", (ACCOUNT, "1"))] {
        for (body, status) in [(Some("{"), 400), (Some(&*big), 413), (None, 415), (Some("{}"), 422)] {
            assert_eq!(world.ask(method, path, &[root], body).await.status, status, "{method}");
        }
    }
    // What the document says that they take, they take.
    let carol =
        json!({"name": "carol", "password": "correct horse battery staple", "admin": false}).to_string();
    let added = world.ask("POST", ACCOUNTS, &[root], Some(&carol)).await;
    let id = member(&added, "/id").to_string();
    let place = added.headers.get(header::LOCATION).unwrap();
    assert_eq!((added.status, place.to_str().unwrap()), (201, ACCOUNT.replace("{id}", &id).as_str()));
    assert_eq!(world.ask("POST", ACCOUNTS, &[root], Some(&carol)).await.status, 409);

    let carol =
        json!({"admin": true, "disabled": false, "password": "another horse, as correct"}).to_string();
    for (id, status) in [(id.as_str(), 200), ("99", 404), ("nonsense", 404)] {
        assert_eq!(world.ask("GET", (ACCOUNT, id), &[root], None).await.status, status);
        assert_eq!(world.ask("PATCH", (ACCOUNT, id), &[root], Some(&carol)).await.status, status);
    }
    for status in [200, 404] {
        assert_eq!(world.ask("DELETE", (ACCOUNT, &id), &[root], None).await.status, status);
    }
    // root itself, which is the last one now.
    for (method, body) in [("PATCH", Some(r#"{"admin":false}"#)), ("DELETE", None)] {
        let refused = world.ask(method, (ACCOUNT, "2"), &[root], body).await;
        assert_eq!(member(&refused, "/type"), "urn:exeunt:last-administrator");
    }
}

async fn ends_of_sessions(world: &mut World, root: (&str, &str)) {
    let listed = world.ask("GET", ("/api/admin/sessions?account=1", ""), &[root], None).await;
    let id = member(&listed, "/sessions/0/id").as_str().unwrap().to_owned();
    assert_eq!(member(&world.ask("GET", (SESSION, &id), &[root], None).await, "/account"), "alice");
    for status in [204, 404] {
        assert_eq!(world.ask("DELETE", (SESSION, &id), &[root], None).await.status, status);
    }
    assert_eq!(world.ask("GET", (SESSION, &id), &[root], None).await.status, 404);
    for (path, status) in [("/api/admin/sessions?acount=1", 400), ("/api/admin/sessions?account=1", 200)] {
        assert_eq!(world.ask("DELETE", (path, ""), &[root], None).await.status, status);
    }
    world.clock.advance(Duration::from_secs(5 * 60 + 1));
    for (method, path) in ALL.into_iter().filter(|(method, _)| *method != "GET") {
        let refused = world.ask(method, path, &[root], None).await;
        assert_eq!(member(&refused, "/type"), "urn:exeunt:reauthenticate", "{method} {path:?}");
    }
    let again = world.ask("POST", ("/api/auth/reauthenticate", ""), &[root], Some(ROOT)).await.cookie();
    let root = ("cookie", again.as_str());
    assert_eq!(world.ask("DELETE", SESSIONS, &[root], None).await.status, 200);
    assert_eq!(world.ask("GET", SESSIONS, &[root], None).await.status, 401, "its own ended, too");
}
