//! The examples do what they say.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use exeunt::{MemoryStore, Sessions};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

#[path = "../examples/article.rs"]
#[expect(dead_code, reason = "an example's main is not called here")]
mod article;
#[path = "../examples/quickstart.rs"]
#[cfg(feature = "sqlite")]
#[expect(dead_code, reason = "an example's main is not called here")]
mod quickstart;

async fn ask(app: &Router, method: &str, path: &str, cookie: &str, body: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).header("cookie", cookie);
    let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let set = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap());
    let set = set.unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), set)
}

/// Logs in, reads, logs out, and comes back with the old cookie.
async fn walk_through(app: Router, right: &str, wrong: &str, greeting: &str, me: &str) {
    let login = "/api/auth/login";
    assert_eq!(ask(&app, "GET", "/api/me", "", "").await.0, 401);
    assert_eq!(ask(&app, "POST", login, "", wrong).await.0, 401);
    let (status, body, cookie) = ask(&app, "POST", login, "", right).await;
    assert_eq!((status, body.as_str()), (200, greeting));
    let (status, body, _) = ask(&app, "GET", "/api/me", &cookie, "").await;
    assert_eq!((status, body.as_str()), (200, me));
    let (status, body, _) = ask(&app, "DELETE", "/api/auth/logout", &cookie, "").await;
    assert_eq!((status, body.as_str()), (200, "Logout successful"));
    assert_eq!(ask(&app, "GET", "/api/me", &cookie, "").await.0, 401);
    let (status, body, _) = ask(&app, "DELETE", "/api/auth/logout", &cookie, "").await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_quickstart_logs_in_and_out() {
    let app = quickstart::app(Sessions::new(MemoryStore::new())).unwrap();
    let right = r#"{"username":"alice","password":"correct horse battery staple"}"#;
    let wrong = r#"{"username":"alice","password":"wrong"}"#;
    walk_through(app, right, wrong, r#"{"user":"alice"}"#, r#"{"user":"alice"}"#).await;
}

#[tokio::test]
async fn the_article_logs_in_and_out() {
    let app = article::app(Sessions::new(MemoryStore::new()));
    let right = r#"["alice","correct horse battery staple"]"#;
    walk_through(app, right, r#"["alice","wrong"]"#, "Hello, alice", "alice").await;
}
