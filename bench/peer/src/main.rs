//! One route twice, bare and behind a login of axum-login whose sessions are in Redis, wired as its documentation shows.
//!
//! Must never do more, or less, than the same two routes do that exeunt is measured with.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::http::{HeaderName, Request, StatusCode};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use serde::Serialize;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_sessions::SessionManagerLayer;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};

#[derive(Clone, Debug)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"the same for all"
    }
}

/// Lets anybody in, and knows everybody without asking a database.
#[derive(Clone, Debug)]
struct Anybody;

impl AuthnBackend for Anybody {
    type User = User;
    type Credentials = String;
    type Error = std::convert::Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Self::Error> {
        Ok(Some(User(name)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Self::Error> {
        Ok(Some(User(id.clone())))
    }
}

#[derive(Debug, Serialize)]
struct Me {
    user: String,
}

const SAME: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (VARY, "Cookie")];

async fn bare() -> ([(HeaderName, &'static str); 2], Json<Me>) {
    (SAME, Json(Me { user: "u0000000".to_owned() }))
}

async fn protected(
    auth: AuthSession<Anybody>,
) -> Result<([(HeaderName, &'static str); 2], Json<Me>), StatusCode> {
    let User(user) = auth.user.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok((SAME, Json(Me { user })))
}

async fn login(mut auth: AuthSession<Anybody>, Path(name): Path<String>) -> StatusCode {
    match auth.login(&User(name)).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `peer REDIS_PORT SESSIONS TOKENS_FILE`: logs so many in, writes what their cookies hold, prints two ports, serves.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("peer REDIS_PORT SESSIONS TOKENS_FILE");
    let (redis, sessions, tokens) = (next()?, next()?.parse::<usize>()?, next()?);

    let config = Config::from_url(&format!("redis://127.0.0.1:{redis}/1"))?;
    let pool = Pool::new(config, None, None, None, 6)?;
    let connection = pool.connect();
    pool.wait_for_connect().await?;
    let layer = SessionManagerLayer::new(RedisStore::new(pool)).with_name("__Host-session");
    let layer = AuthManagerLayerBuilder::new(Anybody, layer).build();
    let without = Router::new().route("/api/me", get(bare));
    let with = Router::new().route("/api/me", get(protected)).route("/login/{name}", get(login)).layer(layer);

    let mut file = BufWriter::new(File::create(tokens)?);
    for number in 0..sessions {
        let request = Request::get(format!("/login/u{number:07}")).body(Body::empty())?;
        let answer = with.clone().oneshot(request).await?;
        let cookie = answer.headers().get(SET_COOKIE).context("a login sets a cookie")?.to_str()?;
        let (pair, _) = cookie.split_once(';').context("a cookie has attributes")?;
        let (_, value) = pair.split_once('=').context("a cookie has a value")?;
        writeln!(file, "{value}")?;
    }
    file.flush()?;

    let (a, b) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    println!("{} {}", a.local_addr()?.port(), b.local_addr()?.port());
    let no_delay = |stream: &mut tokio::net::TcpStream| drop(stream.set_nodelay(true));
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = async { axum::serve(a.tap_io(no_delay), without).await } => ended?,
        ended = async { axum::serve(b.tap_io(no_delay), with).await } => ended?,
        ended = connection => ended??,
        _ = end.recv() => {}
    }
    Ok(())
}
