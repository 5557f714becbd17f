//! actix-session over Redis, wired as its README shows: `actix-session redis redis://…`.
//!
//! Must never do what no README shows. Beyond it there are two routes: `/me` says who is logged in, and `/slow` takes its
//! time, notes something in the session if asked to, and answers.

use std::time::Duration;

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Credentials {
    username: String,
}

async fn login(credentials: web::Form<Credentials>, session: Session) -> Result<HttpResponse, Error> {
    session.renew();
    session.insert("user", &credentials.username)?;
    Ok(HttpResponse::Ok().body("Welcome!"))
}

async fn logout(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::Ok().body("Logged out")
}

async fn me(session: Session) -> Result<HttpResponse, Error> {
    Ok(match session.get::<String>("user")? {
        Some(user) => HttpResponse::Ok().body(user),
        None => HttpResponse::Unauthorized().finish(),
    })
}

#[derive(Deserialize)]
struct Slow {
    id: u64,
    ms: u64,
    write: bool,
}

async fn slow(session: Session, slow: web::Query<Slow>) -> Result<HttpResponse, Error> {
    if session.get::<String>("user")?.is_none() {
        return Ok(HttpResponse::Unauthorized().finish());
    }
    println!("began {}", slow.id);
    actix_web::rt::time::sleep(Duration::from_millis(slow.ms)).await;
    if slow.write {
        let views = session.get::<u64>("views")?.unwrap_or_default();
        session.insert("views", views + 1)?;
    }
    Ok(HttpResponse::Ok().body("done"))
}

#[actix_web::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(2).context("redis, and its address")?;
    // From a configuration file: two nodes need the same one.
    let secret_key = Key::from(&[7; 64]);
    let redis_store = RedisSessionStore::new(url).await?;
    let server = HttpServer::new(move || {
        App::new()
            .wrap(SessionMiddleware::new(redis_store.clone(), secret_key.clone()))
            .route("/login", web::post().to(login))
            .route("/logout", web::post().to(logout))
            .route("/me", web::get().to(me))
            .route("/slow", web::get().to(slow))
    })
    .workers(2)
    .bind(("127.0.0.1", 0))?;
    let address = server.addrs().first().copied().context("it is bound")?;
    println!("listening on http://{address}");
    Ok(server.run().await?)
}
