//! The example does what it says.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use exeunt::store::sqlite::Database;
use tower::ServiceExt as _;

#[path = "../examples/own_application.rs"]
#[expect(dead_code, reason = "an example's main is not called here")]
mod own_application;

async fn ask(app: &Router, method: &str, path: &str, cookie: &str, body: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).header("cookie", cookie);
    let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let set = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap());
    let set = set.unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), set)
}

#[tokio::test]
async fn an_application_uses_the_servers_accounts_without_its_program() {
    // R18
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("own.db")).unwrap();
    let (app, _sessions) = own_application::application(database).await.unwrap();
    let old = r#"{"username":"alice","password":"correct horse battery staple"}"#;
    let new = r#"{"username":"alice","password":"a longer horse battery"}"#;
    assert_eq!(ask(&app, "GET", "/", "", "").await.0, 401);
    let (_, _, other) = ask(&app, "POST", "/auth/login", "", old).await;
    let (status, _, cookie) = ask(&app, "POST", "/auth/login", "", old).await;
    assert_eq!(status, 200);
    assert_eq!(ask(&app, "GET", "/", &cookie, "").await.1, "Hello, alice");

    let wrong = r#"{"current":"wrong","new":"a longer horse battery"}"#;
    assert_eq!(ask(&app, "POST", "/password", &cookie, wrong).await.0, 403);
    let right = r#"{"current":"correct horse battery staple","new":"a longer horse battery"}"#;
    let (status, _, renewed) = ask(&app, "POST", "/password", &cookie, right).await;
    assert_eq!(status, 204);
    for dead in [&other, &cookie] {
        assert_eq!(ask(&app, "GET", "/", dead, "").await.0, 401);
    }
    assert_eq!(ask(&app, "GET", "/", &renewed, "").await.0, 200);
    assert_eq!(ask(&app, "POST", "/auth/login", "", old).await.0, 401);
    assert_eq!(ask(&app, "POST", "/auth/login", "", new).await.0, 200);
    assert_eq!(ask(&app, "DELETE", "/auth/logout", &renewed, "").await.1, "Logout successful");
    assert_eq!(ask(&app, "GET", "/", &renewed, "").await.0, 401);
}

#[test]
fn the_example_is_short() {
    assert!(include_str!("../examples/own_application.rs").lines().count() < 60);
}
