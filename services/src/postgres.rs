//! One PostgreSQL server.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::certificate::Certificate;
use crate::command::{as_user, installed, run, words};
use crate::port::Port;
use crate::process::{Folder, Process};

pub(crate) const USER: &str = "postgres";
/// Debian keeps the servers' commands in a folder for each version, off the path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// From loopback everybody is who they say, but for the role `guarded` (see [`Postgres`]).
const ACCESS: &str = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n\
                      host replication all 127.0.0.1/32 trust\n";

/// Removes the shared memory that tells of a running server, and the file that does: a crash leaves both.
const AFTER: &str = "ipcrm -m $(sed -n '7s/.* //p' data/postmaster.pid); rm -f data/postmaster.pid";

/// A PostgreSQL server that syncs every commit. Its superuser is `postgres`, without a password, from loopback alone.
///
/// A role needs no password to log in, but for one: `guarded`, once a test has created it.
#[derive(Debug)]
pub struct Postgres {
    // In this order: the server goes before its folder.
    process: Option<Process>,
    port: Port,
    databases: AtomicUsize,
    settings: Vec<String>,
    authority: Option<PathBuf>,
    folder: Folder,
}

impl Postgres {
    /// Makes a cluster and starts it, with further settings as in `postgresql.conf`: `["max_connections=50"]`.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Self::start_in(Folder::new(USER)?, settings, None)
    }

    /// Starts one that takes connections with TLS as well.
    ///
    /// # Errors
    ///
    /// As of [`Postgres::start`].
    pub fn start_tls(settings: &[&str]) -> Result<Self> {
        let folder = Folder::new(USER)?;
        let certificate = Certificate::new()?.write(&folder)?;
        let mut all = vec!["ssl=on".to_owned()];
        all.push(format!("ssl_cert_file={}", certificate.chain.display()));
        all.push(format!("ssl_key_file={}", certificate.key.display()));
        all.extend(settings.iter().map(|&setting| setting.to_owned()));
        Self::start_in(folder, all, Some(certificate.authority))
    }

    fn start_in(folder: Folder, settings: Vec<String>, authority: Option<PathBuf>) -> Result<Self> {
        let initdb = command("initdb")?;
        let mut command = as_user(USER);
        command.push(initdb.into_os_string());
        command.extend(words(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]));
        // The cluster itself need not survive a crash of the machine, unlike what is then written to it.
        command.extend(words(["--no-sync", "--pgdata"]));
        command.push(folder.path().join("data").into_os_string());
        let mut words = command.into_iter();
        let mut initdb = std::process::Command::new(words.next().unwrap_or_default());
        run(initdb.args(words).current_dir("/"))?;
        folder.write("data/pg_hba.conf", ACCESS)?;
        let port = Port::free()?;
        let mut server =
            Self { process: None, port, databases: AtomicUsize::new(0), settings, authority, folder };
        server.restart()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The PEM file with the authority that a client has to trust. The certificate is for `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// If it was not started with TLS.
    pub fn authority(&self) -> Result<&Path> {
        self.authority.as_deref().context("started without TLS")
    }

    /// The address of one of its databases, for its superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port())
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn new_database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        Ok(self.url(&name))
    }

    /// What `psql` prints for some SQL: bare values, `|` between them.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or refuses.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        psql(&self.url(database), sql)
    }

    /// Cuts every connection of a client.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn cut_connections(&self) -> Result<()> {
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        self.psql("postgres", all).map(drop)
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it as a crash does, with all of its processes.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        let data = self.folder.path().join("data");
        let mut command = vec![self::command("postgres")?.into_os_string()];
        command.extend(words(["-D"]));
        command.push(data.into_os_string());
        let port = self.port().to_string();
        command.extend(words([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-p",
            &port,
        ]));
        command.extend(words(["-c", "max_connections=200"]));
        for setting in &self.settings {
            command.extend(words(["-c", setting]));
        }
        let process = Process::start(USER, &command, &self.folder, AFTER)?;
        process.wait_until(|| self.psql("postgres", "SELECT 1").is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server and every process of it in the middle of whatever they do (`SIGSTOP`).
    ///
    /// # Errors
    ///
    /// If its processes cannot be listed.
    pub fn pause(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    ///
    /// If its processes cannot be listed.
    pub fn go_on(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        match &self.process {
            Some(process) => process.signal_tree(signal),
            None => Ok(()),
        }
    }
}

/// A command of the newest version that is there.
fn command(name: &str) -> Result<PathBuf> {
    let mut versions: Vec<_> = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten().collect();
    let number =
        |entry: &std::fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
    versions.sort_by_key(|entry| std::cmp::Reverse(number(entry)));
    let folders: Vec<_> = versions.iter().map(|entry| entry.path().join("bin")).collect();
    installed(name, "postgresql", &folders)
}

pub(crate) fn psql(url: &str, sql: &str) -> Result<String> {
    let psql = installed("psql", "postgresql-client", &[])?;
    let bare = [
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set",
        "ON_ERROR_STOP=1",
    ];
    run(std::process::Command::new(psql).args(bare).args(["--dbname", url, "--command", sql]))
}
