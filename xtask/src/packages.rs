//! What would be uploaded: builds and documents it as whoever fetches it would, from nothing but its own files.
//!
//! Must never read a file of the repository in place of one that was packaged.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use crate::dependencies::Graph;
use crate::steps::{cargo, run as run_command};

/// Packages what is published, and checks and documents that.
///
/// `cargo package` would build every package for itself, with all that it builds on, and takes as long as all tests. What it asks
/// is the same: are the files complete, and does each name what it builds on. Uploading asks it again.
pub(crate) fn run(root: &Path, graph: &Graph) -> Result<()> {
    let own = root.join("target/packaged");
    let unpacked = own.join("unpacked");
    for old in [&own.join("package"), &unpacked] {
        // Nothing of an earlier run may stand in for what is missing now.
        if old.exists() {
            std::fs::remove_dir_all(old)?;
        }
    }
    std::fs::create_dir_all(&unpacked)?;
    let published = graph.published();
    let mut package = cargo(root);
    // What is not committed yet is packaged too: this step asks whether the files are complete, not whether git is.
    package.args(["package", "--locked", "--allow-dirty", "--no-verify", "--target-dir"]).arg(&own);
    for name in &published {
        package.args(["--package", name]);
    }
    run_command(&mut package)?;
    let mut folders = Vec::new();
    for name in &published {
        let folder = format!("{name}-{}", graph.version(name).context("a package has a version")?);
        let archive = own.join("package").join(format!("{folder}.crate"));
        // As of now, since what is packaged has no time of its own, and cargo looks at times.
        let mut unpack = Command::new("tar");
        run_command(unpack.args(["--touch", "-xzf"]).arg(archive).arg("-C").arg(&unpacked))?;
        folders.push((name.as_str(), folder));
    }
    let settings: Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse().context("Cargo.toml")?;
    std::fs::write(unpacked.join("Cargo.toml"), workspace(&folders, settings.get("profile")))?;
    // The versions that were tested.
    std::fs::copy(root.join("Cargo.lock"), unpacked.join("Cargo.lock"))?;
    // What they build on was built for the tests, mostly.
    let built = root.join("target");
    for (words, flags) in [(&["check"][..], ""), (&["doc", "--no-deps"][..], "--deny warnings")] {
        let mut command = cargo(&unpacked);
        // The lock names more than these packages build on, so it may be cut; nothing new may come in.
        command.args(words).args(["--workspace", "--all-features", "--offline", "--target-dir"]).arg(&built);
        run_command(command.env("RUSTDOCFLAGS", flags))?;
    }
    Ok(())
}

/// A workspace of unpacked packages alone, that build on one another as they would on the registry's.
fn workspace(folders: &[(&str, String)], profile: Option<&Value>) -> String {
    let by_path = |folder: &str| Table::from_iter([("path".to_owned(), Value::from(folder))]);
    let patches: Table =
        folders.iter().map(|(name, folder)| ((*name).to_owned(), by_path(folder).into())).collect();
    let members: Vec<_> = folders.iter().map(|(_, folder)| Value::from(folder.as_str())).collect();
    let settings = [("members".to_owned(), members.into()), ("resolver".to_owned(), "3".into())];
    let mut all = Table::new();
    all.insert("workspace".to_owned(), Table::from_iter(settings).into());
    all.insert("patch".to_owned(), Table::from_iter([("crates-io".to_owned(), patches.into())]).into());
    if let Some(profile) = profile {
        all.insert("profile".to_owned(), profile.clone());
    }
    all.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_build_on_one_another_and_on_nothing_of_the_repository() {
        let folders = [("one", "one-1.0.0".to_owned()), ("two", "two-1.0.0".to_owned())];
        let profile: Table = "[dev]\ndebug = false".parse().unwrap();
        let text = workspace(&folders, Some(&profile.into()));
        let parsed: Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(parsed["workspace"]["members"].as_array().unwrap().len(), 2, "{text}");
        assert_eq!(parsed["patch"]["crates-io"]["two"]["path"].as_str(), Some("two-1.0.0"));
        assert_eq!(parsed["profile"]["dev"]["debug"].as_bool(), Some(false));
        assert!(!text.contains(".."), "{text}");
    }
}
