//! Hostile clients against the built program: what nobody should send, more of it than fits, and slower than anybody waits.
//!
//! Whatever comes: no answer is a 5xx but 503, every connection ends by itself, memory stays bounded, and nobody else's
//! session suffers.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod clients;
mod requests;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

pub(crate) use self::clients::Memory;
use self::clients::{Fault, Heard, ask_deaf, drip, hear, hostile, say};
use self::requests::{Draw, base, mutated};
use crate::common::Kept;
use crate::support::{Answer, Place, Server};

/// Longer than every limit of the server.
const PATIENCE: Duration = Duration::from_secs(60);
/// What all attacks together may add to the memory at rest, in KiB: buffers of connections, and for each core the 19 MiB of
/// a password's hash, which the allocator keeps a few times over.
fn most_memory_kib() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (32 + 80 * u64::try_from(cores).unwrap()) * 1024
}

/// What some clients send a byte at a time: a name, how it begins, and how it goes on for ever.
const DRIPS: [(&str, &[u8], &[u8]); 4] = [
    ("a head", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
    ("headers", b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
    ("a body", b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"x"),
    ("chunks", b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
];

fn send(server: &Server, request: &[u8]) -> Result<Heard, Fault> {
    hostile(server.address, request, PATIENCE)
}

#[test] // R40, R13
fn no_request_however_strange_brings_a_server_error_or_a_hang() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let (victim, own) = (server.login(), server.login());
    let memory = Memory::of(server.id());
    let all = base(&server.address.to_string(), &own);
    for (name, request, expected) in &all {
        let heard = send(&server, request).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!(expected.fits(&heard.statuses), "{name}: {heard:?}, not {expected:?}");
        assert_eq!(server.me(&victim), 200, "{name}");
    }
    let grown = memory.grown(most_memory_kib()).unwrap();
    println!("{} strange requests; memory grew by {grown} KiB", all.len());
    assert_eq!(server.stop().0.code(), Some(0));
    assert!(!place.log().contains("panic"), "no handler panicked");
}

#[test] // R40
fn no_mutation_of_a_request_brings_a_server_error_or_a_hang() {
    let rounds = services::rounds(1_500, 300_000);
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let (victim, own) = (server.login(), server.login());
    let memory = Memory::of(server.id());
    let bases: Vec<_> = base(&server.address.to_string(), &own)
        .into_iter()
        .map(|(_, request, _)| request)
        .filter(|request| request.len() < 8_192)
        .collect();
    let (next, heard) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= rounds {
                        return;
                    }
                    let request = mutated(&bases, &mut Draw::new(seed.into()));
                    match send(&server, &request) {
                        Ok(said) if !said.statuses.is_empty() => heard.fetch_add(1, Ordering::Relaxed),
                        Ok(_) => 0,
                        Err(fault) => panic!("seed {seed}: {fault:?} to {}", request.escape_ascii()),
                    };
                }
            });
        }
    });
    assert_eq!(server.me(&victim), 200);
    let grown = memory.grown(most_memory_kib()).unwrap();
    let heard = heard.into_inner();
    println!("{rounds} mutated requests, {heard} of them answered; memory grew by {grown} KiB");
    assert!(heard > rounds / 2, "most were answered");
    assert_eq!(server.stop().0.code(), Some(0));
    assert!(!place.log().contains("panic"), "no handler panicked");
}

#[test] // R40
fn slow_and_silent_clients_are_let_go_and_hold_nobody_up() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--max-connections", "400"]);
    let token = server.login();
    let memory = Memory::of(server.id());
    // Each stops in another place, and none closes.
    let stops: [&[u8]; 7] = [
        b"",
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nCookie: session=",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nuser",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nuser",
        b"POST /login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    ];
    let mut slow: Vec<TcpStream> =
        (0..350).map(|number| say(server.address, stops[number % stops.len()])).collect();
    let page = b"GET /assets/style.css HTTP/1.1\r\nHost: a\r\n\r\n";
    let began = Instant::now();
    let asked = std::thread::scope(|scope| {
        // Those who send something all the time, a byte each: a limit for each read would never let them go.
        let drips = DRIPS
            .map(|(name, begin, more)| (name, scope.spawn(|| drip(server.address, begin, more, PATIENCE))));
        let deaf = scope.spawn(|| ask_deaf(server.address, page, PATIENCE));
        // Meanwhile others are served.
        for _ in 0..50 {
            assert_eq!(server.me(&token), 200);
        }
        let asked = deaf.join().unwrap().unwrap_or_else(|fault| panic!("who reads nothing: {fault:?}"));
        for (name, dripping) in drips {
            let heard = dripping.join().unwrap().unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            assert!([[].as_slice(), &[408]].contains(&heard.statuses.as_slice()), "{name}: {heard:?}");
        }
        asked
    });
    for (number, stream) in slow.iter_mut().enumerate() {
        let heard = hear(stream).unwrap_or_else(|fault| panic!("{number}: {fault:?}"));
        assert!(heard.statuses.iter().all(|status| [100, 200, 408].contains(status)), "{number}: {heard:?}");
    }
    let grown = memory.grown(most_memory_kib()).unwrap();
    println!(
        "350 slow clients and one that read none of {asked} answers: all let go after {:.1} s; memory grew by {grown} KiB",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(server.me(&token), 200);
}

#[test] // R40
fn more_connections_than_may_be_wait_and_take_no_memory() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--max-connections", "16"]);
    let memory = Memory::of(server.id());
    let mut silent: Vec<_> = (0..100).map(|_| say(server.address, b"")).collect();
    let mut waiting = say(server.address, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    wait_for_log(&place, "connections_full");
    assert!(open_sockets(server.id()) <= 16 + 8, "{}", open_sockets(server.id()));
    // One of those inside leaves, then all others give up: whoever waits is served.
    silent.drain(..);
    assert_eq!(hear(&mut waiting).unwrap().statuses, [200]);
    let grown = memory.grown(most_memory_kib() / 8).unwrap();
    println!("100 connections, 16 at a time: memory grew by {grown} KiB");
}

#[test] // R40
fn without_descriptors_whoever_is_inside_is_served_and_the_server_recovers_by_itself() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let (one, two) = (server.login(), server.login());
    let mut inside = server.connect();
    let mut ask = |method: &str, path: &str, token: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: {token}\r\n\r\n", server.address);
        inside.write_all(head.as_bytes()).unwrap();
        Answer::read(&mut inside)
    };
    assert_eq!(ask("GET", "/api/me", &one).status, 200);
    let pid = rustix::process::Pid::from_raw(server.id().try_into().unwrap());
    let limit = |current| {
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(current), maximum: Some(4_096) }).unwrap()
    };
    let open = |number: &u64| std::fs::symlink_metadata(format!("/proc/{}/fd/{number}", server.id())).is_ok();
    // The lowest number that is free is the next one to be given.
    limit((0..).find(|number| !open(number)).unwrap());
    let mut outside = say(server.address, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    wait_for_log(&place, "accept_failed");
    assert_eq!(ask("DELETE", "/api/auth/logout", &one).body, "Logout successful");
    assert!(ask("GET", "/api/me", &one).is_401());
    limit(4_096);
    assert_eq!(hear(&mut outside).unwrap().statuses, [200], "no restart is needed");
    assert!(server.call("GET", "/api/me", &one).is_401());
    assert_eq!(server.me(&two), 200);
    assert_eq!(place.log().matches("accept_failed").count(), 1, "the log is told once");
}

#[test]
fn pipelined_requests_are_answered_each_and_in_order() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let (mine, other) = (server.login(), server.login());
    let ask = |method: &str, path: &str, token: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: {token}\r\n\r\n", server.address)
    };
    // R01: what is sent behind a logout, before it is answered, comes after it.
    let all = [
        ask("GET", "/api/me", &mine),
        ask("DELETE", "/api/auth/logout", &mine),
        ask("GET", "/api/me", &mine),
        ask("GET", "/api/me", &other),
        ask("GET", "/healthz", "").repeat(500),
        ask("DELETE", "/api/auth/logout", &mine),
    ];
    let heard = send(&server, all.concat().as_bytes()).unwrap();
    assert_eq!(heard.statuses[..4], [200, 200, 401, 200]);
    assert_eq!((heard.statuses.len(), heard.statuses[4..].iter().all(|status| *status == 200)), (505, true));
    // What is no request ends the connection, and nothing behind it is looked at.
    let after_nonsense =
        [ask("GET", "/healthz", ""), "\0\0\r\n\r\n".to_owned(), ask("DELETE", "/api/auth/logout", &other)];
    let heard = send(&server, after_nonsense.concat().as_bytes()).unwrap();
    assert_eq!(heard.statuses, [200, 400]);
    assert_eq!(server.me(&other), 200);
}

fn wait_for_log(place: &Place, word: &str) {
    let since = Instant::now();
    while !place.log().contains(word) {
        assert!(since.elapsed() < PATIENCE, "the log never said {word}: {}", place.log());
        std::thread::yield_now();
    }
}

fn open_sockets(process: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// A server of this test's own with one fault.
fn faulty(answer: impl Fn(&str) -> Option<&'static str> + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_until(b'\n', &mut head).is_ok_and(|read| read > 2) {}
            match answer(&String::from_utf8_lossy(&head)) {
                Some(answer) => {
                    let _ = stream.write_all(answer.as_bytes());
                    let _ = stream.shutdown(Shutdown::Both);
                }
                None => open.push(stream),
            }
        }
    });
    address
}

#[test]
fn the_attack_notices_a_server_that_fails_hangs_or_babbles() {
    let all = base("127.0.0.1", "session=none");
    let utf8 = all.iter().find(|(name, ..)| *name == "a cookie that is not UTF-8").unwrap();
    let found = |address: SocketAddr, patience| hostile(address, &utf8.1, patience).unwrap_err();
    let fails = faulty(|_| Some("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"));
    assert!(matches!(found(fails, PATIENCE), Fault::ServerError(500)));
    let babbles = faulty(|_| Some("thread 'main' panicked at"));
    assert!(matches!(found(babbles, PATIENCE), Fault::NoHttp(_)));
    let hangs = faulty(|_| None);
    assert!(matches!(found(hangs, Duration::from_millis(50)), Fault::Hang));
    for (name, begin, more) in DRIPS {
        let dripped = drip(hangs, begin, more, Duration::from_millis(200));
        assert!(matches!(dripped, Err(Fault::Hang)), "{name}: {dripped:?}");
    }
    let deaf = ask_deaf(hangs, b"GET / HTTP/1.1\r\n\r\n", Duration::from_millis(200));
    assert!(matches!(deaf, Err(Fault::Hang)), "{deaf:?}");
    let mute = faulty(|_| Some(""));
    let twice = faulty(|_| {
        Some(
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        )
    });
    let taken = faulty(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    for address in [mute, twice, taken] {
        let heard = hostile(address, &utf8.1, PATIENCE).unwrap();
        assert!(!utf8.2.fits(&heard.statuses), "{heard:?}");
    }
    let fine = faulty(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(hostile(fine, b"GET / HTTP/1.1\r\n\r\n", PATIENCE).unwrap().statuses, [200]);
}

#[test]
fn the_attack_notices_memory_that_grows_with_what_is_sent() {
    // What other tests have had at most before this one begins is forgotten.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let memory = Memory::of(std::process::id());
    let mut kept = vec![0_u8; 320 * 1024 * 1024];
    kept.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let said = memory.grown(128 * 1024).unwrap_err();
    println!("{said}");
    assert_eq!(kept.len() % 4096, 0);
}
