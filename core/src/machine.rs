//! The replicated state and its only door.
//!
//! [`Machine::apply`] is deterministic: the same commands under the same stamps lead every member to the same state,
//! the same events and the same indexes. It reads no clock and knows nothing of raft, disks or sockets.

use crate::auth::{Auth, Outdated};
use crate::command::Command;
use crate::error::{ErrorCode, StoreError};
use crate::event::Event;
use crate::ids::{Stamp, StoreIndex};
use crate::members::{Members, Roster};
use crate::node::Node;
use crate::path::Key;
use crate::stats::StoreStats;
use crate::store::{Change, Expected, Store, Write};
use crate::watch::WatchSpec;
use std::sync::Arc;

/// What one command did.
#[derive(Debug)]
pub struct Applied {
    /// The answer for the proposer.
    pub outcome: Result<Arc<Event>, StoreError>,
    expired: Vec<Arc<Event>>,
}

impl Applied {
    /// The events for watchers, in index order. Refreshes and internal events are not among them.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.outcome.iter().chain(&self.expired).filter(|event| event.is_visible())
    }
}

/// The whole replicated state. A clone costs little and is a frozen view.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) store: Store,
    pub(crate) members: Members,
    /// Shared by clones: it changes rarely.
    pub(crate) auth: Arc<Auth>,
    pub(crate) last_stamp: Stamp,
    /// Shared by all clones and no part of the state: they count what this process did.
    stats: Arc<StoreStats>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// An empty store with index 0 and no members.
    #[must_use]
    pub fn new() -> Self {
        Self::assemble(Store::new(), Members::default(), Auth::default(), Stamp(0))
    }

    /// A machine with this state.
    pub(crate) fn assemble(store: Store, members: Members, auth: Auth, last_stamp: Stamp) -> Self {
        Self { store, members, auth: Arc::new(auth), last_stamp, stats: Arc::default() }
    }

    /// Carries out one committed command. A stamp older than the last one counts as the last one, so time never goes
    /// back.
    pub fn apply(&mut self, stamp: Stamp, command: &Command) -> Applied {
        self.last_stamp = self.last_stamp.max(stamp);
        let now = self.last_stamp;
        let (store, stats) = (&mut self.store, &self.stats);
        let outcome = match command {
            Command::Set { key, value, dir, ttl, refresh } => {
                let write = Write { key, value, dir: *dir, ttl: *ttl };
                stats.sets.note(store.set(now, write, *refresh))
            }
            Command::Create { key, value, dir, ttl } => {
                let write = Write { key, value, dir: *dir, ttl: *ttl };
                stats.creates.note(store.create(now, write))
            }
            Command::CreateInOrder { key, value, dir, ttl } => {
                let write = Write { key, value, dir: *dir, ttl: *ttl };
                stats.creates.note(store.create_in_order(now, write))
            }
            Command::Update { key, value, ttl, refresh } => {
                let change = Change { value, ttl: *ttl, refresh: *refresh };
                stats.updates.note(store.update(now, key, change))
            }
            Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh } => {
                let expected = Expected { value: prev_value.as_ref(), index: *prev_index };
                let change = Change { value, ttl: *ttl, refresh: *refresh };
                stats.compare_and_swaps.note(store.compare_and_swap(now, key, &expected, change))
            }
            Command::Delete { key, dir, recursive } => {
                stats.deletes.note(store.delete(now, key, *dir, *recursive))
            }
            Command::CompareAndDelete { key, prev_value, prev_index } => {
                let expected = Expected { value: prev_value.as_ref(), index: *prev_index };
                stats.compare_and_deletes.note(store.compare_and_delete(now, key, &expected))
            }
            Command::Expire => return self.expire(now),
            Command::Publish { member, name, client_urls, incarnation } => {
                let changes = self.members.publish(*member, name, client_urls, *incarnation);
                Ok(self.record_internal(changes))
            }
            Command::ChangeAuth { revision, edits } => {
                let changes = Arc::make_mut(&mut self.auth).apply(*revision, edits);
                match changes {
                    Ok(changes) => Ok(self.record_internal(changes)),
                    Err(Outdated) => Err(StoreError::new(
                        ErrorCode::CompareFailed,
                        "users and roles have changed",
                        self.index(),
                    )),
                }
            }
            Command::ClusterVersion { version } => {
                let changes = self.members.decide_version(version);
                Ok(self.record_internal(changes))
            }
        };
        Applied { outcome, expired: Vec::new() }
    }

    /// Takes over a committed membership entry. Each addition, each change of peer URLs and each promotion moves the
    /// index by one, each removal by two.
    pub fn apply_roster(&mut self, roster: &Roster) {
        let changes = self.members.take_roster(roster);
        self.record_internal(changes);
    }

    /// Who belongs to the cluster.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Users and roles, and whether they count.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// The index of the last change.
    #[must_use]
    pub fn index(&self) -> StoreIndex {
        self.store.index
    }

    /// The latest stamp seen.
    #[must_use]
    pub fn last_stamp(&self) -> Stamp {
        self.last_stamp
    }

    /// When the next key expires, if any ever does.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Stamp> {
        self.store.tree.next_expiry().map(|(expiration, _)| expiration)
    }

    /// The counters of this member's store.
    #[must_use]
    pub fn stats(&self) -> &StoreStats {
        &self.stats
    }

    /// What is stored under `key`; not counted as a read.
    #[must_use]
    pub fn node(&self, key: &Key) -> Option<&Arc<Node>> {
        self.store.tree.node(key)
    }

    /// What is right below `directory`, hidden keys included; not counted as a read.
    pub fn children(&self, directory: &Key) -> impl Iterator<Item = &Arc<Node>> + use<'_> {
        self.store.tree.children(directory)
    }

    /// Appends the body of a read: one JSON object and a newline. Children are always sorted. `now` is what TTLs count
    /// from.
    ///
    /// # Errors
    /// The key does not exist, or a part of its path is a file; nothing is appended then.
    pub fn write_get(
        &self,
        key: &Key,
        recursive: bool,
        now: Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.stats.gets.note(self.store.write_get(key, recursive, now, out))
    }

    /// Like [`Machine::write_get`], but gives up once `out` holds more than `bytes_max`, and is then not counted as a read. Says
    /// whether it got to the end; if not, `out` holds a part.
    ///
    /// # Errors
    /// As for [`Machine::write_get`].
    pub fn write_get_within(
        &self,
        key: &Key,
        recursive: bool,
        now: Stamp,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        match self.store.write_get_within(key, recursive, now, bytes_max, out) {
            Ok(false) => Ok(false),
            done => self.stats.gets.note(done),
        }
    }

    /// The first event since `watch.since` that the watcher is told, if it has happened already; `None` if it must
    /// wait.
    ///
    /// # Errors
    /// The history does not reach back that far (401).
    pub fn scan_history(&self, watch: &WatchSpec) -> Result<Option<Arc<Event>>, StoreError> {
        self.store.history.scan(watch, self.store.index)
    }

    fn expire(&mut self, now: Stamp) -> Applied {
        let expired = self.store.expire(now);
        expired.iter().for_each(|_| self.stats.expired.increment());
        Applied { outcome: Ok(self.record_internal(0)), expired }
    }

    /// Moves the index by `changes` that have no key. The event tells the proposer the index; without changes it is not
    /// kept.
    fn record_internal(&mut self, changes: u64) -> Arc<Event> {
        let now = self.last_stamp;
        (0..changes)
            .map(|_| self.store.record_internal(now))
            .last()
            .unwrap_or_else(|| Arc::new(Event::internal(self.store.index, now)))
    }
}
