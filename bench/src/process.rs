//! The processes that take part: started on a core of their own, told what to do, and what they cost.
//!
//! Must never leave one behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A process that is told what to do on its standard input and answers line by line.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// A call of this program, on that core.
pub(crate) fn on_core(core: usize, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(this_program()?).args(arguments);
    Ok(command)
}

/// A call of this program, wherever there is room.
pub(crate) fn anywhere(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(this_program()?);
    command.args(arguments);
    Ok(command)
}

/// The file of this program.
pub(crate) fn this_program() -> Result<std::path::PathBuf> {
    std::env::current_exe().context("the file of this program")
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Worker {
    /// Starts it, and gives the line that it begins with.
    pub(crate) fn start(mut command: Command) -> Result<(Self, String)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let input = child.stdin.take().context("it has an input")?;
        let output = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut worker = Self { child, input, output };
        let line = worker.line()?;
        Ok((worker, line))
    }

    /// Says something, and gives the answer.
    pub(crate) fn ask(&mut self, what: &str) -> Result<String> {
        writeln!(self.input, "{what}")?;
        let answer = self.line()?;
        if answer.starts_with("error") {
            bail!("{what}: {answer}");
        }
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the process ended; what it said stands above");
        Ok(line.trim().to_owned())
    }

    /// Its number. `taskset` and `valgrind` become what they start, so this is the program itself.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        ensure!(
            Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status()?.success(),
            "the process takes a signal"
        );
        self.child.wait()?;
        Ok(())
    }

    /// Ends it without a warning, as a crash would.
    pub(crate) fn kill_9(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already is no matter.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The processor time of all its threads so far, in microseconds.
pub(crate) fn cpu_micros(process: u32) -> Result<f64> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let path = thread?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let on_core: u64 = text.split_whitespace().next().context("schedstat has three numbers")?.parse()?;
        nanos += on_core;
    }
    Ok(nanos as f64 / 1_000.0)
}

/// The bytes of memory that it has, without what it shares with the file cache.
pub(crate) fn resident_bytes(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("status has RssAnon")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}

/// Copies a store with what belongs to it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        if path.is_file() {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    // The copy must be on the disk before anything is measured beside it.
    ensure!(Command::new("sync").status()?.success(), "sync");
    Ok(())
}
