//! What holds on every combination of engines.

use std::sync::Arc;
use std::time::Duration;

use exeunt::{
    Clock as _, Extend, LoggedIn, LoginOptions, ManualClock, Sessions, SystemClock, Timestamp, UserId, Users,
    UsersError, Verified,
};
use exeunt_server::accounts::{AccountError, Accounts, Cost, Credentials, Hasher, Last, SETUP_LINK_LASTS};
use exeunt_server::engines::Engines;
use tempfile::TempDir;

use crate::common::{Kept, Places, on_every_engine};

on_every_engine!(async
    the_right_password_says_who_it_is,
    every_kind_of_wrong_is_none_and_costs_exactly_one_hash_as_right_does,
    a_name_is_taken_whatever_its_case_and_composition,
    a_password_may_have_15_characters_to_1024_bytes,
    a_number_is_never_given_twice,
    disabling_a_new_password_and_removing_end_the_sessions_of_that_account_alone,
    a_login_that_was_being_checked_does_not_slip_in_after_a_change,
    nobody_by_that_name_is_an_error_of_its_own,
    a_login_replaces_a_hash_that_became_too_cheap_once,
    a_login_that_is_overtaken_by_a_change_ends_wherever_it_was,
    of_a_login_and_a_change_at_the_same_time_no_session_is_left,
    a_set_up_link_makes_one_administrator_once,
    a_set_up_link_is_void_after_15_minutes_after_a_newer_one_and_after_the_first_account,
    neither_the_file_nor_debug_output_has_a_password_or_a_set_up_secret,
);

const RIGHT: &str = "correct horse battery staple";
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

struct Server {
    accounts: Accounts,
    sessions: Sessions,
    hasher: Hasher,
    engines: Engines,
    now: Timestamp,
    places: Places,
    folder: TempDir,
}

impl Server {
    async fn new(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = kept.fresh(folder.path());
        Self::at(places, folder, CHEAP).await
    }

    async fn at(places: Places, folder: TempDir, cost: Cost) -> Self {
        let engines = places.open().await;
        let hasher = Hasher::with(cost, 2, 100).unwrap();
        // Redis frees by its own clock, so this one begins at the same time.
        let now = SystemClock::new().now();
        let sessions = Sessions::over(engines.store(1 << 20).await.unwrap());
        let sessions = sessions.clock(Arc::new(ManualClock::at(now)));
        let accounts = engines.accounts(&sessions, hasher.clone()).await.unwrap();
        Self { accounts, sessions, hasher, engines, now, places, folder }
    }

    async fn reopened(self, cost: Cost) -> Self {
        let Self { accounts, sessions, engines, places, folder, .. } = self;
        drop((accounts, sessions, engines));
        Self::at(places, folder, cost).await
    }

    async fn add(&self, name: &str, password: &str) -> i64 {
        self.accounts.add(name, password, false, self.now).await.unwrap().id
    }

    async fn verify(&self, name: &str, password: &str) -> Option<Verified> {
        self.accounts.verify(credentials(name, password)).await.unwrap()
    }

    async fn login(&self, name: &str, password: &str) -> Option<LoggedIn> {
        let options = LoginOptions::default();
        self.sessions.login(&self.accounts, credentials(name, password), options).await.unwrap()
    }

    async fn lives(&self, login: &LoggedIn) -> bool {
        let at_hand = self.sessions.resume_at_hand(&login.token, Extend::No).is_some();
        let found = self.sessions.resume(&login.token, Extend::No).await.unwrap().is_some();
        assert!(found || !at_hand, "the cache knows a session that the store does not");
        found
    }
}

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.to_owned(), password: password.to_owned() }
}

async fn the_right_password_says_who_it_is(kept: Kept) {
    let server = Server::new(kept).await;
    let id = server.add("Zoe\u{308}", "nine cafe\u{301}s in a fjord").await;
    let composed = "nine caf\u{e9}s in a fjord";
    for (name, password) in
        [("Zo\u{eb}", composed), ("ZOE\u{308}", "nine cafe\u{301}s in a fjord"), ("zo\u{eb}", composed)]
    {
        let verified = server.verify(name, password).await.unwrap();
        assert_eq!(verified.user(), &UserId::from(id));
        assert_eq!(verified.name(), Some("Zo\u{eb}"));
        assert!(server.accounts.is_current(&verified).await.unwrap());
    }
}

async fn every_kind_of_wrong_is_none_and_costs_exactly_one_hash_as_right_does(kept: Kept) {
    // R32, R33
    let server = Server::new(kept).await;
    server.add("alice", RIGHT).await;
    server.add("mallory", RIGHT).await;
    server.accounts.disable("mallory").await.unwrap();
    let long = "x".repeat(70);
    for (name, password, is_right) in [
        ("alice", RIGHT, true),
        ("alice", "wrong", false),
        ("alice", "", false),
        ("alice", " right", false),
        ("nobody", RIGHT, false),
        ("mallory", RIGHT, false),
        ("mallory", "wrong", false),
        ("", RIGHT, false),
        (" alice", RIGHT, false),
        ("alice\n", RIGHT, false),
        (long.as_str(), RIGHT, false),
    ] {
        let before = server.hasher.hashed();
        assert_eq!(server.verify(name, password).await.is_some(), is_right, "{name:?} {password:?}");
        assert_eq!(server.hasher.hashed() - before, 1, "{name:?} {password:?}");
    }
}

async fn a_name_is_taken_whatever_its_case_and_composition(kept: Kept) {
    let server = Server::new(kept).await;
    server.add("Zo\u{eb}", RIGHT).await;
    for name in ["Zo\u{eb}", "zoe\u{308}", "ZO\u{cb}"] {
        let refused = server.accounts.add(name, RIGHT, true, server.now).await;
        assert!(matches!(refused, Err(AccountError::NameTaken)), "{name}");
    }
    // At once, too: the database decides, not the look beforehand.
    let (one, other) = tokio::join!(
        server.accounts.add("new", RIGHT, false, server.now),
        server.accounts.add("NEW", RIGHT, false, server.now)
    );
    assert!(one.is_ok() != other.is_ok());
    assert_eq!(server.accounts.list().await.unwrap().len(), 2);
}

async fn a_password_may_have_15_characters_to_1024_bytes(kept: Kept) {
    // R36
    let server = Server::new(kept).await;
    for bad in [String::new(), "x".repeat(1025), "é".repeat(513), "fjord vex nymph".chars().skip(1).collect()]
    {
        let refused = server.accounts.add("a", &bad, false, server.now).await;
        assert!(matches!(refused, Err(AccountError::BadPassword { .. })), "{} bytes", bad.len());
    }
    // 1536 bytes that compose to 1024.
    let long = |end: &str, times| format!("zwölf boxkämpfer!{}", end.repeat(times));
    server.add("a", &long("jage\u{301}n ", 143)).await;
    assert!(server.verify("a", &long("jagén ", 143)).await.is_some());
    assert!(server.verify("a", &long("jagén ", 142)).await.is_none());
    let refused = server.accounts.set_password("a", "").await;
    assert!(matches!(refused, Err(AccountError::BadPassword { .. })));
}

async fn a_number_is_never_given_twice(kept: Kept) {
    let server = Server::new(kept).await;
    let first = server.add("alice", RIGHT).await;
    server.accounts.remove("alice").await.unwrap();
    let second = server.add("alice", RIGHT).await;
    assert!(second > first);
    server.accounts.remove("alice").await.unwrap();
    let server = server.reopened(CHEAP).await;
    assert!(server.add("bob", RIGHT).await > second, "nor after a restart");
}

async fn disabling_a_new_password_and_removing_end_the_sessions_of_that_account_alone(kept: Kept) {
    // R18, R19
    let server = Server::new(kept).await;
    server.add("alice", RIGHT).await;
    server.add("bob", RIGHT).await;
    let bob = server.login("bob", RIGHT).await.unwrap();

    let (one, two) =
        (server.login("alice", RIGHT).await.unwrap(), server.login("ALICE", RIGHT).await.unwrap());
    assert_eq!(server.accounts.disable("Alice").await.unwrap(), 2);
    assert!(!server.lives(&one).await && !server.lives(&two).await);
    assert!(server.login("alice", RIGHT).await.is_none());
    assert_eq!(server.accounts.disable("alice").await.unwrap(), 0, "twice is no error");

    server.accounts.enable("alice").await.unwrap();
    assert!(!server.lives(&one).await, "enabling brings nothing back");
    let three = server.login("alice", RIGHT).await.unwrap();
    assert_eq!(server.accounts.set_password("alice", "another horse, another staple").await.unwrap(), 1);
    assert!(!server.lives(&three).await);
    assert!(server.login("alice", RIGHT).await.is_none());

    let four = server.login("alice", "another horse, another staple").await.unwrap();
    assert_eq!(server.accounts.remove("alice").await.unwrap(), 1);
    assert!(!server.lives(&four).await);
    assert!(server.login("alice", "another horse, another staple").await.is_none());

    assert!(server.lives(&bob).await);
    let server = server.reopened(CHEAP).await;
    for ended in [&one, &two, &three, &four] {
        assert!(!server.lives(ended).await, "nor after a restart");
    }
    assert!(server.lives(&bob).await);
}

async fn a_login_that_was_being_checked_does_not_slip_in_after_a_change(kept: Kept) {
    // R18, R19
    let server = Server::new(kept).await;
    server.add("alice", RIGHT).await;
    let is_current = async |verified| server.accounts.is_current(&verified).await.unwrap();

    let verified = server.verify("alice", RIGHT).await.unwrap();
    assert!(is_current(verified.clone()).await);
    server.accounts.disable("alice").await.unwrap();
    assert!(!is_current(verified.clone()).await);
    server.accounts.enable("alice").await.unwrap();
    assert!(!is_current(verified).await, "it was checked before the account was disabled");

    let verified = server.verify("alice", RIGHT).await.unwrap();
    assert!(is_current(verified.clone()).await);
    server.accounts.set_password("alice", RIGHT).await.unwrap();
    assert!(!is_current(verified).await, "even if the password is the same again");

    let verified = server.verify("alice", RIGHT).await.unwrap();
    server.accounts.remove("alice").await.unwrap();
    assert!(!is_current(verified.clone()).await);
    server.add("alice", RIGHT).await;
    assert!(!is_current(verified).await, "the new alice is somebody else");
    assert!(!is_current(Verified::new(UserId::new("alice").unwrap(), 0)).await);
}

/// Accounts that are changed in the middle of a login.
struct Overtaken {
    accounts: Accounts,
    at: At,
    change: Change,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Verified,
    Stored,
}

#[derive(Clone, Copy)]
enum Change {
    Disable,
    Password,
    Remove,
}

impl Change {
    async fn of(self, accounts: &Accounts) -> usize {
        match self {
            Self::Disable => accounts.disable("alice").await.unwrap(),
            Self::Password => accounts.set_password("alice", RIGHT).await.unwrap(),
            Self::Remove => accounts.remove("alice").await.unwrap(),
        }
    }
}

impl Users for Overtaken {
    type Credentials = Credentials;

    async fn verify(&self, given: Credentials) -> Result<Option<Verified>, UsersError> {
        let verified = self.accounts.verify(given).await;
        if self.at == At::Verified {
            assert_eq!(self.change.of(&self.accounts).await, 0, "there is no session yet");
        }
        verified
    }

    async fn is_current(&self, verified: &Verified) -> Result<bool, UsersError> {
        if self.at == At::Stored {
            assert_eq!(self.change.of(&self.accounts).await, 1, "the session that is on its way");
        }
        self.accounts.is_current(verified).await
    }
}

async fn a_login_that_is_overtaken_by_a_change_ends_wherever_it_was(kept: Kept) {
    // R18, R19
    let server = Server::new(kept).await;
    for at in [At::Verified, At::Stored] {
        for change in [Change::Disable, Change::Password, Change::Remove] {
            server.add("alice", RIGHT).await;
            let users = Overtaken { accounts: server.accounts.clone(), at, change };
            let options = LoginOptions::default();
            let login = server.sessions.login(&users, credentials("alice", RIGHT), options).await.unwrap();
            assert!(login.is_none());
            assert!(server.sessions.walk(None, 10).await.unwrap().is_empty(), "nothing is left behind");
            if !matches!(change, Change::Remove) {
                server.accounts.remove("alice").await.unwrap();
            }
        }
    }
}

async fn of_a_login_and_a_change_at_the_same_time_no_session_is_left(kept: Kept) {
    // R18, R19
    let server = Server::new(kept).await;
    let horse = |number| format!("horse {number}, battery, staple");
    server.add("alice", &horse(0)).await;
    for round in 0..100 {
        let (old, new) = (horse(round), horse(round + 1));
        let change = async {
            // So that it begins earlier or later.
            for _ in 0..round % 10 {
                tokio::task::yield_now().await;
            }
            server.accounts.set_password("alice", &new).await.unwrap()
        };
        let _ = tokio::join!(change, server.login("alice", &old), server.login("alice", &old));
        assert!(server.sessions.walk(None, 10).await.unwrap().is_empty(), "round {round}");
    }
}

async fn nobody_by_that_name_is_an_error_of_its_own(kept: Kept) {
    let server = Server::new(kept).await;
    let accounts = &server.accounts;
    for name in ["nobody", "", " ", "a\nb"] {
        assert!(matches!(accounts.disable(name).await, Err(AccountError::NoSuchAccount)), "{name:?}");
        assert!(matches!(accounts.enable(name).await, Err(AccountError::NoSuchAccount)), "{name:?}");
        assert!(matches!(accounts.remove(name).await, Err(AccountError::NoSuchAccount)), "{name:?}");
        assert!(
            matches!(accounts.set_password(name, RIGHT).await, Err(AccountError::NoSuchAccount)),
            "{name:?}"
        );
        assert_eq!(accounts.find(name).await.unwrap(), None);
    }
}

async fn a_login_replaces_a_hash_that_became_too_cheap_once(kept: Kept) {
    // R34
    let server = Server::new(kept).await;
    server.add("alice", RIGHT).await;
    let dear = Cost { memory_kib: 64, passes: 2, lanes: 1 };
    let server = server.reopened(dear).await;
    let hashes = async |password: &str| {
        let before = server.hasher.hashed();
        let verified = server.verify("alice", password).await;
        (verified, server.hasher.hashed() - before)
    };
    assert!(matches!(hashes("wrong").await, (None, 1)));
    let (Some(first), 2) = hashes(RIGHT).await else { panic!("checked, and hashed anew") };
    let (Some(second), 1) = hashes(RIGHT).await else { panic!("it is at today's cost now") };
    assert_eq!(first, second, "the stamp stays: nobody's sessions end for it");
    assert!(server.accounts.is_current(&first).await.unwrap());
    // Back at the old cost, a dearer hash is left alone.
    let server = server.reopened(CHEAP).await;
    assert!(server.verify("alice", RIGHT).await.is_some());
    assert_eq!(server.hasher.hashed(), 1);
}

async fn a_set_up_link_makes_one_administrator_once(kept: Kept) {
    // R43
    let server = Server::new(kept).await;
    let accounts = &server.accounts;
    assert!(accounts.is_empty().await.unwrap());
    let secret = accounts.new_setup_link(server.now).await.unwrap().expose();
    assert_eq!(secret.len(), 43);
    assert!(accounts.setup_is_valid(&secret, server.now).await.unwrap());

    // What cannot be is refused, and leaves the link valid.
    let bad = accounts.redeem_setup(&secret, "", RIGHT, server.now).await;
    assert!(matches!(bad, Err(AccountError::BadName { .. })));
    let bad = accounts.redeem_setup(&secret, "alice", "", server.now).await;
    assert!(matches!(bad, Err(AccountError::BadPassword { .. })));

    let (one, other) = tokio::join!(
        accounts.redeem_setup(&secret, "alice", RIGHT, server.now),
        accounts.redeem_setup(&secret, "mallory", RIGHT, server.now)
    );
    let made = match (one, other) {
        (Ok(made), Err(AccountError::SetupInvalid)) | (Err(AccountError::SetupInvalid), Ok(made)) => made,
        other => panic!("{other:?}"),
    };
    assert!(made.admin);
    assert_eq!(accounts.list().await.unwrap(), std::slice::from_ref(&made));
    assert!(!accounts.setup_is_valid(&secret, server.now).await.unwrap());
    let again = accounts.redeem_setup(&secret, "bob", RIGHT, server.now).await;
    assert!(matches!(again, Err(AccountError::SetupInvalid)));
    assert!(matches!(accounts.new_setup_link(server.now).await, Err(AccountError::NotEmpty)));

    accounts.remove_by_id(made.id, Last::Goes).await.unwrap();
    assert!(
        !accounts.setup_is_valid(&secret, server.now).await.unwrap(),
        "nor once the store is empty again"
    );
}

async fn a_set_up_link_is_void_after_15_minutes_after_a_newer_one_and_after_the_first_account(kept: Kept) {
    // R43
    let server = Server::new(kept).await;
    let accounts = &server.accounts;
    let old = accounts.new_setup_link(server.now).await.unwrap().expose();
    let just_before = server.now.plus(SETUP_LINK_LASTS - Duration::from_micros(1));
    assert!(accounts.setup_is_valid(&old, just_before).await.unwrap());
    assert!(!accounts.setup_is_valid(&old, server.now.plus(Duration::from_secs(15 * 60))).await.unwrap());
    let late = accounts.redeem_setup(&old, "alice", RIGHT, server.now.plus(SETUP_LINK_LASTS)).await;
    assert!(matches!(late, Err(AccountError::SetupInvalid)));

    let new = accounts.new_setup_link(server.now).await.unwrap().expose();
    assert_ne!(old, new);
    assert!(!accounts.setup_is_valid(&old, server.now).await.unwrap());
    assert!(accounts.setup_is_valid(&new, server.now).await.unwrap());
    for guess in ["", "x", &new[1..], &format!("{new}A"), &"A".repeat(43)] {
        assert!(!accounts.setup_is_valid(guess, server.now).await.unwrap(), "{guess:?}");
    }

    server.add("bob", RIGHT).await;
    assert!(!accounts.setup_is_valid(&new, server.now).await.unwrap());
    accounts.remove("bob").await.unwrap();
    assert!(!accounts.setup_is_valid(&new, server.now).await.unwrap());
}

async fn neither_the_file_nor_debug_output_has_a_password_or_a_set_up_secret(kept: Kept) {
    // R39, R43
    let server = Server::new(kept).await;
    let secret = server.accounts.new_setup_link(server.now).await.unwrap();
    let text = secret.expose();
    assert_eq!(format!("{secret:?}"), "LinkSecret(..)");
    server.add("alice", RIGHT).await;
    server.verify("alice", "a wrong staple").await;
    assert_eq!(format!("{:?}", credentials("alice", RIGHT)), "Credentials(..)");

    let Server { accounts, sessions, engines, folder, .. } = server;
    drop((accounts, sessions, engines));
    // Of the other engines a file is not to be had, but they get the same.
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let has = |part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(!has("correct horse") && !has("a wrong staple") && !has(&text));
    }
}
