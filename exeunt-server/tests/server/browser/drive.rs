//! A headless Chromium that does what a test says, by way of ChromeDriver.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use services::ChromeDriver;

/// Far longer than anything takes, also while other tests need the processor.
const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// One for all tests of the program; it ends with it.
fn driver() -> &'static ChromeDriver {
    static DRIVER: OnceLock<ChromeDriver> = OnceLock::new();
    DRIVER.get_or_init(|| ChromeDriver::start().expect("Chromium and ChromeDriver are installed and start"))
}

pub(super) struct Options {
    /// Whether scripts of pages run.
    pub(super) script: bool,
    /// What the reader prefers.
    pub(super) language: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { script: true, language: "en" }
    }
}

/// A browser with a profile of its own.
pub(super) struct Browser {
    pub(super) client: Client,
    base: String,
}

impl Browser {
    pub(super) async fn open(base: &str, options: Options) -> Self {
        let arguments = [
            "--headless=new",
            // It shows nothing but our own pages, and its sandbox does not work within every container.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--window-size=1280,900",
        ];
        let chrome = json!({
            "binary": driver().chromium(),
            "args": arguments,
            "prefs": { "intl.accept_languages": options.language, "credentials_enable_service": false },
        });
        let wanted = json!({ "goog:chromeOptions": chrome, "acceptInsecureCerts": true });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone())
            .connect(&driver().url())
            .await
            .unwrap();
        let browser = Self { client, base: base.to_owned() };
        if !options.script {
            browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        }
        browser
    }

    pub(super) async fn close(self) {
        self.client.close().await.unwrap();
    }

    pub(super) async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    pub(super) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// What a script in the page gives.
    pub(super) async fn evaluate(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Everything that the page shows, without the marks that keep the direction of a name to itself.
    pub(super) async fn text(&self) -> String {
        // Between two pages there is none.
        let script = "return document.body ? document.body.innerText : ''";
        let text = self.client.execute(script, Vec::new()).await;
        let text = text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
        text.replace(['\u{2068}', '\u{2069}'], "")
    }

    /// Waits until the page shows that.
    pub(super) async fn sees(&self, text: &str) {
        self.until(text, async || self.text().await.contains(text)).await;
    }

    /// Loads a page again until it shows that: what happened is there a moment later.
    pub(super) async fn goes_until_it_shows(&self, path: &str, text: &str) {
        self.until(text, async || {
            self.go(path).await;
            self.text().await.contains(text)
        })
        .await;
    }

    /// Waits until something is so.
    pub(super) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !is_so().await {
            let shown =
                async || format!("{:?} shows:\n{}", self.client.current_url().await, self.text().await);
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what:?}; {}", shown().await);
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Types into a field, in place of what is there.
    pub(super) async fn fill(&self, id: &str, text: &str) {
        let field = self.client.wait().for_element(Locator::Id(id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Types wherever the focus is.
    pub(super) async fn keys(&self, text: &str) {
        self.client.active_element().await.unwrap().send_keys(text).await.unwrap();
    }

    /// Clicks the first button that says so.
    pub(super) async fn press(&self, label: &str) {
        let path = format!("//button[normalize-space()='{label}']");
        self.client.wait().for_element(Locator::XPath(&path)).await.unwrap().click().await.unwrap();
    }

    /// Clicks the first link that says so.
    pub(super) async fn follow(&self, text: &str) {
        self.client.wait().for_element(Locator::LinkText(text)).await.unwrap().click().await.unwrap();
    }

    pub(super) async fn value(&self, id: &str) -> String {
        let field = self.client.find(Locator::Id(id)).await.unwrap();
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    pub(super) async fn attribute(&self, css: &str, name: &str) -> String {
        let found = self.client.find(Locator::Css(css)).await.unwrap();
        found.attr(name).await.unwrap().unwrap_or_default()
    }

    /// Waits until that field has the focus.
    pub(super) async fn is_at(&self, id: &str) {
        self.until(id, async || {
            let focused = self.client.active_element().await;
            match focused {
                Ok(focused) => focused.attr("id").await.is_ok_and(|found| found.as_deref() == Some(id)),
                Err(_) => false,
            }
        })
        .await;
    }

    /// The text that a screen reader tells of a field as its description.
    pub(super) async fn error_of(&self, id: &str) -> String {
        let field = self.client.find(Locator::Id(id)).await.unwrap();
        assert_eq!(field.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
        let by = field.attr("aria-describedby").await.unwrap().unwrap();
        self.client.find(Locator::Id(&by)).await.unwrap().text().await.unwrap()
    }

    /// Asks the browser for what WebDriver has no words for.
    pub(super) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        self.client.issue_cmd(DevTools(body)).await.unwrap()
    }
}

#[derive(Debug)]
struct DevTools(String);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.clone()))
    }
}
