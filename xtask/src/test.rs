//! `cargo xtask test`: what the tests need, then the tests.
//!
//! Must never skip a test because a tool is missing: it is installed, or the run stops and names it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::logs;
use crate::steps::{cargo, run as run_command};

/// A command that something calls, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) command: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// Where commands lie that need not be on the path. One part may be `*`.
const BESIDE_THE_PATH: &[&str] = &["/usr/sbin", "/usr/lib/postgresql/*/bin"];

/// What the tests call. The Rust toolchain and its linker are there, or this program would not run.
pub(crate) const FOR_TESTS: &[Need] = &[
    Need { command: "curl", package: "curl", why: "the README's transcript is run as it stands there" },
    Need {
        command: "redis-server",
        package: "redis-server",
        why: "the stores are tested against real servers",
    },
    Need { command: "redis-cli", package: "redis-tools", why: "tests look at what a store wrote" },
    Need { command: "initdb", package: "postgresql", why: "the stores are tested against real servers" },
    Need { command: "psql", package: "postgresql-client", why: "tests look at what a store wrote" },
    Need {
        command: "pgbouncer",
        package: "pgbouncer",
        why: "the store on PostgreSQL works through a pooler",
    },
    Need { command: "strace", package: "strace", why: "tests look at the order of system calls" },
    Need { command: "systemd-analyze", package: "systemd", why: "it checks deploy/exeunt.service" },
    Need { command: "nginx", package: "nginx-light", why: "it checks deploy/nginx.conf" },
];

/// Installs what the tests need, then runs them, doctests included, and looks through what their servers logged.
pub(crate) fn run(root: &Path) -> Result<()> {
    provide(FOR_TESTS)?;
    let kept = logs::empty_folder(root)?;
    let mut tests = cargo(root);
    tests.args(["test", "--workspace", "--all-features", "--locked"]).env(logs::VARIABLE, &kept);
    run_command(&mut tests)?;
    logs::check(&kept)
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
        install(&packages(&absent))?;
    }
    match missing(needs, &path) {
        absent if absent.is_empty() => Ok(()),
        absent => bail!("{}", advice(&absent)),
    }
}

/// What packages call to start the service that they bring.
const STARTERS: &[&str] = &["invoke-rc.d", "deb-systemd-invoke"];

/// Installs packages, and starts none of their services: we start servers of our own.
fn install(packages: &[&str]) -> Result<()> {
    let starts_nothing = tempfile::tempdir().context("a folder for what starts nothing")?;
    let mut apt = apt();
    apt.arg("--option").arg(path_of_dpkg(starts_nothing.path())?);
    run_command(self::apt().arg("update"))?;
    run_command(apt.args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Puts commands that do nothing before those that start services, for the packages' own scripts alone.
///
/// A `policy-rc.d` would say the same to the whole machine, and stay if this were stopped half-way.
fn path_of_dpkg(folder: &Path) -> Result<OsString> {
    for starter in STARTERS {
        let file = folder.join(starter);
        std::fs::write(&file, "#!/bin/sh\nexit 0\n")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    }
    let mut path = OsString::from("DPkg::Path=");
    path.push(folder);
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(path)
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    apt
}

fn missing(needs: &[Need], path: &OsStr) -> Vec<Need> {
    needs.iter().filter(|need| find(need.command, path, BESIDE_THE_PATH).is_none()).copied().collect()
}

/// Where a command lies that was provided.
pub(crate) fn found(command: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(command, &path, BESIDE_THE_PATH).with_context(|| format!("`{command}` is not here"))
}

fn find(command: &str, path: &OsStr, beside: &[&str]) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).chain(beside.iter().flat_map(|pattern| expand(pattern)));
    folders.map(|folder| folder.join(command)).find(|file| file.is_file())
}

/// The folders that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*") else { return vec![pattern.into()] };
    let entries = std::fs::read_dir(before).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join(after.trim_start_matches('/'))).collect()
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

    #[test]
    fn a_command_may_lie_in_a_folder_named_by_its_version() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("17/bin")).unwrap();
        std::fs::write(folder.path().join("17/bin/initdb"), "").unwrap();
        let pattern = format!("{}/*/bin", folder.path().display());
        let find = |command: &str| find(command, OsStr::new(""), &["/nowhere", &pattern]);
        assert_eq!(find("initdb").unwrap(), folder.path().join("17/bin/initdb"));
        assert!(find("psql").is_none());
    }

    #[test]
    fn what_would_start_a_service_of_a_package_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of_dpkg(folder.path()).unwrap().into_string().unwrap();
        assert!(path.starts_with(&format!("DPkg::Path={}:", folder.path().display())), "{path}");
        for starter in STARTERS {
            let status = Command::new(folder.path().join(starter)).args(["redis-server", "start"]).status();
            assert!(status.unwrap().success());
        }
    }
}
