//! The built program over TCP: what an administrator does on one node holds on the other at the very next request.

use serde_json::{Value, json};

use crate::common::Kept;
use crate::support::{Answer, PASSWORD, Place, Server};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn send(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    server.send(method, &format!("/api/admin{path}"), &[JSON, ("Cookie", token)], &body.to_string())
}

fn login(server: &Server, name: &str) -> String {
    server.try_login(name, PASSWORD).token()
}

/// Two servers on one store, with administrators `root` and `second`, and a user `alice`.
fn nodes(kept: Kept) -> (Place, Server, Server) {
    let place = Place::with_alice(kept);
    for name in ["root", "second"] {
        place.run(["account", "add", name, "--admin", "--password-stdin"], PASSWORD);
    }
    let (a, b) = (place.serve(), place.serve());
    (place, a, b)
}

fn what_an_administrator_does_on_one_node_holds_on_the_other(kept: Kept) {
    // R19, R20
    let (place, a, b) = nodes(kept);
    let (root, second, alice) = (login(&a, "root"), login(&b, "second"), login(&b, "alice"));
    assert_eq!(send(&a, "GET", "/accounts", &alice, &json!({})).status, 403);
    assert_eq!((a.me(&second), b.me(&alice)), (200, 200));

    let answer = send(&a, "PATCH", "/accounts/1", &root, &json!({"disabled": true}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(b.call("GET", "/api/me", &alice).is_401());
    assert_eq!(b.try_login("alice", PASSWORD).status, 401);

    let answer = send(&a, "PATCH", "/accounts/3", &root, &json!({"admin": false}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(b.call("GET", "/api/admin/accounts", &second).is_401(), "another role is another session");
    let second = login(&b, "second");
    assert_eq!(b.call("GET", "/api/admin/accounts", &second).status, 403);

    let answer = send(&b, "DELETE", "/accounts/2", &root, &json!({}));
    assert_eq!(answer.status, 409, "the last administrator stays: {answer:?}");
    let answer = a.call("DELETE", "/api/admin/sessions", &root);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sessions_ended":2}"#));
    assert!(b.call("GET", "/api/me", &second).is_401() && b.call("GET", "/api/me", &root).is_401());

    // R38: who did it stands in the log of whoever was asked.
    let log = place.log();
    let disabled = log.lines().find(|line| line.contains(r#""event":"account_disabled""#)).unwrap();
    let disabled: Value = serde_json::from_str(disabled).unwrap();
    let told = ["user", "name", "by", "administrator"].map(|key| disabled[key].as_str().unwrap_or_default());
    assert_eq!(told, ["1", "alice", "administrator", "2"], "{disabled}");
}

mod postgres {
    #[test]
    fn what_an_administrator_does_on_one_node_holds_on_the_other() {
        super::what_an_administrator_does_on_one_node_holds_on_the_other(super::Kept::Postgres);
    }
}

mod redis_and_postgres {
    #[test]
    fn what_an_administrator_does_on_one_node_holds_on_the_other() {
        super::what_an_administrator_does_on_one_node_holds_on_the_other(super::Kept::RedisAndPostgres);
    }
}
