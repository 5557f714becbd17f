//! What may be an account's e-mail address, and when two addresses are the same.
//!
//! Must never say whether another account has an address, and never send anything to one that was typed, only to one
//! that an account has.

use lettre::Address;
use unicode_normalization::UnicodeNormalization as _;
use url::Host;

use super::AccountError;

/// RFC 5321, section 4.5.3.1.3, less the two brackets.
const LONGEST: usize = 254;

/// An address as messages go to it, and the text that two addresses share if they are the same but for case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Email {
    address: String,
    folded: String,
}

impl Email {
    /// In NFC, and with the domain as DNS has it. Refuses what no message could be sent to; whether somebody reads what
    /// is sent there is not known.
    pub(super) fn new(text: &str) -> Result<Self, AccountError> {
        let refused = |reason| AccountError::BadEmail { reason };
        let text: String = text.nfc().collect();
        // A quoted part may have white space in it by RFC 5321, which nobody's has, and which a header could end at.
        if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            return Err(refused("it has white space or a control character in it"));
        }
        let Some((user, domain)) = text.rsplit_once('@') else { return Err(refused("it has no @ in it")) };
        let domain = match domain.is_ascii() {
            true => domain.to_owned(),
            false => match Host::parse(domain) {
                Ok(Host::Domain(domain)) => domain,
                Ok(_) | Err(_) => return Err(refused("what is behind the @ is no domain")),
            },
        };
        let address = format!("{user}@{domain}");
        if address.len() > LONGEST {
            return Err(refused("it is longer than 254 bytes"));
        }
        if address.parse::<Address>().is_err() {
            return Err(refused("it is not like name@example.org"));
        }
        // Each character by itself, as names are folded.
        let folded = address.chars().flat_map(char::to_lowercase).nfc().collect();
        Ok(Self { address, folded })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.address
    }

    pub(super) fn folded(&self) -> &str {
        &self.folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_but_for_case_composition_and_the_writing_of_the_domain() {
        let folded = |text: &str| Email::new(text).unwrap().folded().to_owned();
        assert_eq!(folded("Alice@Example.org"), folded("alice@example.ORG"));
        assert_eq!(folded("zoe\u{308}@example.org"), folded("ZO\u{cb}@example.org"));
        assert_eq!(folded("a@m\u{fc}ller.example"), folded("a@xn--mller-kva.example"));
        assert_ne!(folded("a+b@example.org"), folded("a@example.org"));
        assert_eq!(Email::new("Alice@Example.org").unwrap().as_str(), "Alice@Example.org");
    }

    #[test]
    fn what_no_message_can_be_sent_to_or_could_break_a_header_is_refused_with_the_reason() {
        // R42
        let long = format!("{}@example.org", "a".repeat(250));
        for (bad, why) in [
            ("", "no @"),
            ("alice", "no @"),
            ("@example.org", "not like"),
            ("alice@", "not like"),
            ("a@b@c", "not like"),
            ("alice@exa mple.org", "white space"),
            ("alice@example.org\r\nBcc: mallory@example.net", "white space"),
            ("\"a\nb\"@example.org", "white space"),
            ("\"a b\"@example.org", "white space"),
            (" alice@example.org", "white space"),
            ("alice@example.org>,<mallory@example.net", "not like"),
            ("a@\u{ad}", "no domain"),
            (&long, "longer"),
        ] {
            match Email::new(bad) {
                Err(AccountError::BadEmail { reason }) => assert!(reason.contains(why), "{bad:?}: {reason}"),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }
}
