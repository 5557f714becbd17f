//! `cargo xtask tidy`: what compilers do not check.
//!
//! Must never be a check that cannot fail: each has a test with a broken example.

mod arrows;
mod conflicts;
mod rows;
mod source;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::source::{Source, Tree};

/// From so many lines of code on, tests and comments aside, a module is mentioned; from the second on it is refused.
const LONG: usize = 300;
const TOO_LONG: usize = 400;

/// Something that is not as the house has it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks the whole workspace.
pub(crate) fn run(root: &Path) -> Result<()> {
    let library = read(root, "exeunt")?;
    let server = read(root, "exeunt-server")?;
    let mut findings = arrows::of_the_library(&library);
    findings.extend(arrows::of_the_server(&server));
    for tree in [&library, &server] {
        for source in tree.sources() {
            findings.extend(words::check(source));
            findings.extend(form(source));
        }
    }
    let tests = rows::Tests::read(root)?;
    findings.extend(conflicts::find(root)?);
    findings.extend(rows::check(&text(root, "SECURITY.md")?, &tests));
    if findings.is_empty() {
        println!("    {} files tidy", library.sources().count() + server.sources().count());
        return Ok(());
    }
    let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
    bail!("{}\n{} things to tidy", lines.join("\n"), findings.len());
}

/// A module opens with what it must never do, and is not too long to read.
fn form(source: &Source) -> Option<Finding> {
    let finding = |what: String| Some(Finding { path: source.path.clone(), line: 1, what });
    if speaks_for_itself(source) && !source.doc.to_lowercase().contains("never") {
        return finding("the module's doc says what it is for, then what it must never do".to_owned());
    }
    let lines = source.lines_of_code;
    if lines > TOO_LONG {
        return finding(format!("{lines} lines of code are too many to read at once: split the module"));
    }
    if lines > LONG {
        println!("    note: {} has {lines} lines of code; {LONG} are easier to read", source.path);
    }
    None
}

/// Whether a module has a promise of its own: a part of one is covered by what it is part of.
fn speaks_for_itself(source: &Source) -> bool {
    match source.module.as_slice() {
        // A crate's root is a tour, and the manual is for people.
        [] => false,
        [first, ..] if first == "manual" => false,
        [_] => true,
        [first, _] => arrows::is_ring(first),
        _ => false,
    }
}

fn read(root: &Path, package: &str) -> Result<Tree> {
    let folder = root.join(package).join("src");
    let mut tree = Tree::default();
    for path in source::rust_files(&folder)? {
        let within = path.strip_prefix(&folder).context("the file lies in its folder")?;
        let within = within.to_str().with_context(|| format!("{}: not a name in UTF-8", path.display()))?;
        tree.add(Source::parse(package, within, &text(root, &format!("{package}/src/{within}"))?)?);
    }
    Ok(tree)
}

fn text(root: &Path, path: &str) -> Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding_in(text: &str) -> Option<String> {
        form(&Source::parse("exeunt", "store/near.rs", text).unwrap()).map(|finding| finding.what)
    }

    #[test]
    fn a_module_says_what_it_must_never_do() {
        assert!(finding_in("//! Values.\nfn f() {}").unwrap().contains("must never do"));
        assert!(finding_in("// Must never do I/O.\nfn f() {}").is_some(), "a comment is no doc");
        assert_eq!(finding_in("//! Values.\n//!\n//! Must never do I/O.\nfn f() {}"), None);
        for (within, has_to) in [
            ("store.rs", true),
            ("store/a.rs", true),
            ("store/a/b.rs", false),
            ("app.rs", true),
            ("app/a.rs", false),
            ("lib.rs", false),
        ] {
            assert_eq!(form(&Source::parse("exeunt", within, "").unwrap()).is_some(), has_to, "{within}");
        }
    }

    #[test]
    fn a_module_that_is_too_long_is_refused_its_tests_and_comments_aside() {
        let doc = "//! Must never.\n";
        let function = "/// Doc.\nfn f() {\n    // Why.\n    g();\n}\n\n";
        assert_eq!(finding_in(&format!("{doc}{}", function.repeat(TOO_LONG / 3))), None);
        assert!(finding_in(&format!("{doc}{}", function.repeat(TOO_LONG / 3 + 1))).is_some());
        assert_eq!(finding_in(&format!("{doc}#[cfg(test)]\nmod tests {{ {} }}", function.repeat(500))), None);
    }
}
