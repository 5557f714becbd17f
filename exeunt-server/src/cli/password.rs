//! Reads a new password, from standard input or from the terminal.
//!
//! Must never echo it, and never change it other than by dropping the end of the line.

use std::io::{IsTerminal as _, Read};

use crate::admin::{Code, Failure, NewPassword};

/// Far above what is accepted, so that what is too long is refused as such and not cut.
const MOST_READ: u64 = 64 * 1024;

pub(super) fn read(from_stdin: bool) -> Result<NewPassword, Failure> {
    if from_stdin {
        return from(std::io::stdin().lock());
    }
    if !std::io::stdin().is_terminal() {
        let message =
            "there is no terminal to ask for the password on: pass --password-stdin, and the password there";
        return Err(Failure::new(Code::Usage, message));
    }
    let ask = |prompt| {
        rpassword::prompt_password(prompt).map_err(|error| {
            Failure::new(
                Code::Usage,
                format!("the password could not be read: {error}; pass --password-stdin"),
            )
        })
    };
    let password = ask("New password: ")?;
    match ask("Again: ")? == password {
        true => not_empty(password),
        false => Err(Failure::new(Code::Usage, "the two passwords differ; nothing was done")),
    }
}

fn from(input: impl Read) -> Result<NewPassword, Failure> {
    let mut bytes = Vec::new();
    input.take(MOST_READ).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Code::Usage, format!("the password could not be read from standard input: {error}"))
    })?;
    // The error would show the bytes.
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Code::Usage, "the password on standard input is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    not_empty(text)
}

fn not_empty(password: String) -> Result<NewPassword, Failure> {
    match password.is_empty() {
        true => Err(Failure::new(Code::Usage, "the password is empty")),
        false => Ok(NewPassword::new(password)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        // R36
        for (given, kept) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\n\n", "secret\n"),
            ("secret\r", "secret\r"),
            (" se cret \n", " se cret "),
            ("\u{feff}x\n", "\u{feff}x"),
        ] {
            assert_eq!(from(given.as_bytes()).unwrap().expose(), kept, "{given:?}");
        }
    }

    #[test]
    fn an_empty_or_unreadable_password_is_refused() {
        for given in [&b""[..], b"\n", b"\r\n", b"\xff\n"] {
            assert_eq!(from(given).unwrap_err().code, Code::Usage, "{given:?}");
        }
    }
}
