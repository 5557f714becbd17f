//! `cargo xtask mutants`: breaks the library in one place after another, and asks whether a test notices.
//!
//! Must never call a mutant caught that was not tried: what does not build is counted apart, and what was left out is said.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::{cargo, output, run as run_command};

/// The version whose mutants `.cargo/mutants.toml` speaks of.
const VERSION: &str = "27.1.0";
/// So many mutants of the last commit are tried at most: some minutes.
const OF_A_COMMIT: usize = 12;
/// A mutant that makes a test wait for ever is caught after so many seconds.
const TIMEOUT: &str = "120";

/// What is broken: its files.
struct Module {
    name: &'static str,
    files: &'static [&'static str],
}

const MODULES: &[Module] = &[
    Module { name: "session", files: &["exeunt/src/session.rs", "exeunt/src/session/**/*.rs"] },
    Module { name: "auth", files: &["exeunt/src/auth.rs", "exeunt/src/auth/**/*.rs"] },
    Module { name: "http", files: &["exeunt/src/http.rs", "exeunt/src/http/**/*.rs"] },
    // SQLite, Redis and PostgreSQL have tests of their own that take longer; the laws are tests themselves.
    Module {
        name: "store",
        files: &["exeunt/src/store.rs", "exeunt/src/store/memory.rs", "exeunt/src/store/near.rs"],
    },
];

/// The tests that have to notice: those that need neither a file nor a server.
const TESTS: &[&str] = &[
    "--no-default-features",
    "--lib",
    "--test=broken",
    "--test=examples",
    "--test=flows",
    "--test=model",
    "--test=races",
    "--test=stores",
];

/// Which mutants.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only of this module: session, auth, http or store.
    #[arg(long)]
    module: Option<String>,
    /// Only one of so many parts, as `0/4`.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only in lines that the last commit changed; of many, a part. A merge counts as one commit: all that it brought.
    #[arg(long, conflicts_with_all = ["module", "shard"])]
    last_commit: bool,
}

/// Tries the mutants of one module, of all, or of the last commit.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if options.last_commit {
        return of_the_last_commit(root);
    }
    let modules = chosen(options.module.as_deref())?;
    provide(root)?;
    let mut command = mutants(root, &modules);
    command.args(["--jobs", "1", "--timeout", TIMEOUT]);
    if let Some(shard) = &options.shard {
        command.args(["--shard", shard]);
    }
    run_command(command.arg("--").args(TESTS))
}

/// On the first commit of all there is nothing to compare with.
fn of_the_last_commit(root: &Path) -> Result<()> {
    let git = |words: &[&str]| output(Command::new("git").current_dir(root).args(words));
    let Ok(before) = git(&["rev-parse", "--verify", "--quiet", "HEAD^"]) else {
        println!("    there is no commit before this one");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let diff = folder.path().join("diff");
    std::fs::write(&diff, git(&["diff", before.trim(), "HEAD", "--", "exeunt/src"])?)?;
    let all = chosen(None)?;
    if !touches(&std::fs::read_to_string(&diff)?) {
        println!("    the last commit changed nothing that is mutated");
        return Ok(());
    }
    provide(root)?;
    let mut list = mutants(root, &all);
    list.arg("--in-diff").arg(&diff);
    let found = output(list.arg("--list"))?.lines().count();
    if found == 0 {
        println!("    no mutant lies in what the last commit changed");
        return Ok(());
    }
    let parts = found.div_ceil(OF_A_COMMIT);
    println!("    {found} mutants in the last commit; one of {parts} parts is tried");
    let mut command = mutants(root, &all);
    command.arg("--in-diff").arg(&diff);
    command.args(["--jobs", "1", "--timeout", TIMEOUT, "--shard", &format!("0/{parts}")]);
    run_command(command.arg("--").args(TESTS))
}

/// Whether a diff has a file that is mutated.
fn touches(diff: &str) -> bool {
    let modules = MODULES.iter().flat_map(|module| module.files);
    let starts: Vec<_> = modules.filter_map(|file| file.split("/*").next()).collect();
    let changed = diff.lines().filter_map(|line| line.strip_prefix("+++ b/"));
    changed.into_iter().any(|file| starts.iter().any(|start| file.starts_with(start)))
}

fn mutants(root: &Path, modules: &[&Module]) -> Command {
    let mut command = cargo(root);
    command.args(["mutants", "--package", "exeunt", "--output", "target/mutants", "--colors", "never"]);
    // What we build on is built once, not once a run.
    command.env("CARGO_TARGET_DIR", root.join("target/mutants/build"));
    for file in modules.iter().flat_map(|module| module.files) {
        command.args(["--file", file]);
    }
    command
}

fn chosen(name: Option<&str>) -> Result<Vec<&'static Module>> {
    let chosen: Vec<_> =
        MODULES.iter().filter(|module| name.is_none_or(|name| module.name == name)).collect();
    if chosen.is_empty() {
        bail!("there is no module `{}`: session, auth, http, store", name.unwrap_or_default());
    }
    Ok(chosen)
}

/// Sees to it that cargo-mutants is there, in the version that is meant.
fn provide(root: &Path) -> Result<()> {
    let said = output(cargo(root).args(["mutants", "--version"]));
    if said.is_ok_and(|said| said.trim() == format!("cargo-mutants {VERSION}")) {
        return Ok(());
    }
    println!("    installing cargo-mutants {VERSION}");
    run_command(cargo(root).args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--force"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_not_there_is_a_failure() {
        assert_eq!(chosen(None).unwrap().len(), MODULES.len());
        assert_eq!(chosen(Some("auth")).unwrap().len(), 1);
        assert!(chosen(Some("nothing")).is_err());
    }

    #[test]
    fn only_a_diff_of_what_is_mutated_is_tried() {
        assert!(touches("+++ b/exeunt/src/session/token.rs\n+x"));
        assert!(touches("+++ b/exeunt/src/auth.rs\n+x"));
        assert!(!touches("+++ b/exeunt/src/store/redis.rs\n+x"));
        assert!(!touches("+ see exeunt/src/auth.rs"));
        assert!(!touches(""));
    }
}
