//! Who is asking, seen through the proxies that are trusted.
//!
//! Must never believe a forwarded header that an untrusted peer could have written (R47).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;

/// The other end of a connection, put into every request of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        // A socket open to both families shows IPv4 peers as `::ffff:a.b.c.d`.
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The address nearest to us that no trusted proxy has; the peer's own if nobody is trusted.
    ///
    /// A proxy writes `X-Forwarded-For` or `Forwarded` and passes the other on as the client sent it, so where both
    /// are there neither counts.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) || (headers.contains_key(FORWARDED_FOR) && headers.contains_key(FORWARDED)) {
            return peer;
        }
        let mut client = peer;
        let hops = list(headers, FORWARDED_FOR).map(|hop| address(hop.trim()));
        let forwarded = list(headers, FORWARDED).map(forwarded_for);
        for hop in hops.chain(forwarded).collect::<Vec<_>>().into_iter().rev() {
            // What is beyond an illegible hop was written by nobody we know.
            let Some(hop) = hop else { return client };
            client = hop.to_canonical();
            if !self.trust(client) {
                return client;
            }
        }
        client
    }

    /// The id that a trusted proxy gave this request, if it is fit for a log.
    pub(crate) fn request_id<'a>(&self, peer: IpAddr, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let id = headers.get(&REQUEST_ID).filter(|_| self.trust(peer))?;
        let fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        ((1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(fit)).then_some(id)
    }
}

fn list<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or(""));
    values.flat_map(|value| value.split(','))
}

/// RFC 7239, section 6: `for=192.0.2.1`, `for="[2001:db8::1]:4711"`. Names and `unknown` are illegible.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let (_, value) = element
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        proxies.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test] // R47
    fn forwarded_headers_count_only_from_trusted_proxies() {
        for (peer, headers, expected) in [
            ("192.0.2.1", vec![("x-forwarded-for", "198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            ("::ffff:10.0.0.1", vec![("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            // The client wrote the first one itself.
            ("10.0.0.1", vec![("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            (
                "10.0.0.1",
                vec![("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")],
                "198.51.100.7",
            ),
            ("10.0.0.1", vec![("x-forwarded-for", "203.0.113.9, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", vec![("x-forwarded-for", "10.0.0.9")], "10.0.0.9"),
            ("fd00::1", vec![("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")], "2001:db8::1"),
            (
                "fd00::1",
                vec![("forwarded", "for=203.0.113.9, proto=https;For=198.51.100.7:80")],
                "198.51.100.7",
            ),
            ("fd00::1", vec![("forwarded", "for=203.0.113.9, for=unknown")], "fd00::1"),
            (
                "10.0.0.1",
                vec![("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "198.51.100.7")],
                "10.0.0.1",
            ),
        ] {
            assert_eq!(client(peer, &headers), expected, "{peer} {headers:?}");
        }
    }

    #[test] // R39
    fn request_ids_count_only_from_trusted_proxies_and_only_if_they_are_plain() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let given = |peer: &str, id: &str| {
            let headers =
                HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap())]);
            proxies.request_id(peer.parse().unwrap(), &headers).is_some()
        };
        assert!(given("10.0.0.1", "a-Z_0.9"));
        assert!(!given("192.0.2.1", "a"));
        for bad in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
            assert!(!given("10.0.0.1", bad), "{bad}");
        }
    }
}
