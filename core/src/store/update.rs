//! Update and compare-and-swap: an existing key changes and keeps its creation index.

use super::Store;
use super::compare::Expected;
use crate::command::Ttl;
use crate::error::{ErrorCode, StoreError};
use crate::event::{Action, Event};
use crate::ids::Stamp;
use crate::node::{Body, Node, Value};
use crate::path::Key;
use std::sync::Arc;

/// What an existing key becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) value: &'a Value,
    pub(crate) ttl: Ttl,
    /// Whether the value stays and no watcher is told.
    pub(crate) refresh: bool,
}

impl Store {
    /// Gives an existing key a new value and TTL. Of a directory only the TTL may change.
    pub(crate) fn update(
        &mut self,
        now: Stamp,
        key: &Key,
        change: Change<'_>,
    ) -> Result<Arc<Event>, StoreError> {
        self.refuse_root(key)?;
        let previous = self.tree.find(key).cloned().map_err(|miss| self.missing(key, &miss))?;
        if previous.is_dir() && !change.value.is_empty() {
            return Err(self.error(ErrorCode::NotFile, key));
        }
        Ok(self.change(now, Action::Update, previous, change))
    }

    /// Gives a file a new value and TTL if it is as expected.
    pub(crate) fn compare_and_swap(
        &mut self,
        now: Stamp,
        key: &Key,
        expected: &Expected<'_>,
        change: Change<'_>,
    ) -> Result<Arc<Event>, StoreError> {
        self.refuse_root(key)?;
        let previous = self.expect(key, expected)?;
        Ok(self.change(now, Action::CompareAndSwap, previous, change))
    }

    fn change(
        &mut self,
        now: Stamp,
        action: Action,
        previous: Arc<Node>,
        change: Change<'_>,
    ) -> Arc<Event> {
        let index = self.index.next();
        let body = match &previous.body {
            Body::File(_) if !change.refresh => Body::File(change.value.clone()),
            kept => kept.clone(),
        };
        let told = Node {
            key: previous.key.clone(),
            body,
            expiration: change.ttl.expiration(now),
            modified: index,
            created: previous.created,
        };
        let told = Arc::new(told);
        // etcd tells of the new index but stores a directory with its old one, as later reads show.
        let stored = if told.is_dir() {
            Arc::new(Node { modified: previous.modified, ..Node::clone(&told) })
        } else {
            told.clone()
        };
        self.tree.insert(stored);
        self.record(Event::new(action, index, now, told, Some(previous)).refreshing(change.refresh))
    }
}
