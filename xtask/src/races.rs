//! `cargo xtask races`: builds exeunt and its peers, and attacks the logout of each in the same way.
//!
//! Must never fetch what is not pinned: each peer's lock file is committed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps::{cargo, run as run_command};
use crate::test::{FOR_TESTS, Need, provide};

const FOR_RACES: &[Need] = &[
    Need { command: "node", package: "nodejs", why: "Express and passport run on it; 20 or newer" },
    Need { command: "npm", package: "npm", why: "it installs Express and passport" },
];

/// Where peers are built, apart from ours.
const PEERS: &str = "target/races";

/// Attacks. With no arguments everyone, into EVIDENCE.md; with arguments as they say, to the terminal.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    provide(FOR_TESTS)?;
    provide(FOR_RACES)?;
    let mut npm = Command::new("npm");
    npm.current_dir(root.join("bench/races/node"));
    // Nothing that a package brings is run at its installation.
    run_command(npm.args(["ci", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    let mut peers = cargo(root);
    peers.args(["build", "--locked", "--manifest-path", "bench/races/peers/Cargo.toml"]);
    run_command(peers.args(["--target-dir", PEERS]))?;
    // Both at once: each alone would build what they share in another way.
    run_command(cargo(root).args(["build", "--locked", "--package", "exeunt-server", "--package", "races"]))?;
    // Beside this program, wherever that is.
    let mut races =
        Command::new(std::env::current_exe().context("the file of this program")?.with_file_name("races"));
    races.args(["attack", "--root"]).arg(root).arg("--peers").arg(root.join(PEERS).join("debug"));
    let command = ["cargo xtask races", &arguments.join(" ")].join(" ");
    races.args(["--command", command.trim()]);
    if arguments.is_empty() {
        races.arg("--write").arg(root.join("EVIDENCE.md"));
    }
    run_command(races.args(arguments))
}
