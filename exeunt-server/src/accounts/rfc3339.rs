//! Times as people and scripts read them: RFC 3339, UTC, whole seconds.

use std::time::{Duration, UNIX_EPOCH};

use exeunt::Timestamp;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// 9999-12-31T23:59:59Z, the last instant that RFC 3339 can write.
const LAST: u64 = 253_402_300_799;

/// The instant as text. One after the year 9999 is shown as the last second of it.
#[must_use]
pub fn format(at: Timestamp) -> String {
    let seconds = u64::try_from(at.as_secs()).unwrap_or(0).min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// For `#[serde(with = …)]`.
///
/// # Errors
///
/// The serializer's.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*at))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_in_utc_to_the_second() {
        assert_eq!(format(Timestamp::from_secs(1_767_225_600)), "2026-01-01T00:00:00Z");
        assert_eq!(format(Timestamp::from_micros(1_999_999)), "1970-01-01T00:00:01Z");
        assert_eq!(format(Timestamp::from_micros(i64::MAX)), "9999-12-31T23:59:59Z");
    }
}
