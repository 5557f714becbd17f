//! The transcript in the README is what happens.

use std::process::Command;

use crate::common::Kept;
use crate::support::{PASSWORD, Place};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const SHOWN_ADDRESS: &str = "127.0.0.1:8080";

#[test]
fn the_transcript_in_the_readme_is_what_happens() {
    let place = Place::with_alice(Kept::OneFile);
    let server = place.serve();
    let readme = std::fs::read_to_string(README).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 3, "log in, ask who I am, log out: {steps:?}");
    assert!(readme.contains(PASSWORD), "this test's account has the password that the README shows");
    for (command, shown) in steps {
        let command = command.replace(SHOWN_ADDRESS, &server.address.to_string());
        // The cookie jar lands beside the store, with a fresh home so that no ~/.curlrc has a say.
        let mut shell = Command::new("bash");
        let output = shell
            .args(["-c", &command])
            .current_dir(place.path())
            .env("HOME", place.path())
            .output()
            .unwrap();
        let happened = String::from_utf8_lossy(&output.stdout);
        let shown = shown.replace(SHOWN_ADDRESS, &server.address.to_string());
        assert!(alike(&happened, &shown), "$ {command}\nshown:\n{shown}\nhappened:\n{happened}\n{output:?}");
    }
}

/// The commands of every `console` block, each with the lines shown under it; not those that build.
fn steps(text: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut console = false;
    let mut goes_on = false;
    for line in text.lines() {
        match line.trim_end() {
            "```console" => console = true,
            "```" => console = false,
            _ if !console => {}
            line => match (line.strip_prefix("$ "), steps.last_mut()) {
                (None, Some((command, _))) if goes_on => {
                    command.push('\n');
                    command.push_str(line);
                    goes_on = line.ends_with('\\');
                }
                (Some(command), _) => {
                    steps.push((command.to_owned(), String::new()));
                    goes_on = line.ends_with('\\');
                }
                (None, Some((_, shown))) => {
                    shown.push_str(line);
                    shown.push('\n');
                }
                (None, None) => {}
            },
        }
    }
    steps.retain(|(command, _)| !command.contains("cargo "));
    steps
}

/// Line by line; `…` stands for what differs from run to run, and header names for their case.
fn alike(happened: &str, shown: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let (happened, shown) = (lines(happened), lines(shown));
    happened.len() == shown.len()
        && happened.iter().zip(&shown).all(|(happened, shown)| match shown.split_once('…') {
            Some((start, end)) => happened.starts_with(start) && happened.ends_with(end),
            None => happened == shown,
        })
}
