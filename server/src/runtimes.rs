//! The threads a member runs on: one for replication, the others for clients.
//!
//! Replication has a thread of its own, so that no client's request, however large, delays a heartbeat. One thread is enough
//! for it: its work is ordered anyway, and tasks that never move between threads wake each other without the kernel. On a
//! small machine clients have one thread, too, for the same reason; on a larger one they have what is left.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Beyond this many, threads for clients wait for replication.
const CLIENT_THREADS_MAX: usize = 8;

/// See the module.
pub struct Runtimes {
    replication: Runtime,
    clients: Runtime,
    client_threads: usize,
}

impl Runtimes {
    /// The runtimes for this machine.
    ///
    /// # Errors
    /// When the system refuses threads or descriptors.
    pub fn new() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let client_threads = (cores - 1).clamp(1, CLIENT_THREADS_MAX);
        let replication = Builder::new_current_thread().enable_all().build()?;
        let clients = if client_threads == 1 {
            Builder::new_current_thread().enable_all().build()?
        } else {
            Builder::new_multi_thread().worker_threads(client_threads).thread_name("clients").enable_all().build()?
        };
        Ok(Self { replication, clients, client_threads })
    }

    /// Runs the member that `life` makes, given the runtime for its clients, on this thread.
    pub fn run<L, F, T>(self, life: L) -> T
    where
        L: FnOnce(Handle) -> F,
        F: Future<Output = T>,
    {
        let Self { replication, clients, client_threads } = self;
        let handle = clients.handle().clone();
        if client_threads == 1 {
            // A single-threaded runtime runs its tasks only while a thread waits on it.
            let driver = std::thread::Builder::new().name("clients".to_owned());
            let driven = driver.spawn(move || clients.block_on(std::future::pending::<()>()));
            if let Err(error) = driven {
                tracing::error!(%error, "cannot start the thread for clients");
            }
            return replication.block_on(life(handle));
        }
        let result = replication.block_on(life(handle));
        clients.shutdown_background();
        result
    }
}
