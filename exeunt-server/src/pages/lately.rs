//! What happened lately to a person's own account.
//!
//! Must never tell anything of another account, nor keep a person from their sessions where it cannot be told.

use std::time::Duration;

use exeunt::store::Causes;
use exeunt::{Session, Timestamp};

use super::events::Happened;
use crate::accounts::{EventLine, EventQuery, Whose};
use crate::site::AppState;

/// How many things are told.
const MOST: usize = 10;
/// How many events are looked at for that: some are told as one, and some not at all.
const LOOKED_AT: usize = 100;
/// How far apart ends of sessions may be that are told as one.
const AT_ONCE: Duration = Duration::from_secs(60);

/// Newest first. `None`: nobody can tell just now, and the log says why.
pub(super) async fn lately(state: &AppState, session: &Session, now: Timestamp) -> Option<Vec<Happened>> {
    let whose = Some(Whose::User(session.user().as_str().to_owned()));
    let query = EventQuery { whose, limit: LOOKED_AT, ..EventQuery::default() };
    match state.accounts.events(&query).await {
        Ok(lines) => Some(told(lines, now)),
        Err(error) => {
            tracing::warn!(event = "lately_not_told", error = %Causes(&error), "a page goes without what happened lately");
            None
        }
    }
}

fn told(lines: Vec<EventLine>, now: Timestamp) -> Vec<Happened> {
    let mut told: Vec<(EventLine, usize)> = Vec::new();
    // A new token is nothing that a person would know of.
    for line in lines.into_iter().filter(|line| line.event != "session_renewed") {
        match told.last_mut() {
            Some((newer, sessions)) if is_one_with(newer, &line) => *sessions += 1,
            _ => told.push((line, 1)),
        }
    }
    told.iter().take(MOST).map(|(line, sessions)| Happened::to_owner(line, *sessions, now)).collect()
}

/// Whether two sessions ended together. Else all that a change of the password ended would hide the change.
fn is_one_with(newer: &EventLine, older: &EventLine) -> bool {
    let alike = newer.event == older.event && newer.reason == older.reason && newer.by == older.by;
    let together = newer.request == older.request && newer.at.since(older.at) < AT_ONCE;
    newer.event == "session_ended" && alike && together
}
