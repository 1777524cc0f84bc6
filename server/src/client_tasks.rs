//! Wakes many tasks of the clients' runtime from another thread at the price of one.
//!
//! A task that is woken from outside its runtime costs a call into the kernel, on a runtime of one thread each time. What
//! replication has for many clients at once (the outcomes of an entry, an event that thousands wait for) therefore goes over
//! as one piece of work, which wakes them from within. Two pieces may be done in either order: what a task is woken for lies where
//! it looks, and not in the wake.

use tokio::runtime::Handle;

/// So few are woken from where they stand: that is sooner done.
const FEW: usize = 2;

/// The runtime that clients' tasks run on, if there is one. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClientTasks(Option<Handle>);

impl ClientTasks {
    /// Tasks run on `clients`.
    #[must_use]
    pub fn on(clients: Handle) -> Self {
        Self(Some(clients))
    }

    /// Does `wake`, which wakes `count` tasks: at once, or very soon on their runtime. When that runtime has ended, so have
    /// they, and nothing is done.
    pub fn wake(&self, count: usize, wake: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(clients) if count > FEW => drop(clients.spawn(async move { wake() })),
            _ => wake(),
        }
    }
}
