//! Clients that say what they like and wait for the end.
//!
//! Must never take a silence for an end, nor half an answer for a whole one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What a client heard until the server closed.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Of every answer, in order.
    pub(crate) statuses: Vec<u16>,
}

/// What a server must never do.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
pub(crate) enum Fault {
    /// An answer with that status.
    ServerError(u16),
    /// It neither answered nor closed.
    Hang,
    /// It said something that is no HTTP.
    NoHttp(String),
}

/// Says that, closes its own side, and hears what comes until the server closes.
pub(crate) fn hostile(address: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Heard, Fault> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // A server may answer before it has read all, and wait with the rest until somebody reads that.
        scope.spawn(move || {
            // It may also refuse to read all.
            let _ = writer.write_all(bytes);
            let _ = writer.shutdown(Shutdown::Write);
        });
        hear(&mut stream)
    })
}

/// Says that, and leaves the connection open.
pub(crate) fn say(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    // A full server may have no room for it yet.
    stream.write_all(bytes).unwrap();
    stream
}

/// All that comes until the server closes.
pub(crate) fn hear(stream: &mut TcpStream) -> Result<Heard, Fault> {
    let mut heard = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => heard.extend_from_slice(&part[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Fault::Hang);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Closed with something unread, so that the rest of what it said may be lost.
            Err(_) => break,
        }
    }
    let statuses = statuses(&heard)?;
    match statuses.iter().find(|status| **status >= 500 && **status != 503) {
        Some(status) => Err(Fault::ServerError(*status)),
        None => Ok(Heard { statuses }),
    }
}

/// The status of each answer. No body of this server's has such a line in it.
fn statuses(heard: &[u8]) -> Result<Vec<u16>, Fault> {
    const LINE: &[u8] = b"HTTP/1.";
    let no_http = || Fault::NoHttp(heard.escape_ascii().take(400).map(char::from).collect());
    if !heard.is_empty() && !heard.starts_with(LINE) {
        return Err(no_http());
    }
    let starts = heard.windows(LINE.len()).enumerate().filter(|(_, window)| *window == LINE);
    let status = |start: usize| std::str::from_utf8(heard.get(start + 9..start + 12)?).ok()?.parse().ok();
    starts.map(|(start, _)| status(start).ok_or_else(no_http)).collect()
}

/// Says how it begins, then goes on for ever, a byte now and a byte then, until the server closes.
pub(crate) fn drip(
    address: SocketAddr,
    begin: &[u8],
    more: &[u8],
    patience: Duration,
) -> Result<Heard, Fault> {
    /// Between two bytes.
    const NOW_AND_THEN: Duration = Duration::from_millis(50);
    let mut stream = say(address, begin);
    stream.set_read_timeout(Some(NOW_AND_THEN)).unwrap();
    let (began, mut heard) = (Instant::now(), Vec::new());
    for byte in more.iter().cycle() {
        if began.elapsed() > patience {
            return Err(Fault::Hang);
        }
        // What the server said before it closed can be read all the same.
        let _ = stream.write_all(&[*byte]);
        let mut part = [0; 1024];
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => heard.extend_from_slice(&part[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    Ok(Heard { statuses: statuses(&heard)? })
}

/// Asks for ever and reads nothing, until the server closes: how often it said `asked`.
pub(crate) fn ask_deaf(address: SocketAddr, asked: &[u8], patience: Duration) -> Result<u64, Fault> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    let mut times = 0;
    loop {
        match stream.write_all(asked) {
            Ok(()) => times += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Fault::Hang);
            }
            Err(_) => return Ok(times),
        }
    }
}

/// What a process has grown by since.
#[derive(Debug)]
pub(crate) struct Memory {
    process: u32,
    before_kib: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Self {
        Self { process, before_kib: highest_memory_kib(process) }
    }

    /// By how many KiB at most, or that it was more than that.
    pub(crate) fn grown(&self, most_kib: u64) -> Result<u64, String> {
        let grown = highest_memory_kib(self.process) - self.before_kib;
        if grown < most_kib {
            Ok(grown)
        } else {
            Err(format!("memory grew by {grown} KiB, not less than {most_kib}"))
        }
    }
}

/// The most memory that a process ever had, in KiB.
fn highest_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
