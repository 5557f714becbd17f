//! The systemd unit.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

const BINARY: &str = "/usr/local/bin/exeunt";

/// The most exposure, in tenths, that `systemd-analyze security` may find.
const EXPOSURE: u8 = 12;

/// What systemd has against the unit, with a program that is there in place of the one that is to be installed.
pub(super) fn check(text: &str, program: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let start = format!("ExecStart={BINARY} ");
    if !text.contains(&start) {
        findings.push(format!("exeunt.service: ExecStart is not {BINARY}, where the README installs it"));
    }
    let folder = tempfile::tempdir()?;
    let unit = folder.path().join("exeunt.service");
    std::fs::write(&unit, text.replace(&start, &format!("ExecStart={} ", program.display())))?;
    let (verified, said) = ask(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit))?;
    // An unknown key is no error to it, but it says so.
    if !verified || said.contains("exeunt.service:") {
        findings.push(said);
    }
    let threshold = format!("--threshold={EXPOSURE}");
    let mut security = Command::new("systemd-analyze");
    let security = security.args(["security", "--offline=true", "--no-pager", &threshold]).arg(&unit);
    let (is_below, said) = ask(security)?;
    if !is_below {
        // The table is long, and its last line is the sum.
        findings.push(said.trim_end().lines().last().unwrap_or_default().to_owned());
    }
    Ok(findings)
}

/// Whether a command succeeds, and what it says.
fn ask(command: &mut Command) -> Result<(bool, String)> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../deploy/exeunt.service");

    fn findings(change: impl FnOnce(String) -> String) -> Vec<String> {
        check(&change(OURS.to_owned()), Path::new("/bin/true")).unwrap()
    }

    #[test]
    fn the_unit_is_sound_and_a_broken_one_is_not() {
        assert_eq!(findings(|unit| unit), [""; 0]);
        for (good, bad) in [
            ("NoNewPrivileges=yes", "NoNewPrivilege=yes"),
            ("ProtectSystem=strict", "ProtectSystem=stricter"),
            ("Type=exec", "Type=nothing"),
            ("ExecStart=/usr/local/bin/exeunt", "ExecStart=/no/such/exeunt"),
            ("SystemCallFilter=@system-service\n", ""),
            ("DynamicUser=yes\n", ""),
        ] {
            assert!(OURS.contains(good), "{good}");
            let found = findings(|unit| unit.replace(good, bad));
            assert!(!found.is_empty(), "{bad}");
        }
    }
}
