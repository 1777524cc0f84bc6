//! The applied state of this member: the machine and its watchers behind one lock, and how far the log is applied.
//!
//! Invariant: a watcher is registered, and history is searched for it, under the same lock under which entries are
//! applied, so no event falls between the two. Only `raft::apply` writes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use quorate_core::{Auth, Event, Machine, Stamp, StoreError, WatchSpec};
use tokio::sync::watch;

use crate::client_tasks::ClientTasks;
use crate::clock::ClusterClock;
use crate::watch::{Reader, Subscription, Wakes, WatchError, WatchHub, WatchMode};

/// What one applied operation produced.
pub type Outcome = Result<Arc<Event>, StoreError>;

/// See the module.
pub struct Replica {
    machine: RwLock<Machine>,
    hub: WatchHub,
    /// The last applied index; also the source of `X-Raft-Index`.
    applied: AtomicU64,
    /// The term of the last applied entry; the source of `X-Raft-Term`.
    term: AtomicU64,
    /// Announces `applied` to those who wait for an index.
    applied_feed: watch::Sender<u64>,
    clock: Arc<ClusterClock>,
    /// How often a snapshot replaced the store.
    replaced: AtomicU64,
}

impl Replica {
    /// An empty store, whose watchers' tasks run on `clients`.
    #[must_use]
    pub fn new(clock: Arc<ClusterClock>, clients: ClientTasks) -> Self {
        Self {
            machine: RwLock::new(Machine::new()),
            hub: WatchHub::new(clients),
            applied: AtomicU64::new(0),
            term: AtomicU64::new(0),
            applied_feed: watch::Sender::new(0),
            clock,
            replaced: AtomicU64::new(0),
        }
    }

    /// Looks at the store at the cluster's present time. Keep it short: entries wait to be applied meanwhile.
    pub fn view<R>(&self, look: impl FnOnce(&Machine, Stamp) -> R) -> R {
        let now = self.clock.now();
        look(&self.machine.read(), now)
    }

    /// Looks at the store together with the index up to which the log had made it so.
    pub fn view_at<R>(&self, look: impl FnOnce(&Machine, u64) -> R) -> R {
        let machine = self.machine.read();
        look(&machine, self.applied_index())
    }

    /// The users and roles, if they count.
    #[must_use]
    pub fn auth(&self) -> Option<Arc<Auth>> {
        let machine = self.machine.read();
        machine.auth().is_enabled().then(|| Arc::clone(machine.auth()))
    }

    /// A frozen copy of the store, cheap to take, for long reads and snapshots.
    #[must_use]
    pub fn frozen(&self) -> Machine {
        self.machine.read().clone()
    }

    /// Waits for events; what already happened is delivered first.
    ///
    /// # Errors
    /// When `reader` may not, the history no longer reaches back to where the watcher wants to begin, or nobody can watch.
    pub fn watch(
        &self,
        spec: WatchSpec,
        mode: WatchMode,
        reader: Reader,
    ) -> Result<Subscription, WatchError> {
        let machine = self.machine.read();
        self.hub.subscribe(&machine, spec, mode, reader)
    }

    /// How many watchers wait.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.hub.watchers()
    }

    /// Ends all watches; the member stops.
    pub fn end_watches(&self) {
        self.hub.close();
    }

    /// The last applied index.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// The term of the last applied entry.
    #[must_use]
    pub fn applied_term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    /// How often a snapshot replaced the store, so that outcomes of entries within it were not told one by one.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Acquire)
    }

    /// Returns once the entry at `index` is applied here.
    pub async fn wait_applied(&self, index: u64) {
        let mut feed = self.applied_feed.subscribe();
        // The sender lives as long as `self`, so this ends only when the index is reached.
        let _ = feed.wait_for(|applied| *applied >= index).await;
    }

    /// Lets `raft::apply` change the store for the entry at `index` of `term`, and tell the watchers in the same breath.
    pub(crate) fn change<R>(
        &self,
        index: u64,
        term: u64,
        change: impl FnOnce(&mut Machine, &mut Teller<'_>) -> R,
    ) -> R {
        let mut wakes = self.hub.wakes();
        let mut machine = self.machine.write();
        let result = change(&mut machine, &mut Teller { hub: &self.hub, wakes: &mut wakes });
        // Under the lock, so that `view_at` sees both or neither.
        self.term.store(term, Ordering::Release);
        self.applied.store(index, Ordering::Release);
        drop(machine);
        result
    }

    /// Puts a machine restored from a snapshot in place. Watchers are ended, since what happened between is not known event by
    /// event; they come back with their `waitIndex` and are served from the snapshot's history, or told that it is too old.
    pub(crate) fn replace(&self, index: u64, term: u64, machine: Machine) {
        // Counted before the new term can be seen, so that whoever sees the term sees this, too.
        self.replaced.fetch_add(1, Ordering::Release);
        self.change(index, term, |current, _| *current = machine);
        self.hub.interrupt();
        self.announce();
    }

    /// Announces the applied index to those who wait for it; once for a run of entries.
    pub(crate) fn announce(&self) {
        self.applied_feed.send_replace(self.applied_index());
    }

    /// The cluster's clock.
    pub(crate) fn clock(&self) -> &ClusterClock {
        &self.clock
    }
}

/// Tells the watchers what has just been changed, under the lock that it was changed under.
pub(crate) struct Teller<'a> {
    hub: &'a WatchHub,
    wakes: &'a mut Wakes,
}

impl Teller<'_> {
    /// Something happened to keys.
    pub(crate) fn event(&mut self, event: &Arc<Event>) {
        self.hub.notify(event, self.wakes);
    }

    /// Users, roles, or whether they count may be others now.
    pub(crate) fn rights(&mut self, before: &Auth, after: &Auth) {
        self.hub.rights_changed(before, after, self.wakes);
    }
}
