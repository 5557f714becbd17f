//! Why something cannot be a name or a password, in the words of the pages.

use crate::html::Text;

pub(super) fn of_name(reason: &str) -> Text {
    match reason {
        "it is empty" => Text("name-empty"),
        "it is longer than 64 characters" => Text("name-long"),
        "it has a control character in it" => Text("name-control"),
        "it starts or ends with white space" => Text("name-space"),
        _ => Text("name-bad"),
    }
}

pub(super) fn of_password(reason: &str) -> Text {
    match reason {
        "it is empty" => Text("password-empty"),
        "it is longer than 1024 bytes" => Text("password-long"),
        _ => Text("password-bad"),
    }
}
