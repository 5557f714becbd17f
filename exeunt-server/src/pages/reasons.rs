//! Why something cannot be a name, a password or an e-mail address, in the words of the pages.

use std::fmt::Display;

use super::Problem;
use crate::html::Text;

pub(super) fn of_name(reason: &impl Display) -> Problem {
    let text = match reason.to_string().as_str() {
        "it is empty" => Text("name-empty"),
        "it is longer than 64 characters" => Text("name-long"),
        "it has a control character in it" => Text("name-control"),
        "it starts or ends with white space" => Text("name-space"),
        _ => Text("name-bad"),
    };
    text.into()
}

pub(super) fn of_email(reason: &impl Display) -> Problem {
    let text = match reason.to_string().as_str() {
        "it has white space or a control character in it" => Text("email-space"),
        "it has no @ in it" => Text("email-at"),
        "what is behind the @ is no domain" => Text("email-domain"),
        "it is longer than 254 bytes" => Text("email-long"),
        _ => Text("email-bad"),
    };
    text.into()
}

pub(super) fn of_password(reason: &impl Display) -> Problem {
    let reason = reason.to_string();
    if let Some(least) = reason.strip_prefix("it is shorter than ") {
        let digits = least.split(' ').next().unwrap_or_default();
        return Problem { text: Text("password-short"), count: digits.parse().unwrap_or_default() };
    }
    let text = match reason.as_str() {
        "it is empty" => Text("password-empty"),
        "it is longer than 1024 bytes" => Text("password-long"),
        "it is a common one, or made of common ones" => Text("password-common"),
        "it is little more than the name of the account or of this site" => Text("password-own-words"),
        "it repeats a few characters" => Text("password-repeats"),
        "it counts, or goes along the alphabet" | "it goes along the keyboard" => Text("password-sequence"),
        "it is little more than a date" => Text("password-date"),
        "it is known from a breach of another site" => Text("password-breached"),
        _ => Text("password-bad"),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_known_is_told_and_one_that_is_not_is_a_refusal_all_the_same() {
        assert_eq!(of_name(&"it is empty").text, Text("name-empty"));
        let short = of_password(&"it is shorter than 15 characters");
        assert_eq!((short.text, short.count), (Text("password-short"), 15));
        assert_eq!(of_password(&"it is a new reason").text, Text("password-bad"));
        assert_eq!(of_name(&"it is a new reason").text, Text("name-bad"));
        assert_eq!(of_email(&"it has no @ in it").text, Text("email-at"));
        assert_eq!(of_email(&"it is a new reason").text, Text("email-bad"));
    }
}
