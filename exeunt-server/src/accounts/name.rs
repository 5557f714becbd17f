//! What may be an account's name, and when two names are the same.
//!
//! Must never change a name other than by NFC.

use unicode_normalization::UnicodeNormalization as _;

use super::AccountError;

/// The most characters (Unicode scalar values) of a name, after NFC.
pub const LONGEST_NAME: usize = 64;

/// A name in NFC, and the text that two names share if they are the same but for case.
#[derive(Clone, Debug)]
pub(super) struct Name {
    name: String,
    folded: String,
}

impl Name {
    /// Refuses what is empty, longer than 64 characters, has a control character, or starts or ends in white space.
    pub(super) fn new(text: &str) -> Result<Self, AccountError> {
        let name: String = text.nfc().collect();
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.chars().nth(LONGEST_NAME).is_some() {
            "it is longer than 64 characters"
        } else if name.chars().any(char::is_control) {
            "it has a control character in it"
        } else if name.trim() != name {
            "it starts or ends with white space"
        } else {
            // Each character by itself: `str::to_lowercase` looks at a sigma's neighbours.
            let folded = name.chars().flat_map(char::to_lowercase).nfc().collect();
            return Ok(Self { name, folded });
        };
        Err(AccountError::BadName { reason })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) fn folded(&self) -> &str {
        &self.folded
    }
}

/// As names are folded, but of a part of one, or of anything else that somebody searches for.
pub(super) fn folded_part(text: &str) -> String {
    let text: String = text.nfc().collect();
    // PostgreSQL takes no text with a NUL in it. No name has a control character, so this one is as much in none, and stands
    // where the other would.
    text.chars()
        .flat_map(char::to_lowercase)
        .nfc()
        .map(|letter| if letter == '\0' { '\u{1}' } else { letter })
        .collect()
}

/// A text that comes after all names that begin so, and before all others that come after them. By Unicode scalar values,
/// as both databases order names.
pub(super) fn after_all_with(prefix: &str) -> String {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // Surrogates are no scalar values, and are stepped over.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return end.into_iter().collect();
        }
    }
    // Longer than a name, of whose characters none becomes more than three when it is folded.
    char::MAX.to_string().repeat(3 * LONGEST_NAME + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Name::new(a).unwrap().folded() == Name::new(b).unwrap().folded()
    }

    #[test]
    fn names_are_the_same_but_for_case_and_composition() {
        assert!(same("alice", "ALICE"));
        assert!(same("zo\u{eb}", "ZOE\u{308}"));
        assert!(same("ΟΔΟΣ", "οδοσ"));
        assert!(same("\u{130}x", "i\u{307}X"));
        assert!(!same("alice", "alice2"));
        assert!(!same("zoe", "zoë"));
    }

    #[test]
    fn the_end_of_a_prefix_comes_after_all_that_begin_so_and_before_the_next() {
        let last = "\u{10ffff}".repeat(3 * LONGEST_NAME + 1);
        for (prefix, end) in [
            ("", last.as_str()),
            ("a", "b"),
            ("az", "a{"),
            ("\u{d7ff}", "\u{e000}"),
            ("a\u{10ffff}", "b"),
            ("\u{10ffff}\u{10ffff}", last.as_str()),
        ] {
            assert_eq!(after_all_with(prefix), end, "{prefix:?}");
        }
        assert_eq!(folded_part("ZoE\u{308}"), Name::new("zo\u{eb}").unwrap().folded());
        assert_eq!(folded_part("A\0B"), "a\u{1}b");
    }

    #[test]
    fn a_name_is_kept_as_it_was_written() {
        assert_eq!(Name::new("Zoe\u{308} Ab").unwrap().as_str(), "Zo\u{eb} Ab");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_the_reason() {
        let long = "é".repeat(65);
        for (bad, why) in [
            ("", "empty"),
            (long.as_str(), "longer"),
            ("a\nb", "control"),
            ("a\u{7f}", "control"),
            ("a\u{85}b", "control"),
            (" a", "white"),
            ("a\u{a0}", "white"),
            ("\u{3000}", "white"),
        ] {
            match Name::new(bad) {
                Err(AccountError::BadName { reason }) => assert!(reason.contains(why), "{bad:?}: {reason}"),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
        assert!(Name::new(&"e\u{301}".repeat(64)).is_ok(), "64 characters once composed");
    }
}
