//! Finds what everybody tries first: common passwords, the account's own words, repeats, sequences, walks on the keyboard.
//!
//! By the lists and patterns of zxcvbn. Must never ask for kinds of characters: what counts is how soon it is guessed.

use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::{Match, zxcvbn};

use super::PasswordRefused;

/// The name of what runs here is known of every site that runs it.
const OWN: &str = "exeunt";
/// Shorter parts of names are in many words.
const SHORTEST_PART: usize = 3;
/// What has so many characters in it that are in no list and no pattern passes, whatever else is in it.
const UNLISTED: usize = 8;
/// Anything else needs this many guesses: three of the commonest words in a row take fewer.
const GUESSES: u64 = 1_000_000_000;

/// What somebody would try who knows these names, addresses and hosts: each as a whole, and its parts.
pub(super) fn words<'a>(known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words = vec![OWN.to_owned()];
    for text in known {
        let parts = text.split(|letter: char| !letter.is_alphanumeric());
        let parts = parts.filter(|part| part.chars().count() >= SHORTEST_PART);
        words.extend(std::iter::once(text).chain(parts).map(str::to_lowercase));
    }
    words.retain(|word| word.chars().count() >= SHORTEST_PART);
    words.sort_unstable();
    words.dedup();
    words
}

/// Why it would be guessed soon by somebody who knows `own` words, if it would.
pub(super) fn reason(password: &str, own: &[String]) -> Option<PasswordRefused> {
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let found = zxcvbn(password, &own);
    let unlisted: usize = found.sequence().iter().filter(|part| is_unlisted(part)).map(length).sum();
    if unlisted >= UNLISTED || found.guesses() >= GUESSES {
        return None;
    }
    // The part that covers most of it names the reason.
    let longest = found.sequence().iter().max_by_key(|part| length(part))?;
    Some(match &longest.pattern {
        MatchPattern::Dictionary(word) if own.contains(&word.matched_word.as_str()) => {
            PasswordRefused::OwnWords
        }
        MatchPattern::Repeat(_) => PasswordRefused::Repeats,
        MatchPattern::Sequence(_) => PasswordRefused::Sequence,
        MatchPattern::Spatial(_) => PasswordRefused::Keyboard,
        MatchPattern::Date(_) | MatchPattern::Regex(_) => PasswordRefused::Date,
        MatchPattern::Dictionary(_) | MatchPattern::BruteForce => PasswordRefused::Common,
    })
}

fn is_unlisted(part: &Match) -> bool {
    matches!(part.pattern, MatchPattern::BruteForce)
}

fn length(part: &Match) -> usize {
    part.token.chars().count()
}
