//! What may be a password, and why another may not (R36, R37, R58).
//!
//! Must never be asked at login: who has a password keeps it. Must never ask for digits, signs or capitals, and never say
//! yes where a list that was to be asked did not answer.

mod breached;
mod guessable;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use self::breached::{Breached, BreachedError};
use super::password::normalized;
use super::{AccountError, LONGEST_PASSWORD};

/// NIST SP 800-63B-4, section 3.1.1.2: at least 15 characters where the password is the only factor.
pub const SHORTEST_PASSWORD: usize = 15;
/// What the least length may be set to. NIST's for a password with a second factor, and what it wants accepted.
pub const SHORTEST_PASSWORD_MAY_BE: std::ops::RangeInclusive<usize> = 8..=64;

/// What may be a password. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Policy {
    shortest: usize,
    own_words: Vec<String>,
    breached: Option<Arc<Breached>>,
}

/// Why something may not be a password, in words for the person who chose it. [`PasswordRefused::code`] is for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordRefused {
    /// There is none.
    Empty,
    /// It has too few characters.
    TooShort {
        /// So many are needed.
        least: usize,
    },
    /// It has more than [`LONGEST_PASSWORD`] bytes.
    TooLong,
    /// It is one of those that everybody tries first, or two or three of them in a row.
    Common,
    /// It is little more than the name of the account, of its owner's mailbox or of this site.
    OwnWords,
    /// It repeats a few characters.
    Repeats,
    /// It counts, or goes along the alphabet.
    Sequence,
    /// It goes along the keyboard.
    Keyboard,
    /// It is little more than a date or a year.
    Date,
    /// It is in the configured list of passwords that were found in breaches.
    Breached,
}

impl PasswordRefused {
    /// A name for it that stays the same.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooShort { .. } => "too_short",
            Self::TooLong => "too_long",
            Self::Common => "common",
            Self::OwnWords => "own_words",
            Self::Repeats => "repeats",
            Self::Sequence => "sequence",
            Self::Keyboard => "keyboard",
            Self::Date => "date",
            Self::Breached => "breached",
        }
    }
}

impl fmt::Display for PasswordRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::TooShort { least } => return write!(f, "it is shorter than {least} characters"),
            Self::TooLong => "it is longer than 1024 bytes",
            Self::Common => "it is a common one, or made of common ones",
            Self::OwnWords => "it is little more than the name of the account or of this site",
            Self::Repeats => "it repeats a few characters",
            Self::Sequence => "it counts, or goes along the alphabet",
            Self::Keyboard => "it goes along the keyboard",
            Self::Date => "it is little more than a date",
            Self::Breached => "it is known from a breach of another site",
        })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { shortest: SHORTEST_PASSWORD, own_words: Vec::new(), breached: None }
    }
}

impl Policy {
    /// At least so many characters (Unicode code points, after NFC), kept within [`SHORTEST_PASSWORD_MAY_BE`].
    #[must_use]
    pub fn shortest(self, characters: usize) -> Self {
        let (least, most) = (*SHORTEST_PASSWORD_MAY_BE.start(), *SHORTEST_PASSWORD_MAY_BE.end());
        Self { shortest: characters.clamp(least, most), ..self }
    }

    /// A word that is known of this site, such as its host.
    #[must_use]
    pub fn own_word(mut self, word: &str) -> Self {
        self.own_words.push(word.to_owned());
        self
    }

    /// Refuses what is in this list, too.
    #[must_use]
    pub fn breached(self, list: Breached) -> Self {
        Self { breached: Some(Arc::new(list)), ..self }
    }

    /// Says whether that may be the password of somebody whom these words are known of: the account's name, the mail
    /// address.
    ///
    /// # Errors
    ///
    /// [`AccountError::BadPassword`] with the reason; or the list of breached passwords could not be read.
    pub async fn check(&self, password: &str, own_words: &[&str]) -> Result<(), AccountError> {
        let refused = |reason| Err(AccountError::BadPassword { reason });
        let password = normalized(password);
        if password.is_empty() {
            return refused(PasswordRefused::Empty);
        }
        if password.len() > LONGEST_PASSWORD {
            return refused(PasswordRefused::TooLong);
        }
        if password.chars().count() < self.shortest {
            return refused(PasswordRefused::TooShort { least: self.shortest });
        }
        let own = self.own_words.iter().map(String::as_str).chain(own_words.iter().copied());
        let own = guessable::words(own);
        let breached = self.breached.clone();
        // It computes for a millisecond, and reads a file: neither may hold up requests.
        let reason = tokio::task::spawn_blocking(move || {
            if let Some(reason) = guessable::reason(&password, &own) {
                return Ok(Some(reason));
            }
            let known = breached.map_or(Ok(false), |list| list.has(&password))?;
            Ok::<_, BreachedError>(known.then_some(PasswordRefused::Breached))
        });
        let reason = reason.await.map_err(|error| AccountError::Database(error.into()))?;
        match reason? {
            None => Ok(()),
            Some(reason) => refused(reason),
        }
    }

    /// A policy with a list of breached passwords from this path, which is looked over.
    ///
    /// # Errors
    ///
    /// [`BreachedError`] says which file is wrong, and how.
    pub fn breached_from(self, path: &Path) -> Result<Self, BreachedError> {
        Ok(self.breached(Breached::open(path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reason(policy: &Policy, password: &str) -> Option<PasswordRefused> {
        match policy.check(password, &["margarethe", "margarethe.hollerith@example.org"]).await {
            Ok(()) => None,
            Err(AccountError::BadPassword { reason }) => Some(reason),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_password_has_15_characters_however_many_bytes_that_are_and_1024_bytes_at_most() {
        // R36
        let policy = Policy::default();
        for (password, expected) in [
            ("", Some(PasswordRefused::Empty)),
            ("wrtzk qpfn lmo", Some(PasswordRefused::TooShort { least: 15 })),
            ("wrtzk qpfn lmox", None),
            // Code points after NFC: 14 of 28 bytes, 15 of 30, and 15 that come as 30.
            (
                "\u{e4}\u{f6}\u{fc}\u{df}\u{e9}\u{e8}\u{e0}\u{f1}\u{e7}\u{f8}\u{e5}\u{e6}\u{f0}\u{fe}",
                Some(PasswordRefused::TooShort { least: 15 }),
            ),
            (
                "\u{416}\u{443}\u{43a} \u{441}\u{43f}\u{438}\u{442} \u{43f}\u{43e}\u{434} \u{451}\u{43b}\u{43a}\u{43e}\u{439}",
                None,
            ),
            (
                "\u{1f40e}\u{1f50b}\u{1f4ce}\u{2705}\u{1f980}\u{1f9ca}\u{1f3bb}\u{26f5}\u{1fa81}\u{1f9f5}\u{1f955}\u{1f3af}\u{1f4a1}\u{1f6f6}\u{1f996}",
                None,
            ),
            ("    \t  leading and trailing blanks count  ", None),
        ] {
            assert_eq!(reason(&policy, password).await, expected, "{password:?}");
        }
        let decomposed = "qa\u{308}wo\u{308}ru\u{308}te\u{301}za\u{300}";
        assert_eq!(decomposed.chars().count(), 15);
        assert_eq!(reason(&policy, decomposed).await, Some(PasswordRefused::TooShort { least: 15 }));
        // 64 characters and far more, in one alphabet alone.
        let long: String = "kestrel anvil mulberry quarantine ".repeat(31).chars().take(1024).collect();
        assert_eq!(reason(&policy, long.get(..64).unwrap()).await, None);
        assert_eq!(reason(&policy, &long).await, None);
        assert_eq!(reason(&policy, &format!("{long}x")).await, Some(PasswordRefused::TooLong));
    }

    #[tokio::test]
    async fn the_least_length_goes_down_to_8_and_no_further() {
        // R36
        let policy = Policy::default().shortest(8);
        assert_eq!(reason(&policy, "wrtzkqp").await, Some(PasswordRefused::TooShort { least: 8 }));
        assert_eq!(reason(&policy, "wrtzk7qp").await, None);
        assert_eq!(
            reason(&Policy::default().shortest(1), "wrtzkqp").await,
            Some(PasswordRefused::TooShort { least: 8 })
        );
        assert_eq!(
            reason(&Policy::default().shortest(900), "wrtzkqp").await,
            Some(PasswordRefused::TooShort { least: 64 })
        );
    }

    #[tokio::test]
    async fn common_passwords_own_words_and_trivial_patterns_are_refused_with_the_reason() {
        // R37
        let policy = Policy::default().shortest(8).own_word("login.kaleidoskop.example");
        let mut wrong = Vec::new();
        for (password, expected) in [
            ("password", PasswordRefused::Common),
            ("P4ssw0rd", PasswordRefused::Common),
            ("iloveyou", PasswordRefused::Common),
            ("drowssap", PasswordRefused::Common),
            ("passwordpassword", PasswordRefused::Repeats),
            ("footballpassword", PasswordRefused::Common),
            ("football baseball", PasswordRefused::Common),
            ("margarethe", PasswordRefused::OwnWords),
            ("Margarethe2024", PasswordRefused::OwnWords),
            ("hollerithhollerith", PasswordRefused::Repeats),
            ("Kaleidoskop-Login", PasswordRefused::OwnWords),
            ("exeunt-margarethe", PasswordRefused::OwnWords),
            ("aaaaaaaaaaaaaaaa", PasswordRefused::Repeats),
            ("abcabcabcabcabcabc", PasswordRefused::Repeats),
            ("12345678901234567890", PasswordRefused::Repeats),
            ("abcdefghijklmnop", PasswordRefused::Sequence),
            ("dfghjkl;'/.,mnb", PasswordRefused::Keyboard),
            ("1qaz2wsx3edc4rfv", PasswordRefused::Common),
            ("24.12.1990", PasswordRefused::Date),
        ] {
            let found = reason(&policy, password).await;
            if found != Some(expected) {
                wrong.push((password, found));
            }
        }
        assert_eq!(wrong, []);
        for good in ["correct horse battery staple", "zzzebra-ladder-quilt", "margarethe reads 9 owls in fog"]
        {
            assert_eq!(reason(&policy, good).await, None, "{good:?}");
        }
    }
}
