//! The Containerfile.

use std::path::{Path, PathBuf};

use super::is_pinned;

/// What is wrong with it: what it copies and is not there, who runs it, what it is built on.
pub(super) fn check(text: &str, root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(format!("Containerfile: {what}"));
    let mut stages: Vec<&str> = Vec::new();
    let mut copied: Vec<PathBuf> = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    let (mut user, mut healthcheck) = ("root", "");
    let lines = joined(text);
    for line in &lines {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match instruction {
            "FROM" => {
                let image = words.first().copied().unwrap_or_default();
                if !is_pinned(image) && !stages.contains(&image) {
                    find(format!("{image}: the version is not pinned"));
                }
                stages.push(words.get(2).copied().unwrap_or_default());
                (user, healthcheck) = ("root", "");
            }
            "COPY" | "ADD" => {
                let flags = words.iter().filter(|word| word.starts_with("--"));
                let from = flags.filter_map(|flag| flag.strip_prefix("--from=")).next();
                let paths: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
                let sources = paths.split_last().map(|(_, sources)| sources).unwrap_or_default();
                match from {
                    Some(stage) if !stages.contains(&stage) => find(format!("there is no stage `{stage}`")),
                    Some(_) => (),
                    None => {
                        copied.extend(
                            sources.iter().filter_map(|source| root.join(source).canonicalize().ok()),
                        );
                        folders.extend(sources.iter().map(PathBuf::from));
                        let absent = sources.iter().filter(|source| !root.join(source).exists());
                        absent.for_each(|source| {
                            find(format!("{instruction} {source}: there is no such file"))
                        });
                    }
                }
            }
            "ENV" | "ARG" => {
                let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().find(|word| rest.contains(*word));
                if let Some(word) = secret {
                    find(format!("{instruction} {word}: an image keeps no secrets"));
                }
            }
            "USER" => user = words.first().copied().unwrap_or_default(),
            "HEALTHCHECK" => healthcheck = rest,
            _ => (),
        }
    }
    for link in folders.iter().flat_map(|folder| dangling(root, folder, &copied)) {
        find(format!("{}: what this link leads to is not copied", link.display()));
    }
    let name = user.split(':').next().unwrap_or_default();
    if ["", "root", "0"].contains(&name) {
        find(format!("the server runs as {user:?}: the last USER is somebody else than root"));
    }
    if !healthcheck.contains("/healthz") {
        find("no HEALTHCHECK asks /healthz".to_owned());
    }
    findings
}

/// What the image sets for whoever runs it.
pub(super) fn variables(text: &str) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for line in joined(text) {
        match line.split_once(' ') {
            Some(("FROM", _)) => variables.clear(),
            Some(("ENV", rest)) => {
                let pairs = rest.split_whitespace().filter_map(|pair| pair.split_once('='));
                variables.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            _ => (),
        }
    }
    variables
}

/// The links below a folder that lead to nothing in an image which has only what was copied.
fn dangling(root: &Path, folder: &Path, copied: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != "target" {
            found.extend(dangling(root, &path, copied));
        } else if kind.is_ok_and(|kind| kind.is_symlink()) {
            let target = root.join(&path).canonicalize().ok();
            let there = |target: &PathBuf| copied.iter().any(|copied| target.starts_with(copied));
            if !target.as_ref().is_some_and(there) {
                found.push(path);
            }
        }
    }
    found
}

/// Instructions, each on one line, without comments.
fn joined(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut joined = Vec::new();
    let mut open = String::new();
    for line in lines {
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => joined.push(std::mem::take(&mut open) + line),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../deploy/Containerfile");

    fn findings(text: &str) -> Vec<String> {
        check(text, Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")))
    }

    #[test]
    fn the_containerfile_is_sound_and_a_broken_one_is_not() {
        assert_eq!(findings(OURS), [""; 0]);
        for (good, bad, said) in [
            ("USER 10001:10001", "USER root", "root"),
            ("USER 10001:10001", "USER 0:10001", "runs as"),
            ("USER 10001:10001\n", "", "runs as"),
            ("COPY exeunt exeunt", "COPY exeunt2 exeunt", "COPY exeunt2: there is no such file"),
            ("debian:12.11-slim", "debian:latest", "not pinned"),
            ("--from=build --chown", "--from=builder --chown", "no stage `builder`"),
            ("/healthz", "/", "/healthz"),
            ("ENV ", "ENV EXEUNT_PASSWORD=x ", "no secrets"),
            (" README.md ./", " ./", "exeunt/README.md: what this link leads to"),
        ] {
            assert!(OURS.contains(good), "{good}");
            let found = findings(&OURS.replace(good, bad));
            assert!(found.iter().any(|found| found.contains(said)), "{bad}: {found:?}");
        }
    }

    #[test]
    fn the_variables_are_those_of_the_last_stage() {
        let text = "FROM a\nENV X=1\nFROM b\nENV A=1 B=two\nENV C=3\n";
        let found = variables(text).into_iter().map(|(name, value)| name + "=" + &value);
        assert_eq!(found.collect::<Vec<_>>(), ["A=1", "B=two", "C=3"]);
    }

    #[test]
    fn an_instruction_may_go_over_several_lines() {
        assert_eq!(joined("RUN a \\\n  b\n# c\nUSER x\n"), ["RUN a b", "USER x"]);
    }
}
