//! What logged in, as its owner would call it.

use serde::Serialize;

/// Browsers by what they alone write, the more particular first: nearly all claim to be several others, too.
const BROWSERS: [(&str, &str); 10] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi", "Vivaldi"),
    ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("MSIE", "Internet Explorer"),
];

const SYSTEMS: [(&str, &str); 8] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

/// For `client.html`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ClientName {
    browser: Option<String>,
    system: Option<&'static str>,
}

impl ClientName {
    /// Of a `User-Agent`. Guesswork: whoever logged in wrote it.
    pub(super) fn new(agent: &str) -> Self {
        let named = |names: &[(&str, &'static str)]| {
            names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
        };
        let browser = named(&BROWSERS).map(str::to_owned).or_else(|| program(agent));
        Self { browser, system: named(&SYSTEMS) }
    }
}

/// `curl` of `curl/8.1`.
fn program(agent: &str) -> Option<String> {
    let first = agent.split([' ', '/']).next().unwrap_or_default();
    let plain = first.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    (plain && !first.is_empty() && first != "Mozilla" && first.len() <= 40).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_clients_are_called_by_their_names() {
        for (agent, browser, system) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
                Some("Chrome"),
                Some("Linux"),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Some("Firefox"),
                Some("Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 \
                 Safari/537.36 Edg/150.0.0.0",
                Some("Edge"),
                Some("Windows"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                Some("Safari"),
                Some("iPhone"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 \
                 Safari/605.1.15",
                Some("Safari"),
                Some("macOS"),
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                Some("Firefox"),
                Some("Android"),
            ),
            ("curl/8.14.1", Some("curl"), None),
            ("", None, None),
            ("Mozilla/5.0", None, None),
            ("<b>evil</b>", None, None),
            ("(Linux)", None, Some("Linux")),
        ] {
            let expected = ClientName { browser: browser.map(str::to_owned), system };
            assert_eq!(ClientName::new(agent), expected, "{agent}");
        }
    }
}
