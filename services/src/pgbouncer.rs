//! A pooler between clients and a PostgreSQL server.

use anyhow::Result;
use rustix::process::Signal;

use crate::command::installed;
use crate::port::Port;
use crate::postgres::{Postgres, USER, psql};
use crate::process::{Folder, Process};

/// PgBouncer in transaction mode: each transaction may run on another connection of the server.
///
/// Its one user is `postgres`, without a password.
#[derive(Debug)]
pub struct PgBouncer {
    // In this order: the server goes before its folder.
    process: Option<Process>,
    port: Port,
    folder: Folder,
}

impl PgBouncer {
    /// Starts one in front of a server, with further settings as in `pgbouncer.ini`: `["default_pool_size = 2"]`.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub fn start(postgres: &Postgres, settings: &[&str]) -> Result<Self> {
        let folder = Folder::new(USER)?;
        let port = Port::free()?;
        let users = folder.write("users.txt", &format!("\"{USER}\" \"\"\n"))?;
        let mut lines = vec![
            "[databases]".to_owned(),
            format!("* = host=127.0.0.1 port={}", postgres.port()),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {}", port.number()),
            "unix_socket_dir =".to_owned(),
            "auth_type = trust".to_owned(),
            format!("auth_file = {}", users.display()),
            format!("admin_users = {USER}"),
            "pool_mode = transaction".to_owned(),
            // Else a server that was down is not asked again for 15 seconds.
            "server_login_retry = 0.1".to_owned(),
        ];
        lines.extend(settings.iter().map(|&setting| setting.to_owned()));
        folder.write("pgbouncer.ini", &format!("{}\n", lines.join("\n")))?;
        let mut bouncer = Self { process: None, port, folder };
        bouncer.restart()?;
        Ok(bouncer)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address of a database of the server behind it, for its superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port())
    }

    /// What `psql` prints for some SQL by way of it; `pgbouncer` is a database of its own, for commands like `SHOW POOLS`.
    ///
    /// # Errors
    ///
    /// If it does not answer, or refuses.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        psql(&self.url(database), sql)
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends it as a crash does.
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
        let pgbouncer = installed("pgbouncer", "pgbouncer", &["/usr/sbin".into()])?;
        let command = [pgbouncer.into_os_string(), self.folder.path().join("pgbouncer.ini").into_os_string()];
        let process = Process::start(USER, &command, &self.folder, "")?;
        process.wait_until(|| self.psql("postgres", "SELECT 1").is_ok())?;
        self.process = Some(process);
        Ok(())
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
}
