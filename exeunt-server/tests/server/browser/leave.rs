//! What is left in a browser after a session has ended: nothing (R23).

use services::Redis;

use super::drive::{Browser, Options};
use super::tls::Tls;
use super::{log_in, open};
use crate::common::Kept;
use crate::support::{Place, Server};

/// A server behind TLS: the cookie is `__Host-`, and browsers keep pages for Back.
fn serve_with_tls(place: &Place) -> (Server, Tls) {
    let tls = Tls::new();
    let server = place.serve_with(&["--public-url", &tls.url()]);
    tls.in_front_of(server.address);
    (server, tls)
}

/// On the home page, logged in, with a mark that only a page that was never loaded again has.
async fn at_home_marked(browser: &Browser) {
    browser.go("/").await;
    browser.sees("Log in").await;
    log_in(browser).await;
    browser.evaluate("window.mark = 'kept'").await;
}

async fn is_kept(browser: &Browser) -> bool {
    browser.evaluate("return window.mark === 'kept'").await == true
}

// R23
#[tokio::test]
async fn after_logout_back_shows_nothing_private() {
    let place = Place::with_alice(Kept::OneFile);
    let (_server, tls) = serve_with_tls(&place);
    let browser = Browser::open(&tls.url(), Options::default()).await;
    at_home_marked(&browser).await;
    // Without this the test would prove nothing: the browser does keep pages that say `no-store`.
    browser.follow("Sessions").await;
    browser.sees("Your sessions").await;
    browser.client.back().await.unwrap();
    browser.sees("Hello, alice.").await;
    assert!(is_kept(&browser).await, "this browser keeps no page for Back");

    browser.press("Log out").await;
    browser.sees("You are logged out.").await;
    browser.client.back().await.unwrap();
    browser.until("another page than the one it kept", async || !is_kept(&browser).await).await;
    browser.sees("Log in").await;
    let text = browser.text().await;
    assert!(!text.contains("alice") && !text.contains("Hello"), "{text}");
    browser.close().await;
}

// R23
#[tokio::test]
async fn a_session_ended_from_another_browser_shows_nothing_private_after_back() {
    let place = Place::with_alice(Kept::OneFile);
    let (_server, tls) = serve_with_tls(&place);
    let left = Browser::open(&tls.url(), Options::default()).await;
    let other = Browser::open(&tls.url(), Options::default()).await;
    at_home_marked(&left).await;
    left.go("/healthz").await;
    left.sees("ok").await;

    other.go("/sessions").await;
    log_in_to_sessions(&other).await;
    other.press("End").await;
    other.sees("That session has ended.").await;

    left.client.back().await.unwrap();
    left.sees("Your session has ended.").await;
    assert_eq!(left.path().await, "/login");
    let text = left.text().await;
    assert!(!text.contains("alice"), "{text}");
    left.close().await;
    other.close().await;
}

async fn log_in_to_sessions(browser: &Browser) {
    browser.fill("username", "alice").await;
    browser.fill("password", crate::support::PASSWORD).await;
    browser.press("Log in").await;
    browser.sees("Your sessions").await;
}

// R23
#[tokio::test]
async fn a_kept_page_shows_nothing_before_the_server_was_asked() {
    let place = Place::with_alice(Kept::OneFile);
    let (server, tls) = serve_with_tls(&place);
    let browser = Browser::open(&tls.url(), Options::default()).await;
    at_home_marked(&browser).await;
    browser.follow("Sessions").await;
    browser.sees("Your sessions").await;
    // No answer will come: the server stands still.
    server.signal(rustix::process::Signal::STOP);
    browser.evaluate("setTimeout(() => history.back())").await;
    browser.until("the kept page", async || is_kept(&browser).await).await;
    let shown = browser.text().await;
    assert!(!shown.contains("Hello") && !shown.contains("alice"), "{shown}");
    server.signal(rustix::process::Signal::CONT);
    browser.sees("Hello, alice.").await;
    assert!(is_kept(&browser).await, "its session lives, so it is shown as it was");
    browser.close().await;
}

#[tokio::test]
async fn other_tabs_notice_a_logout() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    browser.go("/").await;
    log_in(&browser).await;
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(second).await.unwrap();
    browser.go("/sessions").await;
    browser.sees("Your sessions").await;
    browser.client.switch_to_window(first).await.unwrap();
    browser.press("Log out").await;
    browser.sees("You are logged out.").await;
    let windows = browser.client.windows().await.unwrap();
    let second = windows.into_iter().next_back().unwrap();
    browser.client.switch_to_window(second).await.unwrap();
    browser.until("the login page", async || browser.path().await == "/login").await;
    let text = browser.text().await;
    assert!(!text.contains("alice") && !text.contains("Your sessions"), "{text}");
    browser.close().await;
}

// R02, R11
#[tokio::test]
async fn a_logout_while_the_store_stands_still_says_that_it_failed_and_trying_again_ends_it() {
    let redis = Redis::start(&[]).unwrap();
    let place = Place::with_alice_on(&format!("{}?deadline=1s", redis.url()), Some("accounts.db"));
    let server = place.serve();
    let browser = open(&server, Options::default()).await;
    browser.go("/").await;
    log_in(&browser).await;
    redis.pause();
    browser.press("Log out").await;
    browser.sees("You are not logged out: the session could not be ended. Try again.").await;
    assert!(!browser.text().await.contains("You are logged out."));
    // The next page says the same, so this one is marked.
    browser.evaluate("window.mark = 'first'").await;
    browser.press("Try again to log out").await;
    let is_next = "return document.readyState === 'complete' && !window.mark";
    browser
        .until("the answer to that", async || {
            let answer = browser.client.execute(is_next, Vec::new()).await;
            answer.is_ok_and(|is_next| is_next == true)
        })
        .await;
    browser.sees("You are not logged out: the session could not be ended. Try again.").await;
    redis.go_on();
    // Whoever tries again does so after it is back.
    browser.until("the store is back", async || server.send("GET", "/readyz", &[], "").status == 200).await;
    browser.press("Try again to log out").await;
    browser.sees("You are logged out.").await;
    browser.go("/").await;
    browser.sees("Log in").await;
    browser.close().await;
}
