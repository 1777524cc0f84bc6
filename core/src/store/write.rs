//! Set, create and create-in-order: a key comes into being, with the directories above it.

use super::Store;
use crate::command::Ttl;
use crate::error::{ErrorCode, StoreError};
use crate::event::{Action, Event};
use crate::ids::{Stamp, StoreIndex};
use crate::node::{Body, Node, Value};
use crate::path::Key;
use std::sync::Arc;

/// What is to be written where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) key: &'a Key,
    pub(crate) value: &'a Value,
    pub(crate) dir: bool,
    pub(crate) ttl: Ttl,
}

impl Store {
    /// Writes a key as if it were new, replacing a file that is there. A refresh needs the file and keeps its value.
    pub(crate) fn set(
        &mut self,
        now: Stamp,
        write: Write<'_>,
        refresh: bool,
    ) -> Result<Arc<Event>, StoreError> {
        let previous = match self.tree.find(write.key) {
            Ok(node) => Some(node.clone()),
            Err(miss) if refresh || !miss.reached.is_dir() => {
                return Err(self.missing(write.key, &miss));
            }
            Err(_) => None,
        };
        self.refuse_root(write.key)?;
        if previous.as_ref().is_some_and(|node| node.is_dir()) {
            return Err(self.error(ErrorCode::NotFile, write.key));
        }
        let kept = previous.as_ref().filter(|_| refresh).and_then(|node| node.value().cloned());
        let node = self.plant(now, write, kept.as_ref());
        let event =
            Event::new(Action::Set, self.index.next(), now, node, previous).refreshing(refresh);
        Ok(self.record(event))
    }

    /// Writes a key that must not exist.
    pub(crate) fn create(
        &mut self,
        now: Stamp,
        write: Write<'_>,
    ) -> Result<Arc<Event>, StoreError> {
        self.refuse_root(write.key)?;
        match self.tree.find(write.key) {
            Ok(_) => return Err(self.error(ErrorCode::KeyExists, write.key)),
            Err(miss) if !miss.reached.is_dir() => return Err(self.missing(write.key, &miss)),
            Err(_) => {}
        }
        let node = self.plant(now, write, None);
        let event = Event::new(Action::Create, self.index.next(), now, node, None);
        Ok(self.record(event))
    }

    /// Creates a key in the directory `write.key`, named after the index it gets, so that names sort in the order of
    /// creation.
    pub(crate) fn create_in_order(
        &mut self,
        now: Stamp,
        write: Write<'_>,
    ) -> Result<Arc<Event>, StoreError> {
        let name = format!("{:020}", self.index.next().0);
        let key = write.key.child(name.as_bytes()).map_err(|too_deep| {
            StoreError::new(ErrorCode::InvalidField, too_deep.to_string(), self.index)
        })?;
        self.create(now, Write { key: &key, ..write })
    }

    /// Puts the node in the tree under the next index, with the directories that it needs. All checks are done.
    fn plant(&mut self, now: Stamp, write: Write<'_>, kept: Option<&Value>) -> Arc<Node> {
        let index = self.index.next();
        self.plant_parents(write.key, index);
        let body = if write.dir {
            Body::Directory
        } else {
            Body::File(kept.unwrap_or(write.value).clone())
        };
        let expiration = write.ttl.expiration(now);
        let node = Arc::new(Node {
            key: write.key.clone(),
            body,
            expiration,
            modified: index,
            created: index,
        });
        self.tree.insert(node.clone());
        node
    }

    fn plant_parents(&mut self, key: &Key, index: StoreIndex) {
        let Err(miss) = self.tree.find(key) else { return };
        for depth in miss.reached.key.depth() + 1..key.depth() {
            let (key, body) = (key.ancestor(depth), Body::Directory);
            self.tree.insert(Arc::new(Node {
                key,
                body,
                expiration: None,
                modified: index,
                created: index,
            }));
        }
    }
}
