//! Requests that nobody should send, and random ones made of them.
//!
//! Must never draw what cannot be drawn again: the seed decides.

/// A name, the bytes, and what may answer them.
pub(crate) type Strange = (&'static str, Vec<u8>, Expected);

/// Answers.
#[derive(Debug)]
pub(crate) enum Expected {
    /// One, with such a status.
    One(&'static [u16]),
    /// The same, but it may be lost: the server closes before it has read all, and then the network may throw away what it said.
    OneUnlessLost(&'static [u16]),
    /// These.
    These(&'static [u16]),
}

impl Expected {
    pub(crate) fn fits(&self, heard: &[u16]) -> bool {
        match (self, heard) {
            (Self::One(statuses) | Self::OneUnlessLost(statuses), [status]) => statuses.contains(status),
            (Self::OneUnlessLost(_), []) => true,
            (Self::These(statuses), heard) => *statuses == heard,
            _ => false,
        }
    }
}

const VISITOR: Expected = Expected::One(&[401]);
const FINE: Expected = Expected::One(&[200]);
const TOO_MUCH: Expected = Expected::OneUnlessLost(&[413, 414, 431]);
/// What is no request, and hyper closes on without a word.
const NOTHING: Expected = Expected::These(&[]);
const REFUSALS: &[u16] = &[400, 401, 404, 405, 413, 414, 415, 417, 422, 431];
/// What hyper, or a route, may refuse.
const REFUSED: Expected = Expected::One(REFUSALS);
/// As a visitor or as one whose request was not taken for what they meant.
const ANY: Expected =
    Expected::One(&[200, 204, 303, 400, 401, 403, 404, 405, 413, 414, 415, 417, 422, 431, 503]);

/// All of them. `own` is the cookie of a live session of the attacker's.
pub(crate) fn base(host: &str, own: &str) -> Vec<Strange> {
    let mut all = cookies(host, own);
    all.extend(heads(host));
    all.extend(bodies(host));
    all
}

fn get(host: &str, path: &[u8], headers: &[u8]) -> Vec<u8> {
    [b"GET ", path, b" HTTP/1.1\r\nHost: ", host.as_bytes(), b"\r\n", headers, b"\r\n"].concat()
}

fn cookies(host: &str, own: &str) -> Vec<Strange> {
    let me = |headers: &[u8]| get(host, b"/api/me", headers);
    let cookie = |value: &[u8]| me(&[b"Cookie: ", value, b"\r\n"].concat());
    let own = own.as_bytes();
    vec![
        ("its own cookie", cookie(own), FINE),
        ("the same cookie twice in one header", cookie(&[own, b"; ", own].concat()), VISITOR),
        (
            "the same cookie in two headers",
            me(&[b"Cookie: ", own, b"\r\nCookie: ", own, b"\r\n"].concat()),
            VISITOR,
        ),
        ("a cookie that is not UTF-8", cookie(b"session=\xff\xfe\x80; \xc3\x28=\xa0"), VISITOR),
        ("a cookie without a value", cookie(b"session"), VISITOR),
        ("a cookie of signs", cookie(b";;;===;\t;=session=;\"session=\""), VISITOR),
        ("a cookie of 60 KB", cookie(&[b"session=", &*b"A".repeat(60_000)].concat()), VISITOR),
        ("a cookie of 1 MB", cookie(&[b"session=", &*b"A".repeat(1_000_000)].concat()), TOO_MUCH),
        ("5000 cookies", cookie(&[&*b"a=b; ".repeat(5_000), own].concat()), FINE),
        ("5000 cookies of our name", cookie(&b"session=b; ".repeat(5_000)), VISITOR),
        (
            "50 headers of cookies",
            me(&[&*b"Cookie: a=b\r\n".repeat(50), b"Cookie: ", own, b"\r\n"].concat()),
            FINE,
        ),
        ("5000 headers of cookies", me(&b"Cookie: session=b\r\n".repeat(5_000)), TOO_MUCH),
        ("a cookie with a NUL", cookie(b"session=a\0b"), REFUSED),
        ("a cookie with a bare CR", cookie(b"session=a\rb"), REFUSED),
        ("a folded cookie", me(b"Cookie: session=a\r\n b\r\n"), REFUSED),
    ]
}

fn heads(host: &str) -> Vec<Strange> {
    let line = |line: &[u8]| [line, b"\r\nHost: ", host.as_bytes(), b"\r\n\r\n"].concat();
    let with = |headers: &[u8]| get(host, b"/healthz", headers);
    vec![
        ("TRACE", line(b"TRACE / HTTP/1.1"), REFUSED),
        ("CONNECT", line(b"CONNECT 127.0.0.1:22 HTTP/1.1"), REFUSED),
        ("OPTIONS *", line(b"OPTIONS * HTTP/1.1"), REFUSED),
        ("a method of no standard", line(b"FROBNICATE /api/auth/logout HTTP/1.1"), REFUSED),
        ("a method in small letters", line(b"delete /api/auth/logout HTTP/1.1"), REFUSED),
        ("a method of 8000 letters", line(&[&*b"M".repeat(8_000), b" / HTTP/1.1"].concat()), REFUSED),
        ("a method that is not UTF-8", line(b"\xff\xfe / HTTP/1.1"), REFUSED),
        ("a GET that logs out", line(b"GET /api/auth/logout HTTP/1.1"), Expected::One(&[405])),
        ("another host's URL", line(b"GET http://evil.example/api/me HTTP/1.1"), VISITOR),
        ("no slash", line(b"GET api/me HTTP/1.1"), REFUSED),
        ("a path upwards", line(b"GET /assets/../../../etc/passwd HTTP/1.1"), VISITOR),
        ("a path of %", line(b"GET /api/auth/sessions/%00%ff%2e%2e%zz HTTP/1.1"), REFUSED),
        ("a path that is not UTF-8", line(b"GET /\xff\xfe HTTP/1.1"), REFUSED),
        ("a path of 200 KB", line(&[b"GET /", &*b"a".repeat(200_000), b" HTTP/1.1"].concat()), TOO_MUCH),
        ("a query of %", line(b"GET /login?next=%ff%fe&next=//evil.example&out=%zz HTTP/1.1"), ANY),
        ("no version", line(b"GET /healthz"), REFUSED),
        ("HTTP/1.0", line(b"GET /healthz HTTP/1.0"), FINE),
        ("HTTP/9.9", line(b"GET /healthz HTTP/9.9"), REFUSED),
        ("an upgrade to HTTP/2", with(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), FINE),
        (
            "HTTP/2 with resets",
            [
                &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
                // HEADERS and RST_STREAM, again and again.
                &b"\0\0\x01\x01\x05\0\0\0\x01\x82\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08".repeat(1_000),
            ]
            .concat(),
            NOTHING,
        ),
        ("a TLS hello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), REFUSED),
        ("nothing", Vec::new(), NOTHING),
        ("empty lines", b"\r\n".repeat(1_000), NOTHING),
        ("zeros", vec![0; 100_000], Expected::OneUnlessLost(REFUSALS)),
        ("no host", b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(), ANY),
        ("two hosts", with(b"Host: evil.example\r\n"), ANY),
        ("a host of 30 KB", with(&[b"X: y\r\nHost: ", &*b"h".repeat(30_000), b"\r\n"].concat()), ANY),
        ("a header without a colon", with(b"Cookie\r\n"), REFUSED),
        ("a space before the colon", with(b"Cookie : a=b\r\n"), REFUSED),
        ("a name of 70 KB", with(&[&*b"n".repeat(70_000), b": a\r\n"].concat()), TOO_MUCH),
        ("a thousand headers", with(&b"X-A: b\r\n".repeat(1_000)), TOO_MUCH),
        ("forwarded by everybody", with(&[b"X-Forwarded-For: ", &*b"1.2.3.4, ".repeat(3_000), b"\r\nForwarded: for=\xff\r\n"].concat()), FINE),
        ("strange fetch metadata", with(b"Sec-Fetch-Site: \xff\r\nSec-Fetch-Mode: \0x\r\nOrigin: \xfe\r\n"), REFUSED),
        ("strange wishes", with(b"Accept: text/html;q=\xff,*/*;;;\r\nRange: bytes=9-1,0-\r\nExpect: cake\r\nTE: trailers\r\n"), ANY),
        ("half a head", b"GET /healthz HTTP/1.1\r\nHost: ".to_vec(), NOTHING),
    ]
}

fn bodies(host: &str) -> Vec<Strange> {
    let post = |path: &str, headers: &str, body: &[u8]| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        [head.as_bytes(), body].concat()
    };
    let whole = |path: &str, kind: &str, body: &[u8]| {
        post(path, &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()), body)
    };
    let json = |body: &[u8]| whole("/api/auth/login", "application/json", body);
    let form = |body: &[u8]| whole("/login", "application/x-www-form-urlencoded", body);
    vec![
        ("JSON 8000 deep", json(&[&*b"[".repeat(8_000), &*b"]".repeat(8_000)].concat()), REFUSED),
        ("JSON objects 3000 deep", json(&[&*b"{\"a\":".repeat(3_000), b"1"].concat()), REFUSED),
        ("JSON that is not UTF-8", json(b"{\"username\":\"\xff\",\"password\":\"\xfe\"}"), REFUSED),
        ("a JSON number that is none", json(b"{\"username\":1e999999,\"password\":-0}"), REFUSED),
        ("JSON with a lone surrogate", json(br#"{"username":"\ud800","password":"a"}"#), REFUSED),
        ("JSON with 2000 fields", json(&[b"{\"a\":1", &*b",\"a\":1".repeat(2_000), b"}"].concat()), REFUSED),
        ("a login with a NUL", json(br#"{"username":"\u0000","password":"\u0000"}"#), REFUSED),
        ("no JSON at all", json(b"null"), REFUSED),
        ("JSON of 1 MB", json(&b" ".repeat(1_000_000)), TOO_MUCH),
        ("a form of %", form(b"username=%&password=%ff&next=%zz&remember=%00"), REFUSED),
        ("a form of 3000 fields", form(&b"username=a&".repeat(3_000)), REFUSED),
        ("a form that is not UTF-8", form(b"username=\xff&password=\xfe"), REFUSED),
        ("a form of 1 MB", form(&b"a".repeat(1_000_000)), TOO_MUCH),
        (
            "a set-up with nonsense",
            whole("/setup", "application/x-www-form-urlencoded", b"secret=%00&username=&password="),
            REFUSED,
        ),
        (
            "a reset with nonsense",
            whole("/reset", "application/x-www-form-urlencoded", b"secret=%00&password=&again=%ff"),
            REFUSED,
        ),
        ("a body with a GET", get(host, b"/healthz", b"Content-Length: 4\r\n\r\nbody"), ANY),
        ("less than announced", post("/login", "Content-Length: 100\r\n", b"user"), REFUSED),
        ("two lengths", post("/login", "Content-Length: 4\r\nContent-Length: 5\r\n", b"a=b&c"), REFUSED),
        ("a length below zero", post("/login", "Content-Length: -1\r\n", b"a=b"), REFUSED),
        (
            "a length beyond all numbers",
            post("/login", "Content-Length: 99999999999999999999\r\n", b"a=b"),
            REFUSED,
        ),
        (
            "a length and chunks",
            post("/login", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"3\r\na=b\r\n0\r\n\r\n"),
            REFUSED,
        ),
        ("a coding nobody knows", post("/login", "Transfer-Encoding: frobnicate\r\n", b"a=b"), REFUSED),
        (
            "chunked and more",
            post("/login", "Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
            REFUSED,
        ),
        (
            "a chunk beyond all numbers",
            post("/login", "Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\na"),
            REFUSED,
        ),
        ("a chunk of nonsense", post("/login", "Transfer-Encoding: chunked\r\n", b"zz\r\n"), REFUSED),
        (
            "a chunk with an extension of 100 KB",
            post(
                "/login",
                "Transfer-Encoding: chunked\r\n",
                &[b"1;", &*b"x".repeat(100_000), b"\r\na\r\n0\r\n\r\n"].concat(),
            ),
            Expected::OneUnlessLost(REFUSALS),
        ),
        (
            "trailers of 100 KB",
            post(
                "/login",
                "Transfer-Encoding: chunked\r\n",
                &[b"0\r\nX: ", &*b"x".repeat(100_000), b"\r\n\r\n"].concat(),
            ),
            Expected::OneUnlessLost(REFUSALS),
        ),
        (
            "10000 chunks of one byte",
            post(
                "/login",
                "Transfer-Encoding: chunked\r\n",
                &[&*b"1\r\na\r\n".repeat(10_000), b"0\r\n\r\n"].concat(),
            ),
            REFUSED,
        ),
        (
            "a body that is never sent",
            post("/login", "Expect: 100-continue\r\nContent-Length: 10\r\n", b""),
            Expected::These(&[100, 400]),
        ),
    ]
}

/// Draws lots, the same ones for the same seed (SplitMix64).
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn of<'a>(&mut self, parts: &[&'a [u8]]) -> &'a [u8] {
        parts[self.below(parts.len())]
    }
}

const PARTS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b": ",
    b"=",
    b"; ",
    b"%00",
    b"%ff",
    b"\xff",
    b"\xc3\xa9",
    b"..",
    b"//",
    b"\"",
    b"Cookie: session=",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Accept: text/html\r\n",
    b"Sec-Fetch-Mode: navigate\r\n",
    b"Upgrade: h2c\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /login HTTP/1.1\r\n",
    b"HEAD /",
    b"PUT /",
    b"HTTP/1.0",
    b"0\r\n\r\n",
    b"9999999999",
    b"{\"",
    b"\"}",
    b"[[[[",
    b"\\u0000",
    b"next=//evil.example",
];

/// One of `bases`, or two of them in a row, with a few changes.
pub(crate) fn mutated(bases: &[Vec<u8>], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = bases[draw.below(bases.len())].clone();
    if draw.below(4) == 0 {
        bytes.extend_from_slice(&bases[draw.below(bases.len())]);
    }
    for _ in 0..=draw.below(6) {
        let at = draw.below(bytes.len() + 1);
        let until = (at + draw.below(40)).min(bytes.len());
        match draw.below(6) {
            0 => bytes.insert(at, draw.byte()),
            1 if at < bytes.len() => bytes[at] = draw.byte(),
            2 => drop(bytes.drain(at..until)),
            3 => drop(bytes.splice(at..at, bytes[at..until].to_vec()).collect::<Vec<_>>()),
            4 => bytes.truncate(at.max(bytes.len() / 2)),
            _ => drop(bytes.splice(at..at, draw.of(PARTS).iter().copied()).collect::<Vec<_>>()),
        }
    }
    bytes
}
