//! The small application on the library that is attacked: the peers' four routes.
//!
//! Must never do more than the peers' servers do, nor otherwise than the README shows.

use std::time::Duration;

use anyhow::Result;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use exeunt::store::postgres::PostgresStore;
use exeunt::store::redis::RedisStore;
use exeunt::{
    CookieConfig, Error, Logout, MemoryStore, Session, SessionLayer, Sessions, Users, UsersError, Verified,
    Visitor,
};
use serde::Deserialize;
use tokio::net::TcpListener;

/// Lets anybody in.
#[derive(Clone, Debug)]
struct Anybody;

impl Users for Anybody {
    type Credentials = String;

    async fn verify(&self, name: String) -> Result<Option<Verified>, UsersError> {
        Ok(Some(Verified::new(1.into(), 0).named(name)))
    }

    async fn is_current(&self, _: &Verified) -> Result<bool, UsersError> {
        Ok(true)
    }
}

async fn login(visitor: Visitor) -> Result<Response, Error> {
    match visitor.login(&Anybody, "alice".to_owned()).await? {
        Some(session) => Ok(session.name().to_owned().into_response()),
        None => Ok(StatusCode::UNAUTHORIZED.into_response()),
    }
}

async fn logout(visitor: Visitor) -> Logout {
    visitor.logout().await
}

async fn me(session: Session) -> String {
    session.name().to_owned()
}

#[derive(Debug, Deserialize)]
struct Slow {
    id: u64,
    ms: u64,
    write: bool,
}

async fn slow(mut session: Session, Query(slow): Query<Slow>) -> Result<&'static str, Error> {
    println!("began {}", slow.id);
    tokio::time::sleep(Duration::from_millis(slow.ms)).await;
    if slow.write {
        session
            .update(|data| {
                let views: u64 = data.get("views")?.unwrap_or_default();
                data.set("views", &(views + 1))
            })
            .await?;
    }
    Ok("done")
}

/// The application over some sessions.
pub(crate) fn router(sessions: Sessions) -> Result<Router> {
    let cookie = CookieConfig::default().name("session").secure(false);
    Ok(Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/slow", get(slow))
        .layer(SessionLayer::new(sessions).cookie(cookie)?))
}

/// Serves until it is killed.
pub(crate) fn serve(store: &str) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let sessions = match store.split_once(':').map_or(store, |(scheme, _)| scheme) {
            "memory" => Sessions::new(MemoryStore::new()),
            "redis" => Sessions::new(RedisStore::connect(store).await?),
            "postgres" => Sessions::new(PostgresStore::connect(store).await?),
            _ => Sessions::new(exeunt::open(store)?),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, router(sessions)?).await?)
    })
}
