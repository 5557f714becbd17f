//! Log in, stay in, log out, with the ready-made routes: `cargo run --example quickstart`, then
//!
//!     curl -c jar -H 'content-type: application/json' -d '{"username":"alice","password":"correct horse battery staple"}' \
//!         http://127.0.0.1:3000/api/auth/login
//!     curl -b jar http://127.0.0.1:3000/api/me
//!     curl -b jar -X DELETE http://127.0.0.1:3000/api/auth/logout

use axum::{Json, Router, routing::get};
use exeunt::{AuthRouter, CookieConfig, Session, SessionLayer, Sessions, Users, UsersError, Verified};
use serde_json::{Value, json};

/// One hard-coded account: for this example alone. Keep hashes (Argon2id), never passwords.
struct Accounts;

#[derive(serde::Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

impl Users for Accounts {
    type Credentials = Credentials;

    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        let right = given.username == "alice" && given.password == "correct horse battery staple";
        Ok(right.then(|| Verified::new(1.into(), 0).named("alice")))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

/// The session in the arguments is the proof of login: without one, this is never called.
async fn me(session: Session) -> Json<Value> {
    Json(json!({ "user": session.name() }))
}

pub(crate) fn app(sessions: Sessions) -> Result<Router, Box<dyn std::error::Error>> {
    // Over https the default cookie is right. This one works on a plain http address, to try it out.
    let cookie = CookieConfig::default().name("session").secure(false);
    Ok(Router::new()
        .route("/api/me", get(me))
        .nest("/api/auth", AuthRouter::new(Accounts).into_router())
        .layer(SessionLayer::new(sessions).cookie(cookie)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::new(exeunt::open("quickstart.db")?);
    tokio::spawn(sessions.clone().keep_purged());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(sessions)?).await?;
    Ok(())
}
