//! An axum application of one's own, with the accounts of the server and without its program.
//!
//! Accounts and sessions in one SQLite file: a changed password ends the other sessions in the same transaction.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use exeunt::store::sqlite::{Database, SqliteStore};
use exeunt::{AuthRouter, CookieConfig, Near, RequireSession, Session, SessionLayer, Sessions};
use exeunt_server::accounts::{AccountError, Accounts, Hasher};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let (app, sessions) = application(Database::open("own.db")?).await?;
    tokio::spawn(sessions.keep_purged());
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?)
}

pub(crate) async fn application(database: Database) -> Result<(Router, Sessions), AnyError> {
    let sessions = Sessions::new(Near::new(SqliteStore::over(database.clone())?, 64 << 20));
    let accounts = Accounts::open(database, Hasher::new()?).await?.reporting_to(sessions.events().clone());
    if accounts.is_empty().await? {
        accounts.add("alice", "correct horse battery staple", false, sessions.now()).await?;
    }
    let private = Router::new()
        .route("/", get(async |session: Session| format!("Hello, {}", session.name())))
        .route("/password", post(change_password))
        .layer(RequireSession::new());
    // Without TLS, as on this machine alone. Elsewhere leave the default cookie, which is for https.
    let cookie = CookieConfig::default().name("session").secure(false);
    let auth = AuthRouter::new(accounts.clone()).into_router();
    let app = private.nest("/auth", auth).with_state(accounts);
    Ok((app.layer(SessionLayer::new(sessions.clone()).cookie(cookie)?), sessions))
}

type Passwords = std::collections::BTreeMap<String, String>;

/// Ends the other sessions, and gives this one a new token.
async fn change_password(
    State(accounts): State<Accounts>,
    session: Session,
    Json(mut given): Json<Passwords>,
) -> StatusCode {
    let mut take = |key| given.remove(key).unwrap_or_default();
    match accounts.change_password(session, take("current"), take("new")).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(AccountError::WrongPassword) => StatusCode::FORBIDDEN,
        Err(AccountError::BadPassword { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
