//! An engine that is silent, ends, or loses its connections, under real servers.
//!
//! Whatever happens to it: each request is answered within 3 s, nobody hears "401" or "logged out" because of it, and
//! every session lives on afterwards.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use services::{Cluster, Postgres, Redis, Sentinel};

use crate::support::{Answer, PASSWORD, Place, Server};

const AT_MOST: Duration = Duration::from_secs(3);
/// From the moment on when an engine is back.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// What may happen to an engine.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Paused,
    Killed,
}

const BOTH: [Outage; 2] = [Outage::Paused, Outage::Killed];

/// An engine of the test's own, since others would not like what happens to it.
trait Engine {
    fn begin(&mut self, outage: Outage);
    fn end(&mut self, outage: Outage);
    fn cut(&self);
}

impl Engine for Redis {
    fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::Paused => self.pause(),
            Outage::Killed => self.kill(),
        }
    }

    fn end(&mut self, outage: Outage) {
        match outage {
            Outage::Paused => self.go_on(),
            Outage::Killed => self.restart().unwrap(),
        }
    }

    fn cut(&self) {
        self.cut_connections().unwrap();
    }
}

impl Engine for Postgres {
    fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::Paused => self.pause().unwrap(),
            Outage::Killed => self.kill(),
        }
    }

    fn end(&mut self, outage: Outage) {
        match outage {
            Outage::Paused => self.go_on().unwrap(),
            Outage::Killed => self.restart().unwrap(),
        }
    }

    fn cut(&self) {
        self.cut_connections().unwrap();
    }
}

/// Asks, and is answered in time.
#[track_caller]
fn in_time(ask: impl FnOnce() -> Answer) -> Answer {
    let asked = Instant::now();
    let answer = ask();
    let took = asked.elapsed();
    assert!(took < AT_MOST, "{took:?}: {answer:?}");
    answer
}

#[track_caller]
fn is_503(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some() && answer.header("set-cookie").is_none(), "{answer:?}");
}

/// While the sessions' engine does not answer.
fn nobody_is_told_what_is_not_known(server: &Server, token: &str) {
    for path in ["/api/me", "/", "/nothing", "/api/auth/sessions"] {
        is_503(&in_time(|| server.call("GET", path, token)));
    }
    is_503(&in_time(|| server.browse("/login", Some(token))));
    is_503(&in_time(|| server.try_login("alice", PASSWORD)));
    is_503(&in_time(|| server.send("GET", "/readyz", &[], "")));
    // R02
    let logout = in_time(|| server.call("DELETE", "/api/auth/logout", token));
    assert_eq!((logout.status, logout.body.as_str()), (400, "Unable to log out"));
    assert!(logout.header("set-cookie").is_none());
    let page = in_time(|| server.submit("/logout", Some(token), &[]));
    assert!(page.status == 400 && page.body.contains("You are not logged out"), "{page:?}");
    // What asks no engine is as ever.
    assert_eq!(in_time(|| server.send("GET", "/healthz", &[], "")).status, 200);
    assert!(in_time(|| server.send("GET", "/api/me", &[], "")).is_401());
}

/// How long a failover may take: the engines' own affair.
const FAILED_OVER_WITHIN: Duration = Duration::from_secs(60);

/// Waits until a server answers for its sessions again; until then it may say 503, and nothing else.
fn wait_until_back(server: &Server, token: &str) {
    wait_until_back_within(BACK_WITHIN, server, token);
}

fn wait_until_back_within(within: Duration, server: &Server, token: &str) {
    let since = Instant::now();
    loop {
        let answer = in_time(|| server.call("GET", "/api/me", token));
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(since.elapsed() < within, "{answer:?}");
    }
}

/// R11, R02, R04
fn the_sessions_engine_is_silent(place: &Place, engine: &mut impl Engine) {
    let server = place.serve();
    // Two that were in use and one that nobody asked for yet.
    let (one, two, three) = (server.login(), server.login(), server.login());
    assert_eq!((server.me(&one), server.me(&two)), (200, 200));
    for outage in BOTH {
        engine.begin(outage);
        nobody_is_told_what_is_not_known(&server, &one);
        engine.end(outage);
        wait_until_back(&server, &one);
        for token in [&one, &two, &three] {
            assert_eq!(server.me(token), 200, "{outage:?}: it lives on");
        }
        assert_eq!(server.try_login("alice", PASSWORD).status, 200, "{outage:?}");
    }
    for _ in 0..20 {
        engine.cut();
        let answer = in_time(|| server.call("GET", "/api/me", &two));
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        wait_until_back(&server, &two);
    }
    engine.cut();
    let logout = in_time(|| server.call("DELETE", "/api/auth/logout", &two));
    let said = (logout.status, logout.body.as_str());
    assert!([(200, "Logout successful"), (400, "Unable to log out")].contains(&said), "{logout:?}");
    wait_until_back(&server, &one);
    // Whatever it was: once it says so, it is over, and stays so.
    assert_eq!(server.call("DELETE", "/api/auth/logout", &two).status, 200);
    assert!(server.call("GET", "/api/me", &two).is_401());
    engine.begin(Outage::Killed);
    engine.end(Outage::Killed);
    wait_until_back(&server, &one);
    assert!(server.call("GET", "/api/me", &two).is_401(), "R04: not after a crash, either");
    assert_eq!((server.me(&one), server.me(&three)), (200, 200));
    let (status, _) = server.stop();
    assert!(status.success());
}

#[test]
fn while_redis_is_silent_nobody_is_told_that_they_are_logged_out() {
    // R02, R11
    let mut redis = Redis::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.db");
    let place = Place::with_alice_on(&redis.url(), file.to_str());
    the_sessions_engine_is_silent(&place, &mut redis);
}

#[test]
fn while_postgres_is_silent_nobody_is_told_that_they_are_logged_out() {
    // R02, R11
    let mut postgres = Postgres::start(&[]).unwrap();
    let place = Place::with_alice_on(&postgres.new_database().unwrap(), None);
    the_sessions_engine_is_silent(&place, &mut postgres);
}

/// Of the session of that token.
fn id(server: &Server, token: &str) -> String {
    let list: serde_json::Value =
        serde_json::from_str(&server.call("GET", "/api/auth/sessions", token).body).unwrap();
    let this = list.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    this["id"].as_str().unwrap().to_owned()
}

#[test]
fn while_the_accounts_are_silent_nobody_logs_in_and_sessions_live_on() {
    let redis = Redis::start(&[]).unwrap();
    let mut postgres = Postgres::start(&[]).unwrap();
    let place = Place::with_alice_on(&redis.url(), Some(&postgres.new_database().unwrap()));
    let server = place.serve();
    let (one, two) = (server.login(), server.login());
    for outage in BOTH {
        let (three, four) = (server.login(), server.login());
        let id_of_four = id(&server, &four);
        postgres.begin(outage);
        is_503(&in_time(|| server.try_login("alice", PASSWORD)));
        is_503(&in_time(|| server.try_login("nobody", PASSWORD)));
        // What happened is told by the accounts' database; the sessions are there without it, and can be ended.
        let page = in_time(|| server.browse("/sessions", Some(&three)));
        assert!(page.status == 200 && page.body.contains("cannot be told just now"), "{page:?}");
        let form = page.body.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let fields = [("form", form), ("session", id_of_four.as_str())];
        let ended = in_time(|| server.submit("/sessions/end", Some(&three), &fields));
        assert_eq!((ended.status, ended.location()), (303, format!("/sessions?ended={id_of_four}").as_str()));
        let out = in_time(|| server.submit("/logout", Some(&three), &[]));
        assert_eq!((out.status, out.location()), (303, "/login?out"));
        assert!(
            server.call("GET", "/api/me", &three).is_401() && server.call("GET", "/api/me", &four).is_401()
        );
        let form = [("username", "alice"), ("password", PASSWORD)];
        let page = in_time(|| server.submit("/login", None, &form));
        is_503(&page);
        assert!(page.body.contains("name=\"username\" value=\"alice\""), "{page:?}");
        let link = format!("/setup?secret={}", "A".repeat(43));
        is_503(&in_time(|| server.browse(&link, None)));
        assert_eq!(server.me(&one), 200, "{outage:?}");
        assert_eq!(server.send("GET", "/readyz", &[], "").status, 200);
        postgres.end(outage);
        let since = Instant::now();
        loop {
            let login = in_time(|| server.try_login("alice", PASSWORD));
            if login.status == 200 {
                break;
            }
            is_503(&login);
            assert!(since.elapsed() < BACK_WITHIN, "{login:?}");
        }
    }
    // Logging out asks no accounts.
    postgres.begin(Outage::Paused);
    assert_eq!(server.call("DELETE", "/api/auth/logout", &two).body, "Logout successful");
    assert!(server.call("GET", "/api/me", &two).is_401());
    postgres.end(Outage::Paused);
}

#[test] // R19
fn what_a_command_could_not_end_is_over_before_a_server_answers_again() {
    let redis = Redis::start(&[]).unwrap();
    let postgres = Postgres::start(&[]).unwrap();
    let place = Place::with_alice_on(&redis.url(), Some(&postgres.new_database().unwrap()));
    place.run(["account", "add", "bob", "--password-stdin"], PASSWORD);
    let server = place.serve();
    let (alice, bob) = (server.login(), server.try_login("bob", PASSWORD).token());

    // Redis takes no command at this moment, though connecting to it works.
    redis.cli(&["CLIENT", "PAUSE", "600000", "WRITE"]).unwrap();
    let disabled = place.try_run(["account", "disable", "alice"], "");
    let said = String::from_utf8_lossy(&disabled.stderr).into_owned();
    assert_eq!(disabled.status.code(), Some(5), "{said}");
    assert!(said.contains("the account is disabled, but the sessions"), "{said}");
    assert!(server.try_login("alice", PASSWORD).is_401());

    // The server ends by `kill -9`, and the next one does not begin before what is left is done.
    server.kill();
    let mut next = place.command(["serve", "--listen", "127.0.0.1:0"]);
    let mut next = next.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    // Up to the first line of one that serves, or to the end of one that refuses.
    BufReader::new(next.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if !said.is_empty() {
        next.kill().unwrap();
    }
    assert_eq!((said.as_str(), next.wait().unwrap().code()), ("", Some(5)));
    redis.cli(&["CLIENT", "UNPAUSE"]).unwrap();
    let server = place.serve();
    assert!(server.call("GET", "/api/me", &alice).is_401());
    assert_eq!(server.me(&bob), 200);

    // A server that runs makes up for it by itself.
    redis.cli(&["CLIENT", "PAUSE", "600000", "WRITE"]).unwrap();
    assert_eq!(place.try_run(["account", "remove", "bob"], "").status.code(), Some(5));
    redis.cli(&["CLIENT", "UNPAUSE"]).unwrap();
    let since = Instant::now();
    while server.me(&bob) != 401 {
        assert!(since.elapsed() < BACK_WITHIN);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test] // R19
fn a_change_that_was_killed_between_its_steps_is_finished_before_the_port_answers() {
    let redis = Redis::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.db");
    // So long that the second step is under way when the server dies.
    let place = Place::with_alice_on(&format!("{}?deadline=10s", redis.url()), file.to_str());
    let server = place.serve();
    let token = server.login();
    redis.cli(&["CLIENT", "PAUSE", "600000", "WRITE"]).unwrap();
    let mut command = place.command(["account", "disable", "alice"]);
    let mut command = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let accounts = exeunt::store::sqlite::rusqlite::Connection::open(&file).unwrap();
    let count = "SELECT count(*) FROM endings";
    while accounts.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let said = command.wait().unwrap();
    assert_eq!(said.code(), Some(5), "not known to be done");
    drop(accounts);
    redis.cli(&["CLIENT", "UNPAUSE"]).unwrap();

    let server = place.serve();
    assert!(server.call("GET", "/api/me", &token).is_401());
    assert!(server.try_login("alice", PASSWORD).is_401());
}

#[test]
fn a_stop_is_clean_while_the_engines_are_silent() {
    let redis = Redis::start(&[]).unwrap();
    let postgres = Postgres::start(&[]).unwrap();
    let place = Place::with_alice_on(&redis.url(), Some(&postgres.new_database().unwrap()));
    let server = place.serve();
    let token = server.login();
    redis.pause();
    postgres.pause().unwrap();
    is_503(&in_time(|| server.call("GET", "/api/me", &token)));
    let asked = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    redis.go_on();
    postgres.go_on().unwrap();
    assert_eq!(place.serve().me(&token), 200);
}

#[test] // R39
fn the_password_of_an_engine_is_in_no_log_whatever_happens_to_it() {
    let mut redis = Redis::start(&[]).unwrap();
    let mut postgres = Postgres::start(&[]).unwrap();
    redis.cli(&["ACL", "SETUSER", "app", "on", ">s3cret", "~*", "&*", "+@all"]).unwrap();
    postgres.psql("postgres", "CREATE ROLE app SUPERUSER LOGIN PASSWORD 's3cret'").unwrap();
    let with_password = |url: &str| url.replace("//postgres@", "//app:s3cret@");
    let store = redis.url().replace("//", "//app:s3cret@");
    let accounts = with_password(&postgres.new_database().unwrap());
    assert!(store.contains("s3cret") && accounts.contains("s3cret"));
    let place = Place::with_alice_on(&store, Some(&accounts));
    let server = place.serve_with(&["--log", "trace"]);
    let token = server.login();
    let check = place.run(["check"], "");
    assert!(check.contains("app@127.0.0.1") && !check.contains("s3cret"), "{check}");
    redis.cut();
    postgres.cut();
    wait_until_back(&server, &token);
    for outage in [Outage::Killed, Outage::Paused] {
        redis.begin(outage);
        postgres.begin(outage);
        is_503(&in_time(|| server.call("GET", "/api/me", &token)));
        is_503(&in_time(|| server.try_login("alice", PASSWORD)));
        if matches!(outage, Outage::Killed) {
            // The restarted one does not know the user, and refuses.
            redis.end(outage);
            postgres.end(outage);
            is_503(&in_time(|| server.call("GET", "/api/me", &token)));
            redis.cli(&["ACL", "SETUSER", "app", "on", ">s3cret", "~*", "&*", "+@all"]).unwrap();
            wait_until_back(&server, &token);
        }
    }
    redis.end(Outage::Paused);
    postgres.end(Outage::Paused);
    wait_until_back(&server, &token);
    server.stop();
    let log = place.log();
    assert!(log.contains("app@127.0.0.1"), "the address is there");
    assert!(
        !log.contains("s3cret"),
        "{}",
        log.lines().find(|line| line.contains("s3cret")).unwrap_or_default()
    );
}

#[test] // R04
fn a_failover_by_sentinels_loses_no_session_and_revives_none() {
    let mut sentinel = Sentinel::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.db");
    let store = format!("{}&wait_replicas=1", sentinel.url());
    let place = Place::with_alice_on(&store, file.to_str());
    let server = place.serve();
    let (one, two, three) = (server.login(), server.login(), server.login());
    // The replica has it, and so all that was before it.
    assert_eq!(server.call("DELETE", "/api/auth/logout", &two).body, "Logout successful");

    sentinel.kill_primary().unwrap();
    wait_until_back_within(FAILED_OVER_WITHIN, &server, &one);
    assert_eq!((server.me(&one), server.me(&three)), (200, 200));
    assert!(server.call("GET", "/api/me", &two).is_401());
    // There is no replica now that could have it.
    let logout = in_time(|| server.call("DELETE", "/api/auth/logout", &three));
    assert_eq!((logout.status, logout.body.as_str()), (400, "Unable to log out"));
    sentinel.restart_killed().unwrap();
    sentinel.wait_until_all_is_well().unwrap();
    assert_eq!(server.call("DELETE", "/api/auth/logout", &three).status, 200);
    assert!(server.call("GET", "/api/me", &three).is_401());

    // One that was only paused comes back as if nothing had happened.
    let former = sentinel.pause_primary().unwrap();
    sentinel.wait_for_another(former).unwrap();
    sentinel.go_on();
    wait_until_back_within(FAILED_OVER_WITHIN, &server, &one);
    for gone in [&two, &three] {
        assert!(server.call("GET", "/api/me", gone).is_401());
    }
    assert_eq!(server.me(&one), 200);
}

#[test] // R04
fn a_failover_in_a_cluster_loses_no_session_and_revives_none() {
    let mut cluster = Cluster::start_with_replicas(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.db");
    let place = Place::with_alice_on(&format!("{}&wait_replicas=1", cluster.url()), file.to_str());
    let server = place.serve();
    // On every node some.
    let tokens: Vec<String> = (0..24).map(|_| server.login()).collect();
    let (live, over) = tokens.split_at(12);
    for token in over {
        assert_eq!(server.call("DELETE", "/api/auth/logout", token).body, "Logout successful");
    }
    cluster.wait_until_ok().unwrap();
    cluster.kill_primary_of("any").unwrap();
    for token in live {
        wait_until_back_within(FAILED_OVER_WITHIN, &server, token);
    }
    for token in over {
        let since = Instant::now();
        loop {
            let answer = in_time(|| server.call("GET", "/api/me", token));
            if answer.is_401() {
                break;
            }
            assert!(answer.status == 503 && since.elapsed() < FAILED_OVER_WITHIN, "{answer:?}");
        }
    }
    cluster.restart_killed().unwrap();
    cluster.wait_until_ok().unwrap();
    for token in live {
        wait_until_back(&server, token);
        assert_eq!(server.call("DELETE", "/api/auth/logout", token).status, 200);
        assert!(server.call("GET", "/api/me", token).is_401());
    }
}
