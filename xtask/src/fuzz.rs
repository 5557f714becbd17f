//! `cargo xtask fuzz`: hostile bytes for everything that reads bytes, led by what they reach (libFuzzer, address sanitiser).
//!
//! Must never pass unless a fault that was planted is found first: a fuzzer that finds nothing may be looking at nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::steps::{cargo, output, run as run_command};
use crate::test::{Need, provide};

const TARGETS: &[&str] =
    &["body", "cookie", "token", "login_json", "login_form", "next_path", "configuration", "stored_record"];
/// The target that must fail.
const PLANTED: &str = "planted_fault";
/// How long the planted fault may take to be found.
const PLANTED_SECONDS: u32 = 60;

const FOR_FUZZING: &[Need] =
    &[Need { command: "g++", package: "g++", why: "libFuzzer is C++, and is built with what fuzzes" }];

/// What makes a program tell the fuzzer where it has been, and stop at the first byte that it may not touch.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Zsanitizer=address",
];

/// What is fuzzed, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only these targets; else all of them.
    targets: Vec<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

impl Options {
    /// All targets, for so long each.
    pub(crate) fn all(seconds: u32) -> Self {
        Self { targets: Vec::new(), seconds }
    }
}

/// Builds the targets, sees the planted fault found, and then fuzzes.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let targets = chosen(&options.targets)?;
    provide(FOR_FUZZING)?;
    let programs = build(root)?;
    let found = fuzz(root, &programs, PLANTED, PLANTED_SECONDS)?;
    if found.input.is_none() {
        bail!(
            "the planted fault was not found within {PLANTED_SECONDS} s, so nothing else would be: {}",
            found.said
        );
    }
    println!("    {PLANTED}: found after {} inputs, as it must be", found.inputs);
    let mut failed = Vec::new();
    let together = std::thread::available_parallelism().map_or(1, usize::from);
    for some in targets.chunks(together) {
        let fuzzed = std::thread::scope(|scope| {
            let begin = |target| {
                let programs = &programs;
                (target, scope.spawn(move || fuzz(root, programs, target, options.seconds)))
            };
            let begun: Vec<_> = some.iter().map(|target| begin(*target)).collect();
            begun.into_iter().map(|(target, fuzzing)| (target, fuzzing.join())).collect::<Vec<_>>()
        });
        for (target, result) in fuzzed {
            let Ok(result) = result else { bail!("fuzzing {target} panicked") };
            let fuzzed = result?;
            println!("    {target}: {} inputs in {} s, {} kept", fuzzed.inputs, options.seconds, fuzzed.kept);
            if let Some(input) = fuzzed.input {
                println!("{}", fuzzed.said);
                failed.push(format!("{target} ({})", input.display()));
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("these failed, each on the file behind it: {}", failed.join(", ")),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    if names.is_empty() {
        return Ok(TARGETS.to_vec());
    }
    let find = |name: &String| {
        let found = TARGETS.iter().find(|target| *target == name).copied();
        found.with_context(|| format!("there is no target `{name}`, but {}", TARGETS.join(", ")))
    };
    names.iter().map(find).collect()
}

/// Builds all targets, and gives the folder that they are in.
fn build(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/fuzz");
    let version = output(Command::new("rustc").current_dir(root).args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc --version --verbose` names its host")?;
    let mut build = cargo(root);
    build.args(["build", "--locked", "--bins", "--manifest-path", "bench/fuzz/Cargo.toml"]);
    // Named, so that build scripts and macros are left as they are.
    build.args(["--target", host, "--target-dir"]).arg(&folder);
    // The sanitiser has no stable name yet.
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut build)?;
    Ok(folder.join(host).join("debug"))
}

/// How it went.
struct Fuzzed {
    inputs: String,
    kept: String,
    /// What failed, if anything did.
    input: Option<PathBuf>,
    said: String,
}

fn fuzz(root: &Path, programs: &Path, target: &str, seconds: u32) -> Result<Fuzzed> {
    // What was reached before is where the next run goes on; what stands in the repository is only read.
    let found = root.join("target/fuzz/corpus").join(target);
    let failed = root.join("target/fuzz/failed").join(target);
    for folder in [&found, &failed] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut command = Command::new(programs.join(target));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", failed.display()));
    // What takes this long, or as much memory, has hung or grown without bound.
    command.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=16384",
        "-print_final_stats=1",
        "-verbosity=1",
        // To name each function that is reached first takes longer than to try.
        "-print_funcs=0",
    ]);
    command.arg(found);
    let kept = root.join("bench/fuzz/corpus").join(target);
    if kept.is_dir() {
        command.arg(kept);
    }
    let done =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start the target {target}"))?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let stat = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
        line.map_or("?".to_owned(), |value| value.trim().to_owned())
    };
    let input =
        said.lines().find_map(|line| line.rsplit_once("Test unit written to ").map(|(_, path)| path.into()));
    if !done.status.success() && input.is_none() {
        bail!("the target {target} failed on no input: {}\n{said}", done.status);
    }
    let (inputs, kept) = (stat("number_of_executed_units"), stat("new_units_added"));
    Ok(Fuzzed { inputs, kept, input, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_a_failure() {
        assert_eq!(chosen(&["token".to_owned()]).unwrap(), ["token"]);
        assert!(chosen(&["token".to_owned(), "nothing".to_owned()]).is_err());
        assert_eq!(chosen(&[]).unwrap(), TARGETS);
    }

    #[test]
    fn every_target_is_fuzzed_and_has_a_corpus() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/fuzz");
        let mut there: Vec<_> = std::fs::read_dir(fuzz.join("fuzz_targets"))
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|target| target != PLANTED)
            .collect();
        there.sort();
        let mut known = TARGETS.to_vec();
        known.sort_unstable();
        assert_eq!(there, known);
        for target in TARGETS {
            assert!(std::fs::read_dir(fuzz.join("corpus").join(target)).unwrap().count() > 1, "{target}");
        }
    }
}
