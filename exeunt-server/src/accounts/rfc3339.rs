//! Times in JSON: RFC 3339, UTC, whole seconds; or microseconds.

use std::fmt::Display;
use std::time::UNIX_EPOCH;

use exeunt::Timestamp;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// For `#[serde(with = …)]`.
///
/// # Errors
///
/// The serializer's.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// For `#[serde(with = …)]`.
///
/// # Errors
///
/// If the text is no such time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

/// Reads a time such as `2026-01-31T12:00:00Z`.
///
/// # Errors
///
/// In words, if the text is no such time.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let time = humantime::parse_rfc3339(text).map_err(|error| error.to_string())?;
    let since_1970 = time.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(Timestamp::default().plus(since_1970))
}

/// With all that a timestamp knows, such as `2026-01-31T12:00:00.000001Z`.
pub fn in_micros(at: Timestamp) -> impl Display {
    // The last that can be written so.
    let at = at.min(Timestamp::from_secs(253_402_300_799));
    humantime::format_rfc3339_micros(UNIX_EPOCH + at.since(Timestamp::default()))
}

/// The same with microseconds.
pub mod micros {
    use super::{Serializer, Timestamp, in_micros};

    pub use super::deserialize;

    /// For `#[serde(with = …)]`.
    ///
    /// # Errors
    ///
    /// The serializer's.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&in_micros(*at))
    }
}
