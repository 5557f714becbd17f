//! A message as it goes over the wire (RFC 5322).
//!
//! Must never put a name, or anything else that others chose, into a header.

use std::time::{Duration, UNIX_EPOCH};

use exeunt::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message as Mime, SinglePart};

use super::texts::Message;

/// RFC 5322, section 2.1.1.
const LONGEST_LINE: usize = 998;

/// A message on its way.
pub(super) struct Letter {
    pub(super) account: i64,
    pub(super) kind: &'static str,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

impl Letter {
    /// `None`: nothing can be sent to that address.
    pub(super) fn new(message: Message, from: &Mailbox, now: Timestamp) -> Option<Self> {
        let Message { account, kind, to, language, subject, text } = message;
        // No name in front of it: addresses were checked, names are anybody's.
        let mailbox = Mailbox::new(None, to.parse().ok()?);
        let since_1970 = Duration::from_micros(u64::try_from(now.as_micros()).ok()?);
        let mime = Mime::builder()
            .from(from.clone())
            .to(mailbox)
            .subject(subject.clone())
            .date(UNIX_EPOCH + since_1970)
            .message_id(None)
            // RFC 3834: nobody's "I am on holiday" is of use to us.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            // RFC 3282. A language tag, as a file of texts is named.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Content-Language"), language))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body(&text)))
            .ok()?;
        let (envelope, bytes) = (mime.envelope().clone(), mime.formatted());
        Some(Self { account, kind, to, subject, text, envelope, bytes })
    }
}

/// As it is, where that may be: who looks for a link in a folder finds it whole.
fn body(text: &str) -> Body {
    let plain =
        |line: &str| line.len() <= LONGEST_LINE && line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match text.split('\n').all(plain) {
        true => {
            Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into(), ContentTransferEncoding::SevenBit)
        }
        false => Body::new(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::ResetLink;
    use super::*;
    use crate::html::Words;

    fn letter(name: &str) -> String {
        letter_in("en", name)
    }

    fn letter_in(language: &str, name: &str) -> String {
        let link = "https://h.example/reset?secret=x".to_owned();
        let link = ResetLink { link, lasts: Duration::from_secs(20 * 60) };
        let message =
            link.message(&Words::read(None, language).unwrap(), 7, "alice@example.org", name).unwrap();
        let from = "exeunt <no-reply@h.example>".parse().unwrap();
        let letter = Letter::new(message, &from, Timestamp::from_secs(1_767_225_600)).unwrap();
        String::from_utf8(letter.bytes).unwrap()
    }

    fn head(text: &str) -> Vec<&str> {
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        // One of them is drawn by lot.
        head.lines()
            .filter(|line| !line.starts_with("Message-ID: ") && !line.starts_with("Content-T"))
            .collect()
    }

    #[test]
    fn a_letter_has_a_date_an_id_and_asks_for_no_automatic_answer() {
        let text = letter("alice");
        assert_eq!(
            head(&text),
            [
                "From: exeunt <no-reply@h.example>",
                "To: alice@example.org",
                "Subject: Set a new password",
                "Date: Thu, 01 Jan 2026 00:00:00 +0000",
                "Auto-Submitted: auto-generated",
                "Content-Language: en",
                "MIME-Version: 1.0",
            ]
        );
        assert!(text.contains("Message-ID: <"), "{text}");
        assert!(text.contains("https://h.example/reset?secret=x\r\n"), "{text}");
        assert!(text.contains("within 20 minutes"), "{text}");
    }

    #[test]
    fn a_letter_in_another_language_says_so_and_its_subject_stays_one_line() {
        let text = letter_in("de", "alice");
        let head = head(&text);
        assert!(head.contains(&"Content-Language: de"), "{head:?}");
        assert!(text.is_ascii(), "what is not is encoded: {text}");
        assert!(!text.contains("Somebody"), "{text}");
    }

    #[test]
    fn no_name_however_hostile_changes_a_header() {
        // R42, R39
        let honest = letter("alice");
        for name in
            ["x\r\nBcc: mallory@example.net", "x\r\n\r\nhello", "=?utf-8?q?x?=", "\u{202e}x", "é\u{0}"]
        {
            let text = letter(name);
            assert_eq!(head(&text), head(&honest), "{name:?}");
            assert!(!text.contains("\nBcc:"), "{text}");
        }
    }
}
