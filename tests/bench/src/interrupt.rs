//! Ctrl-C and SIGTERM: the loops end early and the launched servers are taken down by their owners.
//!
//! Without this a stopped benchmark would leave servers behind. Only a flag is set; everyone who waits looks at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening for SIGINT and SIGTERM on a thread of its own.
///
/// # Errors
/// When the signal handlers or the thread cannot be made.
pub fn listen() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("could not start the signal listener")?;
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    drop(context);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            REQUESTED.store(true, Ordering::Relaxed);
        })
        .context("could not start the signal listener's thread")?;
    Ok(())
}

/// Whether the person asked us to stop.
#[must_use]
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// An error when the person asked us to stop, for loops that cannot end half-done.
///
/// # Errors
/// After SIGINT or SIGTERM.
pub fn check() -> anyhow::Result<()> {
    anyhow::ensure!(
        !requested(),
        "stopped by a signal; the servers it launched have been taken down"
    );
    Ok(())
}
