//! `cargo xtask test`: what the tests need, then the tests.
//!
//! Must never skip a test because a tool is missing: it is installed, or the run stops and names it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{cargo, run as run_command};

/// A command that something calls, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) command: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// What the tests call. The Rust toolchain and its linker are there, or this program would not run.
const FOR_TESTS: &[Need] =
    &[Need { command: "curl", package: "curl", why: "the README's transcript is run as it stands there" }];

/// Installs what the tests need, then runs them, doctests included.
pub(crate) fn run(root: &Path) -> Result<()> {
    provide(FOR_TESTS)?;
    run_command(cargo(root).args(["test", "--workspace", "--all-features", "--locked"]))
}

/// Sees to it that every command is there.
pub(crate) fn provide(needs: &[Need]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let absent = missing(needs, &path);
    if absent.is_empty() {
        return Ok(());
    }
    if can_install(&path)? {
        println!("    installing {}", packages(&absent).join(" "));
        run_command(apt().arg("update"))?;
        run_command(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages(&absent)))?;
    }
    match missing(needs, &path) {
        absent if absent.is_empty() => Ok(()),
        absent => bail!("{}", advice(&absent)),
    }
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    apt
}

fn missing(needs: &[Need], path: &OsStr) -> Vec<Need> {
    needs.iter().filter(|need| !is_on(path, need.command)).copied().collect()
}

fn is_on(path: &OsStr, command: &str) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(command).is_file())
}

fn packages(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().map(|need| need.package).collect()
}

/// Whether this is Debian or one of its kind, with us as root.
fn can_install(path: &OsStr) -> Result<bool> {
    if !is_on(path, "apt-get") || !is_on(path, "id") {
        return Ok(false);
    }
    Ok(crate::steps::output(Command::new("id").arg("-u"))?.trim() == "0")
}

fn advice(absent: &[Need]) -> String {
    let mut text = String::from("this needs what is not here:\n");
    for need in absent {
        text.push_str(&format!(
            "  {}: {} (Debian, Ubuntu: apt-get install {})\n",
            need.command, need.why, need.package
        ));
    }
    text.push_str(
        "Install it and run the command again; as root on Debian or Ubuntu it installs this itself.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: &[Need] = &[
        Need { command: "sh", package: "dash", why: "it is everywhere" },
        Need { command: "no-such-command-7", package: "no-such-package", why: "of this test" },
    ];

    #[test]
    fn only_what_is_missing_is_named_with_command_package_and_reason() {
        let absent = missing(NEEDS, OsStr::new("/usr/bin:/bin"));
        assert_eq!(packages(&absent), ["no-such-package"]);
        let advice = advice(&absent);
        for part in ["no-such-command-7", "apt-get install no-such-package", "of this test"] {
            assert!(advice.contains(part), "{advice}");
        }
        assert!(!advice.contains("dash"), "{advice}");
    }

    #[test]
    fn nothing_is_found_on_an_empty_path() {
        assert_eq!(missing(NEEDS, OsStr::new("")).len(), 2);
        assert!(!can_install(OsStr::new("")).unwrap());
    }
}
