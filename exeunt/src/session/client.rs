//! What logged in and from where, as its owner would recognise it.
//!
//! Must never be believed: a client names itself as it likes. Must never keep what would forge a line or a page.

use std::fmt;
use std::net::IpAddr;

/// Between the agent and the address. No agent has it: it is a control character.
const MARK: u8 = 0x1f;

/// What logged in, as it named itself, such as a browser's `User-Agent`, and the address that it came from: at most 200
/// bytes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client(String);

impl Client {
    /// The most bytes that are kept.
    pub const LIMIT: usize = 200;

    /// Keeps the first 200 bytes of `text`, whole characters only. Replaces what would control the terminal
    /// or the page that shows it: control characters, line ends, and marks that turn the order of reading.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text.floor_char_boundary(Self::LIMIT);
        let (kept, _) = text.split_at(end);
        // What nearly all are, and what each load from a store reads again.
        if is_plain(kept) {
            return Self(kept.to_owned());
        }
        // One byte for one byte or fewer, so that the limit still holds.
        Self(kept.chars().map(|c| if c.is_control() || turns_or_breaks(c) { ' ' } else { c }).collect())
    }

    /// The same, from this address. What was longer than there is room for beside it is cut.
    ///
    /// ```
    /// use exeunt::Client;
    ///
    /// let client = Client::new("curl/8.14.1").at([192, 0, 2, 1].into());
    /// assert_eq!((client.as_str(), client.address()), ("curl/8.14.1", Some([192, 0, 2, 1].into())));
    /// ```
    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        let (agent, _) = split(&self.0);
        let address = address.to_canonical().to_string();
        let room = Self::LIMIT - 1 - address.len();
        let (agent, _) = agent.split_at(agent.floor_char_boundary(room));
        Self(format!("{agent}{}{address}", char::from(MARK)))
    }

    /// What it called itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        split(&self.0).0
    }

    /// Where it came from, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        split(&self.0).1.and_then(|address| address.parse().ok())
    }

    /// The one text that stores keep of it, at most 200 bytes.
    #[must_use]
    pub fn stored(&self) -> &str {
        &self.0
    }

    /// What [`Client::stored`] gave, for stores. An address that cannot be one is dropped.
    #[must_use]
    pub fn restore(stored: &str) -> Self {
        if stored.len() <= Self::LIMIT && is_plain(stored) {
            return Self(stored.to_owned());
        }
        match split(stored) {
            (_, None) => Self::new(stored),
            // Mutants: where this arm is not taken, as where `is_plain` or `is_address` say no too often, the next one reads and
            // writes the same anew. It is only quicker.
            (agent, Some(address))
                if stored.len() <= Self::LIMIT && is_plain(agent) && is_address(address) =>
            {
                Self(stored.to_owned())
            }
            (agent, Some(address)) => {
                let client = Self::new(agent);
                address.parse().map_or(client.clone(), |address| client.at(address))
            }
        }
    }
}

/// The agent, and the address as text.
pub(super) fn split(stored: &str) -> (&str, Option<&str>) {
    let mark = stored.bytes().position(|byte| byte == MARK);
    let parts = mark.and_then(|at| Some((stored.get(..at)?, stored.get(at + 1..)?)));
    parts.map_or((stored, None), |(agent, address)| (agent, Some(address)))
}

// Mutants: `false` only leaves the quicker way untaken, see `Client::restore`.
fn is_plain(text: &str) -> bool {
    // To the end whatever is found: so the compiler looks at many bytes at once.
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Whether it reads as one; whether it is one is asked when somebody wants it.
// Mutants: `false`, or `&&`, likewise.
fn is_address(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
}

/// Unicode's Bidi_Control characters, and its line and paragraph separators.
fn turns_or_breaks(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A `User-Agent` as a person would put it: `Firefox on Windows`, `Safari on iPhone`, `curl`.
///
/// Browsers freeze and borrow each other's names, so it knows families and no versions. A guess: clients lie.
///
/// ```
/// use exeunt::session::Agent;
///
/// let agent = Agent::of("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0");
/// assert_eq!((agent.browser, agent.system), (Some("Firefox"), Some("Windows")));
/// assert_eq!(agent.to_string(), "Firefox on Windows");
/// assert_eq!(Agent::of("curl/8.14.1").to_string(), "curl");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent<'a> {
    /// The browser or program, if its name says which.
    pub browser: Option<&'a str>,
    /// The operating system or device.
    pub system: Option<&'a str>,
}

impl<'a> Agent<'a> {
    /// Reads the text of a `User-Agent`, such as [`Record::client`](super::Record::client).
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let find = |table: &[(&str, &'static str)]| {
            table.iter().find(|(sign, _)| text.contains(sign)).map(|(_, name)| *name)
        };
        if text.starts_with("Mozilla/") || text.starts_with("Opera/") {
            return Self { browser: find(BROWSERS), system: find(SYSTEMS) };
        }
        // RFC 9110, section 10.1.5: a product, maybe with a version.
        let product = text.split(|c: char| c == '/' || c.is_whitespace()).next();
        Self { browser: product.filter(|name| !name.is_empty()), system: None }
    }
}

impl fmt::Display for Agent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.browser, self.system) {
            (Some(browser), Some(system)) => write!(f, "{browser} on {system}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str("Unknown client"),
        }
    }
}

/// The first sign that is found counts: most name Chrome and Safari besides themselves.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("UCBrowser/", "UC Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
];

/// Android names Linux, and an iPhone says that it is like a Mac.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_cut_at_a_whole_character_and_has_no_control_characters() {
        assert_eq!(Client::new("a\r\nb\u{85}c").as_str(), "a  b c");
        assert_eq!(Client::new("a\u{202e}b\u{2069}c\u{2028}d").as_str(), "a b c d");
        let long = "é".repeat(150);
        assert_eq!(Client::new(&long).as_str(), "é".repeat(100));
        assert_eq!(Client::new(&format!("x{long}")).as_str().len(), 199);
    }

    #[test]
    fn an_address_is_kept_whole_and_no_agent_can_forge_one() {
        // R17, R39
        let address: IpAddr = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        for agent in ["", "curl/8", &"é".repeat(150), "a [203.0.113.9]"] {
            let client = Client::new(agent).at(address);
            assert_eq!(client.address(), Some(address));
            assert!(Client::new(agent).as_str().starts_with(client.as_str()));
            assert!(client.stored().len() <= Client::LIMIT, "{agent}");
            assert_eq!(Client::restore(client.stored()), client);
        }
        let forged = Client::new("curl\u{1f}203.0.113.9");
        assert_eq!((forged.as_str(), forged.address()), ("curl 203.0.113.9", None));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(forged.at(mapped).at(mapped).address(), Some([192, 0, 2, 1].into()));
    }

    #[test]
    fn what_a_store_gives_back_is_made_harmless() {
        for (stored, agent, address) in [
            ("curl", "curl", None),
            ("c\nurl\u{1f}192.0.2.1", "c url", Some([192, 0, 2, 1].into())),
            ("curl\u{1f}nonsense", "curl", None),
            ("curl\u{1f}12.34", "curl", None),
            ("curl\u{1f}192.0.2.1\u{1f}192.0.2.2", "curl", None),
        ] {
            let client = Client::restore(stored);
            assert_eq!((client.as_str(), client.address()), (agent, address), "{stored:?}");
            assert!(!client.stored().contains("nonsense"), "{stored:?}");
        }
        let long = format!("{}\u{1f}192.0.2.1", "x".repeat(300));
        assert_eq!(Client::restore(&long).stored().len(), Client::LIMIT);
        assert_eq!(Client::restore(&"x".repeat(300)).stored().len(), Client::LIMIT);
    }

    #[test]
    fn a_user_agent_reads_as_a_person_would_put_it() {
        // R17. As the browsers of November 2026 send it.
        for (text, shown) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:156.0) Gecko/20100101 Firefox/156.0",
                "Firefox on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 \
                 Safari/537.36 Edg/156.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 \
                 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/26.1 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/156.0.7499.1 Mobile/15E148 Safari/604.1",
                "Chrome on iPad",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 \
                 Chrome/136.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            ("Mozilla/5.0 (Android 15; Mobile; rv:156.0) Gecko/156.0 Firefox/156.0", "Firefox on Android"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Unknown client"),
            ("curl/8.14.1", "curl"),
            ("python-requests/2.32.5 extra", "python-requests"),
            ("", "Unknown client"),
            ("/", "Unknown client"),
        ] {
            assert_eq!(Agent::of(text).to_string(), shown, "{text}");
        }
    }
}
