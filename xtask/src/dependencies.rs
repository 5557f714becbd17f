//! Checks what we build on: licences, sources, and the Rust version that each asks for.
//!
//! Must never pass a package about which it knows nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::licence;
use crate::steps::{cargo, output};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The packages that the workspace is made of and builds on, as `cargo metadata` tells them.
#[derive(Debug)]
pub(crate) struct Graph {
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    rust_version: Option<String>,
    source: Option<String>,
    features: Vec<String>,
    published: bool,
}

/// What deny.toml allows. `cargo deny check` reads the same file and knows more: advisories, duplicates.
#[derive(Debug)]
pub(crate) struct Policy {
    licences: BTreeSet<String>,
    /// What single crates may have besides.
    exceptions: BTreeMap<String, BTreeSet<String>>,
    refused: BTreeSet<String>,
}

impl Policy {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("deny.toml");
        Self::parse(&std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let file: toml::Table = text.parse().context("deny.toml")?;
        let list = |table: &str, key: &str| file.get(table)?.get(key)?.as_array();
        let licences = list("licenses", "allow").context("deny.toml: [licenses] allow is missing")?;
        let refused = list("bans", "deny").context("deny.toml: [bans] deny is missing")?;
        let names = |entries: &Vec<toml::Value>| -> Option<BTreeSet<String>> {
            entries.iter().map(|entry| Some(entry.as_str()?.to_owned())).collect()
        };
        let exceptions = list("licenses", "exceptions").into_iter().flatten().map(|exception| {
            let crate_name = exception.get("crate")?.as_str()?.to_owned();
            Some((crate_name, names(exception.get("allow")?.as_array()?)?))
        });
        let exceptions: Option<_> = exceptions.collect();
        Ok(Self {
            exceptions: exceptions.context("deny.toml: an exception has a `crate` and what to `allow`")?,
            licences: names(licences).context("deny.toml: [licenses] allow is a list of texts")?,
            refused: names(refused).context("deny.toml: [bans] deny is a list of texts")?,
        })
    }

    /// The licences that one crate may have.
    fn of(&self, name: &str) -> BTreeSet<String> {
        self.licences.iter().chain(self.exceptions.get(name).into_iter().flatten()).cloned().collect()
    }
}

impl Graph {
    /// Asks cargo.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let json =
            output(cargo(root).args(["metadata", "--format-version", "1", "--locked", "--all-features"]))?;
        Self::parse(&json)
    }

    fn parse(json: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(json).context("what `cargo metadata` printed")?;
        let packages = metadata.get("packages").and_then(Value::as_array).context("metadata has packages")?;
        let packages = packages.iter().map(|package| {
            let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
            let features = package.get("features").and_then(Value::as_object);
            Ok(Package {
                name: text("name").context("a package has a name")?,
                version: text("version").context("a package has a version")?,
                licence: text("license"),
                rust_version: text("rust_version"),
                source: text("source"),
                features: features.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
                // `publish = false` is an empty list of registries; no list at all means any.
                published: package.get("publish").is_none_or(Value::is_null),
            })
        });
        Ok(Self { packages: packages.collect::<Result<_>>()? })
    }

    /// The features of one of our crates, but for `default`.
    pub(crate) fn features(&self, name: &str) -> Option<Vec<String>> {
        let package = self.ours().find(|package| package.name == name)?;
        Some(package.features.iter().filter(|feature| *feature != "default").cloned().collect())
    }

    /// The crates of the workspace that are for everybody.
    pub(crate) fn published(&self) -> Vec<String> {
        self.ours().filter(|package| package.published).map(|package| package.name.clone()).collect()
    }

    /// The version of one of our crates.
    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        self.ours().find(|package| package.name == name).map(|package| package.version.as_str())
    }

    fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }

    /// Licences, sources, refused packages, and Rust versions.
    pub(crate) fn check(&self, policy: &Policy) -> Result<()> {
        let stated = self.stated()?;
        let mut wrong = Vec::new();
        for package in &self.packages {
            let licence = package.licence.as_deref().unwrap_or_default();
            if !licence::is_allowed(licence, &policy.of(&package.name)) {
                wrong.push(format!("{package}: licence {licence:?} is not allowed by deny.toml"));
            }
            if policy.refused.contains(&package.name) {
                wrong.push(format!("{package}: refused by deny.toml"));
            }
            if package.source.as_deref().is_some_and(|source| source != CRATES_IO) {
                wrong.push(format!("{package}: does not come from crates.io"));
            }
            if let Some(asked) = &package.rust_version
                && number(asked)? > number(&stated)?
            {
                wrong.push(format!("{package}: asks for Rust {asked}; our `rust-version` is {stated}"));
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        println!("    {} packages, all allowed, none asks for more than Rust {stated}", self.packages.len());
        Ok(())
    }

    /// That the running toolchain is not older than what we say we need.
    pub(crate) fn check_toolchain(&self, root: &Path) -> Result<()> {
        let stated = self.stated()?;
        let said = output(cargo(root).arg("--version"))?;
        let running = said.split_whitespace().nth(1).context("`cargo --version` says `cargo 1.2.3 (..)`")?;
        if number(running)? < number(&stated)? {
            bail!("this is Rust {running}; our `rust-version` is {stated}");
        }
        Ok(())
    }

    /// The one `rust-version` of our crates.
    fn stated(&self) -> Result<String> {
        let mut stated = BTreeSet::new();
        for package in self.ours() {
            let version = package.rust_version.clone();
            stated.insert(version.with_context(|| format!("{package}: states no `rust-version`"))?);
        }
        match (stated.pop_first(), stated.is_empty()) {
            (Some(version), true) => Ok(version),
            _ => bail!("our crates do not state one and the same `rust-version`"),
        }
    }
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

fn number(version: &str) -> Result<[u64; 3]> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = [0; 3];
    let mut given = plain.split('.');
    for part in &mut parts {
        *part = given.next().unwrap_or("0").parse().with_context(|| format!("the version {version:?}"))?;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[licenses]\nallow = [\"MIT\"]\nexceptions = [{ crate = \"other\", allow = [\"ISC\"] }]\n\
                          [bans]\ndeny = [\"openssl\"]\n";

    fn check(change: impl Fn(&mut Value)) -> Result<()> {
        let mut dependency = serde_json::json!({
            "name": "thing", "version": "1.2.3", "license": "MIT", "rust_version": "1.80", "source": CRATES_IO,
        });
        change(&mut dependency);
        let ours = serde_json::json!({
            "name": "exeunt", "version": "0.1.0", "license": "MIT", "rust_version": "1.95",
            "features": {"default": [], "laws": []}, "source": null, "publish": null,
        });
        let graph = Graph::parse(&serde_json::json!({"packages": [ours, dependency]}).to_string())?;
        assert_eq!(graph.features("exeunt"), Some(vec!["laws".to_owned()]));
        assert_eq!(graph.published(), ["exeunt"]);
        graph.check(&Policy::parse(POLICY)?)
    }

    #[test]
    fn a_dependency_is_refused_for_its_licence_source_name_or_rust_version() {
        check(|_| ()).unwrap();
        check(|package| {
            package["name"] = serde_json::json!("other");
            package["license"] = serde_json::json!("ISC");
        })
        .unwrap();
        for (key, value, said) in [
            ("license", serde_json::json!("GPL-3.0-only"), "licence"),
            ("license", serde_json::json!("ISC"), "licence"),
            ("license", Value::Null, "licence"),
            ("name", serde_json::json!("openssl"), "refused"),
            ("source", serde_json::json!("git+https://example.org/thing"), "crates.io"),
            ("rust_version", serde_json::json!("1.96"), "asks for Rust 1.96"),
            ("rust_version", serde_json::json!("1.95.1"), "asks for Rust 1.95.1"),
        ] {
            let error = check(|package| package[key] = value.clone()).unwrap_err().to_string();
            assert!(error.contains(said), "{key} {value}: {error}");
        }
    }

    #[test]
    fn a_policy_without_its_lists_is_no_policy() {
        assert!(Policy::parse("").is_err());
        assert!(Policy::parse("[licenses]\nallow = [\"MIT\"]\n").is_err());
        assert!(Policy::parse(&POLICY.replace("\"MIT\"", "1")).is_err());
        assert!(Policy::parse(&POLICY.replace("crate =", "crates =")).is_err());
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(number("1.100").unwrap() > number("1.95.3").unwrap());
        assert_eq!(number("1.95").unwrap(), number("1.95.0-nightly").unwrap());
        assert!(number("one").is_err());
    }
}
