//! The last thing that a line of the log passes: what could forge another is written as an escape.
//!
//! Must never let through a control character, a line end within a line, or a mark that turns the order of reading (R39),
//! whichever field, error or panic it stands in.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Takes a whole line a call, as `tracing-subscriber` writes them.
#[derive(Debug)]
pub(super) struct Plain<W> {
    inner: W,
    /// Whether the line has colours for a terminal, which begin with an escape.
    colours: bool,
}

impl<W: Write> Plain<W> {
    pub(super) fn new(inner: W, colours: bool) -> Self {
        Self { inner, colours }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        // Nearly all are.
        if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            self.inner.write_all(line)?;
        } else {
            let mut plain = escaped(&String::from_utf8_lossy(text), self.colours);
            plain.extend((text.len() < line.len()).then_some('\n'));
            self.inner.write_all(plain.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The escape is that of JSON, in which such characters stand in strings alone.
fn escaped(text: &str, colours: bool) -> String {
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\u{1b}' if colours => plain.push(c),
            c if c.is_control() || turns_or_breaks(c) => _ = write!(plain, "\\u{:04x}", u32::from(c)),
            c => plain.push(c),
        }
    }
    plain
}

/// Unicode's Bidi_Control characters, and its line and paragraph separators.
fn turns_or_breaks(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // R39
    fn a_line_stays_one_line_and_what_is_harmless_stays_as_it_is() {
        let written = |line: &str, colours| {
            let mut out = Vec::new();
            Plain::new(&mut out, colours).write_all(line.as_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        };
        for (line, plain) in [
            ("plain\n", "plain\n"),
            ("no end", "no end"),
            ("Zo\u{eb} 日本\n", "Zo\u{eb} 日本\n"),
            ("a\r\nb\n", "a\\u000d\\u000ab\n"),
            ("\u{85}\u{2028}\u{202e}\u{7f}\t\n", "\\u0085\\u2028\\u202e\\u007f\\u0009\n"),
        ] {
            assert_eq!(written(line, false), plain);
            assert_eq!(written(line, true), plain);
        }
        assert_eq!(written("\u{1b}[2m\n", true), "\u{1b}[2m\n");
        assert_eq!(written("\u{1b}[2m\n", false), "\\u001b[2m\n");
        let json = written("{\"path\":\"/\u{85}\"}\n", false);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read.get("path").and_then(|path| path.as_str()), Some("/\u{85}"));
    }
}
