//! What messages say. The words stand in `texts/*.ftl`, with those of the pages.
//!
//! Must never ask anybody to log in through a link, nor hold a word that a stranger chose but the account's own name, from
//! which control characters are taken. Must never let whoever caused a notice choose its language: they may not be the owner.

use std::net::IpAddr;
use std::time::Duration;

use exeunt::Timestamp;

use super::{MailUnusable, Outbox};
use crate::html::{Given, Text, Words};

/// A message to the owner of an account, not yet on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The number of the account, for the log.
    pub(super) account: i64,
    /// What it is about, for the log.
    pub(super) kind: &'static str,
    pub(super) to: String,
    /// The tag of the language that it is in.
    pub(super) language: String,
    pub(super) subject: String,
    pub(super) text: String,
}

impl std::fmt::Debug for Message {
    /// Neither the address nor the text, which may have a link in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, kind, .. } = self;
        f.debug_struct("Message").field("account", account).field("kind", kind).finish_non_exhaustive()
    }
}

/// A link that sets a new password. No Debug: whoever has it sets one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ResetLink {
    pub(crate) link: String,
    pub(crate) lasts: Duration,
}

impl ResetLink {
    /// `None`: a text is missing, or names what it is not given.
    pub(super) fn message(&self, words: &Words, account: i64, to: &str, name: &str) -> Option<Message> {
        let (name, lasts) = (shown(name), spoken(words, self.lasts)?);
        let parts = [
            words.say(Text("mail-reset"), &[("name", Given::Text(&name))])?,
            words.say(Text("mail-reset-do"), &[("lasts", Given::Text(&lasts))])?,
            self.link.clone(),
            words.say(Text("mail-reset-once"), &[])?,
            words.say(Text("mail-reset-not-you"), &[])?,
        ];
        Some(Message {
            account,
            kind: "reset_link",
            to: to.to_owned(),
            language: words.tag().to_owned(),
            subject: words.say(Text("mail-reset-subject"), &[])?,
            text: parts.join("\n\n") + "\n",
        })
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

impl Notice {
    /// As [`ResetLink::message`].
    pub(super) fn message(
        &self,
        words: &Words,
        account: i64,
        to: &str,
        name: &str,
        now: Timestamp,
    ) -> Option<Message> {
        let (kind, subject, what) = match self {
            Self::PasswordChanged => (
                "password_changed",
                Text("mail-password-changed-subject"),
                words.say(Text("mail-password-changed"), &[])?,
            ),
            Self::PasswordReset => (
                "password_reset",
                Text("mail-password-reset-subject"),
                words.say(Text("mail-password-reset"), &[])?,
            ),
            Self::EmailChanged => (
                "email_changed",
                Text("mail-email-changed-subject"),
                words.say(Text("mail-email-changed"), &[])?,
            ),
            Self::NewClient { client, address } => {
                ("new_client", Text("mail-new-client-subject"), new_client(words, client, *address)?)
            }
        };
        let (name, now) = (shown(name), now.to_string());
        let account_line = words.say(Text("mail-account"), &[("name", Given::Text(&name))])?;
        let time_line = words.say(Text("mail-time"), &[("time", Given::Text(&now))])?;
        let parts = [
            format!("{account_line}\n{time_line}"),
            what,
            words.say(Text("mail-if-you"), &[])?,
            words.say(Text("mail-if-not-you"), &[])?,
        ];
        Some(Message {
            account,
            kind,
            to: to.to_owned(),
            language: words.tag().to_owned(),
            subject: words.say(subject, &[])?,
            text: parts.join("\n\n") + "\n",
        })
    }
}

fn new_client(words: &Words, client: &str, address: Option<IpAddr>) -> Option<String> {
    let client = known(words, client)?;
    let client = ("client", Given::Text(&client));
    match address.map(|address| address.to_string()) {
        Some(address) => {
            words.say(Text("mail-new-client-from"), &[client, ("address", Given::Text(&address))])
        }
        None => words.say(Text("mail-new-client"), &[client]),
    }
}

impl Outbox {
    /// Tells the owner of the account of that number and name, at that address, what happened just now: in the server's
    /// language.
    pub(crate) fn tell(&self, account: i64, to: &str, name: &str, notice: &Notice) {
        let Some(inner) = &self.0 else { return };
        if let Some(message) = notice.message(&inner.words, account, to, name, inner.clock.now()) {
            self.send(message);
        }
    }

    /// Sends a link to the owner of an account, in that language if there is such a one, or else in the server's.
    pub(crate) fn send_link(
        &self,
        account: i64,
        to: &str,
        name: &str,
        link: &ResetLink,
        language: Option<&str>,
    ) {
        let Some(inner) = &self.0 else { return };
        if let Some(message) = link.message(&inner.words.in_language(language), account, to, name) {
            self.send(message);
        }
    }
}

/// Makes every message once in every language, so that none is missing when it is needed: an operator may have changed the
/// texts.
pub(super) fn check(words: &Words) -> Result<(), MailUnusable> {
    for tag in words.languages() {
        let words = words.in_language(Some(tag));
        for (number, message) in samples(&words).into_iter().enumerate() {
            message.ok_or_else(|| MailUnusable {
                reason: format!(
                    "a text in texts/{tag}.ftl names a value that there is none of; compare it with that of the server: {}",
                    SAMPLES.get(number).unwrap_or(&"mail-reset")
                ),
            })?;
        }
    }
    Ok(())
}

/// The names, or how they begin, of the texts in each of [`samples`].
const SAMPLES: [&str; 9] = [
    "mail-reset, mail-minutes",
    "mail-reset, mail-hours",
    "mail-password-changed, mail-account, mail-time, mail-if",
    "mail-password-reset",
    "mail-email-changed",
    "mail-new-client, mail-client-unknown",
    "mail-new-client-from, mail-client-unknown",
    "mail-new-client, client-on",
    "mail-new-client",
];

fn samples(words: &Words) -> [Option<Message>; SAMPLES.len()] {
    let link =
        |lasts| ResetLink { link: "link".to_owned(), lasts }.message(words, 7, "alice@example.org", "alice");
    let told = |notice: Notice| notice.message(words, 7, "alice@example.org", "alice", Timestamp::default());
    let new = |client: &str, address| told(Notice::NewClient { client: client.to_owned(), address });
    [
        link(Duration::from_secs(20 * 60)),
        link(Duration::from_secs(60 * 60)),
        told(Notice::PasswordChanged),
        told(Notice::PasswordReset),
        told(Notice::EmailChanged),
        new("", None),
        new("", Some(IpAddr::from([192, 0, 2, 7]))),
        new("Firefox/140.0 Linux", None),
        new("curl/8.1", None),
    ]
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
fn known(words: &Words, client: &str) -> Option<String> {
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
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let of = |table: &[(&str, &'static str)]| {
        table.iter().find(|(part, _)| client.contains(part)).map(|(_, name)| *name)
    };
    match (of(BROWSERS), of(SYSTEMS)) {
        (Some(browser), Some(system)) => {
            let both = [("browser", Given::Text(browser)), ("system", Given::Text(system))];
            words.say(Text("client-on"), &both)
        }
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => words.say(Text("mail-client-unknown"), &[]),
    }
}

fn spoken(words: &Words, lasts: Duration) -> Option<String> {
    let minutes = lasts.as_secs() / 60;
    match minutes > 0 && minutes.is_multiple_of(60) {
        true => words.say(Text("mail-hours"), &[("count", Given::Number(minutes / 60))]),
        false => words.say(Text("mail-minutes"), &[("count", Given::Number(minutes))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> Words {
        Words::read(None, "en").unwrap()
    }

    fn link(words: &Words, name: &str, minutes: u64) -> Message {
        let link = ResetLink { link: "l".to_owned(), lasts: Duration::from_secs(60 * minutes) };
        link.message(words, 7, "a@example.org", name).unwrap()
    }

    #[test]
    fn a_notice_says_what_happened_when_and_to_which_account() {
        // R59
        let now = Timestamp::from_secs(1_767_225_600);
        for (notice, part) in [
            (Notice::PasswordChanged, "was changed"),
            (Notice::PasswordReset, "by a link"),
            (Notice::EmailChanged, "another e-mail address"),
        ] {
            let message = notice.message(&english(), 7, "alice@example.org", "alice", now).unwrap();
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
        let told = |words: &Words, client: &str| {
            let address = Some("192.0.2.7".parse().unwrap());
            let notice = Notice::NewClient { client: client.to_owned(), address };
            notice.message(words, 7, "a@example.org", "alice", Timestamp::default()).unwrap().text
        };
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert!(told(&english(), firefox).contains("with Firefox on Linux, from the address 192.0.2.7."));
        let german = english().in_language(Some("de"));
        assert!(told(&german, firefox).contains("Firefox unter Linux"), "{}", told(&german, firefox));
        let bait = "Your account is locked, go to evil.example/login now";
        for words in [english(), german] {
            assert!(!told(&words, bait).contains("evil"), "{}", told(&words, bait));
        }
        assert!(told(&english(), bait).contains("with an unknown program"));
    }

    #[test]
    fn a_name_cannot_look_like_lines_of_ours() {
        let message = link(&english(), "x\n\nAll is well\u{202e}\u{2069}", 60);
        assert!(
            message
                .text
                .starts_with("Somebody asked for a new password for the account \"x  All is well  \".\n")
        );
        assert!(message.text.contains("within 1 hour:"), "{}", message.text);
        for (minutes, said) in [(1, "1 minute:"), (90, "90 minutes:"), (24 * 60, "24 hours:")] {
            let text = link(&english(), "alice", minutes).text;
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn every_message_is_there_in_every_language_and_differs_from_the_others() {
        // R59
        let words = english();
        check(&words).unwrap();
        let all = |tag| samples(&words.in_language(Some(tag))).map(|message| message.unwrap());
        for (english, german) in all("en").iter().zip(&all("de")) {
            assert_eq!((english.language.as_str(), german.language.as_str()), ("en", "de"));
            assert_ne!(english.subject, german.subject);
            for (one, other) in english.text.split("\n\n").zip(german.text.split("\n\n")) {
                assert!(one != other || one == "link", "{one}");
            }
            assert!(!german.text.contains('\u{2068}') && english.text.is_ascii(), "{german:?}");
        }
        // Nobody's language, and none: the server's.
        let german = Words::read(None, "de").unwrap();
        for (words, tag, language) in [
            (&words, Some("xx"), "en"),
            (&german, Some("xx"), "de"),
            (&german, None, "de"),
            (&german, Some("en"), "en"),
        ] {
            assert_eq!(link(&words.in_language(tag), "alice", 20).language, language);
        }
    }

    #[test]
    fn texts_of_an_operator_are_used_and_a_broken_one_is_named_before_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let texts = folder.path().join("texts");
        std::fs::create_dir(&texts).unwrap();
        let words = |text: &str| {
            std::fs::write(texts.join("fr.ftl"), text).unwrap();
            Words::read(Some(folder.path()), "fr").unwrap()
        };
        let french = words("mail-reset-subject = Un nouveau mot de passe\n");
        check(&french).unwrap();
        let message = link(&french, "alice", 20);
        assert_eq!((message.language.as_str(), message.subject.as_str()), ("fr", "Un nouveau mot de passe"));
        assert!(
            message.text.contains("Somebody asked"),
            "what is not translated is English: {}",
            message.text
        );
        for (broken, named) in [
            ("mail-reset = Pour { $nom }\n", "mail-reset"),
            ("mail-new-client-from = De { $adresse }\n", "mail-new-client-from"),
            ("mail-hours = { $heures }\n", "mail-hours"),
        ] {
            let said = check(&words(broken)).unwrap_err().to_string();
            assert!(said.contains("texts/fr.ftl") && said.contains(named), "{said}");
        }
    }
}
