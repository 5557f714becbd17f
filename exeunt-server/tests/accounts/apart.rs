//! Accounts that live apart from the sessions: what holds where a change takes more than one step.

use std::time::Duration;

use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{Extend, LoggedIn, LoginOptions, Sessions, Users as _};
use exeunt_server::accounts::{AccountError, Accounts, Cost, Credentials, Hasher};
use exeunt_server::admin::{Code, Failure};
use exeunt_server::copy::{Only, Order, copy};
use exeunt_server::engines::Engines;
use services::Redis;
use tempfile::TempDir;

use crate::common::{Kept, Places};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

const RIGHT: &str = "correct horse battery staple";

struct Server {
    accounts: Accounts,
    sessions: Sessions,
    engines: Engines,
}

impl Server {
    async fn on(places: &Places) -> Self {
        let engines = places.open().await;
        let sessions = Sessions::over(engines.store(1 << 20).await.unwrap());
        let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 2, 100).unwrap()).await.unwrap();
        Self { accounts, sessions, engines }
    }

    /// An account `alice`, and a session of hers.
    async fn alice(&self) -> LoggedIn {
        self.accounts.add("alice", RIGHT, false, self.sessions.now()).await.unwrap();
        self.login().await
    }

    async fn login(&self) -> LoggedIn {
        let given = Credentials { username: "alice".to_owned(), password: RIGHT.to_owned() };
        self.sessions.login(&self.accounts, given, LoginOptions::default()).await.unwrap().unwrap()
    }

    async fn lives(&self, login: &LoggedIn) -> bool {
        self.sessions.resume(&login.token, Extend::No).await.unwrap().is_some()
    }
}

/// With an account `alice` and a session of hers.
async fn with_alice(kept: Kept) -> (Server, LoggedIn, Places, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let places = kept.fresh(folder.path());
    let server = Server::on(&places).await;
    let login = server.alice().await;
    (server, login, places, folder)
}

/// A lock on the file of the sessions, which lets nobody write there until it is dropped.
fn silence(places: &Places) -> Connection {
    let other = Connection::open(&places.store).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// Waits for what happens by itself.
pub(crate) async fn until(mut happened: impl AsyncFnMut() -> bool) {
    let within = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), within).await.unwrap();
}

async fn a_change_whose_sessions_cannot_be_ended_is_done_and_says_what_is_left(kept: Kept) {
    // R18, R19
    let (server, login, places, _folder) = with_alice(kept).await;
    let lock = silence(&places);
    let refused = server.accounts.disable("alice").await.unwrap_err();
    let AccountError::SessionsLeft { done, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*done, "the account is disabled");
    assert!(server.accounts.find("alice").await.unwrap().unwrap().disabled, "and so it is");
    let failure = Failure::from(refused);
    assert_eq!(failure.code, Code::Store);
    assert!(failure.message.starts_with("the account is disabled, but the sessions"), "{}", failure.message);

    drop(lock);
    server.accounts.work_off(&server.sessions).await.unwrap();
    assert!(!server.lives(&login).await);
    // It is forgotten: a session from now on is not met by it.
    server.accounts.enable("alice").await.unwrap();
    let later = server.login().await;
    server.accounts.work_off(&server.sessions).await.unwrap();
    assert!(server.lives(&later).await);
}

async fn what_a_change_left_is_made_up_for_by_whichever_node_is_there(kept: Kept) {
    let (server, login, places, _folder) = with_alice(kept).await;
    let lock = silence(&places);
    let refused = server.accounts.set_password("alice", "another horse, another staple").await.unwrap_err();
    assert!(matches!(refused, AccountError::SessionsLeft { .. }));
    let node = tokio::spawn(server.accounts.clone().keep_working_off());
    drop(lock);
    until(async || !server.lives(&login).await).await;
    node.abort();
}

async fn nobody_serves_before_what_was_left_is_done(kept: Kept) {
    // As after `kill -9` between the two steps.
    let (server, login, places, _folder) = with_alice(kept).await;
    let lock = silence(&places);
    assert!(server.accounts.remove("alice").await.is_err());
    assert!(
        matches!(server.accounts.work_off(&server.sessions).await, Err(AccountError::SessionsLeft { .. })),
        "silent"
    );
    drop(lock);
    let Server { accounts, sessions, engines } = server;
    engines.close();
    drop((accounts, sessions, engines));

    let server = Server::on(&places).await;
    server.accounts.work_off(&server.sessions).await.unwrap();
    assert!(!server.lives(&login).await);
}

#[tokio::test]
async fn what_was_left_is_done_also_where_sessions_were_moved_to_the_accounts() {
    // R18, R19
    let (server, login, places, _folder) = with_alice(Kept::TwoFiles).await;
    let lock = silence(&places);
    assert!(server.accounts.set_password("alice", "another horse, another staple").await.is_err());
    drop(lock);
    let Server { accounts, sessions, engines } = server;
    engines.close();
    drop((accounts, sessions, engines));
    let together = Places { store: places.accounts.clone().unwrap(), accounts: None };
    let (from, to) = (places.store.parse().unwrap(), together.store.parse().unwrap());
    let order = Order { from, to, only: Some(Only::Sessions), last: true };
    assert_eq!(copy(&order, &|_| ()).await.unwrap().sessions.unwrap().made, 1);

    let server = Server::on(&together).await;
    assert!(server.lives(&login).await, "it came along");
    server.accounts.work_off(&server.sessions).await.unwrap();
    assert!(!server.lives(&login).await);
}

#[tokio::test]
async fn a_closed_tab_stops_no_change_half_way() {
    // R19
    let redis = Redis::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts.db").to_str().unwrap().to_owned();
    let places = Places { store: format!("{}?deadline=10s", redis.url()), accounts: Some(accounts) };
    let server = Server::on(&places).await;
    let login = server.alice().await;
    redis.pause();
    let accounts = server.accounts.clone();
    let asked = tokio::spawn(async move { accounts.disable("alice").await.map(drop) });
    until(async || server.accounts.find("alice").await.unwrap().unwrap().disabled).await;
    asked.abort();
    assert!(asked.await.is_err_and(|error| error.is_cancelled()));
    redis.go_on();
    until(async || !server.lives(&login).await).await;
}

async fn nobody_logs_in_as_before_a_change_while_its_sessions_are_left(kept: Kept) {
    // R18
    let (server, _login, places, _folder) = with_alice(kept).await;
    let given = || Credentials { username: "alice".to_owned(), password: RIGHT.to_owned() };
    let verified = server.accounts.verify(given()).await.unwrap().unwrap();
    let lock = silence(&places);
    assert!(server.accounts.set_password("alice", "another horse, another staple").await.is_err());
    drop(lock);
    assert!(!server.accounts.is_current(&verified).await.unwrap());
    assert!(server.accounts.verify(given()).await.unwrap().is_none());
}

macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod two_files {
            $(#[tokio::test] async fn $test() { super::$test(super::Kept::TwoFiles).await; })*
        }
        mod file_and_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Kept::FileAndPostgres).await; })*
        }
    };
}

on_both!(
    a_change_whose_sessions_cannot_be_ended_is_done_and_says_what_is_left,
    what_a_change_left_is_made_up_for_by_whichever_node_is_there,
    nobody_serves_before_what_was_left_is_done,
    nobody_logs_in_as_before_a_change_while_its_sessions_are_left,
);
