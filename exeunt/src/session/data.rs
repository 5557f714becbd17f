//! What an application keeps in a session: one small JSON object.
//!
//! Must never be parsed unless a handler asks, and must never exceed [`Data::LIMIT`] once made.

use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// An application's own values in a session: one JSON object of at most 64 KiB.
///
/// Kept as text, parsed on first use.
///
/// ```
/// let mut data = exeunt::Data::default();
/// data.set("cart", &["tea", "milk"])?;
/// assert_eq!(data.get::<Vec<String>>("cart")?.unwrap().len(), 2);
/// assert_eq!(data.get::<u64>("visits")?, None);
/// # Ok::<(), exeunt::DataError>(())
/// ```
#[derive(Clone, Default)]
pub struct Data {
    // Empty text stands for `{}`: most sessions hold nothing and then cost nothing.
    json: String,
    parsed: OnceLock<Map<String, Value>>,
}

/// Why a value could not be kept in, or read from, a session's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The object would be longer than [`Data::LIMIT`]; what was there before is unchanged.
    #[error(
        "session data would be {bytes} bytes; at most 65536 are kept: store the value elsewhere and its key here"
    )]
    TooLarge {
        /// How long it would be.
        bytes: usize,
    },
    /// The stored text is not one JSON object.
    #[error("session data is not a JSON object")]
    NotAnObject,
    /// The value is there but has another type, or cannot be written as JSON.
    ///
    /// What serde says of it is left out: it quotes the value, and errors are logged.
    #[error(
        "session data, key {key:?}: the value is of another type than was asked for, or cannot be written as JSON"
    )]
    Value {
        /// Its key.
        key: String,
    },
}

impl Data {
    /// The most bytes of JSON that a session keeps.
    pub const LIMIT: usize = 64 * 1024;

    /// Takes over the text of a JSON object. It is checked for length now and for form on first use.
    ///
    /// # Errors
    ///
    /// [`DataError::TooLarge`].
    pub fn from_json(json: impl Into<String>) -> Result<Self, DataError> {
        let json = json.into();
        match json.len() {
            bytes if bytes > Self::LIMIT => Err(DataError::TooLarge { bytes }),
            _ if json == "{}" => Ok(Self::default()),
            _ => Ok(Self { json, parsed: OnceLock::new() }),
        }
    }

    /// The JSON object, as stores keep it.
    #[must_use]
    pub fn as_json(&self) -> &str {
        if self.json.is_empty() { "{}" } else { &self.json }
    }

    /// The JSON object, nothing at all where it is empty.
    pub(super) fn compact(&self) -> &str {
        &self.json
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`DataError::Value`] if it is of another type, [`DataError::NotAnObject`] if the stored text is damaged.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DataError> {
        let found = self.map()?.get(key);
        found.map(|value| T::deserialize(value).map_err(|_| value_error(key))).transpose()
    }

    /// Puts `value` under `key`, in place of what was there.
    ///
    /// # Errors
    ///
    /// As [`Data::get`], and [`DataError::TooLarge`]. Nothing is changed then.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), DataError> {
        let value = serde_json::to_value(value).map_err(|_| value_error(key))?;
        let mut map = self.map()?.clone();
        map.insert(key.to_owned(), value);
        self.replace(map)
    }

    /// Removes what is under `key`; that there was nothing is no error.
    ///
    /// # Errors
    ///
    /// [`DataError::NotAnObject`].
    pub fn remove(&mut self, key: &str) -> Result<(), DataError> {
        let mut map = self.map()?.clone();
        match map.remove(key) {
            Some(_) => self.replace(map),
            None => Ok(()),
        }
    }

    fn map(&self) -> Result<&Map<String, Value>, DataError> {
        if let Some(map) = self.parsed.get() {
            return Ok(map);
        }
        let map = match serde_json::from_str(self.as_json()) {
            Ok(Value::Object(map)) => map,
            _ => return Err(DataError::NotAnObject),
        };
        Ok(self.parsed.get_or_init(|| map))
    }

    fn replace(&mut self, map: Map<String, Value>) -> Result<(), DataError> {
        let json = serde_json::to_string(&map).map_err(|_| value_error(""))?;
        let mut made = Self::from_json(json)?;
        made.parsed = OnceLock::from(map);
        *self = made;
        Ok(())
    }
}

fn value_error(key: &str) -> DataError {
    DataError::Value { key: key.to_owned() }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    /// Its length alone: what people keep in a session does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.as_json().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_64_kib() {
        assert_eq!(Data::LIMIT, 65_536);
    }

    #[test]
    fn values_come_back_as_they_went_in() {
        let mut data = Data::default();
        data.set("name", "Zoë ✓ \u{1F600}").unwrap();
        data.set("deep", &serde_json::json!({"a": [1, {"b": null}]})).unwrap();
        let read = Data::from_json(data.as_json()).unwrap();
        assert_eq!(read.get::<String>("name").unwrap().unwrap(), "Zoë ✓ \u{1F600}");
        assert_eq!(read.get::<Value>("deep").unwrap().unwrap(), serde_json::json!({"a": [1, {"b": null}]}));
        assert!(read.get::<String>("none").unwrap().is_none());
        assert!(matches!(read.get::<u64>("name"), Err(DataError::Value { .. })));
    }

    #[test]
    fn an_error_tells_the_key_and_not_the_value() {
        // R39: the log shows an error with all its sources.
        let data = Data::from_json(r#"{"pin":"1234"}"#).unwrap();
        let error = data.get::<u64>("pin").unwrap_err();
        let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(shown.contains("pin") && !shown.contains("1234"), "{shown}");
    }

    #[test]
    fn nothing_is_lost_when_a_value_is_refused() {
        let mut data = Data::default();
        data.set("kept", "yes").unwrap();
        let whole = "x".repeat(Data::LIMIT);
        assert!(matches!(data.set("big", &whole), Err(DataError::TooLarge { bytes }) if bytes > Data::LIMIT));
        assert_eq!(data.as_json(), r#"{"kept":"yes"}"#);
        // {"big":"…"} has ten bytes around the text.
        let mut full = Data::default();
        full.set("big", &whole[10..]).unwrap();
        assert_eq!(full.as_json().len(), Data::LIMIT);
        assert!(full.set("big", &whole[9..]).is_err());
    }

    #[test]
    fn two_are_equal_if_their_texts_are() {
        let data = |text: &str| Data::from_json(text).unwrap();
        assert_eq!(data(r#"{"a":1}"#), data(r#"{"a":1}"#));
        assert_ne!(data(r#"{"a":1}"#), data(r#"{"a":2}"#));
        assert_eq!(data("{}"), Data::default());
    }

    #[test]
    fn removing_the_last_value_leaves_the_empty_object() {
        let mut data = Data::from_json(r#"{"a":1}"#).unwrap();
        data.remove("b").unwrap();
        assert!(!data.is_empty());
        data.remove("a").unwrap();
        assert!(data.is_empty());
        assert_eq!((data.as_json(), data.compact()), ("{}", ""));
    }

    #[test]
    fn damaged_text_is_an_error_and_does_not_show() {
        for text in ["[1]", "nope", "{\"a\":"] {
            let mut data = Data::from_json(text).unwrap();
            assert!(matches!(data.get::<Value>("a"), Err(DataError::NotAnObject)), "{text}");
            assert!(matches!(data.set("a", &1), Err(DataError::NotAnObject)), "{text}");
        }
        assert_eq!(format!("{:?}", Data::from_json(r#"{"pin":1234}"#).unwrap()), "Data(12 bytes)");
    }
}
