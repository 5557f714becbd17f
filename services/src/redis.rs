//! One redis-server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::certificate::Certificate;
use crate::command::{installed, run};
use crate::port::Port;
use crate::process::{Folder, Process, wait_for};

const USER: &str = "redis";

/// A redis-server that keeps every write (`appendfsync always`).
#[derive(Debug)]
pub struct Redis {
    // In this order: the server goes before its folder.
    process: Option<Process>,
    port: Port,
    /// Of a node of a Cluster, for the others.
    bus: Option<Port>,
    tls: Option<(Port, PathBuf)>,
    password: Option<String>,
    role: Role,
    folder: Folder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Sentinel,
}

impl Redis {
    /// Starts one, with further settings as in its configuration file: `["maxmemory-policy allkeys-lru"]`.
    ///
    /// Users too are settings (`user anna on >secret ~* &* +@all`). With `requirepass`, its password is in [`Redis::url`].
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::of_kind(Role::Server, Folder::new(USER)?, None, None, settings)
    }

    /// Starts one that listens on a second port with TLS, where it asks for no certificate.
    ///
    /// # Errors
    ///
    /// As of [`Redis::start`].
    pub fn start_tls(settings: &[&str]) -> Result<Self> {
        let folder = Folder::new(USER)?;
        let certificate = Certificate::new()?.write(&folder)?;
        let port = Port::free()?;
        let mut all = vec![format!("tls-port {}", port.number()), "tls-auth-clients no".to_owned()];
        for (name, file) in [
            ("tls-cert-file", &certificate.chain),
            ("tls-key-file", &certificate.key),
            ("tls-ca-cert-file", &certificate.authority),
        ] {
            all.push(format!("{name} {}", file.display()));
        }
        let all: Vec<_> = all.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        Self::of_kind(Role::Server, folder, None, Some((port, certificate.authority)), &all)
    }

    /// Starts a replica of it and waits until it has everything.
    ///
    /// # Errors
    ///
    /// As of [`Redis::start`].
    pub fn start_replica(&self) -> Result<Self> {
        let mut settings = vec![format!("replicaof 127.0.0.1 {}", self.port())];
        if let Some(password) = &self.password {
            settings.extend([format!("masterauth {password}"), format!("requirepass {password}")]);
        }
        let replica = Self::start(&settings.iter().map(String::as_str).collect::<Vec<_>>())?;
        wait_for("a replica is in step", || is_in_step(&replica, self))?;
        Ok(replica)
    }

    /// A node of a Cluster, which does not know the others yet.
    pub(crate) fn start_node(settings: &[&str]) -> Result<Self> {
        let bus = Port::free()?;
        let number = format!("cluster-port {}", bus.number());
        let all: Vec<_> =
            ["cluster-enabled yes", number.as_str()].into_iter().chain(settings.iter().copied()).collect();
        Self::of_kind(Role::Server, Folder::new(USER)?, Some(bus), None, &all)
    }

    /// A sentinel.
    pub(crate) fn start_sentinel(settings: &[&str]) -> Result<Self> {
        Self::of_kind(Role::Sentinel, Folder::new(USER)?, None, None, settings)
    }

    fn of_kind(
        role: Role,
        folder: Folder,
        bus: Option<Port>,
        tls: Option<(Port, PathBuf)>,
        settings: &[&str],
    ) -> Result<Self> {
        let port = Port::free()?;
        let mut lines = vec!["bind 127.0.0.1".to_owned(), format!("port {}", port.number())];
        lines.push(format!("dir {}", folder.path().display()));
        if role == Role::Server {
            // A replica need not wait for others that might come.
            let own = ["appendonly yes", "appendfsync always", "save \"\"", "repl-diskless-sync-delay 0"];
            lines.extend(own.map(str::to_owned));
        }
        lines.extend(settings.iter().map(|&setting| setting.to_owned()));
        // Written once: a failover changes it, and a server that comes back reads what it was told last.
        folder.write("redis.conf", &format!("{}\n", lines.join("\n")))?;
        let password = settings.iter().find_map(|setting| setting.strip_prefix("requirepass "));
        let password = password.map(str::to_owned);
        let mut redis = Self { process: None, port, bus, tls, password, role, folder };
        redis.restart()?;
        Ok(redis)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where a node of a Cluster listens to the others.
    pub(crate) fn bus(&self) -> Result<u16> {
        Ok(self.bus.as_ref().context("only a node of a Cluster has a bus")?.number())
    }

    /// Its address, as `redis://127.0.0.1:PORT/`; with `requirepass`, as `redis://:PASSWORD@127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}/", self.before_host(), self.port())
    }

    /// Its address with TLS, as `rediss://127.0.0.1:PORT/`, and the PEM file with the authority that a client has to
    /// trust.
    ///
    /// # Errors
    ///
    /// If it was not started with TLS.
    pub fn tls(&self) -> Result<(String, &Path)> {
        let (port, authority) = self.tls.as_ref().context("started without TLS")?;
        Ok((format!("rediss://{}127.0.0.1:{}/", self.before_host(), port.number()), authority))
    }

    fn before_host(&self) -> String {
        self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it again on the same port with what it had written.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let server = installed("redis-server", "redis-server", &[])?;
        let mut command =
            vec![server.into_os_string(), self.folder.path().join("redis.conf").into_os_string()];
        if self.role == Role::Sentinel {
            command.push("--sentinel".into());
        }
        let process = Process::start(USER, &command, &self.folder, "")?;
        process.wait_until(|| {
            self.port.listens() && self.cli(&["ping"]).is_ok_and(|said| said.trim() == "PONG")
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
        let written = self.folder.path().join("appendonlydir");
        if written.exists() {
            std::fs::remove_dir_all(written)?;
        }
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

    /// Cuts every connection of a client. Those of replicas stay.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn cut_connections(&self) -> Result<()> {
        for kind in ["normal", "pubsub"] {
            self.cli(&["client", "kill", "type", kind, "skipme", "yes"])?;
        }
        Ok(())
    }

    /// What `redis-cli` prints for a command.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or refuses.
    pub fn cli(&self, command: &[&str]) -> Result<String> {
        let cli = installed("redis-cli", "redis-tools", &[])?;
        let port = self.port().to_string();
        let mut cli = std::process::Command::new(cli);
        if let Some(password) = &self.password {
            cli.env("REDISCLI_AUTH", password);
        }
        run(cli.args(["-e", "-h", "127.0.0.1", "-p", &port]).args(command))
    }
}

/// Whether a replica has all that its primary has, and gets what is written next at once. A link that is up says less,
/// and so do equal offsets: for up to a second after it came up, the primary may hold back what is written.
pub(crate) fn is_in_step(replica: &Redis, primary: &Redis) -> Result<bool> {
    // `slave0:ip=127.0.0.1,port=7003,state=online,offset=1896,lag=0`
    let online = format!(",port={},state=online,", replica.port());
    if !primary.cli(&["info", "replication"])?.contains(&online) {
        return Ok(false);
    }
    // Any write that names no key, and so belongs to no slot. Nothing here has functions.
    primary.cli(&["function", "flush"])?;
    let written = offset(primary, "master_repl_offset:")?;
    Ok(offset(replica, "slave_repl_offset:")? >= written)
}

fn offset(redis: &Redis, name: &str) -> Result<u64> {
    let info = redis.cli(&["info", "replication"])?;
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or("0").trim().parse().context("an offset is a number")
}
