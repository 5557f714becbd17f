//! Two servers on one store: what one has acknowledged, the other knows at the very next request.
//!
//! A thousand sessions would cost a thousand password hashes, so this process makes them itself, as a node of its own
//! on the same engines. Commands are run by it, too, as the program runs them; every 40th by the program itself.

use exeunt::http::CookieConfig;
use exeunt::{SessionId, SessionLayer, Sessions, UserId};
use exeunt_server::accounts::{Accounts, Cost, Hasher};
use exeunt_server::admin::{Admin, Command, NewPassword};
use http::Request;
use tokio::runtime::Runtime;

use crate::common::{Kept, postgres, redis};
use crate::support::{Answer, PASSWORD, Place, Server};

/// Each costs a password hash.
const WHILE_CHECKED: u32 = 20;
const BY_THE_PROGRAM: u32 = 40;
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn rounds() -> u32 {
    services::rounds(250, 1_000)
}

struct Nodes {
    place: Place,
    a: Server,
    b: Server,
    runtime: Runtime,
    layer: SessionLayer,
    accounts: Accounts,
    admin: Admin,
}

impl Nodes {
    fn on(kept: Kept) -> Self {
        let place = Place::with_alice(kept);
        let (a, b) = (place.serve(), place.serve());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (layer, accounts, admin) = runtime.block_on(async {
            let engines = place.places.open().await;
            let sessions = Sessions::over(engines.store(0).await.unwrap());
            let accounts = engines.accounts(&sessions, Hasher::with(CHEAP, 1, 1).unwrap()).await.unwrap();
            let url = "http://localhost".parse().unwrap();
            let admin = Admin::new(accounts.clone(), sessions.clone(), engines, url);
            let cookie = CookieConfig::default().name("session").secure(false);
            (SessionLayer::new(sessions).cookie(cookie).unwrap(), accounts, admin)
        });
        Self { place, a, b, runtime, layer, accounts, admin }
    }

    /// A session of alice, which both nodes know.
    fn session(&self) -> String {
        let token = self.session_of(UserId::from(1));
        assert_eq!((self.a.me(&token), self.b.me(&token)), (200, 200));
        token
    }

    fn session_of(&self, user: UserId) -> String {
        let request = Request::get("/").body(()).unwrap();
        let logged_in = exeunt::testing::logged_in(&self.layer, user, request);
        let request = self.runtime.block_on(logged_in).unwrap();
        request.headers().get("cookie").unwrap().to_str().unwrap().to_owned()
    }

    /// The only session of alice.
    fn id(&self) -> SessionId {
        let listed = self.runtime.block_on(self.layer.sessions().list(&UserId::from(1))).unwrap();
        assert_eq!(listed.len(), 1);
        listed.first().unwrap().id()
    }

    fn command(&self, round: u32, command: Command, words: &[&str], input: &str) {
        if round.is_multiple_of(BY_THE_PROGRAM) {
            self.place.run(words, input);
        } else {
            self.runtime.block_on(self.admin.run(command)).unwrap();
        }
    }

    fn refused_on_b(&self, token: &str, round: u32) {
        let answer = self.b.call("GET", "/api/me", token);
        assert!(answer.is_401(), "round {round}: {answer:?}");
    }
}

fn logout_on_one_node_holds_on_the_other(kept: Kept) {
    // R01, R02, R03
    let nodes = Nodes::on(kept);
    let other = nodes.session();
    for round in 0..rounds() {
        let token = nodes.session();
        let logout = nodes.a.call("DELETE", "/api/auth/logout", &token);
        assert_eq!((logout.status, logout.body.as_str()), (200, "Logout successful"));
        nodes.refused_on_b(&token, round);
    }
    assert_eq!((nodes.a.me(&other), nodes.b.me(&other)), (200, 200));
}

fn logout_everywhere_on_one_node_holds_on_the_other(kept: Kept) {
    // R16, R03
    let nodes = Nodes::on(kept);
    for round in 0..rounds() {
        let (one, two) = (nodes.session(), nodes.session());
        assert_eq!(nodes.a.call("DELETE", "/api/auth/sessions", &one).status, 200);
        nodes.refused_on_b(&two, round);
        nodes.refused_on_b(&one, round);
    }
}

fn a_changed_password_holds_on_every_node(kept: Kept) {
    // R18
    let nodes = Nodes::on(kept);
    for round in 0..rounds() {
        let token = nodes.session();
        let words = ["account", "password", "alice", "--password-stdin"];
        let password = format!("another horse, another staple {round}");
        let new = NewPassword::new(password.clone());
        let command = Command::AccountPassword { name: "alice".to_owned(), password: new };
        nodes.command(round, command, &words, &password);
        nodes.refused_on_b(&token, round);
    }
}

fn a_disabled_account_is_out_on_every_node(kept: Kept) {
    // R19
    let nodes = Nodes::on(kept);
    for round in 0..rounds() {
        let token = nodes.session();
        let command = Command::AccountDisable { name: "alice".to_owned(), even_the_last: false };
        nodes.command(round, command, &["account", "disable", "alice"], "");
        nodes.refused_on_b(&token, round);
        nodes.runtime.block_on(nodes.accounts.enable("alice")).unwrap();
        assert_eq!(nodes.b.me(&token), 401, "enabling brings nothing back");
    }
}

fn a_session_that_an_administrator_ends_is_over_on_every_node(kept: Kept) {
    // R20
    let nodes = Nodes::on(kept);
    for round in 0..rounds() {
        let token = nodes.session();
        let session = nodes.id();
        let words = ["session", "end", &session.to_string()];
        nodes.command(round, Command::SessionEnd { session }, &words, "");
        nodes.refused_on_b(&token, round);
    }
}

fn again(server: &Server, token: &str) -> Answer {
    let headers = [("Cookie", token), ("Content-Type", "application/json")];
    let body = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}"#);
    server.send("POST", "/api/auth/reauthenticate", &headers, &body)
}

fn a_logout_on_one_node_while_the_password_is_checked_on_the_other_holds(kept: Kept) {
    // R05, R12
    let nodes = Nodes::on(kept);
    for round in 0..WHILE_CHECKED {
        let token = nodes.session();
        let (again, logout) = std::thread::scope(|scope| {
            let again = scope.spawn(|| again(&nodes.a, &token));
            let logout = scope.spawn(|| nodes.b.call("DELETE", "/api/auth/logout", &token));
            (again.join().unwrap(), logout.join().unwrap())
        });
        assert_eq!((logout.status, logout.body.as_str()), (200, "Logout successful"), "round {round}");
        if again.status == 200 {
            // It was renewed first, and the old token logged out what it had become.
            nodes.refused_on_b(&again.token(), round);
        } else {
            assert!(again.is_401() && !sets_a_token(&again), "round {round}: {again:?}");
        }
        nodes.refused_on_b(&token, round);
    }
}

fn sets_a_token(answer: &Answer) -> bool {
    answer.header("set-cookie").is_some() && !answer.removes_cookie()
}

fn a_password_changed_by_its_owner_holds_on_every_node(kept: Kept) {
    // R12, R18
    let nodes = Nodes::on(kept);
    let (this, other) = (nodes.session(), nodes.session());
    let headers = [("Cookie", this.as_str()), ("Content-Type", "application/json")];
    let body = format!(r#"{{"current":"{PASSWORD}","new":"another horse battery staple"}}"#);
    let changed = nodes.a.send("POST", "/api/auth/password", &headers, &body);
    assert_eq!((changed.status, changed.body.as_str()), (200, r#"{"ended":1}"#));
    nodes.refused_on_b(&this, 0);
    nodes.refused_on_b(&other, 0);
    assert_eq!(nodes.b.me(&changed.token()), 200);
    assert_eq!(nodes.b.try_login("alice", PASSWORD).status, 401);
    assert_eq!(nodes.b.call("DELETE", "/api/auth/sessions", &changed.token()).status, 200);
    assert_eq!(nodes.a.me(&changed.token()), 401);
}

macro_rules! on_shared_engines {
    ($($test:ident),* $(,)?) => {
        mod postgres {
            $(#[test] fn $test() { super::$test(super::Kept::Postgres); })*
        }
        mod redis_and_postgres {
            $(#[test] fn $test() { super::$test(super::Kept::RedisAndPostgres); })*
        }
    };
}

on_shared_engines!(
    logout_on_one_node_holds_on_the_other,
    logout_everywhere_on_one_node_holds_on_the_other,
    a_changed_password_holds_on_every_node,
    a_disabled_account_is_out_on_every_node,
    a_session_that_an_administrator_ends_is_over_on_every_node,
    a_logout_on_one_node_while_the_password_is_checked_on_the_other_holds,
    a_password_changed_by_its_owner_holds_on_every_node,
);

#[test]
fn everybodys_sessions_end_even_where_an_index_was_lost() {
    // R20
    let nodes = Nodes::on(Kept::RedisAndPostgres);
    let (one, two) = (nodes.session(), nodes.session());
    let (_, prefix) = nodes.place.places.store.rsplit_once("prefix=").unwrap();
    // The bucket of user 1.
    assert_eq!(redis().cli(&["del", &format!("{prefix}i:9842")]).unwrap().trim(), "1");
    let ended = nodes.place.run(["session", "end-all"], "");
    assert!(ended.contains('2'), "{ended}");
    for token in [&one, &two] {
        nodes.refused_on_b(token, 0);
    }
}

#[test]
fn two_nodes_may_start_at_once_where_nothing_is_yet() {
    for kept in [Kept::Postgres, Kept::RedisAndPostgres] {
        let place = Place::new(kept);
        std::thread::scope(|scope| {
            let nodes = [scope.spawn(|| place.serve()), scope.spawn(|| place.serve())];
            for node in nodes {
                let node = node.join().unwrap();
                assert_eq!(node.send("GET", "/readyz", &[], "").status, 200);
            }
        });
    }
}

#[test]
fn a_role_that_may_make_no_tables_can_serve_once_they_are_there() {
    let place = Place::with_alice(Kept::Postgres);
    let schema = place.places.store.rsplit("%3D").next().unwrap();
    let (role, tables) = (format!("role_of_{schema}"), format!("ALL TABLES IN SCHEMA {schema}"));
    for sql in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role}"),
    ] {
        postgres().psql("postgres", &sql).unwrap();
    }
    let store = place.places.store.replace("//postgres@", &format!("//{role}@"));
    assert_ne!(store, place.places.store);
    let place = Place::on(&store, None);
    let server = place.serve();
    let (one, two) = (server.login(), server.login());
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).body, "Logout successful");
    assert_eq!(server.call("DELETE", "/api/auth/sessions", &two).status, 200);
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let bob = server.try_login("bob", PASSWORD).token();
    place.run(["account", "disable", "bob"], "");
    assert_eq!(server.me(&bob), 401);
    place.run(["account", "remove", "bob"], "");
}
