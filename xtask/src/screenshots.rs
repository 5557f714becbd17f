//! `cargo xtask screenshots`: a picture of every page, in light and dark, on a phone and on a desktop.

use std::path::Path;

use anyhow::Result;

use crate::steps::{cargo, run as run_command};
use crate::test::{FOR_TESTS, provide, provide_for_pages};

/// The test that looks at every page takes them.
const TEST: &str = "browser::look::no_page_has_a_barrier_in_light_or_dark_on_a_phone_or_a_desktop";

/// Into `folder`, within the workspace's folder unless it is absolute.
pub(crate) fn run(root: &Path, folder: &Path) -> Result<()> {
    provide(FOR_TESTS)?;
    provide_for_pages(root)?;
    let folder = root.join(folder);
    let mut test = cargo(root);
    test.args(["test", "--locked", "--package", "exeunt-server", "--test", "server", "--", "--exact", TEST]);
    run_command(test.env("SCREENSHOTS", &folder))?;
    println!("    the pictures are in {}", folder.display());
    Ok(())
}
