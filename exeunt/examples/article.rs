//! The classic tutorial's shape, by hand: log in, a protected route, and a logout whose three cases are a value.

use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, extract::State, http::StatusCode, routing};
use exeunt::{
    Error, Logout, MemoryStore, Session, SessionLayer, Sessions, Users, UsersError, Verified, Visitor,
};

/// One hard-coded account: for this example alone.
#[derive(Clone)]
struct Accounts;

impl Users for Accounts {
    type Credentials = (String, String);

    async fn verify(&self, (name, password): (String, String)) -> Result<Option<Verified>, UsersError> {
        let right = (&*name, &*password) == ("alice", "correct horse battery staple");
        Ok(right.then(|| Verified::new(1.into(), 0).named(name)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

async fn login(
    State(accounts): State<Accounts>,
    visitor: Visitor,
    Json(given): Json<(String, String)>,
) -> Result<Response, Error> {
    let Some(session) = visitor.login(&accounts, given).await? else {
        return Ok((StatusCode::UNAUTHORIZED, "Wrong name or password").into_response());
    };
    Ok(format!("Hello, {}", session.name()).into_response())
}

async fn logout(visitor: Visitor) -> Response {
    match visitor.logout().await {
        Logout::Done => "Logout successful".into_response(),
        Logout::NoSession => StatusCode::OK.into_response(),
        Logout::Failed(_) => (StatusCode::BAD_REQUEST, "Unable to log out").into_response(),
    }
}

pub(crate) fn app(sessions: Sessions) -> Router {
    let auth_router =
        Router::new().route("/login", routing::post(login)).route("/logout", routing::delete(logout));
    let me = routing::get(async |session: Session| session.name().to_owned());
    let app = Router::new().nest("/api/auth", auth_router).route("/api/me", me);
    app.with_state(Accounts).layer(SessionLayer::new(sessions))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = app(Sessions::new(MemoryStore::new()));
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
}
