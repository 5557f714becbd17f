//! Forgotten passwords and addresses: what holds on every combination of engines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::{
    Clock as _, Extend, LoggedIn, LoginOptions, ManualClock, Origin, Sessions, SystemClock, Timestamp,
    Users as _, Verified,
};
use exeunt_server::accounts::{AccountError, Accounts, Cost, Credentials, Hasher, ResetAsked};
use exeunt_server::config::{Config, Options};
use exeunt_server::engines::Engines;
use exeunt_server::mail::Outbox;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::common::{Kept, Places, on_every_engine};

on_every_engine!(async
    a_link_sets_the_password_once_ends_all_sessions_and_logs_nobody_in,
    a_link_is_void_once_it_expired_or_anything_moved_on,
    of_two_uses_of_a_link_at_once_exactly_one_wins,
    of_a_reset_and_a_login_at_the_same_time_no_session_is_left,
    links_go_to_the_enabled_accounts_of_a_name_or_address_and_to_nobody_else,
    an_account_gets_three_links_an_hour_and_the_last_one_stays_valid,
    a_bad_password_leaves_the_link_valid,
    a_changed_address_is_told_to_the_old_one,
    a_changed_password_is_told,
    no_file_has_the_secret_of_a_link,
);

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const LASTS: Duration = Duration::from_secs(20 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const ALICE: &str = "alice@example.org";

/// What a message says that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mail {
    to: String,
    subject: String,
    text: String,
}

impl Mail {
    fn read(text: &str) -> Self {
        let (head, text) = text.split_once("\r\n\r\n").unwrap();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).expect(head).to_owned();
        Self { to: header("To: "), subject: header("Subject: "), text: text.replace("\r\n", "\n") }
    }

    fn secret(&self) -> String {
        let (_, rest) = self.text.split_once("https://login.example.org/reset?secret=").unwrap();
        rest.lines().next().unwrap().to_owned()
    }
}

const OLD: &str = "old words, battery, staple";
const NEW: &str = "new words, battery, staple";
const THIRD: &str = "third words, battery, staple";

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
        // Redis frees by its own clock, so this one begins at the same time.
        let now = SystemClock::new().now();
        Self::on(places, folder, now).await
    }

    async fn on(places: Places, folder: TempDir, now: Timestamp) -> Self {
        let engines = places.open().await;
        let hasher = Hasher::with(CHEAP, 2, 100).unwrap();
        let sessions = Sessions::over(engines.store(1 << 20).await.unwrap());
        let sessions = sessions.clock(Arc::new(ManualClock::at(now)));
        let accounts = engines.accounts(&sessions, hasher.clone()).await.unwrap();
        Self { accounts, sessions, hasher, engines, now, places, folder }
    }

    /// With an account `alice`, who has an address.
    async fn with_alice(kept: Kept) -> Self {
        let server = Self::new(kept).await;
        server.add("alice", Some(ALICE)).await;
        server
    }

    async fn add(&self, name: &str, email: Option<&str>) {
        self.accounts.add_with_email(name, OLD, false, email, self.now).await.unwrap();
    }

    fn mail(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    /// Does something with accounts that send messages, and waits until they are sent: these messages.
    async fn sent<T>(&self, act: impl AsyncFnOnce(&Accounts) -> T) -> (T, Vec<Mail>) {
        let options = Options {
            mail_dir: Some(self.mail()),
            public_url: Some("https://login.example.org".parse().unwrap()),
            ..Options::default()
        };
        let config = Config::decide(options).unwrap();
        let outbox = Outbox::open(&config, Arc::new(ManualClock::at(self.now))).unwrap();
        let accounts = self.accounts.clone().mailing(outbox.clone());
        let accounts = accounts.resetting("https://login.example.org", LASTS);
        let done = act(&accounts).await;
        let until = Instant::now() + Duration::from_secs(60);
        accounts.finish_resets(until).await;
        outbox.drain(until).await;
        let mut mail = Vec::new();
        for entry in std::fs::read_dir(self.mail()).unwrap() {
            let path = entry.unwrap().path();
            mail.push(Mail::read(&std::fs::read_to_string(&path).unwrap()));
            std::fs::remove_file(path).unwrap();
        }
        mail.sort_by(|one, other| (&one.to, &one.subject).cmp(&(&other.to, &other.subject)));
        (done, mail)
    }

    async fn asked_at(&self, typed: &str, now: Timestamp) -> Vec<Mail> {
        let (asked, mail) = self.sent(async |accounts| accounts.ask_reset(typed, now)).await;
        assert_eq!(asked, ResetAsked::Accepted, "whoever it is");
        mail
    }

    async fn asked(&self, typed: &str) -> Vec<Mail> {
        self.asked_at(typed, self.now).await
    }

    /// The secret of the only link that came of it.
    async fn secret_at(&self, now: Timestamp) -> String {
        let mail = self.asked_at("alice", now).await;
        assert_eq!(mail.len(), 1, "{mail:?}");
        mail[0].secret()
    }

    async fn redeem(&self, secret: &str, password: &str) -> Result<usize, AccountError> {
        self.accounts.redeem_reset(secret, password, self.now).await
    }

    async fn is_valid_at(&self, secret: &str, now: Timestamp) -> bool {
        self.accounts.reset_link(secret, now).await.unwrap().is_some()
    }

    async fn verify(&self, password: &str) -> Option<Verified> {
        self.accounts.verify(credentials(password)).await.unwrap()
    }

    async fn login(&self, password: &str) -> Option<LoggedIn> {
        let options = LoginOptions::default();
        self.sessions.login(&self.accounts, credentials(password), options).await.unwrap()
    }

    async fn lives(&self, login: &LoggedIn) -> bool {
        self.sessions.resume(&login.token, Extend::No).await.unwrap().is_some()
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: "alice".to_owned(), password: password.to_owned() }
}

fn invalid<T: std::fmt::Debug>(outcome: &Result<T, AccountError>) -> bool {
    matches!(outcome, Err(AccountError::ResetInvalid))
}

async fn a_link_sets_the_password_once_ends_all_sessions_and_logs_nobody_in(kept: Kept) {
    // R42, R18, R59
    let server = Server::with_alice(kept).await;
    server.add("bob", None).await;
    let (one, two) = (server.login(OLD).await.unwrap(), server.login(OLD).await.unwrap());
    let bob = Credentials { username: "bob".to_owned(), password: OLD.to_owned() };
    let bob = server.sessions.login(&server.accounts, bob, LoginOptions::default()).await.unwrap().unwrap();
    let being_checked = server.verify(OLD).await.unwrap();

    let secret = server.secret_at(server.now).await;
    assert_eq!(secret.len(), 43);
    let whose = server.accounts.reset_link(&secret, server.now).await.unwrap().unwrap();
    assert_eq!(whose.name, "alice");
    assert!(server.lives(&one).await, "asking for a link changes nothing");
    assert!(server.verify(OLD).await.is_some());

    // Where nodes can share their engines, another one than the one that sent it.
    let other = match kept {
        Kept::Postgres | Kept::RedisAndPostgres => {
            Some(Server::on(server.places.clone(), tempfile::tempdir().unwrap(), server.now).await)
        }
        _ => None,
    };
    let node = other.as_ref().unwrap_or(&server);
    let accounts = node.accounts.clone();
    let (ended, mail) = server
        .sent(async |_| {
            // Through the outbox of the node that does it, which is this process.
            accounts.redeem_reset(&secret, NEW, server.now).await
        })
        .await;
    assert_eq!(ended.unwrap(), 2);
    assert_eq!(mail, [], "these accounts have no outbox");
    for session in [&one, &two] {
        assert!(!server.lives(session).await && !node.lives(session).await);
    }
    assert!(server.lives(&bob).await);
    assert!(server.sessions.list(&whose.user()).await.unwrap().is_empty(), "nobody is logged in by it");
    assert!(server.verify(OLD).await.is_none() && server.verify(NEW).await.is_some());
    assert!(!server.accounts.is_current(&being_checked).await.unwrap(), "a login that was being checked");

    let replayed = (server.redeem(&secret, THIRD).await, node.redeem(&secret, THIRD).await);
    assert!(invalid(&replayed.0) && invalid(&replayed.1), "{replayed:?}");
    assert!(!server.is_valid_at(&secret, server.now).await);
    assert!(server.verify(NEW).await.is_some());

    let secret = server.secret_at(server.now).await;
    let (ended, mail) =
        server.sent(async |accounts| accounts.redeem_reset(&secret, THIRD, server.now).await).await;
    assert_eq!(ended.unwrap(), 0);
    assert_eq!(mail.len(), 1);
    assert_eq!((mail[0].to.as_str(), mail[0].subject.as_str()), (ALICE, "Your password was reset"));
    assert!(!mail[0].text.contains(&secret));
}

async fn a_link_is_void_once_it_expired_or_anything_moved_on(kept: Kept) {
    // R42, R19
    let server = Server::with_alice(kept).await;
    let mut hours = 0;
    // Each an hour later, so that there are links enough.
    let mut link = async || {
        hours += 1;
        let now = server.now.plus(HOUR * hours);
        (server.secret_at(now).await, now)
    };
    let refused = async |secret: &str, now: Timestamp, why: &str| {
        assert!(!server.is_valid_at(secret, now).await, "{why}");
        let hashed = server.hasher.hashed();
        let outcome = server.accounts.redeem_reset(secret, NEW, now).await;
        assert!(invalid(&outcome), "{why}: {outcome:?}");
        assert_eq!(server.hasher.hashed(), hashed, "{why}: what is void costs no hash");
        assert!(server.verify(NEW).await.is_none(), "{why}");
    };

    let (old, at) = link().await;
    assert!(server.is_valid_at(&old, at.plus(LASTS - Duration::from_micros(1))).await);
    refused(&old, at.plus(LASTS), "expired").await;

    let new = server.secret_at(at).await;
    assert!(server.is_valid_at(&new, at).await);
    refused(&old, at, "a newer one was sent").await;
    for guess in ["", "x", &new[1..], &format!("{new}A"), &"A".repeat(43)] {
        refused(guess, at, "a guess").await;
    }

    let accounts = &server.accounts;
    let (secret, at) = link().await;
    accounts.set_password("alice", THIRD).await.unwrap();
    refused(&secret, at, "the password was changed").await;

    let (secret, at) = link().await;
    accounts.disable("alice").await.unwrap();
    refused(&secret, at, "the account is disabled").await;
    accounts.enable("alice").await.unwrap();
    refused(&secret, at, "and was").await;

    let (secret, at) = link().await;
    accounts.set_email("alice", Some("alice@example.net")).await.unwrap();
    refused(&secret, at, "it went to another address").await;

    let (secret, at) = link().await;
    accounts.remove("alice").await.unwrap();
    refused(&secret, at, "the account is removed").await;
    server.add("alice", Some(ALICE)).await;
    refused(&secret, at, "the new alice is somebody else").await;
}

async fn of_two_uses_of_a_link_at_once_exactly_one_wins(kept: Kept) {
    // R42
    let server = Server::with_alice(kept).await;
    for round in 0..20 {
        let now = server.now.plus(HOUR * round);
        let secret = server.secret_at(now).await;
        let uses = [OLD, NEW, THIRD].map(|password| {
            let (accounts, secret) = (server.accounts.clone(), secret.clone());
            tokio::spawn(async move { accounts.redeem_reset(&secret, password, now).await })
        });
        let mut won = Vec::new();
        for (used, password) in uses.into_iter().zip([OLD, NEW, THIRD]) {
            match used.await.unwrap() {
                Ok(_) => won.push(password),
                outcome => assert!(invalid(&outcome), "round {round}: {outcome:?}"),
            }
        }
        let [password] = won[..] else { panic!("round {round}: {won:?}") };
        assert!(server.verify(password).await.is_some(), "round {round}");
    }
}

async fn of_a_reset_and_a_login_at_the_same_time_no_session_is_left(kept: Kept) {
    // R18, R42
    let server = Server::with_alice(kept).await;
    let mut password = OLD.to_owned();
    for round in 0..20 {
        let now = server.now.plus(HOUR * round);
        let (secret, new) = (server.secret_at(now).await, format!("battery staple {round} horses"));
        let reset = async {
            // So that it begins earlier or later.
            for _ in 0..round % 10 {
                tokio::task::yield_now().await;
            }
            server.accounts.redeem_reset(&secret, &new, now).await.unwrap()
        };
        let _ = tokio::join!(reset, server.login(&password), server.login(&password));
        assert!(server.sessions.walk(None, 10).await.unwrap().is_empty(), "round {round}");
        password = new;
    }
}

async fn links_go_to_the_enabled_accounts_of_a_name_or_address_and_to_nobody_else(kept: Kept) {
    // R42, R57
    let server = Server::new(kept).await;
    server.add("Zo\u{eb}", Some("Zoe@Example.org")).await;
    server.add("mute", None).await;
    server.add("gone", Some("gone@example.org")).await;
    server.accounts.disable("gone").await.unwrap();
    server.add("one", Some("both@example.org")).await;
    server.add("two", Some("BOTH@example.org")).await;
    // A name that is another one's address takes no message away from them.
    server.add("one@example.org", Some("mallory@example.net")).await;
    server.add("three", Some("one@example.org")).await;

    let to = async |typed: &str| {
        let mail = server.asked(typed).await;
        assert!(mail.iter().all(|mail| mail.subject == "Set a new password"));
        mail.into_iter().map(|mail| mail.to).collect::<Vec<_>>()
    };
    assert_eq!(to("ZOE\u{308}").await, ["Zoe@Example.org"], "to the address that it has, as it was written");
    assert_eq!(to("zoe@example.ORG").await, ["Zoe@Example.org"]);
    assert_eq!(to("both@example.org").await, ["BOTH@example.org", "both@example.org"]);
    assert_eq!(to("one").await, ["both@example.org"]);
    assert_eq!(to("one@example.org").await, ["mallory@example.net", "one@example.org"]);
    let long = format!("{}@example.org", "x".repeat(20_000));
    for nobody in ["mute", "gone", "gone@example.org", "nobody", "nobody@example.org", "", " ", "a\nb", &long]
    {
        assert_eq!(to(nobody).await, [""; 0], "{nobody:?}");
    }
}

async fn an_account_gets_three_links_an_hour_and_the_last_one_stays_valid(kept: Kept) {
    // R35, R42
    let server = Server::with_alice(kept).await;
    let mut secret = String::new();
    for minute in 0..3 {
        secret = server.secret_at(server.now.plus(Duration::from_secs(60 * minute))).await;
    }
    let later = server.now.plus(Duration::from_secs(5 * 60));
    for _ in 0..3 {
        assert_eq!(server.asked_at("alice", later).await, []);
        assert_eq!(server.asked_at(ALICE, later).await, []);
    }
    assert!(server.is_valid_at(&secret, later).await, "what is not sent voids nothing");
    assert_eq!(server.asked_at("alice", server.now.plus(HOUR)).await.len(), 1, "an hour after the first");
}

async fn a_bad_password_leaves_the_link_valid(kept: Kept) {
    let server = Server::with_alice(kept).await;
    let session = server.login(OLD).await.unwrap();
    let secret = server.secret_at(server.now).await;
    for bad in ["", "short", &"x".repeat(1025)] {
        let refused = server.redeem(&secret, bad).await;
        assert!(matches!(refused, Err(AccountError::BadPassword { .. })), "{refused:?}");
    }
    assert!(server.lives(&session).await && server.is_valid_at(&secret, server.now).await);
}

async fn a_changed_address_is_told_to_the_old_one(kept: Kept) {
    // R59
    let server = Server::with_alice(kept).await;
    let changes = async |email: Option<&str>| {
        let (account, mail) =
            server.sent(async |accounts| accounts.set_email("Alice", email).await.unwrap()).await;
        assert_eq!(account.email.as_deref(), email);
        assert_eq!(server.accounts.find("alice").await.unwrap().unwrap().email.as_deref(), email);
        assert_eq!(server.accounts.list().await.unwrap()[0].email.as_deref(), email);
        mail.into_iter().map(|mail| (mail.to, mail.subject)).collect::<Vec<_>>()
    };
    let told = |to: &str| vec![(to.to_owned(), "Your e-mail address was changed".to_owned())];
    assert_eq!(changes(Some(ALICE)).await, [], "nothing was changed");
    assert_eq!(changes(Some("alice@example.net")).await, told(ALICE));
    assert_eq!(changes(None).await, told("alice@example.net"));
    assert_eq!(changes(Some(ALICE)).await, [], "there was none to tell");

    let accounts = &server.accounts;
    for bad in ["", "alice", "a b@example.org", "a@example.org\r\nBcc: b@example.net"] {
        let refused = accounts.set_email("alice", Some(bad)).await;
        assert!(matches!(refused, Err(AccountError::BadEmail { .. })), "{bad:?}");
        let refused = accounts.add_with_email("x", OLD, false, Some(bad), server.now).await;
        assert!(matches!(refused, Err(AccountError::BadEmail { .. })), "{bad:?}");
    }
    assert!(matches!(accounts.set_email("nobody", None).await, Err(AccountError::NoSuchAccount)));
    server.add("bob", Some(ALICE)).await;
    assert_eq!(
        accounts.find("bob").await.unwrap().unwrap().email.as_deref(),
        Some(ALICE),
        "R57: no refusal tells"
    );
}

async fn a_changed_password_is_told(kept: Kept) {
    // R59
    let server = Server::with_alice(kept).await;
    server.add("mute", None).await;
    let (_, mail) = server.sent(async |accounts| accounts.set_password("alice", NEW).await.unwrap()).await;
    assert_eq!(mail.len(), 1, "{mail:?}");
    assert_eq!((mail[0].to.as_str(), mail[0].subject.as_str()), (ALICE, "Your password was changed"));
    let (_, mail) = server.sent(async |accounts| accounts.set_password("mute", NEW).await.unwrap()).await;
    assert_eq!(mail, []);
    let (refused, mail) = server.sent(async |accounts| accounts.set_password("alice", "").await).await;
    assert!(refused.is_err() && mail.is_empty());
}

async fn no_file_has_the_secret_of_a_link(kept: Kept) {
    // R42, R39
    let server = Server::with_alice(kept).await;
    let secret = server.secret_at(server.now).await;
    let Server { accounts, sessions, engines, folder, .. } = server;
    drop((accounts, sessions, engines));
    // Of the other engines a file is not to be had, but they get the same.
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn a_reset_whose_sessions_cannot_be_ended_is_done_says_so_and_is_made_up_for() {
    // R18, R42
    for kept in [Kept::TwoFiles, Kept::FileAndPostgres] {
        let server = Server::with_alice(kept).await;
        let session = server.login(OLD).await.unwrap();
        let secret = server.secret_at(server.now).await;
        let lock = Connection::open(&server.places.store).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (outcome, mail) =
            server.sent(async |accounts| accounts.redeem_reset(&secret, NEW, server.now).await).await;
        let Err(AccountError::SessionsLeft { done, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((done, mail.len()), ("the password is changed", 1));
        assert!(server.verify(OLD).await.is_none() && server.verify(NEW).await.is_some());
        drop(lock);
        server.accounts.work_off(&server.sessions).await.unwrap();
        assert!(!server.lives(&session).await);
    }
}

#[tokio::test]
async fn without_a_public_url_or_an_outbox_passwords_cannot_be_reset() {
    // R42
    let server = Server::with_alice(Kept::OneFile).await;
    let without_outbox = server.accounts.clone().resetting("https://login.example.org", LASTS);
    let (without_url, mail) = server
        .sent(async |accounts| {
            assert!(accounts.can_reset());
            assert!(!without_outbox.can_reset() && !server.accounts.can_reset());
            ["alice", "nobody"].map(|name| without_outbox.ask_reset(name, server.now))
        })
        .await;
    assert_eq!((without_url, mail), ([ResetAsked::Off; 2], Vec::new()));
}

#[tokio::test]
async fn a_source_that_asks_too_often_is_told_to_wait_whoever_it_asks_for() {
    // R35, R57
    let server = Server::with_alice(Kept::OneFile).await;
    let from = Origin::default().at("192.0.2.1".parse().unwrap());
    let (answers, mail) = server
        .sent(async |accounts| {
            from.within(|| {
                for _ in 0..20 {
                    assert_eq!(accounts.ask_reset("nobody", server.now), ResetAsked::Accepted);
                }
                ["alice", "nobody"].map(|name| accounts.ask_reset(name, server.now))
            })
        })
        .await;
    assert_eq!(answers, [ResetAsked::TooMany { retry_after: HOUR }; 2]);
    assert_eq!(mail, []);
}

#[tokio::test]
async fn the_database_has_the_same_work_with_every_name() {
    // R57
    let server = Server::with_alice(Kept::OneFile).await;
    server.add("mute", None).await;
    let commits = || {
        let file = Connection::open(&server.places.store).unwrap();
        file.query_row("SELECT number FROM exeunt_commits", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let long = "x".repeat(20_000);
    for typed in ["alice", ALICE, "nobody", "nobody@example.org", "mute", "", "a\nb", &long] {
        let before = commits();
        server.asked(typed).await;
        assert_eq!(commits() - before, 1, "{typed:?}");
    }
}
