//! One word a thing: the names that the glossary does not want.
//!
//! Must never look at what others named, only at what we name.

use super::Finding;
use super::source::Source;

/// What the glossary calls otherwise.
///
/// Not here, though there: `key`, since JSON objects have keys; `kill` and `terminate`, since signals do that.
const NOT: &[(&str, &str)] = &[
    ("sid", "session id"),
    ("flush", "logout or destroy"),
    ("cycle", "renew"),
    ("invalidate", "destroy"),
    ("invalidated", "destroyed"),
    ("revoke", "destroy"),
    ("revoked", "destroyed"),
    ("principal", "user"),
    ("ctx", "what it is"),
    ("manager", "what it does"),
    ("helper", "what it does"),
    ("helpers", "what they do"),
    ("util", "what it does"),
    ("utils", "what they do"),
];

/// Methods that others named, which whoever implements their traits has to call so, too: where, by the end of the path, and
/// what. One that could be a store's is let through in its file alone.
const OF_OTHERS: &[(&str, &str)] = &[("", "poll_flush"), ("telemetry/plain.rs", "flush")];

/// The names that a file gives and the glossary does not want.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours =
        |name: &str| !OF_OTHERS.iter().any(|(path, other)| name == *other && source.path.ends_with(path));
    for (line, name) in source.declared.iter().filter(|(_, name)| ours(name)) {
        let parts = parts(name);
        for (not, instead) in NOT {
            if parts.iter().any(|part| part == not) {
                let what = format!("`{name}`: the glossary has no `{not}`; say {instead}");
                findings.push(Finding { path: source.path.clone(), line: *line, what });
            }
        }
    }
    findings
}

/// The words of `snake_case`, `CamelCase` or `UPPER_CASE`, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && before.is_lowercase()) {
            parts.push(String::new());
        }
        if letter != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(letter.to_lowercase());
        }
        before = letter;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let source = Source::parse("exeunt", "store.rs", text).unwrap();
        check(&source).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn forbidden_words_are_found_in_every_sort_of_name() {
        for (text, word) in [
            ("fn revoke_all() {}", "revoke"),
            ("struct SessionManager;", "manager"),
            ("mod utils {}", "utils"),
            ("const MAX_SID: u8 = 1;", "sid"),
            ("fn f() { let ctx = 1; }", "ctx"),
            ("struct A { principal: u8 }", "principal"),
            ("enum Cause { Revoked }", "revoked"),
            ("fn f(sid: u8) {}", "sid"),
        ] {
            let found = found(text);
            assert!(
                matches!(found.as_slice(), [what] if what.contains(&format!("no `{word}`"))),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn words_within_words_and_the_names_of_others_are_left_alone() {
        assert_eq!(found("fn inside() { let considered = writer.flush(); child.kill(); }"), [""; 0]);
        assert_eq!(found("fn poll_flush() {}"), [""; 0]);
        assert_eq!(found("fn flush() {}").len(), 1, "not in any file but that of the log's writer");
        assert_eq!(found("fn recycle(consider: u8) {}"), [""; 0]);
    }
}
