//! `kill -9` directly after the server has acknowledged something.

use crate::common::{Kept, on_every_engine};
use crate::support::Place;

on_every_engine!(what_was_acknowledged_holds_after_kill_9_a_hundred_times,);

/// The same file all along, so that whatever a crash leaves behind is there for the next one.
// R04
fn what_was_acknowledged_holds_after_kill_9_a_hundred_times(kept: Kept) {
    let place = Place::with_alice(kept);
    let mut ended: Vec<String> = Vec::new();
    for round in 0..100 {
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
}
