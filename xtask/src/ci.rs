//! `cargo xtask ci`: everything that a change must pass, cheapest first.
//!
//! Must never test in another way than the README tells people to.

use std::path::Path;

use anyhow::{Context, Result};

use crate::dependencies::{Graph, Policy};
use crate::steps::{Steps, cargo, run as run_command};
use crate::{deploy, fuzz, mutants, packages, test, tidy};

/// How long each target is fuzzed with a change.
const FUZZ_SECONDS: u32 = 20;

/// Runs every check and prints what each took.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    steps.step("format", || run_command(cargo(root).args(["fmt", "--all", "--check"])))?;
    steps.step("tidy", || tidy::run(root))?;
    let graph = Graph::read(root)?;
    steps.step("dependencies", || {
        graph.check(&Policy::read(root)?)?;
        graph.check_toolchain(root)
    })?;
    steps.step("lints", || {
        let lints = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
        run_command(cargo(root).args(lints).args(["--", "--deny", "warnings"]))
    })?;
    steps.step("tests", || test::run(root))?;
    steps.step("mutants", || mutants::of_the_last_commit(root))?;
    steps.step("fuzz", || fuzz::run(root, &fuzz::Options::all(FUZZ_SECONDS)))?;
    steps.step("deploy", || deploy::run(root))?;
    steps.step("features", || each_feature_alone(root, &graph))?;
    steps.step("packages and docs", || packages::run(root, &graph))?;
    steps.finish();
    Ok(())
}

/// The library with no feature, and with each one alone.
fn each_feature_alone(root: &Path, graph: &Graph) -> Result<()> {
    let features = graph.features("exeunt").context("the workspace has the crate `exeunt`")?;
    // `default` is others together.
    let alone = features.iter().map(String::as_str).filter(|feature| *feature != "default");
    for alone in std::iter::once("").chain(alone) {
        let lints = ["clippy", "--package", "exeunt", "--lib", "--locked", "--no-default-features"];
        let only = ["--features", alone, "--", "--deny", "warnings"];
        run_command(cargo(root).args(lints).args(only))?;
    }
    Ok(())
}
