//! The pages of the built program in a real browser, as a person uses them.
//!
//! Nothing waits for a time: what a page is to show is asked for until it does.

mod drive;
mod leave;
mod look;
mod tls;

use self::drive::{Browser, Options};
use crate::common::Kept;
use crate::support::{PASSWORD, Place, Server};

/// Goes to a page that needs a login, and logs alice in.
async fn log_in(browser: &Browser) {
    browser.fill("username", "alice").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    browser.sees("Hello, alice.").await;
}

async fn open(server: &Server, options: Options) -> Browser {
    Browser::open(&format!("http://{}", server.address), options).await
}

// R21, R44, R62
async fn a_person_logs_in_looks_around_and_logs_out(script: bool) {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options { script, ..Options::default() }).await;

    browser.go("/sessions").await;
    browser.sees("Log in").await;
    browser.is_at("username").await;
    browser.fill("username", "alice").await;
    browser.fill("password", "not her password").await;
    browser.press("Log in").await;
    browser.sees("The username or the password is wrong.").await;
    browser.is_at("password").await;
    assert_eq!(browser.value("username").await, "alice");
    assert_eq!(browser.value("password").await, "");

    // Somebody else logs her in meanwhile, in a program.
    let other = server.login();
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    browser.sees("Your sessions").await;
    assert_eq!(browser.path().await, "/sessions");
    browser.sees("on Linux").await;
    browser.sees("this one").await;
    browser.press("End").await;
    browser.sees("That session has ended.").await;
    assert_eq!(server.me(&other), 401);

    let others = [server.login(), server.login()];
    browser.go("/sessions").await;
    browser.press("End all others").await;
    browser.sees("All other sessions have ended.").await;
    assert_eq!(others.map(|token| server.me(&token)), [401, 401]);

    browser.follow("Home").await;
    browser.sees("Hello, alice.").await;
    browser.press("Log out").await;
    browser.sees("You are logged out.").await;
    browser.go("/sessions").await;
    browser.sees("Log in").await;
    browser.close().await;
}

#[tokio::test]
async fn with_scripts_a_person_logs_in_looks_around_and_logs_out() {
    a_person_logs_in_looks_around_and_logs_out(true).await;
}

#[tokio::test]
async fn without_scripts_a_person_logs_in_looks_around_and_logs_out() {
    // R21
    a_person_logs_in_looks_around_and_logs_out(false).await;
}

// R16
#[tokio::test]
async fn logging_out_everywhere_ends_every_session_and_says_so() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    let other = server.login();
    browser.go("/login").await;
    log_in(&browser).await;
    browser.follow("Where you are logged in").await;
    browser.press("Log out everywhere").await;
    browser.sees("You are logged out.").await;
    assert_eq!(server.me(&other), 401);
    browser.close().await;
}

// R43
#[tokio::test]
async fn the_first_administrator_is_made_by_the_link_and_mistakes_are_told_beside_their_field() {
    let place = Place::new(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    let link = server.said.split_whitespace().find(|word| word.contains("/setup?secret=")).unwrap();
    let path = link.get(link.find("/setup").unwrap()..).unwrap();
    browser.go(path).await;
    browser.fill("username", " ada").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", "something else").await;
    browser.press("Create account and log in").await;
    browser.sees("The two passwords are not the same.").await;
    browser.is_at("again").await;
    assert_eq!(browser.error_of("again").await, "The two passwords are not the same. Type both again.");
    assert_eq!(browser.value("username").await, " ada");
    browser.fill("password", PASSWORD).await;
    browser.fill("again", PASSWORD).await;
    browser.press("Create account and log in").await;
    browser.sees("A name does not start or end with white space.").await;
    browser.is_at("username").await;
    assert_eq!(browser.error_of("username").await, "A name does not start or end with white space.");
    browser.fill("username", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", PASSWORD).await;
    browser.press("Create account and log in").await;
    browser.sees("Hello, ada.").await;
    browser.go(path).await;
    browser.sees("This link does not work").await;
    browser.close().await;
}

// R62
#[tokio::test]
async fn the_keyboard_is_enough_and_the_password_can_be_shown() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    browser.go("/login").await;
    browser.sees("Log in").await;
    // Tab, by its key's code in WebDriver; the focus is on the name already.
    browser.keys("alice\u{e004}correct horse").await;
    browser.is_at("password").await;
    browser.keys("\u{e004}").await;
    assert_eq!(browser.attribute(":focus", "aria-controls").await, "password");
    browser.keys(" ").await;
    assert_eq!(browser.attribute("#password", "type").await, "text");
    browser.keys(" ").await;
    assert_eq!(browser.attribute("#password", "type").await, "password");
    browser.fill("password", PASSWORD).await;
    browser.keys("\u{e007}").await;
    browser.sees("Hello, alice.").await;
    browser.close().await;
}

#[tokio::test]
async fn whoever_reads_german_gets_german() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options { language: "de-AT,de", ..Options::default() }).await;
    browser.go("/").await;
    browser.sees("Anmelden").await;
    assert_eq!(browser.attribute("html", "lang").await, "de");
    browser.fill("username", "alice").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Anmelden").await;
    browser.sees("Hallo, alice.").await;
    browser.follow("Sitzungen").await;
    browser.sees("Ihre Sitzungen").await;
    browser.close().await;
}

// R18, R41
#[tokio::test]
async fn a_changed_password_ends_the_other_browser_and_not_this_one() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    let other = open(&server, Options::default()).await;
    for browser in [&browser, &other] {
        browser.go("/").await;
        log_in(browser).await;
    }
    browser.follow("Password").await;
    browser.fill("current", PASSWORD).await;
    browser.fill("password", "quite another horse altogether").await;
    browser.fill("again", "quite another horse altogether").await;
    browser.press("Change password").await;
    browser.sees("Your password is changed").await;
    other.follow("Sessions").await;
    other.sees("Your session has ended.").await;
    browser.follow("Sessions").await;
    browser.sees("this one").await;
    // What protects a session that goes on: the password once more, here before anything is to be done.
    browser.go("/again?next=/password").await;
    browser.fill("password", "quite another horse altogether").await;
    browser.press("Go on").await;
    browser.sees("Change your password").await;
    browser.close().await;
    other.close().await;
}

// R20
#[tokio::test]
async fn an_administrator_adds_an_account_and_disables_it_in_the_browser() {
    let place = Place::new(Kept::OneFile);
    place.run(["account", "add", "alice", "--admin", "--password-stdin"], PASSWORD);
    let server = place.serve();
    let browser = open(&server, Options { script: false, ..Options::default() }).await;
    browser.go("/").await;
    log_in(&browser).await;
    browser.follow("Accounts").await;
    browser.fill("username", "bob").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Add").await;
    browser.sees("No session is live.").await;
    assert_eq!(server.try_login("bob", PASSWORD).status, 200);
    browser.press("Disable").await;
    browser.sees("disabled").await;
    assert_eq!(server.try_login("bob", PASSWORD).status, 401);
    browser.follow("Live sessions").await;
    browser.sees("this one").await;
    browser.close().await;
}

#[tokio::test]
async fn an_administrator_reads_what_happened_page_by_page_and_everybody_what_happened_lately() {
    let place = Place::new(Kept::OneFile);
    place.run(["account", "add", "alice", "--admin", "--password-stdin"], PASSWORD);
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let server = place.serve();
    for _ in 0..60 {
        assert_eq!(server.send("POST", "/login", &[("Sec-Fetch-Site", "cross-site")], "").status, 403);
    }
    assert_eq!(server.try_login("bob", "wrong horse battery staple").status, 401);
    let browser = open(&server, Options { script: false, ..Options::default() }).await;
    browser.go("/").await;
    log_in(&browser).await;
    browser.goes_until_it_shows("/admin/events", "Logged in").await;
    browser.sees("Login refused: wrong password").await;
    assert!(browser.attribute("main time", "title").await.ends_with(" UTC"));
    browser.follow("Older").await;
    browser.sees("Account added").await;
    assert!(!browser.text().await.contains("Logged in"));
    browser.follow("Newer").await;
    browser.sees("Logged in").await;

    browser.fill("name", "BOB").await;
    browser.press("Find").await;
    browser.sees("Events of bob").await;
    browser.sees("Login refused: wrong password").await;
    assert!(!browser.text().await.contains("another site"));
    browser.follow("To the account").await;
    browser.follow("What happened to this account").await;
    browser.sees("Events of bob").await;
    browser.follow("Events of everybody").await;
    browser.follow("Sessions").await;
    browser.sees("What happened lately on your account").await;
    let text = browser.text().await;
    assert!(text.contains("Logged in") && text.contains("127.0.0.1"), "{text}");
    assert!(!text.contains("Login refused"), "that was bob's: {text}");
    browser.close().await;
}

// R20
#[tokio::test]
async fn an_administrator_changes_role_and_address_and_the_last_one_is_refused_with_the_reason() {
    let place = Place::with_alice(Kept::OneFile);
    place.run(["account", "role", "alice", "admin"], "");
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    let other = open(&server, Options::default()).await;
    browser.go("/admin/accounts").await;
    browser.fill("username", "alice").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    browser.fill("q", "OB").await;
    browser.press("Find").await;
    browser.sees("All accounts").await;
    assert!(!browser.text().await.contains("alice@"));
    browser.follow("bob").await;

    browser.fill("email", "bob at home").await;
    browser.press("Save address").await;
    browser.sees("no white space").await;
    browser.is_at("email").await;
    assert!(browser.error_of("email").await.starts_with("An e-mail address has no white space"));
    assert_eq!(browser.value("email").await, "bob at home");
    browser.fill("email", "bob@example.org").await;
    browser.press("Save address").await;
    browser
        .until("the page without an error", async || !browser.text().await.contains("no white space"))
        .await;
    browser.sees("Make an administrator").await;
    assert_eq!(browser.value("email").await, "bob@example.org");

    other.go("/").await;
    other.fill("username", "bob").await;
    other.fill("password", PASSWORD).await;
    other.press("Log in").await;
    other.sees("Hello, bob.").await;
    browser.press("Make an administrator").await;
    browser.sees("Take the administrator\u{2019}s role").await;
    other.follow("Sessions").await;
    other.sees("Your session has ended.").await;
    browser.press("Take the administrator\u{2019}s role").await;
    browser.sees("Make an administrator").await;

    browser.follow("Accounts").await;
    browser.follow("alice").await;
    browser.press("Give up the administrator\u{2019}s role").await;
    browser.sees("This is the last administrator who may log in. Make another one first.").await;
    assert_eq!(browser.attribute(":focus", "value").await, "make_user");
    assert_eq!(browser.attribute(":focus", "aria-describedby").await, "role-error");
    browser.follow("Accounts").await;
    browser.sees("Add an account").await;
    browser.close().await;
    other.close().await;
}
