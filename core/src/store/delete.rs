//! Delete and compare-and-delete: a key goes, a directory with all below it.

use super::Store;
use super::compare::Expected;
use crate::error::{ErrorCode, StoreError};
use crate::event::{Action, Event};
use crate::ids::Stamp;
use crate::node::{Body, Node};
use crate::path::Key;
use std::sync::Arc;

impl Store {
    /// Deletes a key. `dir` allows an empty directory, `recursive` any directory; both are harmless for a file.
    pub(crate) fn delete(
        &mut self,
        now: Stamp,
        key: &Key,
        dir: bool,
        recursive: bool,
    ) -> Result<Arc<Event>, StoreError> {
        self.refuse_root(key)?;
        let node = self.tree.find(key).cloned().map_err(|miss| self.missing(key, &miss))?;
        if node.is_dir() {
            if !dir && !recursive {
                return Err(self.error(ErrorCode::NotFile, key));
            }
            if !recursive && self.tree.has_children(key) {
                return Err(self.error(ErrorCode::DirNotEmpty, key));
            }
        }
        Ok(self.uproot(now, Action::Delete, node))
    }

    /// Deletes a file if it is as expected. The root is no file, and is refused as such.
    pub(crate) fn compare_and_delete(
        &mut self,
        now: Stamp,
        key: &Key,
        expected: &Expected<'_>,
    ) -> Result<Arc<Event>, StoreError> {
        let node = self.expect(key, expected)?;
        Ok(self.uproot(now, Action::CompareAndDelete, node))
    }

    /// Takes the node and all below it out of the tree, under one event.
    pub(super) fn uproot(&mut self, now: Stamp, action: Action, node: Arc<Node>) -> Arc<Event> {
        self.tree.remove(&node.key);
        let index = self.index.next();
        let gone = Node {
            key: node.key.clone(),
            body: if node.is_dir() { Body::Directory } else { Body::Gone },
            expiration: None,
            modified: index,
            created: node.created,
        };
        self.record(Event::new(action, index, now, Arc::new(gone), Some(node)))
    }
}
