//! What is private and what is not: a public page, one for both, and a whole router behind `RequireSession`.

use axum::extract::Query;
use axum::response::{Html, Redirect};
use axum::{Extension, Router, routing::get};
use exeunt::http::{Polling, local_path};
use exeunt::{MemoryStore, RequireSession, Session, SessionLayer, Sessions};

#[derive(serde::Deserialize)]
struct Next {
    next: Option<String>,
}

/// Public, and never asks for a session: it works while the store is down.
async fn about() -> &'static str {
    "About us"
}

/// For both.
async fn home(session: Option<Session>) -> String {
    match session {
        Some(session) => format!("Welcome back, {}", session.name()),
        None => "Welcome, whoever you are".to_owned(),
    }
}

/// `next` came from outside, so only a path on this server is followed.
async fn login_page(
    session: Option<Session>,
    Query(query): Query<Next>,
) -> Result<Redirect, Html<&'static str>> {
    match session {
        Some(_) => Ok(Redirect::to(query.next.as_deref().and_then(local_path).unwrap_or("/"))),
        None => Err(Html("<!doctype html><title>Log in</title><p>A form that posts to /api/auth/login.")),
    }
}

/// The page asks this every minute by itself, which is no sign of life.
async fn news(session: Session) -> String {
    format!("No news for {}", session.name())
}

fn private() -> Router {
    Router::new()
        .route("/account", get(|session: Session| async move { session.name().to_owned() }))
        .route("/news", get(news).layer(Extension(Polling)))
        // Who is not logged in does not learn which paths exist.
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(RequireSession::or_redirect_to("/login"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let public =
        Router::new().route("/about", get(about)).route("/", get(home)).route("/login", get(login_page));
    let app = public.merge(private()).layer(SessionLayer::new(Sessions::new(MemoryStore::new())));
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?)
}
