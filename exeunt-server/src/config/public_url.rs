//! The address under which people reach the server.
//!
//! Must never be taken from a request: only the operator says it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A bare origin: `https` or `http`, a host, and a port if it is not the usual one. No path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl {
    // As browsers send it in `Origin`: lower case, no slash at the end, no usual port.
    origin: String,
    host: String,
    https: bool,
}

/// A text that is no bare origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public URL is like https://login.example.org or https://example.org:8443: {reason}")]
pub struct PublicUrlError {
    reason: String,
}

impl PublicUrl {
    /// As browsers write it in `Origin`, without a slash at the end; put a path that starts with one behind it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host alone, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// How a browser on this machine reaches what listens there.
    #[must_use]
    pub fn local(bound: SocketAddr) -> Self {
        let host = match bound.ip() {
            ip if !ip.is_loopback() => ip.to_string(),
            _ => "localhost".to_owned(),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let origin = match bound.port() {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        };
        Self { origin, host, https: false }
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |reason: &str| PublicUrlError { reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(refused(&format!("it starts with {other}:, not with https:// or http://"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("leave out the user name and password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("leave out everything behind the host and port"));
        }
        let host = match url.host() {
            None => return Err(refused("it has no host")),
            Some(Host::Domain(name)) if name.ends_with('.') => {
                return Err(refused("leave out the dot at the end of the host"));
            }
            Some(host) => host.to_string(),
        };
        Ok(Self { origin: url.origin().ascii_serialization(), host, https })
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = PublicUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.origin
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, origin, host) in [
            ("https://Login.Example.ORG", "https://login.example.org", "login.example.org"),
            ("https://login.example.org/", "https://login.example.org", "login.example.org"),
            ("https://example.org:443", "https://example.org", "example.org"),
            ("http://example.org:80/", "http://example.org", "example.org"),
            ("https://example.org:8443", "https://example.org:8443", "example.org"),
            ("http://[::1]:8080", "http://[::1]:8080", "[::1]"),
            ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.host()), (origin, host), "{text}");
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn anything_but_a_bare_origin_is_refused() {
        for text in [
            "",
            "login.example.org",
            "localhost:8080",
            "ftp://example.org",
            "https://",
            "https://example.org/app",
            "https://example.org/?a",
            "https://example.org/#a",
            "https://me@example.org",
            "https://:pw@example.org",
            "https://example.org.",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_a_public_url_it_is_localhost() {
        let local = |text: &str| PublicUrl::local(text.parse().unwrap()).to_string();
        assert_eq!(local("127.0.0.1:8080"), "http://localhost:8080");
        assert_eq!(local("[::1]:80"), "http://localhost");
        assert_eq!(local("192.0.2.7:81"), "http://192.0.2.7:81");
        for text in ["127.0.0.1:8080", "[::1]:80", "[2001:db8::1]:9"] {
            let url = PublicUrl::local(text.parse().unwrap());
            assert_eq!(url.origin().parse::<PublicUrl>().unwrap(), url);
        }
    }
}
