//! A server as a child that dies with its parent.
//!
//! Must never leave a process behind, however the parent ended: a shell between the two waits for the end of its standard
//! input, which comes with the parent's death, too, and then kills the server by its pid.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const START_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Stops the server when nobody holds its standard input any more, a stopped (`SIGSTOP`) one too.
const GUARD: &str = r#"log=$1; shift
"$@" >>"$log" 2>&1 </dev/null &
echo $!
read -r _
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null"#;

/// Removes a folder when nobody holds its standard input any more. Servers that write to it die at the same moment.
const SWEEP: &str = r#"read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && break; sleep 0.2; done"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    guard: Child,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts a server as `user` where we are root, else as we are. What it says goes to `log`.
    pub(crate) fn start(user: &str, command: &[OsString], log: &Path) -> Result<Self> {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).arg(log).args(as_user(user)).args(command);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting sh")?;
        let mut line = String::new();
        let stdout = guard.stdout.take().context("a pipe was asked for")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).context("the shell tells the pid")?;
        Ok(Self { guard, pid, log: log.to_owned() })
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_until(&self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let began = Instant::now();
        while !ready() {
            if began.elapsed() > START_WITHIN || !self.is_running() {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("a server did not start; {} says:\n{log}", self.log.display());
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }

    fn is_running(&self) -> bool {
        rustix::process::test_kill_process(self.pid).is_ok()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself, which is what was wanted or what the test is about to find out.
        let _ = kill_process(self.pid, signal);
    }
}

impl Process {
    /// Sends a signal to the server and then to each of its children, which it may make one for each connection.
    pub(crate) fn signal_tree(&self, signal: Signal) -> Result<()> {
        self.signal(signal);
        let pid = self.pid.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(child, signal);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A folder that only the server's user can use, and that goes away with this process.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    sweeper: Child,
}

impl Folder {
    pub(crate) fn new(user: &str) -> Result<Self> {
        let path = tempfile::Builder::new().prefix("exeunt-").tempdir()?.keep();
        if is_root() {
            run(Command::new("chown").arg(user).arg(&path))?;
        }
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", SWEEP, "sh"]).arg(&path).stdin(Stdio::piped());
        Ok(Self { sweeper: sweeper.spawn().context("starting sh")?, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether somebody listens.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A command that runs as `user` where we are root.
pub(crate) fn as_user(user: &str) -> Vec<OsString> {
    match is_root() {
        true => {
            ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"].map(OsString::from).to_vec()
        }
        false => Vec::new(),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command to its end; its output is in the error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The words of a command.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

/// A command of a Debian package, wherever it lies; an error names the package.
pub(crate) fn installed(command: &str, package: &str, folders: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let found = folders.iter().map(PathBuf::from).chain(on_path).map(|folder| folder.join(command));
    found.into_iter().find(|file| file.is_file()).with_context(|| {
        format!("`{command}` is not installed: run `cargo xtask test`, or `apt-get install {package}`")
    })
}
