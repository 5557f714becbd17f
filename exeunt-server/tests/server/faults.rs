//! A machine that fails under the built program: a full disk, a file that cannot be written, a clock that jumps.
//!
//! Whatever fails: nothing is acknowledged that is not so, the log says what to do, and no restart is needed where the
//! system allows that.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::common::Kept;
use crate::support::{PASSWORD, Place, Server};

/// In front of libc: writes into the database fail with the error whose number is in the file `writes`, those into the
/// mark beside it with that in `mark`, those into the log with that in `log`, and the time of day is as many seconds
/// ahead as the file `clock` says.
const MACHINE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long said(const char *what) {
    char path[4096], text[32] = {0};
    const char *folder = getenv("TEST_MACHINE");
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, what);
    int before = errno, file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) { if (read(file, text, sizeof text - 1) < 0) text[0] = 0; close(file); }
    errno = before;
    return atol(text);
}
static int is_mark(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 5 && memcmp(path + length - 5, "-mark", 5) == 0;
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    long error = said("writes");
    if (error) { errno = error; return -1; }
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }
ssize_t write(int fd, const void *bytes, size_t count) {
    long error = fd == 2 ? said("log") : is_mark(fd) ? said("mark") : 0;
    if (error) { errno = error; return -1; }
    return syscall(SYS_write, fd, bytes, count);
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    int answer = syscall(SYS_clock_gettime, clock, time);
    if (answer == 0 && clock == CLOCK_REALTIME) time->tv_sec += said("clock");
    return answer;
}
"#;

const NO_SPACE: &str = "28";
const READ_ONLY: &str = "30";

/// A machine whose faults a test chooses.
struct Machine {
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("machine.c"), folder.path().join("machine.so"));
        fs::write(&source, MACHINE).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(compiler.status().expect("this test needs a C compiler, `cc`").success());
        Self { folder, library }
    }

    fn serve(&self, place: &Place) -> Server {
        let folder = self.folder.path().to_str().unwrap();
        let library = self.library.to_str().unwrap();
        place.serve_in(&[("LD_PRELOAD", library), ("TEST_MACHINE", folder)], &[])
    }

    /// In one step: whoever looks sees the old or the new.
    fn set(&self, what: &str, value: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, value).unwrap();
        fs::rename(new, self.folder.path().join(what)).unwrap();
    }
}

/// Nobody hears that they are logged out or in.
fn no_logout_and_no_login_is_acknowledged(server: &Server, token: &str) {
    let logout = server.call("DELETE", "/api/auth/logout", token);
    assert_eq!((logout.status, logout.body.as_str()), (400, "Unable to log out"));
    assert_eq!(logout.header("set-cookie"), None);
    let login = server.try_login("alice", PASSWORD);
    assert_eq!((login.status, login.header("set-cookie")), (503, None), "{login:?}");
}

/// Nobody hears that something was done while nothing can be written.
fn nothing_is_acknowledged(server: &Server, token: &str) {
    no_logout_and_no_login_is_acknowledged(server, token);
    let all = server.call("DELETE", "/api/auth/sessions", token);
    assert_eq!(all.status, 503, "{all:?}");
    assert_eq!(server.send("GET", "/readyz", &[], "").status, 503);
    assert_eq!(server.me(token), 200, "it can still be read, and lives");
    assert_eq!(server.send("GET", "/healthz", &[], "").status, 200);
}

#[test] // R02, R11
fn a_full_disk_acknowledges_no_logout_and_no_login_and_needs_no_restart() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    let (one, two) = (server.login(), server.login());
    for _ in 0..3 {
        machine.set("writes", NO_SPACE);
        nothing_is_acknowledged(&server, &one);
        machine.set("writes", "0");
        assert_eq!(server.try_login("alice", PASSWORD).status, 200);
    }
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).body, "Logout successful");
    assert_eq!((server.me(&one), server.me(&two)), (401, 200));
    server.kill();
    assert!(place.log().contains("the disk is full: make room, no restart is needed"), "{}", place.log());
    let server = place.serve();
    assert_eq!((server.me(&one), server.me(&two)), (401, 200));
}

#[test]
#[should_panic(expected = r#"(200, "Logout successful")"#)]
fn a_disk_with_room_is_told_from_a_full_one() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    nothing_is_acknowledged(&server, &server.login());
}

#[test] // R02, R04
fn a_mark_that_cannot_be_written_acknowledges_nothing_and_needs_no_restart() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    let (one, two) = (server.login(), server.login());
    machine.set("mark", NO_SPACE);
    no_logout_and_no_login_is_acknowledged(&server, &one);
    assert!(place.log().contains("the mark beside the database could not be written"), "{}", place.log());
    machine.set("mark", "0");
    // It was done, only nobody could be told so.
    assert!(server.call("GET", "/api/me", &one).is_401());
    assert_eq!(server.call("DELETE", "/api/auth/logout", &two).body, "Logout successful");
    let three = server.login();
    server.kill();
    let server = place.serve();
    assert_eq!((server.me(&one), server.me(&two), server.me(&three)), (401, 401, 200));
}

#[test]
fn a_log_that_cannot_be_written_keeps_nobody_out() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    machine.set("log", NO_SPACE);
    let one = server.login();
    assert_eq!(server.me(&one), 200);
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).body, "Logout successful");
    assert!(server.call("GET", "/api/me", &one).is_401());
    machine.set("log", "0");
    let lines = place.log().lines().count();
    assert_eq!(server.me(&one), 401);
    assert!(place.log().lines().count() > lines, "and goes on by itself");
}

#[test] // R02, R11
fn a_file_that_cannot_be_written_any_more_acknowledges_nothing_and_says_what_to_do() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    let (one, two) = (server.login(), server.login());
    assert_eq!(server.call("DELETE", "/api/auth/logout", &two).body, "Logout successful");
    machine.set("writes", READ_ONLY);
    nothing_is_acknowledged(&server, &one);
    assert!(place.log().contains("the disk failed: check it, then restart"), "{}", place.log());
    server.kill();
    machine.set("writes", "0");
    let server = machine.serve(&place);
    assert_eq!((server.me(&one), server.me(&two)), (200, 401));
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).body, "Logout successful");
}

#[test] // R02, R11
fn a_file_that_may_not_grow_ends_no_server() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let (one, two) = (server.login(), server.login());
    // As `ulimit -f` does, whose signal ends a process that does not expect it.
    let limit = |most| {
        let pid = rustix::process::Pid::from_raw(server.id().try_into().unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: most, maximum: None }).unwrap();
    };
    limit(Some(0));
    nothing_is_acknowledged(&server, &one);
    limit(None);
    assert_eq!(server.me(&two), 200);
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    let server = place.serve();
    assert_eq!(server.call("DELETE", "/api/auth/logout", &one).body, "Logout successful");
    assert_eq!((server.me(&one), server.me(&two)), (401, 200));
}

#[test] // R14, R15
fn a_clock_that_jumps_ahead_ends_sessions_early_and_says_so_and_back_it_revives_none() {
    let machine = Machine::new();
    let place = Place::with_alice(Kept::OneFile);
    let server = machine.serve(&place);
    let (one, two) = (server.login(), server.login());
    assert_eq!((server.me(&one), server.me(&two)), (200, 200));
    machine.set("clock", "3600");
    assert!(server.call("GET", "/api/me", &one).is_401(), "idle for an hour, as far as anybody can tell");
    let since = Instant::now();
    while !place.log().contains("clock_jumped") {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", place.log());
        std::thread::yield_now();
    }
    machine.set("clock", "0");
    for token in [&one, &two] {
        assert!(server.call("GET", "/api/me", token).is_401(), "nothing comes back to life");
        assert_eq!(server.call("DELETE", "/api/auth/logout", token).body, "");
    }
    // Nor is anybody kept out.
    let three = server.login();
    assert_eq!(server.me(&three), 200);
    assert_eq!(server.call("DELETE", "/api/auth/logout", &three).body, "Logout successful");
    assert!(server.call("GET", "/api/me", &three).is_401());
}
