//! A look at every page: on a phone and on a desktop, in light and dark, by eyes that cannot be tired.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeunt::store::sqlite::rusqlite;
use serde_json::{Value, json};
use services::Redis;

use super::drive::{Browser, Options};
use super::{log_in, open};
use crate::common::Kept;
use crate::reset::{NEW, messages, with_alice};
use crate::support::{PASSWORD, Place};

const SCHEMES: [&str; 2] = ["light", "dark"];
/// The narrowest that there are, a phone, and a desktop: name, width and height.
const SIZES: [(&str, u32, u32); 3] = [("narrow", 320, 640), ("phone", 390, 844), ("desktop", 1280, 800)];

/// Looks for barriers, and takes a picture where the variable `SCREENSHOTS` names a folder.
struct Look {
    browser: Browser,
    axe: String,
    folder: Option<PathBuf>,
}

impl Look {
    fn new(browser: Browser) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/browser-tools/node_modules");
        let axe = std::fs::read_to_string(tools.join("axe-core/axe.min.js"));
        let axe = axe.expect("`cargo xtask test` has fetched axe-core");
        let folder = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
        Self { browser, axe, folder }
    }

    /// At the page that the browser shows now.
    async fn at(&self, name: &str) {
        for scheme in SCHEMES {
            let media = json!({ "features": [
                { "name": "prefers-color-scheme", "value": scheme },
                { "name": "prefers-reduced-motion", "value": "reduce" },
            ] });
            self.browser.devtools("Emulation.setEmulatedMedia", media).await;
            for (size, width, height) in SIZES {
                let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": size != "desktop" });
                self.browser.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
                let wide =
                    self.browser.evaluate("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(wide.as_i64().unwrap() <= 0, "{name} is wider than a window of {width}: {wide}");
                if size == "narrow" {
                    // As it would be in a language that is read from right to left.
                    let turned = "const page = document.documentElement, before = page.dir; page.dir = 'rtl'; \
                                  const wide = page.scrollWidth - innerWidth; page.dir = before; return wide";
                    let wide = self.browser.evaluate(turned).await;
                    assert!(wide.as_i64().unwrap() <= 0, "{name} is wider from right to left: {wide}");
                } else {
                    // The colours are those of the desktop, and the places those of the other scheme.
                    if (scheme, size) != ("dark", "phone") {
                        self.find_barriers(&format!("{name}, {scheme}, {size}")).await;
                    }
                    self.take_picture(&format!("{name}-{scheme}-{size}.png")).await;
                }
            }
        }
        self.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    async fn find_barriers(&self, where_: &str) {
        let script = format!(
            "if (!window.axe) {{ {} }}\n\
             const done = arguments[arguments.length - 1];\n\
             axe.run(document, {{ resultTypes: ['violations'] }}).then((found) => done(found.violations.map(\
             (one) => one.id + ': ' + one.nodes.map((node) => node.html + ' ' + node.failureSummary).join('; '))), \
             (error) => done([String(error)]));",
            self.axe
        );
        let found = self.browser.client.execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(found, json!([]), "{where_}");
    }

    async fn take_picture(&self, file: &str) {
        let Some(folder) = &self.folder else { return };
        std::fs::create_dir_all(folder).unwrap();
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.browser.devtools("Page.captureScreenshot", whole).await;
        let bytes = STANDARD.decode(picture.get("data").and_then(Value::as_str).unwrap()).unwrap();
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

// R62
#[tokio::test]
async fn no_page_has_a_barrier_in_light_or_dark_on_a_phone_or_a_desktop() {
    let redis = Redis::start(&[]).unwrap();
    let place = Place::on(&format!("{}?deadline=1s", redis.url()), Some("accounts.db"));
    let server = place.serve_with(&[
        "--brand-links",
        "Privacy=https://example.org/privacy,Imprint=https://example.org/imprint",
    ]);
    let look = Look::new(open(&server, Options::default()).await);
    let browser = &look.browser;

    let link = server.said.split_whitespace().find(|word| word.contains("/setup?secret=")).unwrap();
    browser.go(link.get(link.find("/setup").unwrap()..).unwrap()).await;
    browser.sees("Create the first administrator").await;
    look.at("setup").await;
    browser.fill("username", "alice").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", "x").await;
    browser.press("Create account and log in").await;
    browser.sees("The two passwords are not the same.").await;
    look.at("setup-wrong").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", PASSWORD).await;
    browser.press("Create account and log in").await;
    browser.sees("Hello, alice.").await;
    look.at("home").await;

    let agents = [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "curl/8.14.1",
    ];
    for agent in agents {
        let body = json!({ "username": "alice", "password": PASSWORD, "remember": true }).to_string();
        let headers = [("Content-Type", "application/json"), ("User-Agent", agent)];
        assert_eq!(server.send("POST", "/api/auth/login", &headers, &body).status, 200);
    }
    assert_eq!(server.try_login("alice", "wrong horse battery staple").status, 401);
    browser.goes_until_it_shows("/sessions", "Login refused: wrong password").await;
    browser.sees("Firefox on Windows").await;
    look.at("sessions").await;
    // What happened cannot be asked for, and all else goes on.
    let accounts = rusqlite::Connection::open(place.path().join("accounts.db")).unwrap();
    accounts.execute_batch("ALTER TABLE events RENAME TO away").unwrap();
    browser.go("/sessions").await;
    browser.sees("cannot be told just now").await;
    look.at("sessions-lately-unknown").await;
    accounts.execute_batch("ALTER TABLE away RENAME TO events").unwrap();
    for name in ["bob", "carol", "a-name-that-is-as-long-as-somebody-thought-that-it-had-to-be"] {
        place.run(["account", "add", name, "--password-stdin"], PASSWORD);
    }
    place.run(["account", "disable", "carol"], "");
    browser.go("/admin/accounts").await;
    browser.sees("Add an account").await;
    look.at("admin-accounts").await;
    browser.follow("bob").await;
    browser.sees("No session is live.").await;
    look.at("admin-account").await;
    browser.go("/admin/accounts").await;
    browser.follow("carol").await;
    browser.sees("disabled").await;
    look.at("admin-account-disabled").await;
    browser.go("/admin/account?id=1").await;
    browser.sees("This is your own account").await;
    look.at("admin-account-own").await;
    browser.fill("email", "bob").await;
    browser.press("Save address").await;
    browser.sees("An e-mail address has an @ in it.").await;
    look.at("admin-account-wrong").await;
    browser.go("/admin/accounts?q=alice").await;
    browser.follow("alice").await;
    browser.press("Give up the administrator\u{2019}s role").await;
    browser.sees("This is the last administrator").await;
    look.at("admin-account-last").await;
    browser.go("/admin/accounts?q=nobody").await;
    browser.sees("No account has this in its name.").await;
    look.at("admin-accounts-none").await;
    browser.go("/reset?secret=x").await;
    browser.sees("This link does not work").await;
    look.at("reset-dead-logged-in").await;
    browser.go("/admin/sessions").await;
    browser.sees("Safari on iPhone").await;
    look.at("admin-sessions").await;
    browser.goes_until_it_shows("/admin/events", "Account disabled").await;
    look.at("admin-events").await;
    browser.go("/admin/events?name=nobody").await;
    browser.sees("Nothing is known to have happened to such an account.").await;
    look.at("admin-events-none").await;
    browser.go("/again").await;
    browser.sees("Confirm that it is you").await;
    look.at("again").await;
    browser.go("/password").await;
    browser.fill("current", "wrong").await;
    browser.fill("password", "another password").await;
    browser.fill("again", "another password").await;
    browser.press("Change password").await;
    browser.sees("This is not your current password.").await;
    look.at("password").await;
    browser.go("/nothing").await;
    browser.sees("Not found").await;
    look.at("not-found").await;

    redis.pause();
    browser.go("/").await;
    browser.sees("Not available just now").await;
    look.at("unavailable").await;
    redis.go_on();
    browser.go("/").await;
    browser.sees("Hello").await;
    redis.pause();
    browser.press("Log out").await;
    browser.sees("You are not logged out:").await;
    look.at("not-logged-out").await;
    redis.go_on();
    browser.press("Try again to log out").await;
    browser.sees("You are logged out.").await;
    look.at("logged-out").await;
    browser.go("/login").await;
    browser.sees("Remember me").await;
    look.at("login").await;
    browser.fill("username", "alice").await;
    browser.fill("password", "wrong").await;
    browser.press("Log in").await;
    browser.sees("is wrong").await;
    look.at("login-wrong").await;
    redis.pause();
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    browser.sees("Logging in is not possible just now").await;
    assert_eq!(browser.value("username").await, "alice");
    look.at("login-unavailable").await;
    redis.go_on();
    browser.until("the store is back", async || server.send("GET", "/readyz", &[], "").status == 200).await;
    browser.go("/login").await;
    log_in(browser).await;
    server.send(
        "DELETE",
        "/api/auth/sessions",
        &[("Cookie", &{
            let answer = server.try_login("alice", PASSWORD);
            answer.token()
        })],
        "",
    );
    browser.go("/sessions").await;
    browser.sees("Your session has ended.").await;
    look.at("ended").await;
    look.browser.close().await;
}

// R42, R62
#[tokio::test]
async fn a_forgotten_password_is_set_by_the_link_without_a_barrier_and_mistakes_are_told_beside_their_field()
{
    let place = with_alice(Kept::OneFile);
    let args = ["--mail-dir", "mail", "--public-url", "http://localhost"];
    let server = place.serve_with(&args);
    let look = Look::new(open(&server, Options::default()).await);
    let browser = &look.browser;
    browser.go("/login").await;
    browser.follow("Forgotten your password?").await;
    browser.is_at("username").await;
    look.at("reset-ask").await;
    browser.fill("username", "alice").await;
    browser.press("Send the link").await;
    browser.sees("If there is such an account").await;
    look.at("reset-asked").await;
    look.browser.close().await;
    let sent = messages(&place, server);
    let [message] = &sent[..] else { panic!("{sent:?}") };
    let (_, rest) = message.split_once("http://localhost/reset?secret=").unwrap();
    let path = format!("/reset?secret={}", rest.lines().next().unwrap());

    let server = place.serve_with(&args);
    let look = Look::new(open(&server, Options::default()).await);
    let browser = &look.browser;
    browser.go(&path).await;
    browser.sees("Set a new password").await;
    browser.is_at("password").await;
    look.at("reset").await;
    browser.fill("password", "short").await;
    browser.fill("again", "short").await;
    browser.press("Set password").await;
    browser.sees("A password has at least").await;
    look.at("reset-wrong").await;
    browser.fill("password", NEW).await;
    browser.fill("again", NEW).await;
    browser.press("Set password").await;
    browser.sees("Your password is set").await;
    look.at("reset-done").await;
    browser.follow("Go to the login page").await;
    browser.fill("username", "alice").await;
    browser.fill("password", NEW).await;
    browser.press("Log in").await;
    browser.sees("Hello, alice.").await;
    browser.go(&path).await;
    browser.sees("This link does not work").await;
    look.at("reset-dead").await;
    browser.follow("Ask for a new link").await;
    browser.sees("Forgotten your password?").await;
    look.browser.close().await;
}
