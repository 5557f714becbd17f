//! Checking passwords is what a server does dearest: many logins at once must not take it down.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::attack::Memory;
use crate::common::Kept;
use crate::metrics;
use crate::support::{Answer, PASSWORD, Place, Server};

/// More at once than are let in with one thread: 1 at work, 64 waiting.
const AT_ONCE: usize = 200;
const LET_IN: usize = 65;
const ONE_THREAD: [&str; 6] =
    ["--passwords-at-once", "1", "--trusted-proxies", "127.0.0.1", "--metrics", "127.0.0.1:0"];

/// So many wrong logins at the same moment, each at another name and from another address. `checked` counts those whose
/// password was.
fn flood(server: &Server, round: usize, checked: &AtomicUsize) -> Vec<Answer> {
    let barrier = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        let one = |number: usize| {
            let body = format!(r#"{{"username":"name {round} {number}","password":"wrong"}}"#);
            let address = format!("2001:db8:{round:x}:{number:x}::1");
            barrier.wait();
            let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address.as_str())];
            let answer = server.send("POST", "/api/auth/login", &headers, &body);
            checked.fetch_add(usize::from(answer.status == 401), Ordering::Relaxed);
            answer
        };
        let asking: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(move || one(number))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    })
}

#[test] // R34, R40
fn two_hundred_logins_at_once_take_bounded_memory_and_what_is_too_much_is_told_to_come_back() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&ONE_THREAD);
    let token = server.login();
    // One at work, whatever cores there are: so many may wait for each.
    let room = metrics::value(&metrics::scrape(&server), "exeunt_queue_room{queue=\"passwords\"}");
    assert_eq!(room, LET_IN as f64 - 1.0);
    let memory = Memory::of(server.id());
    let checked = AtomicUsize::new(0);
    let answers = flood(&server, 0, &checked);
    // 200 hashes would take 3.8 GB. One takes 19 MiB, which the allocator may keep a few times over; the rest are connections.
    let grown = memory.grown(96 * 1024).unwrap();
    let checked = checked.into_inner();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 401).collect();
    println!("{checked} of {AT_ONCE} logins at once were checked; memory grew by {grown} KiB");
    // Whoever comes a little later finds room again: at least as many as fit, and never all.
    assert!((LET_IN..AT_ONCE).contains(&checked), "{checked}");
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    }
    assert_eq!(server.me(&token), 200);
    // What had no room is not held against anybody, neither at the name nor at the address; what was checked is, at both.
    let counted = "SELECT count(*) FROM throttle WHERE level > 0 AND kind = ?1";
    for kind in [1, 3] {
        let counted: i64 = place.connection().query_row(counted, [kind], |row| row.get(0)).unwrap();
        assert_eq!(counted, i64::try_from(checked).unwrap(), "kind {kind}");
    }
    assert_eq!(server.try_login("alice", PASSWORD).status, 200);
}

/// How long requests of a live session take while `until` is not over: the 99th percentile, in microseconds.
fn p99(server: &Server, token: &str, mut goes_on: impl FnMut() -> bool) -> (usize, f64) {
    let mut took = Vec::new();
    while goes_on() {
        let began = Instant::now();
        assert_eq!(server.me(token), 200);
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    (took.len(), took.get(took.len() * 99 / 100).copied().unwrap_or(f64::MAX))
}

#[test] // R34
fn logins_leave_live_sessions_their_time() {
    // In CI, where the machine is shared, that they are not queued behind logins; in the soak, how long they take.
    let hunt = services::rounds(0, 1) == 1;
    let long = if hunt { Duration::from_secs(20) } else { Duration::from_secs(1) };
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    let token = server.login();
    let began = Instant::now();
    let (many, idle) = p99(&server, &token, || began.elapsed() < long);
    let (stop, floods, checked) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (many_more, busy, checked) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                flood(&server, floods.fetch_add(1, Ordering::Relaxed) + 1, &checked);
            }
        });
        // Once the first password was checked the others wait.
        while checked.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let (began, before) = (Instant::now(), checked.load(Ordering::Relaxed));
        let (many_more, busy) = p99(&server, &token, || began.elapsed() < long);
        let checked = checked.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        (many_more, busy, checked)
    });
    println!(
        "p99 of a live session: idle {idle:.0} us ({many} requests), with {AT_ONCE} logins at once {busy:.0} us \
         ({many_more} requests while {checked} passwords were checked, {floods:?} floods): {:.2} times",
        busy / idle
    );
    // One request after the other: who waited behind a password would be answered once for each that is at work.
    assert!(many_more > 2 * checked, "{many_more} requests while {checked} passwords were checked");
    assert!(!hunt || busy <= 2.0 * idle, "{busy:.0} us is more than twice {idle:.0} us");
}
