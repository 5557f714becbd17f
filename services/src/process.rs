//! A server as a child that dies with its parent, and its folder.
//!
//! Must never leave a process or a folder behind, however the parent ended: shells between the two wait for the end of
//! their standard input, which comes with the parent's death, too. The first then kills the server and all of its
//! children by their pids, the second removes the folder once every first one is done.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{as_user, is_root, run};

const START_WITHIN: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Ends the server when nobody holds its standard input any more, a stopped (`SIGSTOP`) one too.
///
/// The server is stopped first, so that it makes no child between the look at its children and the end of all. Until the
/// shell waits for it, its pid is nobody else's. `Z` and `X` are states of what has ended, whether or not somebody has
/// asked how. The kernel hangs up on a group that lost its parent and has a stopped process.
const GUARD: &str = r#"log=$1 after=$2
shift 2
"$@" >>"$log" 2>&1 </dev/null &
server=$!
trap '' HUP
echo $server
read -r _
kill -STOP $server
tree="$server $(cat /proc/$server/task/$server/children)"
kill -KILL $tree
wait $server
for pid in $tree; do
    while grep -q '^State:.[^XZ]' /proc/$pid/status; do sleep 0.01; done
done
eval "$after""#;

/// Removes a folder when nobody holds its standard input any more.
const SWEEP: &str = r#"cat >/dev/null; rm -rf "$1""#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    guard: Child,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts a server as `user` where we are root, else as we are, in its folder; what it says goes to the file `log`.
    ///
    /// Once all of it has ended, the shell command `after` runs there.
    pub(crate) fn start(user: &str, command: &[OsString], folder: &Folder, after: &str) -> Result<Self> {
        let mut guard = Command::new("sh");
        let log = folder.path().join("log");
        guard.args(["-c", GUARD, "sh"]).arg(&log).arg(after).args(as_user(user)).args(command);
        // Ctrl-C in a terminal reaches a whole group: what ends the server is our end alone.
        guard.current_dir(folder.path()).process_group(0);
        // The guard has nothing to say. That it holds the pipe keeps the folder until it is done.
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(folder.held()?);
        let mut guard = guard.spawn().context("starting sh")?;
        let mut line = String::new();
        let stdout = guard.stdout.take().context("a pipe was asked for")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).context("the shell tells the pid")?;
        Ok(Self { guard, pid, log })
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero()));
        // Nobody has waited for it yet, so it is there, if only as what has ended.
        status.is_ok_and(|status| !status.contains("\nState:\tZ"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself, which is what was wanted or what the test is about to find out.
        let _ = kill_process(self.pid, signal);
    }

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

/// In memory where there is room: what servers sync there outlives them as on a disk, and no test waits for the disk that
/// all others write to. A disk that is busy made every server stand still for seconds.
fn place() -> PathBuf {
    const ROOM: u64 = 2 * 1024 * 1024 * 1024;
    let memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(memory) {
        Ok(found) if found.f_bavail.saturating_mul(found.f_frsize) > ROOM => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}

impl Folder {
    pub(crate) fn new(user: &str) -> Result<Self> {
        let path = tempfile::Builder::new().prefix("exeunt-").tempdir_in(place())?.keep();
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", SWEEP, "sh"]).arg(&path).current_dir("/").process_group(0).stdin(Stdio::piped());
        let folder = Self { sweeper: sweeper.spawn().context("starting sh")?, path };
        if is_root() {
            run(Command::new("chown").arg(format!("{user}:")).arg(folder.path()))?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that belongs to the server's user and is for it alone.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.path.join(name);
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(&self.path)?;
        std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid()))?;
        Ok(file)
    }

    /// Something to hold as long as the folder is needed.
    fn held(&self) -> Result<OwnedFd> {
        let pipe = self.sweeper.stdin.as_ref().context("it is taken by drop alone")?;
        Ok(std::os::fd::AsFd::as_fd(pipe).try_clone_to_owned()?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Asks again and again until the answer is yes; `what` is in the error that says it never was.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    loop {
        let answer = is_so();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if began.elapsed() > START_WITHIN {
            answer.with_context(|| format!("waited in vain until {what}"))?;
            bail!("waited in vain until {what}");
        }
        std::thread::sleep(ASK_AGAIN);
    }
}
