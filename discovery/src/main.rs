//! The `quorate-discovery` program: flags in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use quorate_discovery::run;
use quorate_discovery::settings::{self, PROGRAM, Request, SettingsError};
use quorate_server::logging;

/// Requests make many small allocations on one thread and free them on another, which this allocator is built for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something was wrong with the start, or the service had to stop.
const FAILED: u8 = 1;
/// The command line cannot be read.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = match settings::load(std::env::args_os(), variable) {
        Ok(Request::Run(settings)) => *settings,
        Ok(Request::Print(text)) => {
            // A reader that went away has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{PROGRAM}: {error}");
            let code = if matches!(error, SettingsError::Usage(_)) { MISUSED } else { FAILED };
            return ExitCode::from(code);
        }
    };
    if let Err(error) = logging::install(&settings.logging) {
        eprintln!("{PROGRAM}: {error}");
        return ExitCode::from(FAILED);
    }
    quorate_transport::limits::raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run::run(settings)).map_err(|error| error.to_string()),
        Err(error) => Err(format!("cannot start the runtime's threads: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            eprintln!("{PROGRAM}: {error}");
            ExitCode::from(FAILED)
        }
    }
}
