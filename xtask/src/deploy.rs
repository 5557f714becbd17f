//! Checks `deploy/` as far as that goes without a container engine or a running systemd.
//!
//! Must never touch the services, ports and files of this machine: what is checked is a copy in a temporary folder.

mod compose;
mod container;
mod nginx;
mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::steps::{cargo, run as run_command};
use crate::test::{FOR_TESTS, provide};

/// Checks each file.
pub(crate) fn run(root: &Path) -> Result<()> {
    provide(FOR_TESTS)?;
    // The one that the tests run: what only tests need of a library changes what everything is built on.
    run_command(cargo(root).args(["test", "--workspace", "--all-features", "--locked", "--no-run"]))?;
    let exeunt = std::env::current_exe()?.with_file_name("exeunt");
    let mut findings = unit::check(&text(root, "exeunt.service")?, &exeunt)?;
    findings.extend(nginx::check(&text(root, "nginx.conf")?)?);
    findings.extend(container::check(&text(root, "Containerfile")?, root));
    let compose = compose::Compose::parse(&text(root, "compose.yaml")?)?;
    findings.extend(compose.check(root));
    findings.extend(compose.check_proxy(&text(root, "nginx.conf")?));
    findings.extend(with_its_secrets(root, &exeunt, &compose)?);
    if findings.is_empty() {
        println!("    the unit, nginx.conf, the Containerfile and compose.yaml are sound");
        return Ok(());
    }
    bail!("deploy/ is not as it should be:\n{}", findings.join("\n"));
}

fn text(root: &Path, name: &str) -> Result<String> {
    let path = root.join("deploy").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
}

/// Makes the secrets as the README says, and asks the server whether it understands them and the variables.
fn with_its_secrets(root: &Path, exeunt: &Path, compose: &compose::Compose) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let script = root.join("deploy/make-secrets.sh");
    run_command(Command::new("sh").arg(&script).arg(folder.path()))?;
    let mut findings = Vec::new();
    for (secret, file) in compose.secret_files() {
        let made = folder.path().join(&file).exists();
        // The certificate is the operator's.
        if !made && !secret.starts_with("tls_") {
            findings.push(format!("compose.yaml: nobody makes {file}, the secret `{secret}`"));
        }
    }
    let image = container::variables(&text(root, "Containerfile")?);
    for (service, own) in compose.nodes() {
        let variables = [image.clone(), own].concat();
        findings.extend(understood(exeunt, folder.path(), &service, compose, &variables)?);
    }
    Ok(findings)
}

/// What `exeunt config` says against the variables of a node: the image's, and its own, which win.
fn understood(
    exeunt: &Path,
    folder: &Path,
    service: &str,
    compose: &compose::Compose,
    variables: &[(String, String)],
) -> Result<Vec<String>> {
    let mut config = Command::new(exeunt);
    config.arg("config").env_clear().current_dir(folder);
    for (name, value) in variables {
        let secret = value.strip_prefix("/run/secrets/");
        let file = secret.and_then(|secret| {
            let (_, file) = compose.secret_files().into_iter().find(|(name, _)| name == secret)?;
            Some(folder.join(file))
        });
        config.env(name, file.unwrap_or_else(|| PathBuf::from(value)));
    }
    let output = config.output().context("starting exeunt")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Ok(vec![format!("compose.yaml: {service}: {}", said.trim_end())]);
    }
    // A variable that wins over the secret would give every node sessions of its own.
    let printed = String::from_utf8_lossy(&output.stdout);
    Ok(["store = ", "accounts = "]
        .into_iter()
        .filter(|key| !printed.lines().any(|line| line.starts_with(key) && line.contains("://")))
        .map(|key| format!("compose.yaml: {service}: {key}no server that all nodes share"))
        .collect())
}

/// Whether an image names a version, which does not change under us.
fn is_pinned(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    let version = |tag: &str| tag.starts_with(|first: char| first.is_ascii_digit()) && tag.contains('.');
    name.contains("@sha256:") || name.split_once(':').is_some_and(|(_, tag)| version(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pinned_by_a_version_or_a_digest() {
        for (image, pinned) in [
            ("docker.io/library/redis:7.4.6", true),
            ("debian:12.11-slim", true),
            ("localhost:5000/exeunt@sha256:00", true),
            ("redis", false),
            ("redis:latest", false),
            ("redis:7", false),
            ("localhost:5000/exeunt", false),
        ] {
            assert_eq!(is_pinned(image), pinned, "{image}");
        }
    }
}
