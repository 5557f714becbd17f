//! Runs commands and says how long each took.
//!
//! Must never go on after a failure: the first one ends the run and is named last, where it is read.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Steps one after another, each announced before and timed after.
#[derive(Debug)]
pub(crate) struct Steps {
    began: Instant,
    done: Vec<(String, f64)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), done: Vec::new() }
    }

    /// Runs one step. An error names it.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("==> {name}");
        let began = Instant::now();
        run().with_context(|| format!("stopped at the step `{name}`"))?;
        let seconds = began.elapsed().as_secs_f64();
        println!("    {name}: {seconds:.1} s");
        self.done.push((name.to_owned(), seconds));
        Ok(())
    }

    /// Prints what each step took.
    pub(crate) fn finish(&self) {
        println!("\nseconds  step");
        for (name, seconds) in &self.done {
            println!("{seconds:7.1}  {name}");
        }
        println!("{:7.1}  all", self.began.elapsed().as_secs_f64());
    }
}

/// A call of the cargo that runs this program.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root);
    command
}

/// Runs a command with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("    $ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs a command and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("what `{shown}` printed"))
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_ends_the_run_and_is_named() {
        let mut steps = Steps::new();
        steps.step("fine", || run(&mut Command::new("true"))).unwrap();
        let error = steps.step("broken", || run(Command::new("false").arg("x"))).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("`broken`") && said.contains("`false x` failed"), "{said}");
    }

    #[test]
    fn a_command_that_is_not_there_is_a_failure() {
        assert!(run(&mut Command::new("./no-such-command")).is_err());
        assert!(output(&mut Command::new("./no-such-command")).is_err());
        assert!(output(&mut Command::new("false")).is_err());
    }
}
