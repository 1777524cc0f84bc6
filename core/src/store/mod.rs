//! The keys, their history and the store index, and what each operation does to them.
//!
//! One file per family of operations. An operation either fails and changes nothing, or moves the index by one for each
//! event. The order of checks and the texts of causes are etcd's: clients depend on them.

mod compare;
mod delete;
mod expire;
mod read;
mod update;
mod write;

pub(crate) use compare::Expected;
pub(crate) use update::Change;
pub(crate) use write::Write;

use crate::error::{ErrorCode, StoreError};
use crate::event::Event;
use crate::history::History;
use crate::ids::{Stamp, StoreIndex};
use crate::path::Key;
use crate::tree::{Miss, Tree};
use std::sync::Arc;

/// Keys, history and index.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) tree: Tree,
    pub(crate) history: History,
    pub(crate) index: StoreIndex,
}

impl Store {
    /// The root, no history, index 0.
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(), history: History::default(), index: StoreIndex(0) }
    }

    /// Gives the next index to a change outside the keys.
    pub(crate) fn record_internal(&mut self, now: Stamp) -> Arc<Event> {
        self.record(Event::internal(self.index.next(), now))
    }

    /// Moves the index to the event and keeps it.
    fn record(&mut self, event: Event) -> Arc<Event> {
        let event = Arc::new(event);
        self.index = event.index;
        self.history.push(event.clone());
        event
    }

    fn error(&self, code: ErrorCode, key: &Key) -> StoreError {
        StoreError::new(code, key.as_bytes(), self.index)
    }

    /// No form of write or delete may touch the root itself.
    fn refuse_root(&self, key: &Key) -> Result<(), StoreError> {
        if key.is_root() { Err(self.error(ErrorCode::RootReadOnly, key)) } else { Ok(()) }
    }

    /// Why `key` is not there: the way to it is blocked by a file, or ends. Names the file, or the first missing part.
    fn missing(&self, key: &Key, miss: &Miss) -> StoreError {
        if miss.reached.is_dir() {
            self.error(ErrorCode::KeyNotFound, &key.ancestor(miss.reached.key.depth() + 1))
        } else {
            self.error(ErrorCode::NotDir, &miss.reached.key)
        }
    }
}
