//! The table "requirement → test" in SECURITY.md.
//!
//! Must never let a row claim a test that is not there, that nobody runs, or that is about something else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Finding, source};

const TABLE: &str = "SECURITY.md";
/// What stands above the table: other tables name rows, too.
const HEADING: &str = "## Requirement → test";

/// Rows up to this one are a MUST or a SHOULD: each stands in the table, with a test or with why there is none yet.
const LAST: u8 = 62;

/// What a row says instead of a test.
const WITHOUT_TEST: &[&str] = &["later", "by review"];

/// The functions that there are, and which of them are run as tests.
#[derive(Debug, Default)]
pub(super) struct Tests {
    /// By name: each with what stands directly before it.
    functions: BTreeMap<String, Vec<String>>,
    /// Those with an attribute that says so, those that such a one names, and those that are handed to a macro: one that
    /// makes a test for each engine, say.
    run: BTreeSet<String>,
}

impl Tests {
    /// Reads every Rust file of the crates that test something of ours, tests first of all.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tests = Self::default();
        for folder in
            ["exeunt/src", "exeunt/tests", "exeunt-server/src", "exeunt-server/tests", "threads/tests"]
        {
            let folder = root.join(folder);
            if !folder.is_dir() {
                continue;
            }
            for path in source::rust_files(&folder)? {
                let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                tests.add(&text).with_context(|| path.display().to_string())?;
            }
        }
        Ok(tests)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        let stream: TokenStream = text.parse().map_err(|error| anyhow!("{error}"))?;
        let mut names = BTreeSet::new();
        self.walk(stream, &mut names);
        for name in names {
            let functions = self.functions.entry(name.clone()).or_default();
            functions.extend(written(text, &name));
        }
        Ok(())
    }

    fn walk(&mut self, stream: TokenStream, names: &mut BTreeSet<String>) {
        let (mut after_fn, mut is_test) = (false, false);
        let (mut after_hash, mut after_bang) = (false, false);
        for token in stream {
            match &token {
                TokenTree::Ident(word) if after_fn => {
                    if is_test {
                        self.run.insert(word.to_string());
                    }
                    names.insert(word.to_string());
                }
                TokenTree::Group(group) => {
                    match group.delimiter() {
                        Delimiter::Bracket if after_hash => is_test |= makes_a_test(group.stream()),
                        Delimiter::Brace if is_test => {
                            words(group.stream(), &mut self.run);
                            is_test = false;
                        }
                        _ => {}
                    }
                    if after_bang {
                        words(group.stream(), &mut self.run);
                    }
                    self.walk(group.stream(), names);
                }
                _ => {}
            }
            after_fn = matches!(&token, TokenTree::Ident(word) if word == "fn");
            after_hash = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
            after_bang = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '!');
        }
    }
}

/// Of an attribute: `test`, `tokio::test(..)`, and not `cfg(test)`.
fn makes_a_test(attribute: TokenStream) -> bool {
    let path = attribute.into_iter().take_while(|token| !matches!(token, TokenTree::Group(_)));
    path.last().is_some_and(|last| matches!(last, TokenTree::Ident(word) if word == "test"))
}

fn words(stream: TokenStream, found: &mut BTreeSet<String>) {
    for token in stream {
        match token {
            TokenTree::Ident(word) => _ = found.insert(word.to_string()),
            TokenTree::Group(group) => words(group.stream(), found),
            _ => {}
        }
    }
}

/// The functions of that name as they are written, with attributes and comments: what says which row each is about.
fn written(text: &str, name: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_it = |line: &str| {
        let after = line.split("fn ").nth(1).and_then(|rest| rest.strip_prefix(name));
        after.is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_it(line)) {
        let before = lines.iter().take(at).rev();
        let above = before.take_while(|line| line.trim_start().starts_with(['#', '/'])).count();
        let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
        let end = format!("{indent}}}");
        let below = match line.ends_with('}') {
            true => 0,
            false => lines.iter().skip(at).take_while(|line| **line != end).count(),
        };
        found.push(
            lines.iter().skip(at - above).take(above + below + 1).copied().collect::<Vec<_>>().join("\n"),
        );
    }
    found
}

/// Checks the table against the tests.
pub(super) fn check(table: &str, tests: &Tests) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let finding = |line: usize, what: String| Finding { path: TABLE.to_owned(), line, what };
    for (index, text) in table.lines().enumerate().skip_while(|(_, text)| *text != HEADING) {
        let line = index + 1;
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        let (Some(row), Some(proof)) = (cells.first().and_then(|cell| number(cell)), cells.last()) else {
            continue;
        };
        if cells.len() < 3 {
            findings.push(finding(line, format!("R{row:02}: a row is `| Rnn | requirement | proof |`")));
        }
        if !seen.insert(row) {
            findings.push(finding(line, format!("R{row:02} stands here a second time")));
        }
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !WITHOUT_TEST.iter().any(|word| proof.contains(word)) {
            findings
                .push(finding(line, format!("R{row:02} names no test, and does not say \"later\" either")));
        }
        for name in names {
            findings.extend(missing(row, name, tests).map(|what| finding(line, what)));
        }
    }
    let absent = (1..=LAST).filter(|row| !seen.contains(row));
    findings.extend(absent.map(|row| finding(1, format!("R{row:02} is not in the table"))));
    findings
}

fn missing(row: u8, name: &str, tests: &Tests) -> Option<String> {
    let Some(functions) = tests.functions.get(name) else {
        return Some(format!("R{row:02} names the test `{name}`, which is not there"));
    };
    if !tests.run.contains(name) {
        return Some(format!("R{row:02} names `{name}`, which is run by nothing"));
    }
    let cited = format!("R{row:02}");
    let none_cites = !functions.iter().any(|text| text.contains(&cited));
    none_cites.then(|| format!("`{name}` does not cite {cited}"))
}

fn number(cell: &str) -> Option<u8> {
    let digits = cell.strip_prefix('R')?;
    (digits.len() == 2).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl Fn(String) -> String) -> Vec<String> {
        let mut tests = Tests::default();
        let holds = "#[test]\nfn logout_holds() {\n    // R01, R02\n}";
        let other = "    async fn other() {}\n\n    fn by_hand() {\n        // R01\n    }\n";
        let listed = "fn of_each(kept: Kept) {\n    // R03\n\n    done();\n}\non_every_engine!(of_each);";
        tests.add(&format!("{holds}\nmod tests {{\n    #[cfg(test)]\n{other}}}\n{listed}")).unwrap();
        tests.add("fn called() {\n    // R05\n}\n#[test]\nfn calls() {\n    called();\n}").unwrap();
        tests.add("/// R01\n#[tokio::test(flavor = \"multi_thread\")] // R04\nasync fn other() {}").unwrap();
        let mut table =
            format!("| R01 | another table | `of_nothing` |\n{HEADING}\n| # | requirement | proof |\n");
        table.push_str("| R01 | holds | `logout_holds` |\n| R02 | told | `logout_holds`, later more |\n");
        table.push_str("| R03 | each | `of_each` |\n");
        table.extend((4..=LAST).map(|row| format!("| R{row:02} | other | later |\n")));
        check(&change(table), &tests).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_complete_table_passes() {
        assert_eq!(said(|table| table), [""; 0]);
        let others =
            |table: String| table.replacen("| R04 | other | later |", "| R04 | other | `other` |", 1);
        assert_eq!(said(others), [""; 0], "cited beside its attribute");
        let called =
            |table: String| table.replacen("| R05 | other | later |", "| R05 | other | `called` |", 1);
        assert_eq!(said(called), [""; 0], "run by a test");
    }

    #[test]
    fn a_table_that_claims_too_much_is_found_out() {
        for (from, to, expected) in [
            ("`logout_holds` |", "`logout_held` |", "R01 names the test `logout_held`, which is not there"),
            ("`logout_holds` |", "`by_hand` |", "R01 names `by_hand`, which is run by nothing"),
            ("`logout_holds`, later", "`other`, later", "`other` does not cite R02"),
            ("| R04 | other | later |", "| R04 | other | `of_each` |", "`of_each` does not cite R04"),
            ("`logout_holds` |", "yes |", "R01 names no test"),
            ("## Requirement", "## Deviation", "R01 is not in the table"),
            ("| R05 | other | later |\n", "", "R05 is not in the table"),
            ("| R62 | other | later |\n", "", "R62 is not in the table"),
            ("| R06 |", "| R05 |", "R05 stands here a second time"),
            ("| R07 | other |", "| R07 |", "R07: a row is"),
        ] {
            let found = said(|table| table.replacen(from, to, 1));
            assert!(found.iter().any(|what| what.contains(expected)), "{to}: {found:?}");
        }
    }
}
