//! What waits to be written: bounded, and honest about what it had no room for.
//!
//! Must never wait, grow past its bounds, or lose something without counting it.

use std::collections::VecDeque;
use std::time::Duration;

use exeunt::{By, Client, Event, EventKind, SessionId, Timestamp};
use serde::Serialize;

/// How many events wait for a database that does not answer: minutes of a busy server, some 4 MB.
const MOST: usize = 10_000;
/// How many tokens wait to be looked up. What is guessed is as cheap as that.
const MOST_TOKENS: usize = 1_000;
/// How many events an hour may come from people who have not proved anything. A flood of them is counted instead: else
/// whoever can send requests could fill the disk.
pub(super) const REFUSALS_AN_HOUR: u32 = 10_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// How long a token waits to be looked up, so that the end of its session on another node is in the table by then.
const TOKENS_WAIT: Duration = Duration::from_secs(2);
/// How many are written at once: a millisecond of the database's time, which a logout may have to wait for.
const BATCH: usize = 100;

/// An event as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::accounts) struct Row {
    /// Rises by one with each that this writer writes.
    pub(in crate::accounts) number: i64,
    pub(in crate::accounts) at: i64,
    pub(in crate::accounts) kind: &'static str,
    #[serde(rename = "user_id")]
    pub(in crate::accounts) user: Option<String>,
    #[serde(rename = "session_id")]
    pub(in crate::accounts) session: Option<i64>,
    pub(in crate::accounts) name: Option<String>,
    pub(in crate::accounts) reason: Option<&'static str>,
    pub(in crate::accounts) by_kind: Option<&'static str>,
    pub(in crate::accounts) by_user: Option<String>,
    pub(in crate::accounts) by_name: Option<String>,
    pub(in crate::accounts) address: Option<String>,
    pub(in crate::accounts) client: Option<String>,
    pub(in crate::accounts) request: Option<String>,
    pub(in crate::accounts) lost: Option<i64>,
}

impl Row {
    fn of(event: &Event) -> Self {
        let (by_user, by_name) = match &event.by {
            Some(By::Admin(user, name)) => (Some(user.as_str().to_owned()), Some(name.clone())),
            _ => (None, None),
        };
        Self {
            number: 0,
            at: event.at.as_micros(),
            kind: event.kind.as_str(),
            user: event.user.as_ref().map(|user| user.as_str().to_owned()),
            session: event.session.map(SessionId::to_i64),
            name: event.name.clone(),
            reason: event.reason,
            by_kind: event.by.as_ref().map(By::as_str),
            by_user,
            by_name,
            address: event.address.map(|address| address.to_string()),
            client: event.client.as_ref().map(Client::as_str).map(ToOwned::to_owned),
            request: event.request.as_deref().map(ToOwned::to_owned),
            lost: None,
        }
    }

    fn lost(events: u64, reason: &'static str, now: Timestamp) -> Self {
        Self {
            at: now.as_micros(),
            kind: LOST,
            reason: Some(reason),
            by_kind: Some(By::System.as_str()),
            lost: Some(i64::try_from(events).unwrap_or(i64::MAX)),
            ..Self::default()
        }
    }
}

/// What the table calls a gap in itself.
const LOST: &str = "events_lost";

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    events: VecDeque<Row>,
    tokens: VecDeque<Event>,
    /// The number of the last that was taken.
    number: i64,
    /// How many were taken and are not written yet.
    taken: usize,
    overflow: u64,
    /// How many anonymous refusals there were in this hour, and when it began.
    refusals: u32,
    hour: Timestamp,
    flood: u64,
    lost: u64,
}

impl Waiting {
    /// Takes in an event. Whether there is something to write now.
    pub(super) fn take_in(&mut self, event: &Event) -> bool {
        match event.kind {
            // It was written when it was found.
            EventKind::DeadToken => return false,
            EventKind::TokenRefused => {
                let known = self.tokens.iter().any(|waiting| waiting.session == event.session);
                if !known && self.tokens.len() < MOST_TOKENS {
                    self.tokens.push_back(event.clone());
                }
                return false;
            }
            _ => {}
        }
        if is_anonymous(event) && !self.has_room_for_a_refusal(event.at) {
            return false;
        }
        if self.events.len() >= MOST {
            self.overflow += 1;
            return false;
        }
        self.events.push_back(Row::of(event));
        true
    }

    fn has_room_for_a_refusal(&mut self, at: Timestamp) -> bool {
        if at.since(self.hour) >= HOUR {
            self.own_up_to_flood(at);
            (self.hour, self.refusals) = (at, 0);
        }
        let room = self.refusals < REFUSALS_AN_HOUR;
        match room {
            true => self.refusals += 1,
            false => self.flood += 1,
        }
        room
    }

    fn own_up_to_flood(&mut self, now: Timestamp) {
        if let events @ 1.. = std::mem::take(&mut self.flood) {
            self.events.push_back(Row::lost(events, "flood", now));
            self.lost += events;
        }
    }

    /// Notes that an event was lost before it came here.
    pub(super) fn never_came(&mut self, events: u64) {
        self.overflow += events;
    }

    /// What to write next, at most a batch, with a row for what there was no room for.
    pub(super) fn batch(&mut self, now: Timestamp, last: bool) -> Vec<Row> {
        if last || now.since(self.hour) >= HOUR {
            self.own_up_to_flood(now);
        }
        let some = self.events.len().min(BATCH);
        let mut rows: Vec<Row> = self.events.drain(..some).collect();
        if let events @ 1.. = std::mem::take(&mut self.overflow) {
            rows.push(Row::lost(events, "overflow", now));
            self.lost += events;
        }
        for row in &mut rows {
            self.number += 1;
            row.number = self.number;
        }
        self.taken = rows.len();
        rows
    }

    /// What was taken last is written.
    pub(super) fn written(&mut self) {
        self.taken = 0;
    }

    /// Whether more than a batch waits.
    pub(super) fn is_busy(&self) -> bool {
        self.events.len() >= BATCH
    }

    /// The tokens that have waited long enough to be looked up, or all of them.
    pub(super) fn tokens(&mut self, now: Timestamp, all: bool) -> Vec<Event> {
        let old = |event: &&Event| all || now.since(event.at) >= TOKENS_WAIT;
        let some = self.tokens.iter().take_while(old).count().min(BATCH);
        self.tokens.drain(..some).collect()
    }

    /// As a row, to look up.
    pub(super) fn row(event: &Event, number: usize) -> Row {
        Row { number: i64::try_from(number).unwrap_or(i64::MAX), ..Row::of(event) }
    }

    /// How many events are not in the table, nor will be.
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.overflow + self.flood
    }

    /// How many are not written yet.
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.taken
    }
}

/// What anybody can cause, without an account that it is about.
fn is_anonymous(event: &Event) -> bool {
    use EventKind::{CrossSiteRefused, LoginRefused, ResetRequested, Throttled};
    matches!(event.kind, CrossSiteRefused | LoginRefused | ResetRequested | Throttled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn event(kind: EventKind, at: Timestamp) -> Event {
        let mut event = Event::new(kind);
        event.at = at;
        event
    }

    #[test]
    fn what_there_was_no_room_for_is_counted_and_leaves_a_row() {
        let mut waiting = Waiting::default();
        for _ in 0..MOST + 7 {
            waiting.take_in(&event(EventKind::LoggedOut, START));
        }
        assert_eq!((waiting.len(), waiting.lost()), (MOST, 7));
        let first = waiting.batch(START, false);
        assert_eq!(first.len(), BATCH + 1);
        let gap = first.last().unwrap();
        assert_eq!((gap.kind, gap.reason, gap.lost), ("events_lost", Some("overflow"), Some(7)));
        let numbers: Vec<i64> = first.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=101).collect::<Vec<_>>());
        assert_eq!(waiting.len(), MOST + 1, "until they are written");
        waiting.written();
        assert_eq!(waiting.len(), MOST - BATCH);
        assert_eq!(waiting.batch(START, false).first().unwrap().number, 102);
        assert_eq!(waiting.lost(), 7, "counted once");
    }

    #[test]
    fn a_flood_of_refusals_is_counted_and_hides_nothing_else() {
        let mut waiting = Waiting::default();
        let mut written = 0;
        for _ in 0..REFUSALS_AN_HOUR + 5 {
            written += usize::from(waiting.take_in(&event(EventKind::CrossSiteRefused, START)));
            while !waiting.batch(START, false).is_empty() {}
        }
        assert_eq!((written, waiting.lost()), (10_000, 5));
        assert!(waiting.take_in(&event(EventKind::LoggedOut, START)), "not a refusal");
        assert_eq!(waiting.batch(START, false).len(), 1);
        let later = START.plus(HOUR);
        assert!(waiting.take_in(&event(EventKind::LoginRefused, later)));
        let rows = waiting.batch(later, false);
        let kinds: Vec<_> = rows.iter().map(|row| (row.kind, row.reason, row.lost)).collect();
        assert_eq!(kinds, [("events_lost", Some("flood"), Some(5)), ("login_refused", None, None)]);
    }

    #[test]
    fn tokens_are_looked_up_once_each_after_a_while_and_no_more_than_there_is_room_for() {
        let mut waiting = Waiting::default();
        for id in (1..=2_000).chain(1..=2_000) {
            let token = event(EventKind::TokenRefused, START).session(SessionId::from_i64(id).unwrap());
            assert!(!waiting.take_in(&token));
        }
        assert!(waiting.tokens(START.plus(Duration::from_secs(1)), false).is_empty());
        let mut found = 0;
        loop {
            match waiting.tokens(START.plus(TOKENS_WAIT), false).len() {
                0 => break,
                some => found += some,
            }
        }
        assert_eq!((found, waiting.lost()), (MOST_TOKENS, 0));
    }
}
