//! `cargo xtask soak`: the hunts that are too long for each change, one after another.
//!
//! Must never hunt otherwise than `cargo xtask ci` does: each hunt is a test, or the fuzzing, that it runs too, with fewer
//! rounds.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::{cargo, run as run_command};
use crate::{fuzz, test};

/// What is hunted for, and which tests do it.
struct Hunt {
    name: &'static str,
    /// What `cargo test` is told; nothing for what `cargo xtask fuzz` does.
    tests: &'static [&'static str],
}

const HUNTS: &[Hunt] = &[
    Hunt { name: "histories", tests: &["--package", "exeunt", "--all-features", "--test", "model"] },
    Hunt { name: "crashes", tests: &["--package", "exeunt", "--all-features", "--test", "crash"] },
    Hunt { name: "faults", tests: &["--package", "exeunt", "--all-features", "--test", "faults"] },
    Hunt { name: "attack", tests: &["--package", "exeunt-server", "--test", "server", "attack"] },
    // A million sessions, and what they cost.
    Hunt { name: "index", tests: &["--package", "exeunt", "--all-features", "--lib", "--test", "redis"] },
    Hunt {
        name: "timing",
        tests: &["--release", "--package", "exeunt-server", "--test", "accounts", "timing::"],
    },
    // Nothing else may run beside it, and what is not optimised is slow where a server is not.
    Hunt {
        name: "passwords",
        tests: &["--release", "--package", "exeunt-server", "--test", "server", "passwords::"],
    },
    Hunt { name: "fuzz", tests: &[] },
    // Millions of schedules: what is not optimised takes ten times as long.
    Hunt {
        name: "interleavings",
        tests: &["--release", "--package", "exeunt", "--all-features", "--test", "interleavings"],
    },
    Hunt { name: "threads", tests: &["--package", "threads"] },
    Hunt { name: "nodes", tests: &["--package", "exeunt-server", "--test", "server", "nodes::"] },
    Hunt { name: "kills", tests: &["--package", "exeunt-server", "--test", "server", "kill_9"] },
    Hunt {
        name: "linearizable",
        tests: &["--package", "exeunt-server", "--test", "server", "linearizable::every"],
    },
];

/// Which hunts, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only these hunts; `--list` names all.
    names: Vec<String>,
    /// Names the hunts and ends.
    #[arg(long)]
    list: bool,
    /// Minutes for each hunt that goes on until it is told to stop; the others have a number of rounds.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
}

/// Runs the hunts, the ones after a failure too. Every one that found something is named last.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if options.list {
        HUNTS.iter().for_each(|hunt| println!("{}", hunt.name));
        return Ok(());
    }
    let hunts = chosen(&options.names)?;
    test::provide(test::FOR_TESTS)?;
    let mut found = Vec::new();
    for hunt in hunts {
        println!("==> {}", hunt.name);
        let began = Instant::now();
        let result = match hunt.tests {
            [] => fuzz::run(root, &fuzz::Options::all(options.minutes.saturating_mul(60))),
            tests => {
                let mut command = cargo(root);
                command.args(["test", "--locked"]).args(tests).args(["--", "--nocapture"]);
                // `services::rounds` and `services::minutes` read it.
                run_command(command.env("EXEUNT_SOAK", options.minutes.to_string()))
            }
        };
        println!("    {}: {:.1} s", hunt.name, began.elapsed().as_secs_f64());
        if let Err(error) = result {
            println!("    {error:#}");
            found.push(hunt.name);
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => bail!("something was found by: {}", found.join(", ")),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Hunt>> {
    if names.is_empty() {
        return Ok(HUNTS.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match HUNTS.iter().find(|hunt| hunt.name == name) {
            Some(hunt) => chosen.push(hunt),
            None => bail!("there is no hunt `{name}`; `cargo xtask soak --list` names all"),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_that_is_not_there_is_a_failure() {
        assert!(chosen(&["histories".to_owned()]).is_ok());
        assert!(chosen(&["histories".to_owned(), "nothing".to_owned()]).is_err());
        assert_eq!(chosen(&[]).unwrap().len(), HUNTS.len());
    }
}
