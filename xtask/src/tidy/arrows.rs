//! Who may know whom: `http → auth → store → session`, and in the server `main → app → { api, pages } → accounts`.
//!
//! Must never differ from the picture in ARCHITECTURE.md.

use super::Finding;
use super::source::{Mention, Source, Target, Tree};

/// The rings of the library, innermost first. A folder imports only from an earlier one.
const RINGS: &[&str] = &["session", "store", "auth", "http"];

/// Modules around the rings: they may know all of them, and no ring knows these.
const OUTSIDE: &[&str] = &["manual", "testing"];

/// Crates that a ring never sees.
const FOREIGN: &[(&str, &[&str])] = &[
    ("session", &["axum", "http", "http_body_util", "hyper", "rusqlite", "tokio", "tower", "tower_http"]),
    ("store", &["axum", "http", "http_body_util", "hyper", "tower", "tower_http"]),
    ("auth", &["axum", "http", "http_body_util", "hyper", "rusqlite", "tower", "tower_http"]),
    ("http", &["rusqlite"]),
];

/// Crates that speak to an engine, and the stores that alone see them.
const DRIVERS: &[(&str, &[&str])] = &[
    ("deadpool_postgres", &["postgres"]),
    ("redis", &["redis"]),
    ("rusqlite", &["sqlite"]),
    ("rustls", &["postgres", "redis"]),
    ("tokio_postgres", &["postgres"]),
    ("tokio_postgres_rustls", &["postgres"]),
];

/// The layers of the server, innermost first. Those that stand in one do not know each other.
const LAYERS: &[&[&str]] = &[
    &["config", "html", "proxy"],
    &["mail"],
    &["accounts"],
    &["engines"],
    &["admin", "site"],
    &["backup", "control", "copy", "cors", "metrics", "telemetry"],
    &["error"],
    &["api", "clients", "pages"],
    &["openapi"],
    &["app"],
    &["serve"],
    &["cli"],
];

/// Wrong arrows in the library.
pub(super) fn of_the_library(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let Some(own) = source.module.first() else { continue };
        let ring = RINGS.iter().position(|ring| ring == own);
        if ring.is_none() && !OUTSIDE.contains(&own.as_str()) {
            findings.push(at(source, 1, format!("`{own}` has no place in the picture of the rings")));
            continue;
        }
        for mention in &source.mentions {
            let wrong = match tree.target(mention) {
                Target::Other(name) => foreign(source, &name),
                Target::Ours { module, path } => ring.and_then(|ring| inward(source, ring, &module, &path)),
            };
            findings.extend(wrong.map(|what| at(source, mention.line, what)));
        }
        if own == "http" {
            let heads = source.heads.iter().filter(|(_, name)| name == "Store").map(|(line, _)| *line);
            let paths = source
                .mentions
                .iter()
                .filter(|mention| mention.contains("store::Store") || is_the_trait(&tree.target(mention)));
            let what = "`http` never names `Store`: it calls `Sessions`";
            let lines = heads.chain(paths.map(|mention| mention.line));
            findings.extend(lines.map(|line| at(source, line, what.to_owned())));
        }
    }
    findings
}

/// Whether a module of the library is one of the rings.
pub(super) fn is_ring(module: &str) -> bool {
    RINGS.contains(&module)
}

fn is_the_trait(target: &Target) -> bool {
    matches!(target, Target::Ours { path, .. } if path.starts_with(&["store".to_owned(), "Store".to_owned()]))
}

fn foreign(source: &Source, name: &str) -> Option<String> {
    let own = source.module.first()?;
    let (_, crates) = FOREIGN.iter().find(|(ring, _)| ring == own)?;
    if crates.contains(&name) {
        return Some(format!("`{own}` never sees the crate `{name}`"));
    }
    let store = source.module.get(1).map(String::as_str).filter(|_| own == "store");
    let (_, stores) = DRIVERS.iter().find(|(driver, _)| *driver == name)?;
    let only = || stores.iter().map(|store| format!("`store::{store}`")).collect::<Vec<_>>().join(" and ");
    let allowed = store.is_some_and(|store| stores.contains(&store));
    (!allowed).then(|| format!("only {} sees `{name}`", only()))
}

fn inward(source: &Source, ring: usize, module: &[String], path: &[String]) -> Option<String> {
    let named = path.join("::");
    // Of its own parts a module may export all.
    let of_its_own = module.starts_with(&source.module) && module != source.module;
    if path.last().is_some_and(|last| last == "*") && !of_its_own {
        return Some(format!("`{named}` hides what is imported: name it"));
    }
    let Some(other) = module.first() else {
        return Some(format!("`crate::{named}` goes by way of the crate root: name the ring that has it"));
    };
    match RINGS.iter().position(|known| known == other) {
        Some(other) if other <= ring => (),
        _ => {
            let own = source.module.join("::");
            return Some(format!("wrong arrow: `{own}` must not know `{named}`"));
        }
    }
    // `store.rs` may know its children, they may know it, and none knows another.
    match (source.module.get(..2), module.get(1)) {
        (Some([own, store]), Some(sibling)) if own == "store" && other == "store" && store != sibling => {
            Some(format!("`store::{store}` must not know its sibling `store::{sibling}`"))
        }
        _ => None,
    }
}

/// Wrong arrows in the server.
pub(super) fn of_the_server(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let Some(own) = source.module.first() else { continue };
        let Some(layer) = layer_of(own) else {
            findings.push(at(source, 1, format!("`{own}` has no place in the picture of the server")));
            continue;
        };
        for mention in &source.mentions {
            findings.extend(
                wrong_in_server(tree, mention, own, layer).map(|what| at(source, mention.line, what)),
            );
        }
    }
    findings
}

fn wrong_in_server(tree: &Tree, mention: &Mention, own: &str, layer: usize) -> Option<String> {
    let Target::Ours { module, path } = tree.target(mention) else { return None };
    let named = path.join("::");
    let Some(other) = module.first() else {
        return Some(format!("`crate::{named}` goes by way of the crate root: name the module that has it"));
    };
    if other == own || layer_of(other).is_some_and(|other| other < layer) {
        return None;
    }
    Some(format!("wrong arrow: `{own}` must not know `{named}`"))
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn at(source: &Source, line: usize, what: String) -> Finding {
    Finding { path: source.path.clone(), line, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(package: &str, files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (within, text) in files {
            tree.add(Source::parse(package, within, text).unwrap());
        }
        tree
    }

    fn in_library(within: &str, text: &str) -> Vec<String> {
        let rest = [
            (
                "lib.rs",
                "pub mod session; pub mod store; pub mod auth; pub mod http; pub use store::MemoryStore;",
            ),
            ("session.rs", "pub struct Record;"),
            ("store.rs", "mod memory; pub use self::memory::MemoryStore; pub trait Store {}"),
            ("store/memory.rs", "pub struct MemoryStore;"),
            ("store/sqlite.rs", ""),
            ("auth.rs", "pub struct Sessions;"),
            ("http.rs", ""),
            ("testing.rs", ""),
        ];
        let files: Vec<_> =
            rest.into_iter().filter(|(path, _)| *path != within).chain([(within, text)]).collect();
        of_the_library(&tree("exeunt", &files)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn wrong_arrows_in_the_library_are_found() {
        for (within, text, said) in [
            (
                "session/a.rs",
                "use crate::store::Store;",
                "wrong arrow: `session::a` must not know `store::Store`",
            ),
            (
                "session/a.rs",
                "fn f() { crate::auth::Sessions::new(); }",
                "must not know `auth::Sessions::new`",
            ),
            ("session/a.rs", "use super::super::http::Visitor;", "must not know `http::Visitor`"),
            ("session/a.rs", "use tokio::sync::mpsc;", "`session` never sees the crate `tokio`"),
            (
                "session/a.rs",
                "async fn f() { tokio::task::yield_now().await }",
                "never sees the crate `tokio`",
            ),
            ("session/a.rs", "#[derive(rusqlite::ToSql)] struct A;", "never sees the crate `rusqlite`"),
            ("session/a.rs", "use crate::open;", "by way of the crate root"),
            ("session/a.rs", "use crate::MemoryStore;", "must not know `store::memory::MemoryStore`"),
            ("session/a.rs", "use super::*;", "hides what is imported"),
            ("store/a.rs", "use http::StatusCode;", "`store` never sees the crate `http`"),
            ("store/a.rs", "use crate::auth;", "must not know `auth`"),
            (
                "store/a.rs",
                "use super::memory::MemoryStore;",
                "`store::a` must not know its sibling `store::memory`",
            ),
            ("store/a.rs", "use super::MemoryStore;", "must not know its sibling `store::memory`"),
            ("store/a.rs", "use super::sqlite;", "must not know its sibling `store::sqlite`"),
            ("store/a.rs", "use rusqlite::Connection;", "only `store::sqlite` sees `rusqlite`"),
            ("store/a.rs", "use redis::Cmd;", "only `store::redis` sees `redis`"),
            ("auth/a.rs", "use redis::Cmd;", "only `store::redis` sees `redis`"),
            ("store/sqlite.rs", "use rustls::x;", "only `store::postgres` and `store::redis` sees `rustls`"),
            ("store/sqlite/b.rs", "use tokio_postgres::Row;", "only `store::postgres` sees `tokio_postgres`"),
            ("auth/a.rs", "use deadpool_postgres::Pool;", "only `store::postgres` sees `deadpool_postgres`"),
            ("store/sqlite/b.rs", "use crate::store::memory;", "`store::sqlite` must not know its sibling"),
            ("auth/a.rs", "use axum::Router;", "`auth` never sees the crate `axum`"),
            ("auth/a.rs", "use crate::http::cookie;", "must not know `http::cookie`"),
            ("http/a.rs", "use crate::store::Store;", "`http` never names `Store`"),
            ("http/a.rs", "fn f(s: &dyn Store) {}", "`http` never names `Store`"),
            ("http/a.rs", "use crate::store; fn f() { store::Store::load }", "`http` never names `Store`"),
            ("http/a.rs", "fn f() { crate::store::Store::load }", "`http` never names `Store`"),
            ("http/a.rs", "use crate::testing::x;", "must not know `testing::x`"),
            ("helpers.rs", "", "`helpers` has no place in the picture"),
        ] {
            let found = in_library(within, text);
            assert!(found.iter().any(|found| found.contains(said)), "{within} {text}: {found:?}");
        }
    }

    #[test]
    fn right_arrows_in_the_library_are_left_alone() {
        for (within, text) in [
            ("session/a.rs", "use std::fmt; use super::Record; use serde::Serialize;"),
            ("store/a.rs", "use super::{Store, Saved}; use crate::session::Record;"),
            (
                "store/sqlite/b.rs",
                "use super::c; use super::super::Store; use rusqlite::Connection; use tokio::sync::x;",
            ),
            ("store/redis/b.rs", "use redis::Cmd; use rustls::crypto; use super::c;"),
            ("store/postgres/b.rs", "use deadpool_postgres::Pool; use tokio_postgres::Row; use rustls::x;"),
            ("store.rs", "mod memory; pub use self::memory::*;"),
            ("auth/a.rs", "use crate::store::Store; use super::events; use crate::session::Token;"),
            (
                "http/a.rs",
                "use axum::Router; use crate::auth::Sessions; use http::StatusCode; fn f() { ErrorKind::Store }",
            ),
            ("testing.rs", "use crate::http::SessionLayer; use crate::auth::Sessions;"),
            ("session/a.rs", "#[cfg(test)] mod tests { use tokio::test; use crate::store::Store; }"),
        ] {
            assert_eq!(in_library(within, text), [""; 0], "{within} {text}");
        }
    }

    fn in_server(within: &str, text: &str) -> Vec<String> {
        let rest =
            ["main.rs", "accounts.rs", "api.rs", "pages.rs", "app.rs", "error.rs", "html.rs", "site.rs"];
        let files: Vec<_> =
            rest.into_iter().map(|path| (path, "")).filter(|(path, _)| *path != within).collect();
        let tree = tree("exeunt-server", &[files, vec![(within, text)]].concat());
        of_the_server(&tree).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn wrong_arrows_in_the_server_are_found() {
        for (within, text, said) in [
            ("api.rs", "use crate::pages::login;", "`api` must not know `pages::login`"),
            ("pages.rs", "fn f() { crate::api::me() }", "`pages` must not know `api::me`"),
            ("pages/login.rs", "use super::super::api;", "`pages` must not know `api`"),
            ("accounts/password.rs", "use crate::api::me;", "`accounts` must not know `api::me`"),
            ("api.rs", "use crate::app::router;", "`api` must not know `app::router`"),
            ("accounts.rs", "use crate::site::AppState;", "`accounts` must not know `site::AppState`"),
            ("error.rs", "use crate::api::me;", "`error` must not know `api::me`"),
            ("api.rs", "use crate::VERSION;", "by way of the crate root"),
            ("utils.rs", "", "`utils` has no place in the picture"),
        ] {
            let found = in_server(within, text);
            assert!(found.iter().any(|found| found.contains(said)), "{within} {text}: {found:?}");
        }
    }

    #[test]
    fn right_arrows_in_the_server_are_left_alone() {
        for (within, text) in [
            ("main.rs", "mod app; mod api; use app::router;"),
            ("app.rs", "use crate::{api, pages}; use crate::accounts::Accounts; use axum::Router;"),
            ("api.rs", "use crate::accounts::Accounts; use crate::error::ApiError; use exeunt::Session;"),
            ("pages.rs", "use crate::site::AppState; use crate::error;"),
            ("error.rs", "use crate::html; fn f() { html::page() }"),
            ("accounts/password.rs", "use super::Accounts; use argon2::Argon2;"),
        ] {
            assert_eq!(in_server(within, text), [""; 0], "{within} {text}");
        }
    }
}
