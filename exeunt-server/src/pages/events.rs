//! What happened, in plain words: one event, or several alike, as pages show it.
//!
//! Must never show a person what belongs to an administrator: no name, no address, no client of theirs.

mod words;

use exeunt::Timestamp;
use serde::Serialize;

use super::ago::Ago;
use super::check::EVIL;
use super::client::ClientName;
use crate::accounts::EventLine;
use crate::html::Text;

/// For `event.html`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Happened {
    /// What it is called; without it, the stored word has to do.
    text: Option<Text>,
    word: String,
    /// Whether somebody should look.
    warns: bool,
    /// The stored word for the reason, where the text does not tell it.
    reason: Option<String>,
    /// How many events are missing at this place, for the text to tell.
    lost: i64,
    /// How many sessions this happened to, one right after the other.
    sessions: usize,
    at: Ago,
    by: Option<By>,
    account: Option<Whose>,
    client: Option<ClientName>,
    address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct By {
    text: Option<Text>,
    word: String,
    name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Whose {
    user: String,
    name: Option<String>,
}

impl Happened {
    /// All that is known.
    pub(super) fn to_administrators(line: &EventLine, now: Timestamp) -> Self {
        let by = line.by.as_deref().filter(|by| !goes_without_saying(&line.event, by));
        let whose = |user: &String| Whose { user: user.clone(), name: line.account.clone() };
        Self {
            by: by.map(|by| By::new(by, words::by(by, line.by_name.is_some()), line.by_name.clone())),
            account: line.user.as_ref().map(whose),
            ..Self::new(line, now)
        }
    }

    /// Where all on a page are of one account, that is told once.
    pub(super) fn without_account(self) -> Self {
        Self { account: None, ..self }
    }

    /// What the owner of the account may know, `sessions` times over.
    pub(super) fn to_owner(line: &EventLine, sessions: usize, now: Timestamp) -> Self {
        let by = line.by.as_deref().filter(|by| !goes_without_saying(&line.event, by));
        let by = by.map(|by| By::new(by, words::by_to_owner(by), None));
        let shown = Self { by, sessions, ..Self::new(line, now) };
        // Where somebody else did it, the request was theirs.
        match line.by.as_deref().is_none_or(|by| by == OWNER) {
            true => shown,
            false => Self { client: None, address: None, ..shown },
        }
    }

    /// Without anybody in it but whoever sent the request.
    fn new(line: &EventLine, now: Timestamp) -> Self {
        let words = words::of(&line.event, line.reason.as_deref());
        Self {
            text: words.text,
            word: line.event.clone(),
            warns: WARNINGS.contains(&line.event.as_str()),
            reason: line.reason.clone().filter(|_| !words.tells_reason),
            lost: line.lost.unwrap_or_default(),
            sessions: 1,
            at: Ago::new(line.at, now),
            by: None,
            account: None,
            client: line.client.as_deref().map(ClientName::new),
            address: line.address.clone(),
        }
    }

    /// Everything that there are words for, and what there are none for; by everybody, with something in every place.
    pub(super) fn samples(now: Timestamp) -> Vec<Self> {
        let whole = EventLine {
            id: 7,
            at: now,
            event: EVIL.to_owned(),
            account: Some(EVIL.to_owned()),
            user: Some("7".to_owned()),
            session: None,
            reason: Some(EVIL.to_owned()),
            by: Some(EVIL.to_owned()),
            by_user: None,
            by_name: None,
            address: Some("2001:db8::1".to_owned()),
            client: Some(EVIL.to_owned()),
            request: None,
            lost: Some(2),
        };
        let word = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
        let known = words::ALL.iter().map(|(event, reason, _)| EventLine {
            event: (*event).to_owned(),
            reason: word(reason),
            by: None,
            user: None,
            client: None,
            address: None,
            ..whole.clone()
        });
        let by = |by: &str, name| EventLine { by: word(by), by_name: name, account: None, ..whole.clone() };
        let done = words::BY.iter().map(|(word, _, _)| by(word, None));
        let named = [by("administrator", word(EVIL)), whole.clone()];
        let lines: Vec<_> = known.chain(done).chain(named).collect();
        let to_owners = lines.iter().map(|line| Self::to_owner(line, 2, now));
        lines.iter().map(|line| Self::to_administrators(line, now)).chain(to_owners).collect()
    }
}

impl By {
    fn new(word: &str, text: Option<Text>, name: Option<String>) -> Self {
        Self { text, word: word.to_owned(), name }
    }
}

/// What is no deed of somebody who may do it.
const WARNINGS: [&str; 5] = ["login_refused", "dead_token", "cross_site_refused", "throttled", "events_lost"];

/// What events say of a deed of the person whose account it is.
const OWNER: &str = "owner";

/// Whether it could have been nobody but the owner.
fn goes_without_saying(event: &str, by: &str) -> bool {
    const OF_OWNERS: [&str; 5] = ["login", "logout", "session_renewed", "password_changed", "password_reset"];
    by == OWNER && OF_OWNERS.contains(&event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, reason: Option<&str>, by: Option<&str>) -> EventLine {
        let text = |text: &str| Some(text.to_owned());
        EventLine {
            id: 1,
            at: Timestamp::from_secs(1_767_225_600),
            event: event.to_owned(),
            account: text("alice"),
            user: text("7"),
            session: None,
            reason: reason.map(str::to_owned),
            by: by.map(str::to_owned),
            by_user: text("9"),
            by_name: text("root"),
            address: text("192.0.2.7"),
            client: text("curl/8"),
            request: None,
            lost: None,
        }
    }

    #[test]
    fn what_is_not_known_is_told_by_its_stored_word() {
        let now = Timestamp::from_secs(1_767_225_600);
        let shown = |event, reason| {
            let shown = Happened::to_administrators(&line(event, reason, None), now);
            (shown.text.map(|text| text.0), shown.reason)
        };
        assert_eq!(shown("login_refused", Some("password")), (Some("event-login-refused-password"), None));
        assert_eq!(
            shown("login_refused", Some("moonphase")),
            (Some("event-login-refused"), Some("moonphase".to_owned()))
        );
        assert_eq!(shown("teleported", None), (None, None));
        let strange = Happened::to_administrators(&line("teleported", Some("beam"), Some("robot")), now);
        assert_eq!((strange.word.as_str(), strange.reason.as_deref()), ("teleported", Some("beam")));
        assert_eq!(strange.by, Some(By::new("robot", None, Some("root".to_owned()))));
    }

    #[test]
    fn an_owner_hears_who_did_it_but_nothing_of_an_administrator() {
        let now = Timestamp::from_secs(1_767_225_600);
        for (by, shows_where, text) in [
            (Some("administrator"), false, Some("by-administrator")),
            (Some("operator"), false, Some("by-operator")),
            (Some("system"), false, Some("by-system")),
            (Some("robot"), false, None),
            (Some("owner"), true, Some("by-you")),
            (None, true, None),
        ] {
            let shown = Happened::to_owner(&line("session_ended", by, by), 1, now);
            assert_eq!(shown.by.as_ref().and_then(|by| by.text), text.map(Text), "{by:?}");
            assert_eq!(
                (shown.client.is_some(), shown.address.is_some()),
                (shows_where, shows_where),
                "{by:?}"
            );
            let all = serde_json::to_string(&shown).unwrap();
            assert!(!all.contains("root") && !all.contains("alice"), "{all}");
            assert_eq!(all.contains("192.0.2.7"), shows_where, "{all}");
        }
        let own = Happened::to_owner(&line("login", None, Some("owner")), 1, now);
        assert_eq!(own.by, None, "that goes without saying");
    }
}
