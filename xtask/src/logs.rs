//! Looks through everything that servers logged during the tests for the passwords, tokens and secrets that the tests used.
//!
//! Must never find nothing because there was nothing to look through, or because it cannot find (R39).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Where test programs keep the logs of their servers (`*.log`) and the secrets that they used (`*.secrets`, one JSON text a
/// line): an absolute path.
pub(crate) const VARIABLE: &str = "KEPT_LOGS";

/// Shorter ones stand in many a word by chance.
const SHORTEST: usize = 12;
/// A run of all tests leaves several times as many.
const LEAST_LOGS: usize = 100;
const LEAST_SECRETS: usize = 300;

/// What there is to look through, and for.
#[derive(Debug)]
struct Kept {
    logs: Vec<PathBuf>,
    secrets: Vec<String>,
}

/// A secret in a log.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    log: PathBuf,
    line: usize,
    /// Its beginning alone.
    secret: String,
}

/// An empty folder for logs and secrets.
pub(crate) fn empty_folder(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/kept-logs");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Finds no secret in any log but one that it puts there itself, to see that it can.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let kept = Kept::read(folder)?;
    ensure!(
        kept.logs.len() >= LEAST_LOGS && kept.secrets.len() >= LEAST_SECRETS,
        "{} logs and {} secrets are too few to look through: did the tests keep theirs?",
        kept.logs.len(),
        kept.secrets.len()
    );
    let planted = folder.join("planted.log");
    let secret = kept.secrets.last().context("a secret to plant")?;
    std::fs::write(&planted, format!("a line\nanother with {secret} in it\n"))?;
    let found =
        Kept { logs: [kept.logs.as_slice(), std::slice::from_ref(&planted)].concat(), ..kept }.look()?;
    let (on_purpose, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.log == planted);
    ensure!(on_purpose.iter().any(|found| found.line == 2), "the secret that was planted was not found");
    if let Some(Found { log, line, secret }) = others.first() {
        bail!(
            "{} secrets are in logs of tests, such as one that begins with {secret:?} in {}, line {line}",
            others.len(),
            log.display()
        );
    }
    Ok(())
}

impl Kept {
    fn read(folder: &Path) -> Result<Self> {
        let (mut logs, mut secrets) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("log") => logs.push(path),
                Some("secrets") => {
                    for line in std::fs::read_to_string(&path)?.lines() {
                        let secret: String = serde_json::from_str(line)?;
                        secrets.extend((secret.len() >= SHORTEST).then_some(secret));
                    }
                }
                _ => {}
            }
        }
        secrets.sort();
        secrets.dedup();
        Ok(Self { logs, secrets })
    }

    /// Every line with a secret in it, once a secret; as it is, or as a form or JSON writes it.
    fn look(&self) -> Result<Vec<Found>> {
        let mut starts: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
        let written: Vec<String> = self.secrets.iter().flat_map(|secret| ways_to_write(secret)).collect();
        for secret in written.iter().map(String::as_bytes) {
            let start = secret.get(..SHORTEST).context("no secret is shorter")?;
            starts.entry(start).or_default().push(secret);
        }
        let mut found = Vec::new();
        for log in &self.logs {
            let text = std::fs::read(log).with_context(|| log.display().to_string())?;
            for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
                for (at, start) in line.windows(SHORTEST).enumerate() {
                    let Some(secrets) = starts.get(start) else { continue };
                    let rest = line.get(at..).unwrap_or_default();
                    for secret in secrets.iter().filter(|secret| rest.starts_with(secret)) {
                        let start = secret.get(..5).unwrap_or_default();
                        let secret = String::from_utf8_lossy(start).into_owned();
                        found.push(Found { log: log.clone(), line: number + 1, secret });
                    }
                }
            }
        }
        Ok(found)
    }
}

/// With spaces as in a form or a query, too.
fn ways_to_write(secret: &str) -> Vec<String> {
    let mut ways = vec![secret.to_owned(), secret.replace(' ', "+"), secret.replace(' ', "%20")];
    ways.sort();
    ways.dedup();
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";
    const TOKEN: &str = "NEB1pc4MX3ekHQQswZlZDdz31zjUWRZyjyY3m-mCQGNCbjYH7Gkz1A";

    fn kept(logs: usize, secrets: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for log in 0..logs {
            write(
                &format!("{log}.log"),
                "{\"event\":\"login\",\"session\":\"NEB1pc4MX3e\"}\nsomebody's horse\n",
            );
        }
        let mut used = format!("{}\n{}\n", serde_json::json!(PASSWORD), serde_json::json!(TOKEN));
        for secret in 0..secrets {
            used += &format!("\"a secret of a test, number {secret}\"\n");
        }
        write("1.secrets", &used);
        folder
    }

    #[test]
    fn logs_without_a_secret_pass_and_one_secret_anywhere_does_not() {
        check(kept(LEAST_LOGS, LEAST_SECRETS).path()).unwrap();
        for line in
            [PASSWORD.to_owned(), PASSWORD.replace(' ', "+"), PASSWORD.replace(' ', "%20"), TOKEN.to_owned()]
        {
            let folder = kept(LEAST_LOGS, LEAST_SECRETS);
            std::fs::write(folder.path().join("7.log"), format!("\n{{\"text\":\"x{line}\"}}")).unwrap();
            let said = check(folder.path()).unwrap_err().to_string();
            assert!(said.contains("7.log, line 2") && !said.contains(&line), "{said}");
        }
    }

    #[test]
    fn nothing_to_look_through_or_for_is_a_failure() {
        for (logs, secrets) in [(0, LEAST_SECRETS), (LEAST_LOGS, 0)] {
            assert!(check(kept(logs, secrets).path()).unwrap_err().to_string().contains("too few"));
        }
    }
}
