//! The `quorate-bench` program: reads the command line, runs it, returns what came of it as an exit code.

use std::process::ExitCode;

use quorate_bench::commands::{self, Verdict};

/// Something could not be measured at all.
const FAILED: u8 = 1;
/// Measured, but at least one record proves nothing.
const INVALID: u8 = 3;

fn main() -> ExitCode {
    let matches = commands::command().get_matches();
    match commands::run(&matches) {
        Ok(Verdict::Valid) => ExitCode::SUCCESS,
        Ok(Verdict::Invalid) => ExitCode::from(INVALID),
        Err(error) => {
            eprintln!("quorate-bench: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
