//! `kill -9` directly after the server has acknowledged something, and files that are damaged afterwards.

use std::fs::{self, File};

use crate::common::{Kept, on_every_engine};
use crate::support::{Place, Server};

on_every_engine!(what_was_acknowledged_holds_after_kill_9,);

/// The same file all along, so that whatever a crash leaves behind is there for the next one.
// R04
fn what_was_acknowledged_holds_after_kill_9(kept: Kept) {
    let place = Place::with_alice(kept);
    let mut ended: Vec<String> = Vec::new();
    for round in 0..services::rounds(25, 1_000) {
        let server = place.serve();
        let token = server.login();
        server.kill();

        let server = place.serve();
        assert_eq!(server.me(&token), 200, "round {round}: an acknowledged login was lost");
        let logout = server.call("DELETE", "/api/auth/logout", &token);
        assert_eq!(logout.body, "Logout successful", "round {round}");
        server.kill();
        ended.push(token);

        let server = place.serve();
        // All that ended before are asked once more at the end.
        assert!(server.call("GET", "/api/me", ended.last().unwrap()).is_401(), "round {round}: revived");
    }
    let server = place.serve();
    for (round, token) in ended.iter().enumerate() {
        assert!(server.call("GET", "/api/me", token).is_401(), "revived: the session of round {round}");
    }
    assert_eq!(server.me(&server.login()), 200);
    println!("{kept:?}: {} acknowledged logins and as many acknowledged logouts held", ended.len());
}

/// A token whose session ended: the file is closed in the middle of a log whose last byte is missing.
fn ended_and_damaged(place: &Place, file: &str) -> String {
    let server = place.serve();
    let token = server.login();
    assert_eq!(server.call("DELETE", "/api/auth/logout", &token).body, "Logout successful");
    server.kill();
    let log = File::options().write(true).open(place.path().join(format!("{file}-wal"))).unwrap();
    log.set_len(log.metadata().unwrap().len() - 1).unwrap();
    token
}

#[test]
fn accounts_that_may_be_older_than_what_was_acknowledged_are_not_served_until_that_is_accepted() {
    // R04
    for kept in [Kept::OneFile, Kept::RedisAndFile] {
        let place = Place::with_alice(kept);
        let token = ended_and_damaged(&place, "exeunt.db");
        for _ in 0..2 {
            let (status, said) = Server::try_start(&place, &[], &[]).map(drop).unwrap_err();
            assert_eq!(status.code(), Some(5), "{said}");
            assert!(
                said.contains("where accounts live") && said.contains("exeunt store accept-loss"),
                "{said}"
            );
        }
        // One may look first.
        assert!(place.run(["account", "list"], "").contains("alice"));
        let check = place.try_run(["check"], "");
        assert_eq!(check.status.code(), Some(1), "{check:?}");
        assert!(place.run(["store", "accept-loss"], "").contains("accepted: "));
        let server = place.serve();
        assert!(server.call("GET", "/api/me", &token).is_401());
        assert_eq!(server.me(&server.login()), 200);
    }
}

#[test]
fn sessions_of_a_damaged_file_have_ended_and_the_log_says_so() {
    // R04
    let place = Place::with_alice(Kept::TwoFiles);
    let server = place.serve();
    let live = server.login();
    server.kill();
    let token = ended_and_damaged(&place, "sessions.db");
    let server = place.serve();
    assert!(
        place.log().contains("changes_missing") && place.log().contains("sessions.db"),
        "{}",
        place.log()
    );
    for token in [live, token] {
        assert!(server.call("GET", "/api/me", &token).is_401());
    }
    assert_eq!(server.me(&server.login()), 200);
}

#[test]
fn a_restored_backup_is_known_as_one() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let token = server.login();
    place.run(["store", "backup", "backup.db"], "");
    place.run(["account", "disable", "alice"], "");
    assert!(server.call("GET", "/api/me", &token).is_401());
    server.kill();
    // As `exeunt store backup --help` says.
    fs::rename(place.path().join("backup.db"), place.path().join("exeunt.db")).unwrap();
    fs::remove_file(place.path().join("exeunt.db-wal")).unwrap();
    fs::remove_file(place.path().join("exeunt.db-shm")).unwrap();
    let (_, said) = Server::try_start(&place, &[], &[]).map(drop).unwrap_err();
    assert!(said.contains("it is a backup") && said.contains("exeunt store accept-loss"), "{said}");
    place.run(["account", "disable", "alice"], "");
    place.run(["store", "accept-loss"], "");
    let server = place.serve();
    assert!(server.call("GET", "/api/me", &token).is_401());
    assert_eq!(server.try_login("alice", crate::support::PASSWORD).status, 401);
}
