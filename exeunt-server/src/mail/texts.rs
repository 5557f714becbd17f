//! What messages say: the one place for their words.
//!
//! Must never ask anybody to log in through a link, nor hold a word that a stranger chose but the account's own name, from
//! which control characters are taken.

use std::net::IpAddr;
use std::time::Duration;

use exeunt::Timestamp;

use super::Outbox;

/// A message to the owner of an account, not yet on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The number of the account, for the log.
    pub(super) account: i64,
    /// What it is about, for the log.
    pub(super) kind: &'static str,
    pub(super) to: String,
    pub(super) subject: &'static str,
    pub(super) text: String,
}

impl std::fmt::Debug for Message {
    /// Neither the address nor the text, which may have a link in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, kind, .. } = self;
        f.debug_struct("Message").field("account", account).field("kind", kind).finish_non_exhaustive()
    }
}

/// What the owner of an account is told of (R59).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The password was changed, by its owner or by an administrator.
    PasswordChanged,
    /// The password was set by a reset link.
    PasswordReset,
    /// The e-mail address was changed or removed: goes to the old one.
    EmailChanged,
    /// Somebody logged in from a client that was not seen before.
    NewClient {
        /// What logged in, as it named itself; only the browser and system that are known by name are told.
        client: String,
        /// Where from.
        address: Option<IpAddr>,
    },
}

/// A link that sets a new password.
#[must_use]
pub fn reset_link(account: i64, to: &str, name: &str, link: &str, lasts: Duration) -> Message {
    let (name, lasts) = (shown(name), spoken(lasts));
    let text = format!(
        "Somebody asked for a new password for the account \"{name}\".\n\n\
         If it was you, set it here within {lasts}:\n\n{link}\n\n\
         The link works once. Setting the password logs the account out everywhere.\n\n\
         If it was not you, do nothing: your password stays as it is.\n"
    );
    Message { account, kind: "reset_link", to: to.to_owned(), subject: "Set a new password", text }
}

impl Notice {
    fn message(&self, account: i64, to: &str, name: &str, now: Timestamp) -> Message {
        let name = shown(name);
        let (kind, subject, what) = match self {
            Self::PasswordChanged => (
                "password_changed",
                "Your password was changed",
                "The password of the account was changed".to_owned(),
            ),
            Self::PasswordReset => (
                "password_reset",
                "Your password was reset",
                "The password of the account was set anew, by a link that was sent to this address"
                    .to_owned(),
            ),
            Self::EmailChanged => (
                "email_changed",
                "Your e-mail address was changed",
                "The account has another e-mail address now, or none. Its messages no longer go here"
                    .to_owned(),
            ),
            Self::NewClient { client, address } => {
                let from = address.map(|address| format!(", from the address {address}")).unwrap_or_default();
                let what = format!(
                    "Somebody logged in to the account with {}{from}.\nIt was not used there before",
                    known(client)
                );
                ("new_client", "A login from a new device", what)
            }
        };
        let text = format!(
            "Account: \"{name}\"\nTime:    {now} (UTC)\n\n{what}.\n\n\
             If it was you, there is nothing to do.\n\n\
             If it was not you, somebody else has access: set a new password at once,\n\
             end all sessions, and tell whoever runs this service.\n"
        );
        Message { account, kind, to: to.to_owned(), subject, text }
    }
}

impl Outbox {
    /// Tells the owner of the account of that number and name, at that address, what happened just now.
    pub(crate) fn tell(&self, account: i64, to: &str, name: &str, notice: &Notice) {
        let Some(inner) = &self.0 else { return };
        self.send(notice.message(account, to, name, inner.clock.now()));
    }
}

/// A name within a line of ours.
fn shown(name: &str) -> String {
    let breaks = |letter: char| {
        letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    name.replace(breaks, " ")
}

/// Browser and system, as far as they are known by name: what a client says of itself is anybody's text, and would make a
/// fine bait in a message of ours.
fn known(client: &str) -> String {
    const BROWSERS: &[(&str, &str)] = &[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        // The others above and below say so, too.
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let of = |table: &[(&str, &'static str)]| {
        table.iter().find(|(part, _)| client.contains(part)).map(|(_, name)| *name)
    };
    match (of(BROWSERS), of(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "an unknown client".to_owned(),
    }
}

fn spoken(lasts: Duration) -> String {
    let minutes = lasts.as_secs() / 60;
    match (minutes, minutes.is_multiple_of(60)) {
        (1, _) => "1 minute".to_owned(),
        (60, _) => "1 hour".to_owned(),
        (minutes, true) if minutes > 0 => format!("{} hours", minutes / 60),
        (minutes, _) => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_when_and_to_which_account() {
        // R59
        let now = Timestamp::from_secs(1_767_225_600);
        for (notice, part) in [
            (Notice::PasswordChanged, "was changed"),
            (Notice::PasswordReset, "by a link"),
            (Notice::EmailChanged, "another e-mail address"),
        ] {
            let message = notice.message(7, "alice@example.org", "alice", now);
            for part in [part, "Account: \"alice\"\n", "2026-01-01T00:00:00", "If it was not you"] {
                assert!(message.text.contains(part), "{}", message.text);
            }
            assert!(!message.text.contains("://"), "a notice has no link: {}", message.text);
            assert!(!format!("{message:?}").contains("example.org"));
        }
    }

    #[test]
    fn of_a_new_client_only_known_words_are_told() {
        // R59
        let told = |client: &str| {
            let address = Some("192.0.2.7".parse().unwrap());
            let notice = Notice::NewClient { client: client.to_owned(), address };
            notice.message(7, "a@example.org", "alice", Timestamp::default()).text
        };
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert!(told(firefox).contains("with Firefox on Linux, from the address 192.0.2.7."));
        let bait = told("Your account is locked, go to evil.example/login now");
        assert!(bait.contains("with an unknown client") && !bait.contains("evil"), "{bait}");
    }

    #[test]
    fn a_name_cannot_look_like_lines_of_ours() {
        let message =
            reset_link(7, "a@example.org", "x\n\nAll is well\u{202e}", "l", Duration::from_secs(3_600));
        assert!(
            message
                .text
                .starts_with("Somebody asked for a new password for the account \"x  All is well \".\n")
        );
        assert!(message.text.contains("within 1 hour:"), "{}", message.text);
        assert_eq!(spoken(Duration::from_secs(90 * 60)), "90 minutes");
        assert_eq!(spoken(Duration::from_secs(24 * 60 * 60)), "24 hours");
    }
}
