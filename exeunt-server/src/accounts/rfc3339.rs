//! Times in JSON: RFC 3339, UTC, whole seconds.

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
    let time = humantime::parse_rfc3339(&text).map_err(D::Error::custom)?;
    let since_1970 = time.duration_since(UNIX_EPOCH).map_err(D::Error::custom)?;
    Ok(Timestamp::default().plus(since_1970))
}
