//! axum-login over tower-sessions, wired as their READMEs show: `axum-login memory|redis|cached|redis-tuned [redis://…]`.
//!
//! Must never do what no README shows. Beyond them there are two routes: `/me` says who is logged in, and `/slow` takes its
//! time, notes something in the session if asked to, and answers. `redis-tuned` sets what the README leaves out:
//! fred connects again, and gives up a command after 2 s.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, UserId};
use serde::Deserialize;
use tower_sessions::cookie::time;
use tower_sessions::{CachingSessionStore, Expiry, MemoryStore, SessionManagerLayer, SessionStore};
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::*;

#[derive(Clone, Debug)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"the hash of a password"
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Credentials {
    username: String,
}

/// Lets anybody in, and knows everybody.
#[derive(Clone, Debug)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<User>, Infallible> {
        Ok(Some(User(credentials.username)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id.clone())))
    }
}

type AuthSession = axum_login::AuthSession<Backend>;

async fn login(mut auth_session: AuthSession, Form(creds): Form<Credentials>) -> Response {
    let user = match auth_session.authenticate(creds).await {
        Ok(Some(user)) => user,
        Ok(None) => return StatusCode::UNAUTHORIZED.into_response(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    if auth_session.login(&user).await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Redirect::to("/protected").into_response()
}

async fn logout(mut auth_session: AuthSession) -> Response {
    match auth_session.logout().await {
        Ok(_) => Redirect::to("/login").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn me(auth_session: AuthSession) -> Response {
    match auth_session.user {
        Some(User(name)) => name.into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[derive(Deserialize)]
struct Slow {
    id: u64,
    ms: u64,
    write: bool,
}

async fn slow(auth_session: AuthSession, Query(slow): Query<Slow>) -> Response {
    if auth_session.user.is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    println!("began {}", slow.id);
    tokio::time::sleep(Duration::from_millis(slow.ms)).await;
    if slow.write {
        let noted = async {
            let views = auth_session.session.get::<u64>("views").await?.unwrap_or_default();
            auth_session.session.insert("views", views + 1).await
        };
        if noted.await.is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    }
    "done".into_response()
}

async fn serve(store: impl SessionStore + Clone) -> Result<()> {
    // The READMEs' 10 seconds are over before an outage is.
    let session_layer = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::hours(1)));
    let auth_layer = AuthManagerLayerBuilder::new(Backend, session_layer).build();
    let app = Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/slow", get(slow))
        .layer(auth_layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn pool(url: Option<String>, tuned: bool) -> Result<Pool> {
    let config = Config::from_url(&url.context("the address of Redis")?)?;
    let pool = if tuned {
        let timeout = PerformanceConfig { default_command_timeout: Duration::from_secs(2), ..Default::default() };
        Pool::new(config, Some(timeout), None, Some(ReconnectPolicy::new_constant(0, 100)), 6)?
    } else {
        Pool::new(config, None, None, None, 6)?
    };
    pool.connect();
    pool.wait_for_connect().await?;
    Ok(pool)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (kept, url) = (arguments.next().context("memory, redis, cached or redis-tuned")?, arguments.next());
    match kept.as_str() {
        "memory" => serve(MemoryStore::default()).await,
        "redis" => serve(RedisStore::new(pool(url, false).await?)).await,
        "redis-tuned" => serve(RedisStore::new(pool(url, true).await?)).await,
        "cached" => {
            let moka_store = MokaStore::new(Some(2000));
            serve(CachingSessionStore::new(moka_store, RedisStore::new(pool(url, false).await?))).await
        }
        _ => bail!("{kept}: not memory, redis, cached or redis-tuned"),
    }
}
