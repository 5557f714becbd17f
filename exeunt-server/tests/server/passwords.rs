//! Checking passwords is what a server does dearest: many logins at once must not take it down.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::attack::highest_memory_kib;
use crate::common::Kept;
use crate::support::{Answer, PASSWORD, Place, Server};

/// More at once than are let in with one thread: 1 at work, 64 waiting.
const AT_ONCE: usize = 200;
const LET_IN: usize = 65;
const ONE_THREAD: [&str; 4] = ["--passwords-at-once", "1", "--trusted-proxies", "127.0.0.1"];

/// So many wrong logins at the same moment, each at another name and from another address.
fn flood(server: &Server, round: usize) -> Vec<Answer> {
    let barrier = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        let one = |number: usize| {
            let body = format!(r#"{{"username":"name {round} {number}","password":"wrong"}}"#);
            let address = format!("2001:db8:{round:x}:{number:x}::1");
            barrier.wait();
            let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address.as_str())];
            server.send("POST", "/api/auth/login", &headers, &body)
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
    let before = highest_memory_kib(server.id());
    let answers = flood(&server, 0);
    let grown = highest_memory_kib(server.id()) - before;
    let checked = answers.iter().filter(|answer| answer.status == 401).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 401).collect();
    println!("{checked} of {AT_ONCE} logins at once were checked; memory grew by {grown} KiB");
    // Whoever comes a little later finds room again: at least as many as fit, and never all.
    assert!((LET_IN..AT_ONCE).contains(&checked), "{checked}");
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{answer:?}");
    }
    // 200 hashes would take 3.8 GB. One takes 19 MiB, which the allocator may keep a few times over; the rest are connections.
    assert!(grown < 96 * 1024, "{grown} KiB");
    assert_eq!(server.me(&token), 200);
    // What had no room was not held against anybody, nor is it now.
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
    // A figure in CI, where the machine is shared; an assertion in the soak.
    let hunt = services::rounds(0, 1) == 1;
    let long = if hunt { Duration::from_secs(20) } else { Duration::from_secs(1) };
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    let token = server.login();
    let began = Instant::now();
    let (many, idle) = p99(&server, &token, || began.elapsed() < long);
    let (stop, floods) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    let (many_more, busy) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                flood(&server, floods.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
            }
        });
        let began = Instant::now();
        let measured = p99(&server, &token, || began.elapsed() < long);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        measured
    });
    println!(
        "p99 of a live session: idle {idle:.0} us ({many} requests), with {AT_ONCE} logins at once {busy:.0} us \
         ({many_more} requests, {floods:?} times {AT_ONCE} logins): {:.2} times",
        busy / idle
    );
    assert!(many_more > 0, "live sessions are served");
    assert!(!hunt || busy <= 2.0 * idle, "{busy:.0} us is more than twice {idle:.0} us");
}
