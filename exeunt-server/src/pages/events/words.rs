//! What each kind of event, with each reason, is called.
//!
//! Must never claim more than the event says: of what is not known here, the stored word is told.

use crate::html::Text;

/// The kind, the reason or none, and the text.
pub(super) const ALL: [(&str, &str, Text); 64] = [
    ("login", "", Text("event-login")),
    ("login_refused", "", Text("event-login-refused")),
    ("login_refused", "password", Text("event-login-refused-password")),
    ("login_refused", "credentials", Text("event-login-refused-nobody")),
    ("login_refused", "disabled", Text("event-login-refused-disabled")),
    ("login_refused", "no_longer_current", Text("event-login-refused-changed")),
    ("login_refused", "another_account", Text("event-login-refused-another")),
    ("login_refused", "current_password", Text("event-login-refused-current")),
    ("logout", "", Text("event-logout")),
    // Who ended it is told anyway.
    ("session_ended", "", Text("event-session-ended")),
    ("session_ended", "owner", Text("event-session-ended")),
    ("session_ended", "administrator", Text("event-session-ended")),
    ("session_ended", "operator", Text("event-session-ended")),
    ("session_ended", "system", Text("event-session-ended")),
    ("session_ended", "expired", Text("event-session-ended-expired")),
    ("session_ended", "limit", Text("event-session-ended-limit")),
    ("session_ended", "login", Text("event-session-ended-login")),
    ("session_ended", "logout_all", Text("event-session-ended-all")),
    ("session_ended", "no_longer_current", Text("event-session-ended-changed")),
    ("session_ended", "account_changed", Text("event-session-ended-changed")),
    ("session_ended", "account_disabled", Text("event-session-ended-disabled")),
    ("session_ended", "account_removed", Text("event-session-ended-removed")),
    ("session_ended", "password_changed", Text("event-session-ended-password")),
    ("session_ended", "password_set", Text("event-session-ended-password")),
    ("session_ended", "password_reset", Text("event-session-ended-password")),
    ("session_renewed", "", Text("event-session-renewed")),
    ("session_refused", "", Text("event-session-refused")),
    ("session_refused", "gone", Text("event-session-refused")),
    ("session_refused", "secret", Text("event-session-refused")),
    ("dead_token", "", Text("event-dead-token")),
    ("dead_token", "logout", Text("event-dead-token-logout")),
    ("dead_token", "session_ended", Text("event-dead-token")),
    ("cross_site_refused", "", Text("event-cross-site")),
    ("cross_site_refused", "sec_fetch_site", Text("event-cross-site")),
    ("cross_site_refused", "origin", Text("event-cross-site")),
    ("cross_site_refused", "cross_site", Text("event-cross-site")),
    ("cross_site_refused", "public_url", Text("event-cross-site")),
    ("cross_site_refused", "form_token", Text("event-cross-site-form")),
    ("throttled", "", Text("event-throttled")),
    ("throttled", "account", Text("event-throttled-account")),
    ("throttled", "account_stopped", Text("event-throttled-account-stopped")),
    ("throttled", "known_clients", Text("event-throttled-clients")),
    ("throttled", "known_clients_stopped", Text("event-throttled-clients-stopped")),
    ("throttled", "source", Text("event-throttled-source")),
    ("throttled", "reset", Text("event-throttled-reset")),
    ("password_changed", "", Text("event-password-changed")),
    ("password_set", "", Text("event-password-set")),
    ("password_reset", "", Text("event-password-reset")),
    ("reset_requested", "", Text("event-reset-requested")),
    ("reset_requested", "nobody", Text("event-reset-requested-nobody")),
    ("account_added", "", Text("event-account-added")),
    ("account_added", "administrator", Text("event-account-added-administrator")),
    ("account_enabled", "", Text("event-account-enabled")),
    ("account_disabled", "", Text("event-account-disabled")),
    ("account_changed", "", Text("event-account-changed")),
    ("account_changed", "administrator", Text("event-account-administrator")),
    ("account_changed", "user", Text("event-account-user")),
    ("account_changed", "unlocked", Text("event-account-unlocked")),
    ("account_changed", "email", Text("event-account-email")),
    ("account_removed", "", Text("event-account-removed")),
    ("setup_link_made", "", Text("event-setup-link")),
    ("events_lost", "", Text("event-lost")),
    ("events_lost", "overflow", Text("event-lost")),
    ("events_lost", "flood", Text("event-lost-flood")),
];

/// Who did it: the stored word, what administrators read of it, and what the owner of the account does.
pub(super) const BY: [(&str, Text, Text); 4] = [
    ("owner", Text("by-owner"), Text("by-you")),
    ("administrator", Text("by-administrator"), Text("by-administrator")),
    ("operator", Text("by-operator"), Text("by-operator")),
    ("system", Text("by-system"), Text("by-system")),
];

/// What there is to say of an event.
pub(super) struct Words {
    pub(super) text: Option<Text>,
    /// Whether that says the reason, too.
    pub(super) tells_reason: bool,
}

pub(super) fn of(kind: &str, reason: Option<&str>) -> Words {
    let find = |reason: &str| {
        ALL.iter().find(|(known, why, _)| (*known, *why) == (kind, reason)).map(|(_, _, text)| *text)
    };
    let whole = find(reason.unwrap_or_default());
    Words { text: whole.or_else(|| find("")), tells_reason: whole.is_some() }
}

pub(super) fn by(word: &str, named: bool) -> Option<Text> {
    match (word, named) {
        ("administrator", true) => Some(Text("by-administrator-named")),
        _ => BY.iter().find(|(by, _, _)| *by == word).map(|(_, text, _)| *text),
    }
}

pub(super) fn by_to_owner(word: &str) -> Option<Text> {
    BY.iter().find(|(by, _, _)| *by == word).map(|(_, _, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use exeunt::{By, EventKind, UserId};

    use super::*;

    #[test]
    fn every_kind_and_every_doer_has_words() {
        for kind in EventKind::ALL {
            assert!(of(kind.as_str(), None).text.is_some(), "{kind:?}");
        }
        for by_whom in [By::Owner, By::Operator, By::System, By::Admin(UserId::from(1), "root".to_owned())] {
            let word = by_whom.as_str();
            assert!(by(word, false).is_some() && by_to_owner(word).is_some(), "{word}");
        }
        let mut all: Vec<_> = ALL.iter().map(|(kind, reason, _)| (kind, reason)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ALL.len(), "each once");
    }

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    /// What a line has in it that gives a reason.
    const GIVES: [&str; 11] = [
        "because(",
        "let reason",
        "let role",
        "reason: \"",
        ".ended(",
        ".refused(",
        "Self::Strangers =>",
        "Self::Clients =>",
        "Self::Source =>",
        "ProtectionErrorKind::",
        "Row::lost(",
    ];

    #[test]
    fn every_reason_that_the_sources_give_has_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        for folder in ["src/accounts", "src/pages", "../exeunt/src/auth", "../exeunt/src/http"] {
            sources(&root.join(folder), &mut texts);
        }
        texts.push(std::fs::read_to_string(root.join("src/app.rs")).unwrap());
        // What tests make up stands after their mark.
        let ours =
            texts.iter().map(|text| text.split_once("#[cfg(test)]").map_or(text.as_str(), |(ours, _)| ours));
        let gives = |line: &&str| GIVES.iter().any(|mark| line.contains(mark));
        let words =
            ours.flat_map(str::lines).filter(gives).flat_map(|line| line.split('"').skip(1).step_by(2));
        let is_word = |word: &&str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let reasons: BTreeSet<_> = words.filter(is_word).collect();
        for known in [
            "disabled",
            "limit",
            "another_account",
            "account_stopped",
            "form_token",
            "origin",
            "flood",
            "email",
        ] {
            assert!(reasons.contains(known), "{known} is not found any more: {reasons:?}");
        }
        for reason in reasons {
            assert!(ALL.iter().any(|(_, known, _)| *known == reason), "there are no words for {reason}");
        }
    }
}
