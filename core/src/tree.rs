//! All keys in one flat, ordered, persistent map, and the index of those that expire.
//!
//! Invariants: the root is present; every other key's parent is present and is a directory; `expiries` holds exactly
//! the keys with an expiration. Keys sort by depth first, so the children of a directory, and its descendants of each
//! level, are one range each; nothing here recurses. A clone shares everything and costs nothing. What an operation
//! means is decided in [`crate::store`].

use crate::ids::{Stamp, StoreIndex};
use crate::node::{Body, Node};
use crate::path::Key;
use imbl::{OrdMap, OrdSet};
use std::sync::Arc;

/// The keys of a store.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: OrdMap<Key, Arc<Node>>,
    expiries: OrdSet<(Stamp, Key)>,
}

/// A key is not there.
#[derive(Clone, Debug)]
pub(crate) struct Miss {
    /// The deepest node on the way to it that is.
    pub(crate) reached: Arc<Node>,
}

impl Tree {
    /// Nothing but the root.
    pub(crate) fn new() -> Self {
        let (modified, created) = (StoreIndex(0), StoreIndex(0));
        let root =
            Node { key: Key::root(), body: Body::Directory, expiration: None, modified, created };
        Self { nodes: OrdMap::unit(Key::root(), Arc::new(root)), expiries: OrdSet::new() }
    }

    /// The node at `key`.
    pub(crate) fn node(&self, key: &Key) -> Option<&Arc<Node>> {
        self.nodes.get(key)
    }

    /// The node at `key`, or how far the way to it goes.
    pub(crate) fn find(&self, key: &Key) -> Result<&Arc<Node>, Miss> {
        self.nodes.get(key).ok_or_else(|| Miss { reached: self.deepest_above(key) })
    }

    /// The children of a directory, hidden ones included, by name.
    pub(crate) fn children(&self, directory: &Key) -> impl Iterator<Item = &Arc<Node>> + use<'_> {
        self.level_below(directory, 1)
    }

    /// Whether a directory holds anything, hidden or not.
    pub(crate) fn has_children(&self, directory: &Key) -> bool {
        self.children(directory).next().is_some()
    }

    /// Puts a node in, replacing what was at its key. Its parent must be present.
    pub(crate) fn insert(&mut self, node: Arc<Node>) {
        let (key, expiration) = (node.key.clone(), node.expiration);
        let replaced = self.nodes.insert(key.clone(), node).and_then(|old| old.expiration);
        if replaced == expiration {
            return;
        }
        if let Some(old) = replaced {
            self.expiries.remove(&(old, key.clone()));
        }
        if let Some(new) = expiration {
            self.expiries.insert((new, key));
        }
    }

    /// Takes out a node and all below it.
    pub(crate) fn remove(&mut self, key: &Key) {
        // Level by level; below an empty level there is nothing, since no node is without its parent.
        for levels in 1.. {
            let doomed: Vec<Key> =
                self.level_below(key, levels).map(|node| node.key.clone()).collect();
            if doomed.is_empty() {
                break;
            }
            for key in &doomed {
                self.take(key);
            }
        }
        self.take(key);
    }

    /// The node that expires first, and when.
    pub(crate) fn next_expiry(&self) -> Option<(Stamp, &Arc<Node>)> {
        let (stamp, key) = self.expiries.get_min()?;
        self.nodes.get(key).map(|node| (*stamp, node))
    }

    /// Every node but the root, parents before children.
    pub(crate) fn iter_from(
        &self,
        after: Option<&Key>,
    ) -> impl Iterator<Item = &Arc<Node>> + use<'_> {
        let after = after.cloned().unwrap_or_else(Key::root);
        self.nodes
            .range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .map(|(_, node)| node)
    }

    fn level_below(
        &self,
        directory: &Key,
        levels: usize,
    ) -> impl Iterator<Item = &Arc<Node>> + use<'_> {
        let range = directory.descendants_at(levels);
        self.nodes
            .range::<_, [u8]>((
                std::ops::Bound::Included(range.start.as_slice()),
                std::ops::Bound::Excluded(range.end.as_slice()),
            ))
            .map(|(_, node)| node)
    }

    fn take(&mut self, key: &Key) {
        let taken = self.nodes.remove(key);
        if let Some(expiration) = taken.and_then(|node| node.expiration) {
            self.expiries.remove(&(expiration, key.clone()));
        }
    }

    /// The deepest present ancestor. Presence is monotonous along a path, so halving finds it in few steps.
    fn deepest_above(&self, key: &Key) -> Arc<Node> {
        let at = |depth: usize| self.nodes.get::<[u8]>(&key.ancestor_position(depth));
        let (mut present, mut absent) = (0, key.depth());
        // A missing parent is the rule only for new directories: try it first.
        if let Some(parent) = absent.checked_sub(1).and_then(at) {
            return parent.clone();
        }
        while absent - present > 1 {
            let middle = present.midpoint(absent);
            if at(middle).is_some() { present = middle } else { absent = middle }
        }
        at(present).cloned().expect("the root is always present")
    }
}
