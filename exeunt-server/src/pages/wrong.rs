//! What is wrong with the fields of a form.
//!
//! Must never hold what was typed: there may be a password in it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::html::Text;

/// By the names of the fields.
pub(super) type Wrong = BTreeMap<&'static str, Problem>;

/// What is wrong with a field, and the number that there is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) text: Text,
    pub(super) count: u64,
}

impl From<Text> for Problem {
    fn from(text: Text) -> Self {
        Self { text, count: 0 }
    }
}

/// Where the focus belongs: the first field that something is wrong with, of those that a form has in this order. If
/// nothing is wrong, `otherwise`.
pub(super) fn first(errors: &Wrong, fields: &[&'static str], otherwise: &'static str) -> &'static str {
    fields.iter().copied().find(|field| errors.contains_key(field)).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focus_goes_to_the_first_wrong_field_as_the_form_has_them() {
        let wrong = |fields: &[&'static str]| -> Wrong {
            fields.iter().map(|field| (*field, Text("error-title").into())).collect()
        };
        let form = ["username", "password", "again"];
        for (fields, focus) in [
            (&[][..], "password"),
            (&["again"], "again"),
            (&["again", "username"], "username"),
            (&["elsewhere"], "password"),
        ] {
            assert_eq!(first(&wrong(fields), &form, "password"), focus, "{fields:?}");
        }
    }
}
