//! Commands of Debian packages, run as the user that a server has.
//!
//! Must never run a server as root: PostgreSQL and PgBouncer refuse that, and Redis should.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A command that runs as `user` where we are root.
pub(crate) fn as_user(user: &str) -> Vec<OsString> {
    match is_root() {
        true => {
            ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"].map(OsString::from).to_vec()
        }
        false => Vec::new(),
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command to its end; its output is in the error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The words of a command.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

/// A command of a Debian package, wherever it lies; an error names the package.
pub(crate) fn installed(command: &str, package: &str, folders: &[PathBuf]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let found = folders.iter().cloned().chain(on_path).map(|folder| folder.join(command));
    found.into_iter().find(|file| file.is_file()).with_context(|| {
        format!("`{command}` is not installed: run `cargo xtask test`, or `apt-get install {package}`")
    })
}
