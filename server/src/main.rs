//! The `quorate-server` program: flags in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use quorate_server::config::{self, Process, Request};
use quorate_server::runtimes::Runtimes;
use quorate_server::{logging, run};

/// Requests make many small allocations on one thread and free them on another, which this allocator is built for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something was wrong with the start, or the member had to stop.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let loaded = match config::load(&Process::current()) {
        Ok(Request::Run(loaded)) => loaded,
        Ok(Request::Print { text, warnings }) => {
            warnings.iter().for_each(|warning| eprintln!("{warning}"));
            // A reader that went away has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("quorate-server: {error}");
            return ExitCode::from(error.exit_code());
        }
    };
    let log = match logging::install(&loaded.config.logging) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("quorate-server: {error}");
            return ExitCode::from(FAILED);
        }
    };
    loaded.settings.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    quorate_transport::limits::raise_open_files_limit();
    let runtimes = match Runtimes::new() {
        Ok(runtimes) => runtimes,
        Err(error) => {
            eprintln!("quorate-server: cannot start the runtime's threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    match runtimes.run(|clients| run::run(loaded.config, log, clients)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            eprintln!("quorate-server: {error}");
            ExitCode::from(FAILED)
        }
    }
}
