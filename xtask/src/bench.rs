//! `cargo xtask bench`: builds the benchmark for speed and runs it.
//!
//! Must never write tables of a run that was told to measure less.

use std::path::Path;

use anyhow::Result;

use crate::steps::{cargo, run as run_command};
use crate::test::{Need, provide};

const FOR_BENCH: &[Need] = &[
    Need {
        command: "redis-server",
        package: "redis-server",
        why: "stores that nodes share are measured on it",
    },
    Need { command: "taskset", package: "util-linux", why: "the server and the load get a core each" },
    Need { command: "valgrind", package: "valgrind", why: "it counts instructions" },
];

/// Measures. With no arguments all of it, into bench/README.md; with arguments as they say, to the terminal.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    provide(FOR_BENCH)?;
    let mut peer = cargo(root);
    peer.args([
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "bench/peer/Cargo.toml",
        "--target-dir",
        "target/peer",
    ]);
    run_command(&mut peer)?;
    let mut bench = cargo(root);
    bench.args(["run", "--release", "--package", "bench", "--locked", "--", "run"]);
    let command = ["cargo xtask bench", &arguments.join(" ")].join(" ");
    bench.args(["--command", command.trim()]);
    if arguments.is_empty() {
        bench.args(["--write", "bench/README.md"]);
    }
    run_command(bench.args(arguments))
}
