//! `cargo xtask mutants`: breaks the library in one place after another, and asks whether a test notices.
//!
//! Must never call a mutant caught that was not tried: what does not build is counted apart, and what was left out is said.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::steps::{cargo, output, run as run_command, shown};
use crate::test;

/// The version whose mutants `.cargo/mutants.toml` speaks of.
const VERSION: &str = "27.1.0";
/// So many mutants of the last commit are tried at most: two or three minutes.
const OF_A_COMMIT: usize = 8;
/// A mutant that makes a test wait for ever is noticed after so many seconds.
const TIMEOUT: &str = "60";
/// Where they are built, and what came of them.
const FOLDER: &str = "target/mutants";
/// What cargo-mutants says with its exit code: some were not noticed; some made a test wait too long.
const NOT_NOTICED: i32 = 2;
const WAITED: i32 = 3;

/// What is broken: its files. And who has to notice.
struct Module {
    name: &'static str,
    files: &'static [&'static str],
    tests: &'static Tests,
}

impl Module {
    /// Whether its tests need neither a file nor a server.
    fn is_in_memory(&self) -> bool {
        self.tests.features.is_empty()
    }
}

/// The tests that are asked about a mutant, and what of the library they are built with.
struct Tests {
    features: &'static str,
    /// Those besides the unit tests. These come first: they notice most, and are built in a few seconds.
    others: &'static [&'static str],
}

/// All that need neither a file nor a server.
const IN_MEMORY: Tests = Tests {
    features: "",
    others: &[
        "--test=broken",
        "--test=events",
        "--test=examples",
        "--test=faults",
        "--test=flows",
        "--test=model",
        "--test=near_bytes",
        "--test=races",
        "--test=stores",
    ],
};

const ON_SQLITE: Tests = Tests {
    features: "sqlite",
    others: &[
        "--test=crash",
        "--test=model",
        "--test=races",
        "--test=sqlite",
        "--test=stores",
        "--test=sync_failure",
    ],
};

const ON_REDIS: Tests =
    Tests { features: "redis", others: &["--test=model", "--test=races", "--test=redis", "--test=stores"] };

const ON_POSTGRES: Tests = Tests {
    features: "postgres",
    others: &["--test=model", "--test=postgres", "--test=postgres_outages", "--test=stores"],
};

const MODULES: &[Module] = &[
    Module {
        name: "session",
        files: &["exeunt/src/session.rs", "exeunt/src/session/**/*.rs"],
        tests: &IN_MEMORY,
    },
    Module { name: "auth", files: &["exeunt/src/auth.rs", "exeunt/src/auth/**/*.rs"], tests: &IN_MEMORY },
    Module { name: "http", files: &["exeunt/src/http.rs", "exeunt/src/http/**/*.rs"], tests: &IN_MEMORY },
    // The laws are tests themselves.
    Module {
        name: "store",
        files: &["exeunt/src/store.rs", "exeunt/src/store/memory.rs", "exeunt/src/store/near.rs"],
        tests: &IN_MEMORY,
    },
    Module {
        name: "sqlite",
        files: &["exeunt/src/store/sqlite.rs", "exeunt/src/store/sqlite/**/*.rs"],
        tests: &ON_SQLITE,
    },
    Module {
        name: "redis",
        files: &["exeunt/src/store/redis.rs", "exeunt/src/store/redis/**/*.rs"],
        tests: &ON_REDIS,
    },
    Module {
        name: "postgres",
        files: &["exeunt/src/store/postgres.rs", "exeunt/src/store/postgres/**/*.rs"],
        tests: &ON_POSTGRES,
    },
];

/// Which mutants.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only of this module: session, auth, http or store (the trait, memory and the near cache), which are tried in
    /// memory; sqlite, redis or postgres, which are tried on files and servers.
    #[arg(long)]
    module: Option<String>,
    /// Only one of so many parts, as `0/4`.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only in lines that the last commit changed; of many, a part. A merge counts as one commit: all that it brought.
    #[arg(long, conflicts_with_all = ["module", "shard"])]
    last_commit: bool,
}

/// Three functions: the unit test looks at one, the other test at another, and nobody at the third.
const PLANTED: &str = "\
pub fn seen(numbers: &mut Vec<u8>) { numbers.push(1) }
pub fn seen_by_others(numbers: &mut Vec<u8>) { numbers.push(1) }
pub fn unseen(numbers: &mut Vec<u8>) { numbers.push(1) }
#[test]
fn one_is_added() {
    let mut numbers = Vec::new();
    seen(&mut numbers);
    assert_eq!(numbers, [1]);
}
";
const PLANTED_TEST: &str = "\
#[test]
fn one_is_added() {
    let mut numbers = Vec::new();
    exeunt::seen_by_others(&mut numbers);
    assert_eq!(numbers, [1]);
}
";

/// Tries the mutants of one module, of all, or of the last commit.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if options.last_commit {
        return of_the_last_commit(root);
    }
    let modules = chosen(options.module.as_deref())?;
    provide(root)?;
    names_what_nobody_notices()?;
    if modules.iter().any(|module| !module.is_in_memory()) {
        test::provide(test::FOR_TESTS)?;
    }
    let mut unnoticed = Vec::new();
    for module in modules {
        println!("==> {}", module.name);
        let part = options.shard.iter().flat_map(|shard| ["--shard".into(), shard.into()]);
        unnoticed.extend(try_all(root, module.tests, &files(module), &part.collect::<Vec<_>>())?);
    }
    all_noticed(&unnoticed)
}

/// Tries those of the last commit that tests in memory notice. On the first commit of all there is nothing to compare with.
pub(crate) fn of_the_last_commit(root: &Path) -> Result<()> {
    let git = |words: &[&str]| output(Command::new("git").current_dir(root).args(words));
    let Ok(before) = git(&["rev-parse", "--verify", "--quiet", "HEAD^"]) else {
        println!("    there is no commit before this one");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let diff = folder.path().join("diff");
    std::fs::write(&diff, git(&["diff", before.trim(), "HEAD", "--", "exeunt/src"])?)?;
    let text = std::fs::read_to_string(&diff)?;
    let touched: Vec<_> = in_memory().filter(|module| touches(&text, module)).collect();
    if touched.is_empty() {
        println!("    the last commit changed nothing that is tried in memory");
        return Ok(());
    }
    provide(root)?;
    names_what_nobody_notices()?;
    let files: Vec<_> = touched.into_iter().flat_map(files).collect();
    let mut part = vec!["--in-diff".into(), diff.into()];
    let found = output(mutants(root).args(&files).args(&part).arg("--list"))?.lines().count();
    if found == 0 {
        println!("    no mutant lies in what the last commit changed");
        return Ok(());
    }
    let parts = found.div_ceil(OF_A_COMMIT);
    println!("    {found} mutants in the last commit; one of {parts} parts is tried");
    // Here and there, and not just in the first file.
    part.extend(["--sharding=round-robin".into(), "--shard".into(), format!("0/{parts}").into()]);
    all_noticed(&try_all(root, &IN_MEMORY, &files, &part)?)
}

/// A check that names no mutant says nothing: one that nobody notices has to be named, and those that a test notices must not be.
fn names_what_nobody_notices() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    for folder in ["src", "tests"] {
        std::fs::create_dir(root.join(folder))?;
    }
    std::fs::write(
        root.join("Cargo.toml"),
        "[package]\nname = \"exeunt\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    std::fs::write(root.join("src/lib.rs"), PLANTED)?;
    std::fs::write(root.join("tests/others.rs"), PLANTED_TEST)?;
    println!("    one that nobody notices is planted");
    match &*try_all(root, &Tests { features: "", others: &["--test=others"] }, &[], &[])? {
        [named] if named.contains("replace unseen with") => Ok(()),
        named => {
            bail!("of three that were planted the one that nobody notices is to be named, not {named:?}")
        }
    }
}

fn all_noticed(unnoticed: &[String]) -> Result<()> {
    match unnoticed {
        [] => Ok(()),
        some => bail!("no test noticed {}:\n  {}", some.len(), some.join("\n  ")),
    }
}

/// Asks the unit tests about a part of these files' mutants, then all others about what those did not notice, and names what
/// nobody did.
fn try_all(root: &Path, tests: &Tests, files: &[OsString], part: &[OsString]) -> Result<Vec<String>> {
    let left = ask(root, tests.features, &["--lib"], &[files, part].concat())?;
    if left.is_empty() {
        return Ok(left);
    }
    println!("    the unit tests did not notice {}; the other tests are asked", left.len());
    let mut unnoticed = ask(root, tests.features, tests.others, &just(&left))?;
    // Fields that are left out are tried whatever `--re` says.
    unnoticed.retain(|mutant| left.contains(mutant));
    Ok(unnoticed)
}

/// Has these tests look at these mutants, and names those that none of them noticed.
///
/// A mutant that makes a test wait for ever was noticed: no person would wait longer.
fn ask(root: &Path, features: &str, tests: &[&str], which: &[OsString]) -> Result<Vec<String>> {
    std::fs::create_dir_all(root.join(FOLDER))?;
    let mut command = mutants(root);
    // For the build as well as for the test: what is not asked is not built.
    command.args(tests.iter().map(|test| format!("--cargo-arg={test}")));
    command.args(["--no-default-features", "--features", features]);
    command.args(["--jobs", "1", "--timeout", TIMEOUT]).args(which);
    println!("    $ {}", shown(&command));
    let status = command.status().context("cannot start cargo-mutants")?;
    match status.code() {
        Some(0 | NOT_NOTICED | WAITED) => {
            let missed = root.join(FOLDER).join("mutants.out/missed.txt");
            let missed = std::fs::read_to_string(&missed).with_context(|| missed.display().to_string())?;
            Ok(missed.lines().map(ToOwned::to_owned).collect())
        }
        _ => bail!("cargo-mutants failed: {status}"),
    }
}

/// These mutants, and no other file than theirs.
fn just(mutants: &[String]) -> Vec<OsString> {
    let files: BTreeSet<_> = mutants.iter().filter_map(|mutant| mutant.split(':').next()).collect();
    let files = files.into_iter().flat_map(|file| ["--file".into(), file.into()]);
    files.chain(mutants.iter().flat_map(|mutant| ["--re".into(), exactly(mutant).into()])).collect()
}

/// What matches this mutant and no other.
fn exactly(mutant: &str) -> String {
    let mut expression = String::from("^");
    for character in mutant.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression + "$"
}

fn in_memory() -> impl Iterator<Item = &'static Module> {
    MODULES.iter().filter(|module| module.is_in_memory())
}

/// Whether a diff has a file of this module.
fn touches(diff: &str, module: &Module) -> bool {
    let starts = || module.files.iter().filter_map(|file| file.split("/*").next());
    let mut changed = diff.lines().filter_map(|line| line.strip_prefix("+++ b/"));
    changed.any(|file| starts().any(|start| file.starts_with(start)))
}

fn mutants(root: &Path) -> Command {
    let mut command = cargo(root);
    command.args(["mutants", "--package", "exeunt", "--output", FOLDER, "--colors", "never"]);
    // What we build on is built once, not once a run; and nobody looks into what is built with a debugger.
    command.env("CARGO_TARGET_DIR", root.join(FOLDER).join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

fn files(module: &Module) -> Vec<OsString> {
    module.files.iter().flat_map(|file| ["--file".into(), file.into()]).collect()
}

fn chosen(name: Option<&str>) -> Result<Vec<&'static Module>> {
    let chosen: Vec<_> =
        MODULES.iter().filter(|module| name.is_none_or(|name| module.name == name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = MODULES.iter().map(|module| module.name).collect();
        bail!("there is no module `{}`, but {}", name.unwrap_or_default(), names.join(", "));
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
    // What it does is wait for compilers and tests: it need not be fast itself, but soon there.
    let install = ["install", "cargo-mutants", "--locked", "--debug", "--force", "--version", VERSION];
    run_command(cargo(root).args(install))
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
    fn a_mutant_is_matched_to_the_letter() {
        let mutant = "a.rs:7:9: replace <impl X for Y<'_>>::f -> Option<(u8, &str)> with Some((1, \"x\"))";
        let expected = concat!(
            r"^a\.rs:7:9: replace <impl X for Y<'_>>::f \-> Option<\(u8, \&str\)> ",
            r#"with Some\(\(1, "x"\)\)$"#
        );
        assert_eq!(exactly(mutant), expected);
        let just = just(&["a.rs:1:2: x".to_owned(), "a.rs:3:4: y".to_owned()]);
        assert_eq!(just, ["--file", "a.rs", "--re", "^a\\.rs:1:2: x$", "--re", "^a\\.rs:3:4: y$"]);
    }

    #[test]
    fn only_a_diff_of_what_is_tried_in_memory_is_tried_with_each_change() {
        let touched = |diff| {
            let touched = in_memory().filter(|module| touches(diff, module));
            touched.map(|module| module.name).collect::<Vec<_>>()
        };
        assert_eq!(touched("+++ b/exeunt/src/session/token.rs\n+x"), ["session"]);
        assert_eq!(touched("+++ b/exeunt/src/auth.rs\n+++ b/exeunt/src/http/layer.rs"), ["auth", "http"]);
        assert_eq!(touched("+++ b/exeunt/src/store/near.rs"), ["store"]);
        for nothing in ["+++ b/exeunt/src/store/redis.rs\n+x", "+ see exeunt/src/auth.rs", ""] {
            assert!(touched(nothing).is_empty(), "{nothing}");
        }
    }
}
