//! A client that sends one request on a connection of its own and tells what came back, or that nothing did.
//!
//! Must never follow, retry or wait for longer than it was told to.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Its type, and the body itself.
    pub(crate) body: Option<(&'a str, &'a str)>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An answer.
    Answer(Answer),
    /// Nothing in time.
    Nothing,
    /// The connection failed, or ended without an answer.
    Closed,
}

/// An answer, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The cookies that it sets, as a browser sends them; one that is removed is none.
    pub(crate) cookie: Option<String>,
}

impl Heard {
    /// Its status, if it is an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status),
            Self::Nothing | Self::Closed => None,
        }
    }

    /// The cookies that it sets.
    pub(crate) fn cookie(&self) -> Option<&str> {
        match self {
            Self::Answer(answer) => answer.cookie.as_deref(),
            Self::Nothing | Self::Closed => None,
        }
    }

    /// In a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Answer(answer) => answer.status.to_string(),
            Self::Nothing => "no answer".to_owned(),
            Self::Closed => "connection closed".to_owned(),
        }
    }
}

/// Asks once, and waits at most so long.
pub(crate) fn ask(
    address: SocketAddr,
    request: Request<'_>,
    cookie: Option<&str>,
    within: Duration,
) -> Heard {
    let Request { method, path, body } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if let Some(cookie) = cookie {
        text += &format!("Cookie: {cookie}\r\n");
    }
    if let Some((kind, body)) = body {
        text += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    } else {
        let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
        text += &format!("{length}\r\n");
    }
    exchange(address, &text, within).unwrap_or_else(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Heard::Nothing,
        _ => Heard::Closed,
    })
}

fn exchange(address: SocketAddr, text: &str, within: Duration) -> std::io::Result<Heard> {
    let deadline = Instant::now() + within;
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_nodelay(true)?;
    stream.write_all(text.as_bytes())?;
    let (mut answer, mut room) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Heard::Nothing);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut room)? {
            0 => return Ok(parse(&String::from_utf8_lossy(&answer)).map_or(Heard::Closed, Heard::Answer)),
            read => answer.extend_from_slice(room.get(..read).unwrap_or_default()),
        }
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut cookies = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("set-cookie") {
            let pair = value.split(';').next().unwrap_or_default();
            let removed = pair.ends_with('=') || value.to_ascii_lowercase().contains("max-age=0");
            cookies.extend((!removed).then_some(pair));
        }
    }
    Some(Answer { status, cookie: (!cookies.is_empty()).then(|| cookies.join("; ")) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn cookies_are_sent_back_as_they_were_set_and_one_that_is_removed_is_none() {
        let with = |line: &str| parse(&format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\nbody")).unwrap();
        assert_eq!(with("Set-Cookie: id=abc; Path=/").cookie.as_deref(), Some("id=abc"));
        assert_eq!(with("set-cookie: id=; Max-Age=0").cookie, None);
        assert_eq!(with("set-cookie: id=gone; Path=/; Max-Age=0").cookie, None);
        let two = "Set-Cookie: id=abc\r\nSet-Cookie: gone=; Max-Age=0\r\nSet-Cookie: client=def; Path=/";
        assert_eq!(with(two).cookie.as_deref(), Some("id=abc; client=def"));
        assert_eq!(with("X-Other: id=abc"), Answer { status: 200, cookie: None });
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn silence_and_an_end_without_an_answer_are_two_things() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let request = Request { method: "GET", path: "/", body: None };
        assert_eq!(ask(address, request, None, Duration::from_millis(50)), Heard::Nothing);
        let closing = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 512]);
            }
        });
        assert_eq!(ask(address, request, None, Duration::from_secs(60)), Heard::Closed);
        closing.join().unwrap();
        assert_eq!(ask(address, request, None, Duration::from_secs(60)), Heard::Closed);
    }
}
