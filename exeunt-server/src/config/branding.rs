//! Values of the options on how pages look.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A colour: `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let number = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, r, g, b] =
            number.ok_or_else(|| format!("{text:?} is not a colour such as #7a1f3d"))?.to_be_bytes();
        Ok(Self([r, g, b]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([r, g, b]) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// A link: `Text=URL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link {
    /// What it says.
    pub text: String,
    /// Where it leads.
    pub url: String,
}

impl FromStr for Link {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (text, url) = given.split_once('=').unwrap_or((given, ""));
        let (text, url) = (text.trim(), url.trim());
        // A script in a link would not run under our content policy; it has no business there all the same.
        let leads = ["https://", "http://", "mailto:", "/"].iter().any(|start| url.starts_with(start));
        match text.is_empty() || !leads || url.contains(char::is_whitespace) {
            true => Err(format!("{given:?} is not a link such as Privacy=https://example.org/privacy")),
            false => Ok(Self { text: text.to_owned(), url: url.to_owned() }),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.text, self.url)
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {
        $(
            impl TryFrom<String> for $type {
                type Error = String;

                fn try_from(text: String) -> Result<Self, String> {
                    text.parse()
                }
            }

            impl From<$type> for String {
                fn from(value: $type) -> Self {
                    value.to_string()
                }
            }
        )*
    };
}

as_text!(Colour, Link);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_colour_and_no_link_is_refused_with_an_example() {
        assert_eq!("#0B57d0".parse::<Colour>().unwrap().to_string(), "#0b57d0");
        for bad in ["red", "#fff", "#12345g", "7a1f3d", "#+12345", ""] {
            assert!(bad.parse::<Colour>().unwrap_err().contains("#7a1f3d"), "{bad}");
        }
        let link: Link = "Help = https://example.org/?a=b".parse().unwrap();
        assert_eq!((link.text.as_str(), link.url.as_str()), ("Help", "https://example.org/?a=b"));
        for bad in [
            "https://example.org",
            "Help=",
            "=https://a",
            "x=javascript:alert(1)",
            "x=https://a b",
            "x=example.org",
        ] {
            assert!(bad.parse::<Link>().unwrap_err().contains("Privacy="), "{bad}");
        }
    }
}
