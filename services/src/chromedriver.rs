//! A browser that a test drives.

use anyhow::Result;

use crate::command::installed;
use crate::port::Port;
use crate::process::{Folder, Process};

/// Every Debian has it, with a group of its own, and it owns nothing.
const USER: &str = "daemon";

/// ChromeDriver, which starts a Chromium for each session that is asked of it, and ends it with the session or with itself.
#[derive(Debug)]
pub struct ChromeDriver {
    // In this order: the driver goes before its folder.
    _process: Process,
    port: Port,
    chromium: String,
    _folder: Folder,
}

impl ChromeDriver {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// If it or Chromium is not installed, or it does not start.
    pub fn start() -> Result<Self> {
        let driver = installed("chromedriver", "chromium-driver", &[])?;
        let chromium = installed("chromium", "chromium", &[])?.display().to_string();
        let folder = Folder::new(USER)?;
        let port = Port::free()?;
        let here = folder.path().display();
        // Browsers keep their profiles in the folder, which goes away whatever becomes of them.
        let mut command = crate::command::words(["env"]);
        command.extend([format!("HOME={here}").into(), format!("TMPDIR={here}").into()]);
        command.extend([driver.into_os_string(), format!("--port={}", port.number()).into()]);
        let process = Process::start(USER, &command, &folder, "")?;
        process.wait_until(|| port.listens())?;
        Ok(Self { _process: process, port, chromium, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// The browser's program.
    #[must_use]
    pub fn chromium(&self) -> &str {
        &self.chromium
    }
}
