//! The table "requirement → test" in SECURITY.md.
//!
//! Must never let a row claim a test that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

use super::{Finding, source};

const TABLE: &str = "SECURITY.md";

/// Rows up to this one are a MUST: each stands in the table, with a test or with why there is none yet.
const LAST_MUST: u8 = 48;

/// What a row says instead of a test.
const WITHOUT_TEST: &[&str] = &["later", "by review"];

/// The functions that test something, by name, with the texts of the files that have them.
#[derive(Debug, Default)]
pub(super) struct Tests {
    files: BTreeMap<String, Vec<String>>,
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
        functions(stream, &mut names);
        for name in names {
            self.files.entry(name).or_default().push(text.to_owned());
        }
        Ok(())
    }
}

fn functions(stream: TokenStream, names: &mut BTreeSet<String>) {
    let mut after_fn = false;
    for token in stream {
        match token {
            TokenTree::Ident(word) => {
                if after_fn {
                    names.insert(word.to_string());
                }
                after_fn = word == "fn";
            }
            TokenTree::Group(group) => functions(group.stream(), names),
            _ => after_fn = false,
        }
    }
}

/// Checks the table against the tests.
pub(super) fn check(table: &str, tests: &Tests) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let finding = |line: usize, what: String| Finding { path: TABLE.to_owned(), line, what };
    for (index, text) in table.lines().enumerate() {
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
    let absent = (1..=LAST_MUST).filter(|row| !seen.contains(row));
    findings.extend(absent.map(|row| finding(1, format!("R{row:02} is a MUST and is not in the table"))));
    findings
}

fn missing(row: u8, name: &str, tests: &Tests) -> Option<String> {
    let Some(files) = tests.files.get(name) else {
        return Some(format!("R{row:02} names the test `{name}`, which is not there"));
    };
    let cited = format!("R{row:02}");
    let none_cites = !files.iter().any(|text| text.contains(&cited));
    none_cites.then(|| format!("the file with `{name}` does not cite {cited}"))
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
        tests.add("// R01, R02\n#[test]\nfn logout_holds() {}").unwrap();
        tests.add("mod tests { async fn other() {} }").unwrap();
        let mut table = String::from("| # | requirement | proof |\n| --- | --- | --- |\n");
        table.push_str("| R01 | holds | `logout_holds` |\n| R02 | told | `logout_holds`, later more |\n");
        table.extend((3..=LAST_MUST).map(|row| format!("| R{row:02} | other | later |\n")));
        check(&change(table), &tests).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_complete_table_passes() {
        assert_eq!(said(|table| table), [""; 0]);
    }

    #[test]
    fn a_table_that_claims_too_much_is_found_out() {
        for (from, to, expected) in [
            ("`logout_holds` |", "`logout_held` |", "R01 names the test `logout_held`, which is not there"),
            ("`logout_holds` |", "`other` |", "the file with `other` does not cite R01"),
            ("`logout_holds` |", "yes |", "R01 names no test"),
            ("| R03 | other | later |\n", "", "R03 is a MUST and is not in the table"),
            ("| R04 |", "| R03 |", "R03 stands here a second time"),
            ("| R05 | other |", "| R05 |", "R05: a row is"),
        ] {
            let found = said(|table| table.replacen(from, to, 1));
            assert!(found.iter().any(|what| what.contains(expected)), "{to}: {found:?}");
        }
    }
}
