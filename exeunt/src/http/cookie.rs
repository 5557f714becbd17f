//! One cookie: read it, set it, remove it.
//!
//! Must never take a token from two cookies of one name, and never remove a cookie with other attributes than it was
//! set with (R07).

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::session::{LONGEST, Token};

const TOKEN_TEXT: usize = 54;
/// RFC 6265bis, section 5.6: a browser drops a cookie whose name and value are longer than this together.
const LONGEST_NAME_AND_VALUE: usize = 4096;
/// RFC 6265bis, section 5.6: a browser ignores an attribute whose value is longer than this.
const LONGEST_ATTRIBUTE: usize = 1024;

/// How the session's cookie looks. The default is `__Host-session; Path=/; Secure; HttpOnly; SameSite=Lax` (R27).
///
/// Without a maximum age: the browser drops it when it closes, unless the person asked to be remembered. It is always
/// HttpOnly. `SessionLayer::cookie` checks it and says what a browser would refuse.
///
/// ```
/// use exeunt::{CookieConfig, MemoryStore, SessionLayer, Sessions};
///
/// let for_localhost = CookieConfig::default().name("session").secure(false);
/// let layer = SessionLayer::new(Sessions::new(MemoryStore::new())).cookie(for_localhost)?;
/// # let _ = layer;
/// # Ok::<(), exeunt::http::CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    name: String,
    domain: Option<String>,
    path: String,
    same_site: SameSite,
    secure: bool,
    partitioned: bool,
}

/// Which requests from other sites bring the cookie (RFC 6265bis, section 5.5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Only links that lead to a page here. The default.
    Lax,
    /// None: somebody who follows a link from elsewhere arrives as a visitor.
    Strict,
    /// All of them; for pages embedded elsewhere. Needs Secure.
    None,
}

/// Why a browser would refuse the cookie, or read it as another one than was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty or has a character that RFC 6265 does not allow there.
    #[error("cookie name {name:?}: use letters, digits and any of !#$%&'*+-.^_`|~, at least one")]
    Name {
        /// The name.
        name: String,
    },
    /// The name breaks the promise of its prefix.
    #[error("cookie name {name:?}: browsers refuse the prefix {prefix} {reason}")]
    Prefix {
        /// The name.
        name: String,
        /// The prefix, in its usual spelling.
        prefix: &'static str,
        /// What it does not go with.
        reason: &'static str,
    },
    /// An attribute that only a Secure cookie may have.
    #[error("browsers refuse {attribute} without Secure")]
    NeedsSecure {
        /// The attribute.
        attribute: &'static str,
    },
    /// The path does not begin with `/` or has a character that ends an attribute.
    #[error("cookie path {path:?}: begin with / and use visible ASCII without a semicolon")]
    Path {
        /// The path.
        path: String,
    },
    /// The domain is not a host name.
    #[error("cookie domain {domain:?}: write a host name in ASCII, without a dot in front")]
    Domain {
        /// The domain.
        domain: String,
    },
    /// The name, the path or the domain is longer than browsers read.
    #[error("the cookie's {part} has {bytes} bytes; browsers read at most {limit}")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: "__Host-session".to_owned(),
            domain: None,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            secure: true,
            partitioned: false,
        }
    }
}

impl CookieConfig {
    /// Its name, in exactly this spelling.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The domain whose hosts all get it. Default: the one host that set it, which is safer.
    #[must_use]
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    /// The path below which it is sent.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Which requests from other sites bring it.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    /// Whether it travels over https alone. `false` is for trying things out on a plain http address.
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Whether it is kept apart for each site that embeds this one (CHIPS).
    #[must_use]
    pub fn partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    pub(super) fn build(self) -> Result<Cookie, CookieError> {
        self.check_characters()?;
        self.check_lengths()?;
        self.check_prefixes()?;
        for (attribute, given) in
            [("SameSite=None", self.same_site == SameSite::None), ("Partitioned", self.partitioned)]
        {
            if given && !self.secure {
                return Err(CookieError::NeedsSecure { attribute });
            }
        }
        let attributes = self.attributes();
        let removal = format!("{}={attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", self.name);
        Ok(Cookie { removal: header(removal), attributes, name: self.name })
    }

    fn check_characters(&self) -> Result<(), CookieError> {
        let Self { name, path, domain, .. } = self;
        if name.is_empty() || !name.bytes().all(is_token_character) {
            return Err(CookieError::Name { name: name.clone() });
        }
        if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic() && b != b';') {
            return Err(CookieError::Path { path: path.clone() });
        }
        match domain {
            Some(domain) if !is_host_name(domain) => Err(CookieError::Domain { domain: domain.clone() }),
            _ => Ok(()),
        }
    }

    fn check_lengths(&self) -> Result<(), CookieError> {
        let domain = self.domain.as_ref().map_or(0, String::len);
        for (part, bytes, limit) in [
            ("name", self.name.len(), LONGEST_NAME_AND_VALUE - TOKEN_TEXT),
            ("path", self.path.len(), LONGEST_ATTRIBUTE),
            ("domain", domain, LONGEST_ATTRIBUTE),
        ] {
            if bytes > limit {
                return Err(CookieError::TooLong { part, bytes, limit });
            }
        }
        Ok(())
    }

    /// Browsers compare prefixes without regard to case, whatever they do with the rest of the name.
    fn check_prefixes(&self) -> Result<(), CookieError> {
        let refused = |prefix, reason| Err(CookieError::Prefix { name: self.name.clone(), prefix, reason });
        for prefix in ["__Secure-", "__Host-", "__Http-"] {
            if self.has_prefix(prefix) && !self.secure {
                return refused(prefix, "without Secure");
            }
        }
        if self.has_prefix("__Host-") && self.domain.is_some() {
            return refused("__Host-", "with a Domain");
        }
        if self.has_prefix("__Host-") && self.path != "/" {
            return refused("__Host-", "with another Path than /");
        }
        Ok(())
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    fn attributes(&self) -> String {
        let mut text = format!("; Path={}", self.path);
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if self.secure {
            text.push_str("; Secure");
        }
        text.push_str("; HttpOnly");
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        if self.partitioned {
            text.push_str("; Partitioned");
        }
        text
    }
}

/// The bytes before the first semicolon, and those after it.
fn first_pair(line: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let (pair, rest) = line.split_at(end);
    (pair, rest.get(1..).unwrap_or_default())
}

fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.split('.').all(label)
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("every part was checked to be visible ASCII")
}

/// A cookie that browsers accept.
#[derive(Debug)]
pub(super) struct Cookie {
    name: String,
    attributes: String,
    removal: HeaderValue,
}

/// What a request brought under our cookie's name.
#[derive(Debug)]
pub(super) enum Presented {
    Nothing,
    /// Two of them, or what is no token: whose it is cannot be told, so it is nobody's (R13).
    Unusable,
    Token(Token),
}

impl Cookie {
    /// Reads all `Cookie` headers: a client may send several, and a second cookie may hide in any of them.
    pub(super) fn read(&self, headers: &HeaderMap) -> Presented {
        let mut found = None;
        for header in headers.get_all(COOKIE) {
            let mut rest = header.as_bytes();
            while !rest.is_empty() {
                let (pair, after) = first_pair(rest);
                rest = after;
                let Some(value) = self.value_of(pair) else { continue };
                if found.replace(value).is_some() {
                    return Presented::Unusable;
                }
            }
        }
        let Some(value) = found else { return Presented::Nothing };
        match std::str::from_utf8(value).ok().and_then(Token::parse) {
            Some(token) => Presented::Token(token),
            None => Presented::Unusable,
        }
    }

    fn value_of<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let value = pair.trim_ascii_start().strip_prefix(self.name.as_bytes())?.trim_ascii_start();
        value.strip_prefix(b"=").map(<[u8]>::trim_ascii)
    }

    /// The header that gives the browser a token, for that long where it is to outlive the browser's window.
    pub(super) fn set(&self, token: &Token, max_age: Option<Duration>) -> HeaderValue {
        let mut text = format!("{}={}{}", self.name, token.expose(), self.attributes);
        if let Some(max_age) = max_age {
            // Writing to a String does not fail.
            let _ = write!(text, "; Max-Age={}", max_age.min(LONGEST).as_secs());
        }
        let mut value = header(text);
        value.set_sensitive(true);
        value
    }

    /// The header that makes the browser drop it.
    pub(super) fn removal(&self) -> HeaderValue {
        self.removal.clone()
    }

    /// What a browser would send.
    #[cfg(feature = "testing")]
    pub(super) fn sent(&self, token: &Token) -> HeaderValue {
        header(format!("{}={}", self.name, token.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Lifetime, Login, Record, Timestamp, UserId};

    fn token() -> Token {
        let now = Timestamp::from_secs(1_767_225_600);
        Record::new(UserId::from(1), now, &Lifetime::default(), Login::default()).0
    }

    fn built(config: CookieConfig) -> Cookie {
        config.build().unwrap()
    }

    #[test]
    fn the_default_is_a_host_cookie_that_scripts_cannot_read() {
        // R27
        let (cookie, token) = (built(CookieConfig::default()), token());
        let set = cookie.set(&token, None);
        let text = format!("__Host-session={}; Path=/; Secure; HttpOnly; SameSite=Lax", token.expose());
        assert_eq!(set.to_str().unwrap(), text);
        assert!(!format!("{set:?}").contains(&token.expose()));
    }

    #[test]
    fn the_removal_repeats_every_attribute() {
        // R07
        let all = CookieConfig::default()
            .name("id")
            .domain("example.org")
            .path("/app")
            .same_site(SameSite::None)
            .partitioned(true);
        for config in [CookieConfig::default(), CookieConfig::default().name("s").secure(false), all] {
            let cookie = built(config);
            let set = cookie.set(&token(), None);
            let (_, attributes) = set.to_str().unwrap().split_once(';').unwrap();
            let expected =
                format!("{}=;{attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", cookie.name);
            assert_eq!(cookie.removal(), expected);
        }
    }

    #[test]
    fn a_cookie_is_never_asked_to_stay_longer_than_400_days() {
        // R55
        let set = built(CookieConfig::default()).set(&token(), Some(Duration::MAX));
        assert!(set.to_str().unwrap().ends_with("; Max-Age=34560000"));
    }

    #[test]
    fn what_browsers_would_refuse_is_refused_with_the_reason() {
        let start = CookieConfig::default;
        let long = "x".repeat(1025);
        let cases = [
            (start().domain("example.org"), "with a Domain"),
            (start().path("/app"), "another Path"),
            (start().secure(false), "__Host- without Secure"),
            (start().name("__HOST-x").path("/app"), "another Path"),
            (start().name("__secure-x").secure(false), "__Secure- without Secure"),
            (start().name("__Http-x").secure(false), "__Http- without Secure"),
            (start().name("x").secure(false).same_site(SameSite::None), "SameSite=None without Secure"),
            (start().name("x").secure(false).partitioned(true), "Partitioned without Secure"),
            (start().name(""), "cookie name"),
            (start().name("a b"), "cookie name"),
            (start().name("a=b"), "cookie name"),
            (start().name("a;b"), "cookie name"),
            (start().name("naïve"), "cookie name"),
            (start().name("x").path("app"), "cookie path"),
            (start().name("x").path("/a;b"), "cookie path"),
            (start().name("x").path("/a\r\nb"), "cookie path"),
            (start().name("x").domain(""), "cookie domain"),
            (start().name("x").domain(".example.org"), "cookie domain"),
            (start().name("x").domain("exa;mple"), "cookie domain"),
            (start().name("x".repeat(4043)), "name has 4043 bytes"),
            (start().name("x").path(format!("/{long}")), "path has 1026 bytes"),
            (start().name("x").domain(long), "domain has 1025 bytes"),
        ];
        for (config, reason) in cases {
            let error = config.clone().build().unwrap_err().to_string();
            assert!(error.contains(reason), "{config:?}: {error}");
        }
        assert!(start().name("x".repeat(4042)).build().is_ok());
        assert!(start().name("x").domain("my-host_1.example.org").build().is_ok());
    }

    #[test]
    fn one_cookie_of_exactly_our_name_is_read_from_all_headers() {
        // R13, R27
        let good = token().expose();
        let cookie = built(CookieConfig::default());
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            match cookie.read(&headers) {
                Presented::Nothing => "nothing",
                Presented::Unusable => "unusable",
                Presented::Token(_) => "token",
            }
        };
        let ours = format!("__Host-session={good}");
        assert_eq!(read(&[]), "nothing");
        assert_eq!(read(&[&ours]), "token");
        assert_eq!(read(&[&format!("a=b;  {ours} ;c=d")]), "token");
        assert_eq!(read(&["a=b", &ours]), "token");
        assert_eq!(read(&[&format!("__host-session={good}; x__Host-session={good}")]), "nothing");
        assert_eq!(read(&[&format!("__Host-sessions={good}; __Host-session")]), "nothing");
        assert_eq!(read(&[&format!("{ours}; {ours}")]), "unusable");
        assert_eq!(read(&[&ours, &ours]), "unusable");
        assert_eq!(read(&[&format!("{ours}; __Host-session=")]), "unusable");
        assert_eq!(read(&["__Host-session="]), "unusable");
        assert_eq!(read(&[&format!("__Host-session=\"{good}\"")]), "unusable");
        assert_eq!(read(&[&format!("__Host-session={}", "A".repeat(9_000))]), "unusable");
        assert_eq!(read(&["__Host-session=é"]), "unusable");
    }
}
