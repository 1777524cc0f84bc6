//! The replicated state and its only door.
//!
//! [`Machine::apply`] is deterministic: the same commands under the same stamps lead every member to the same state, the same events
//! and the same indexes. It reads no clock and knows nothing of raft, disks or sockets.

use crate::command::Command;
use crate::error::{ErrorCode, StoreError};
use crate::event::Event;
use crate::ids::{Stamp, StoreIndex};
use crate::members::{Members, Roster};
use crate::node::Node;
use crate::path::Key;
use crate::stats::StoreStats;
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
    members: Members,
    index: StoreIndex,
    last_stamp: Stamp,
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
        Self {
            members: Members::default(),
            index: StoreIndex(0),
            last_stamp: Stamp(0),
            stats: Arc::default(),
        }
    }

    /// Carries out one committed command. A stamp older than the last one counts as the last one.
    pub fn apply(&mut self, stamp: Stamp, command: &Command) -> Applied {
        let _ = (stamp, command);
        Applied {
            outcome: Err(StoreError::new(ErrorCode::KeyNotFound, "", self.index)),
            expired: Vec::new(),
        }
    }

    /// Takes over a committed membership entry.
    pub fn apply_roster(&mut self, roster: &Roster) {
        self.members.take_roster(roster);
    }

    /// Who belongs to the cluster.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The index of the last change.
    #[must_use]
    pub fn index(&self) -> StoreIndex {
        self.index
    }

    /// The latest stamp seen.
    #[must_use]
    pub fn last_stamp(&self) -> Stamp {
        self.last_stamp
    }

    /// When the next key expires, if any ever does.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Stamp> {
        None
    }

    /// The counters of this member's store.
    #[must_use]
    pub fn stats(&self) -> &StoreStats {
        &self.stats
    }

    /// What is stored under `key`, not counted as a read.
    #[must_use]
    pub fn node(&self, key: &Key) -> Option<&Arc<Node>> {
        let _ = key;
        None
    }

    /// Appends the body of a `get`: one JSON object and a newline. Children are always sorted. `now` is what TTLs count from.
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
        let _ = (key, recursive, now, out);
        Err(StoreError::new(ErrorCode::KeyNotFound, "", self.index))
    }

    /// The first event since `watch.since` that the watcher is told, if it has happened already.
    ///
    /// # Errors
    /// The history does not reach back that far (401).
    pub fn scan_history(&self, watch: &WatchSpec) -> Result<Option<Arc<Event>>, StoreError> {
        let _ = watch;
        Ok(None)
    }
}
