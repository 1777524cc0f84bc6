//! Waiting watchers: who waits for which key, and how they are told of an event.
//!
//! A [`WatchHub`] stands beside the machine. Invariant: whoever subscribes holds the machine's lock, shared or not, and whoever applies
//! and notifies holds it exclusively; then no event falls between the look into the history and the wait, and none is told twice.
//! Which events a watcher is told is [`WatchSpec::matches`] alone; this module only finds the candidates without asking everyone.
//! Rights change under the same lock, and whoever may no longer read is ended there and then: no event costs a look at them.

pub(crate) mod reader;
mod registry;
mod subscription;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use quorate_core::{Auth, Event, Machine, StoreError, WatchSpec};

use crate::client_tasks::ClientTasks;

pub use reader::{Proof, Reader};
use registry::Registry;
use subscription::Slot;
pub use subscription::{Next, Subscription, WatchEnd};

/// How many watchers may wait at one member. Far above what its connections allow; the bound keeps a leak from eating the memory.
pub const WATCHERS_MAX: usize = 1 << 20;

/// How many events wait for a stream whose client reads too slowly before the stream is ended; etcd's number.
pub const STREAM_BACKLOG_MAX: usize = 100;

/// How long a watcher stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchMode {
    /// For one event.
    Once,
    /// For all events, until the client goes away.
    Stream,
}

/// Why nobody can watch.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The history does not reach back to the index asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The caller may not read that.
    #[error("Insufficient credentials")]
    Forbidden,
    /// [`WATCHERS_MAX`] watchers wait already.
    #[error("etcdserver: too many requests")]
    TooMany,
    /// The member is stopping.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// All watchers of one member. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WatchHub {
    shared: Arc<Shared>,
}

/// What the hub and its subscriptions share.
#[derive(Debug, Default)]
struct Shared {
    registry: Mutex<Registry>,
    /// The watchers in the registry; lets an event that nobody waits for pass without the lock.
    waiting: AtomicUsize,
    clients: ClientTasks,
}

/// The tasks that an event has something for. They are woken when this is dropped, which belongs after the machine's lock
/// has been released, so that they don't queue up behind it.
#[derive(Debug, Default)]
pub struct Wakes {
    wakers: Vec<Waker>,
    clients: ClientTasks,
}

impl Drop for Wakes {
    fn drop(&mut self) {
        let wakers = std::mem::take(&mut self.wakers);
        self.clients.wake(wakers.len(), move || wakers.into_iter().for_each(Waker::wake));
    }
}

impl WatchHub {
    /// A hub nobody waits at. Watchers' tasks will run on `clients`.
    #[must_use]
    pub fn new(clients: ClientTasks) -> Self {
        Self { shared: Arc::new(Shared { clients, ..Shared::default() }) }
    }

    /// Nobody to wake yet; for [`WatchHub::notify`].
    #[must_use]
    pub fn wakes(&self) -> Wakes {
        Wakes { wakers: Vec::new(), clients: self.shared.clients.clone() }
    }

    /// Starts to watch: what has already happened comes from `machine`'s history, what follows from [`WatchHub::notify`].
    ///
    /// `machine` is borrowed from its lock; nothing may be applied to it before this returns.
    ///
    /// # Errors
    /// `reader` may not read that, or by a password that is another one now; the history does not reach back to `spec.since`, too
    /// many watch already, or the hub is closed.
    pub fn subscribe(
        &self,
        machine: &Machine,
        spec: WatchSpec,
        mode: WatchMode,
        reader: Reader,
    ) -> Result<Subscription, WatchError> {
        let (name, key) = (reader.name.as_ref(), spec.key.as_bytes());
        if !reader::may_read(machine.auth(), name, reader.has_slash, key, spec.recursive) {
            return Err(WatchError::Forbidden);
        }
        let index = machine.index();
        let missed = missed_events(machine, &spec, mode)?;
        if mode == WatchMode::Once && !missed.is_empty() {
            return Ok(Subscription::of_the_past(index, missed));
        }
        let slot = Slot::new(mode);
        let place = {
            let mut registry = self.shared.registry.lock();
            let place = registry.insert(spec, Arc::clone(&slot), reader)?;
            self.shared.waiting.store(registry.len(), Ordering::Release);
            place
        };
        Ok(Subscription::waiting(index, missed, Arc::clone(&self.shared), place, slot))
    }

    /// Tells everyone concerned about `event`, which was just applied. The caller holds the machine exclusively, calls this
    /// in index order, and drops `wakes` once it has let go of the machine.
    pub fn notify(&self, event: &Arc<Event>, wakes: &mut Wakes) {
        if self.shared.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut registry = self.shared.registry.lock();
        registry.notify(event, &mut wakes.wakers);
        self.shared.waiting.store(registry.len(), Ordering::Release);
    }

    /// Ends the watches of those who may no longer read what they watch, or whose password is another one now. The caller
    /// holds the machine exclusively, as for [`WatchHub::notify`]. Costs a look at each watcher if anything has changed, and while
    /// users count.
    pub fn rights_changed(&self, before: &Auth, after: &Auth, wakes: &mut Wakes) {
        let is_anyone_waiting = self.shared.waiting.load(Ordering::Acquire) != 0;
        if !after.is_enabled() || !is_anyone_waiting || reader::is_same(before, after) {
            return;
        }
        let mut registry = self.shared.registry.lock();
        registry.judge(after, &mut wakes.wakers);
        self.shared.waiting.store(registry.len(), Ordering::Release);
    }

    /// Ends every watch and refuses new ones: the member is stopping.
    pub fn close(&self) {
        let mut wakes = self.wakes();
        let mut registry = self.shared.registry.lock();
        registry.close(&mut wakes.wakers);
        self.shared.waiting.store(0, Ordering::Release);
        drop(registry);
    }

    /// Ends every watch because the history has a gap (a snapshot from the leader replaced the state): clients watch anew and learn
    /// from the history, or from its absence, what they missed.
    pub fn interrupt(&self) {
        let mut wakes = self.wakes();
        let mut registry = self.shared.registry.lock();
        registry.end_all(WatchEnd::Overflow, &mut wakes.wakers);
        self.shared.waiting.store(0, Ordering::Release);
        drop(registry);
    }

    /// How many watchers wait.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.shared.waiting.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Forgets a watcher whose client has gone, unless it has been told and forgotten already.
    fn remove(&self, place: u32, slot: &Arc<Slot>) {
        let mut registry = self.registry.lock();
        registry.remove(place, slot);
        self.waiting.store(registry.len(), Ordering::Release);
    }
}

/// What a watcher has already missed, oldest first; bounded by the length of the history.
fn missed_events(
    machine: &Machine,
    spec: &WatchSpec,
    mode: WatchMode,
) -> Result<VecDeque<Arc<Event>>, StoreError> {
    let mut missed = VecDeque::new();
    if spec.since == 0 || spec.since > machine.index().0 {
        return Ok(missed);
    }
    let mut rest = spec.clone();
    while let Some(event) = machine.scan_history(&rest)? {
        rest.since = event.index.0 + 1;
        missed.push_back(event);
        if mode == WatchMode::Once || rest.since > machine.index().0 {
            break;
        }
    }
    Ok(missed)
}
