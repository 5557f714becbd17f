//! From one SQLite file to Redis and PostgreSQL under running servers: nobody is logged out, and nobody comes back.

use std::process::Command;

use crate::common::Kept;
use crate::support::{PASSWORD, Place};

/// Runs `exeunt store copy`; where passwords of URLs could be, is up to the operator.
fn copy(from: &str, to: &str, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeunt"));
    let output = command.args(["store", "copy", from, to]).args(more).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tokens_outlive_a_move_and_what_ended_before_it_stays_ended() {
    for kept in [Kept::Postgres, Kept::RedisAndPostgres, Kept::RedisAndFile] {
        let old = Place::with_alice(Kept::OneFile);
        let server = old.serve();
        let (kept_on, ended) = (server.login(), server.login());
        let new = Place::new(kept);
        let accounts = new.places.accounts.as_ref().unwrap_or(&new.places.store);
        let copy_all = |more: &[&str]| {
            copy(&old.places.store, &new.places.store, &[&["--only", "sessions"], more].concat());
            copy(&old.places.store, accounts, &[&["--only", "accounts"], more].concat());
        };
        // The server works on.
        copy_all(&[]);
        assert_eq!(server.call("DELETE", "/api/auth/logout", &ended).body, "Logout successful");
        let late = server.login();
        copy_all(&[]);
        assert!(server.stop().0.success());
        copy_all(&["--final"]);

        let server = new.serve();
        assert!(!server.said.contains("no account yet"), "{}", server.said);
        assert_eq!((server.me(&kept_on), server.me(&late)), (200, 200), "{kept:?}");
        assert!(server.call("GET", "/api/me", &ended).is_401(), "{kept:?}");
        assert_eq!(server.try_login("alice", PASSWORD).status, 200);
        // Accounts and sessions still belong together.
        new.run(["account", "disable", "alice"], "");
        assert!(server.call("GET", "/api/me", &kept_on).is_401(), "{kept:?}");
    }
}
