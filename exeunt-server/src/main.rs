//! The program `exeunt`.

use std::process::ExitCode;

fn main() -> ExitCode {
    exeunt_server::cli::main(std::env::args_os())
}
