//! Parses the command line, runs it, and turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    cdc::cli::main()
}
