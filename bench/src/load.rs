//! The load: 64 connections that are kept open, one request at a time on each.
//!
//! Must never count an answer that is not the expected one: each is a 200 of the same length, or the run fails.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::population::read_tokens;

const LONGEST_ANSWER: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(10);

/// Which sessions the requests carry.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// One after another among so many, evenly spread over all.
    Spread(usize),
    /// Each at random, over all.
    Uniform,
    /// Each session once, in an order that is not that of their logins.
    Once,
}

/// Which session the next request carries.
struct Chooser {
    choice: Choice,
    all: usize,
    done: usize,
    random: u64,
}

impl Chooser {
    fn next(&mut self) -> usize {
        let number = self.done;
        self.done += 1;
        match self.choice {
            Choice::Spread(among) => (number % among) * (self.all / among),
            Choice::Uniform => {
                // xorshift: good enough to choose, and costs nothing.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                usize::try_from(self.random % self.all as u64).unwrap_or(0)
            }
            // A step that has no divisor in common with the number of sessions meets each once.
            Choice::Once => number * coprime(self.all) % self.all,
        }
    }
}

fn coprime(all: usize) -> usize {
    let common = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (all / 3..).find(|step| common(*step, all) == 1).unwrap_or(1)
}

/// Does what the lines on standard input say: `port connections requests choice number from`.
pub(crate) fn serve(tokens: &Path) -> Result<()> {
    let tokens = read_tokens(tokens)?;
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [port, connections, requests, choice, number, from] = words.as_slice() else {
            bail!("what is {line:?}?")
        };
        let number = number.parse()?;
        let choice = match *choice {
            "spread" => Choice::Spread(number),
            "uniform" => Choice::Uniform,
            "once" => Choice::Once,
            _ => bail!("what is {line:?}?"),
        };
        let random = 0x9E37_79B9_7F4A_7C15 ^ ((number as u64 + 1) << 20);
        let chooser = Chooser { choice, all: tokens.len(), done: from.parse()?, random };
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
        let seconds = run(address, connections.parse()?, requests.parse()?, &tokens, chooser)?;
        println!("{seconds}");
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    answer: [u8; LONGEST_ANSWER],
    length: usize,
}

/// Sends the requests, and says how many seconds that took.
fn run(
    address: SocketAddr,
    connections: usize,
    requests: usize,
    tokens: &[String],
    chooser: Chooser,
) -> Result<f64> {
    ensure!(requests >= connections, "more requests than connections");
    let mut load = Load { tokens, chooser, request: Vec::new(), expected: None, asked: 0, answered: 0 };
    let mut poll = Poll::new()?;
    let mut all = Vec::new();
    for number in 0..connections {
        // Connected in the ordinary, blocking way first: setting up is not what is measured.
        let stream = std::net::TcpStream::connect(address).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        all.push(Connection { stream, answer: [0; LONGEST_ANSWER], length: 0 });
    }
    let began = Instant::now();
    for connection in &mut all {
        load.ask(connection)?;
    }
    let mut events = Events::with_capacity(connections);
    while load.answered < requests {
        poll.poll(&mut events, Some(PATIENCE))?;
        ensure!(!events.is_empty(), "no answer for {PATIENCE:?}");
        for event in &events {
            let connection = all.get_mut(event.token().0).context("one of the connections")?;
            load.receive(connection, requests)?;
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

struct Load<'a> {
    tokens: &'a [String],
    chooser: Chooser,
    request: Vec<u8>,
    expected: Option<usize>,
    asked: usize,
    answered: usize,
}

impl Load<'_> {
    fn ask(&mut self, connection: &mut Connection) -> Result<()> {
        let token = self.tokens.get(self.chooser.next()).context("one of the sessions")?;
        self.request.clear();
        write!(
            self.request,
            "GET /api/me HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __Host-session={token}\r\n\r\n"
        )?;
        let sent = connection.stream.write(&self.request).context("sending")?;
        ensure!(sent == self.request.len(), "a request fits into the empty buffer of a connection");
        self.asked += 1;
        Ok(())
    }

    fn receive(&mut self, connection: &mut Connection, requests: usize) -> Result<()> {
        loop {
            let room = connection.answer.get_mut(connection.length..).context("an answer is short")?;
            match connection.stream.read(room) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => connection.length += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("receiving"),
            }
            let answer = connection.answer.get(..connection.length).unwrap_or_default();
            let Some(length) = self.length_of(answer)? else { continue };
            ensure!(answer.len() == length, "one answer to one request");
            connection.length = 0;
            self.answered += 1;
            if self.asked < requests {
                self.ask(connection)?;
            }
            // What is there was read; the next event tells of more.
            return Ok(());
        }
    }

    /// The length of a whole answer, once it is all there.
    fn length_of(&mut self, answer: &[u8]) -> Result<Option<usize>> {
        if let Some(expected) = self.expected {
            if answer.len() < expected {
                return Ok(None);
            }
            ensure!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "not a 200: {}", answer.escape_ascii());
            return Ok(Some(expected));
        }
        let text = String::from_utf8_lossy(answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
        ensure!(head.starts_with("HTTP/1.1 200 OK\r\n"), "not a 200: {text}");
        let lower = head.to_lowercase();
        let given = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = given.context("the answer has a length")?.trim().parse()?;
        if body.len() < length {
            return Ok(None);
        }
        self.expected = Some(answer.len());
        Ok(self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_chosen_once() {
        for all in [1_000, 2_000, 9_973] {
            let mut chooser = Chooser { choice: Choice::Once, all, done: 7, random: 1 };
            let mut met = vec![false; all];
            for _ in 0..all {
                met[chooser.next()] = true;
            }
            assert!(met.iter().all(|met| *met));
        }
    }

    #[test]
    fn spread_sessions_are_those_and_no_others() {
        let mut chooser = Chooser { choice: Choice::Spread(10), all: 1_000, done: 0, random: 1 };
        let chosen: Vec<_> = (0..12).map(|_| chooser.next()).collect();
        assert_eq!(chosen, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 0, 100]);
    }
}
