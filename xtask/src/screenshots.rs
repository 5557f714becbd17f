//! `cargo xtask screenshots`: a picture of every page, in light and dark, on a phone and on a desktop.

use std::path::Path;

use anyhow::Result;

use crate::steps::{cargo, run as run_command};
use crate::test::{FOR_TESTS, provide, provide_for_pages};

/// The tests that look at pages take them.
const TESTS: &str = "browser::look::";

/// Into `folder`, within the workspace's folder unless it is absolute.
pub(crate) fn run(root: &Path, folder: &Path) -> Result<()> {
    provide(FOR_TESTS)?;
    provide_for_pages(root)?;
    let folder = root.join(folder);
    let mut test = cargo(root);
    test.args(["test", "--locked", "--package", "exeunt-server", "--test", "server", TESTS]);
    run_command(test.env("SCREENSHOTS", &folder))?;
    println!("    the pictures are in {}", folder.display());
    Ok(())
}
