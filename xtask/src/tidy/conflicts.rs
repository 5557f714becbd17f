//! Lines that a merge left behind, in any file that git would keep.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Finding;

const MARKERS: &str = "^(<<<<<<<|>>>>>>>)( |$)";

pub(super) fn find(root: &Path) -> Result<Vec<Finding>> {
    let mut grep = Command::new("git");
    grep.current_dir(root).args([
        "grep",
        "--no-index",
        "--exclude-standard",
        "-I",
        "--line-number",
        "-E",
        MARKERS,
    ]);
    let output = grep.output().context("cannot start git")?;
    let found = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => found.lines().map(finding).collect(),
        // Nothing was found.
        Some(1) => Ok(Vec::new()),
        _ => bail!("git grep failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// From `path:line:text`.
fn finding(found: &str) -> Result<Finding> {
    let mut parts = found.splitn(3, ':');
    let path = parts.next().context("a path")?.to_owned();
    let line = parts.next().context("a line")?.parse()?;
    Ok(Finding { path, line, what: "a merge was not finished here".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_merge_left_behind_is_found_and_what_only_looks_like_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let fine = "=======\n title\n=======\na <<<<<<< b\n<<<<<<<<<< x\n";
        std::fs::write(folder.path().join("fine.md"), fine).unwrap();
        assert_eq!(find(folder.path()).unwrap(), []);
        let left = format!("one\n{} HEAD\ntwo\n{}\n", "<".repeat(7), ">".repeat(7));
        std::fs::write(folder.path().join("left.md"), left).unwrap();
        let lines: Vec<_> =
            find(folder.path()).unwrap().into_iter().map(|found| (found.path, found.line)).collect();
        assert_eq!(lines, [("left.md".to_owned(), 2), ("left.md".to_owned(), 4)]);
    }
}
