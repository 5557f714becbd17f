//! One redis-server.

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::process::{Folder, Process, free_port, installed, listens, run, words};

const USER: &str = "redis";

/// A redis-server that keeps every write (`appendfsync always`).
#[derive(Debug)]
pub struct Redis {
    // In this order: the server goes before its folder.
    process: Option<Process>,
    port: u16,
    settings: Vec<String>,
    folder: Folder,
}

impl Redis {
    /// Starts one, with further settings as in its configuration file: `["maxmemory-policy allkeys-lru"]`.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut redis = Self { process: None, port: free_port()?, settings, folder: Folder::new(USER)? };
        redis.restart()?;
        Ok(redis)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port with what it had written.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let server = installed("redis-server", "redis-server", &[])?;
        let mut command = vec![server.into_os_string()];
        let port = self.port.to_string();
        command.extend(words(["--bind", "127.0.0.1", "--port", &port, "--appendonly", "yes"]));
        command.extend(words(["--appendfsync", "always", "--save", "", "--dir"]));
        command.push(self.folder.path().as_os_str().to_owned());
        for setting in &self.settings {
            let (name, value) = setting.split_once(' ').context("a setting is a name and a value")?;
            command.extend(words([&format!("--{name}"), value]));
        }
        let process = Process::start(USER, &command, &self.folder.path().join("log"))?;
        process.wait_until(|| {
            listens(self.port) && self.cli(&["ping"]).is_ok_and(|said| said.trim() == "PONG")
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Loses all it had, as a server without persistence does when it restarts.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart_empty(&mut self) -> Result<()> {
        self.process = None;
        let _ = std::fs::remove_dir_all(self.folder.path().join("appendonlydir"));
        self.restart()
    }

    /// Stops it in the middle of whatever it does (`SIGSTOP`).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// What `redis-cli` prints for a command.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or refuses.
    pub fn cli(&self, command: &[&str]) -> Result<String> {
        let port = self.port.to_string();
        run(std::process::Command::new("redis-cli").args(["-e", "-p", &port]).args(command))
    }
}
