//! Events: what one change to the store did, as the proposer and the watchers are told.
//!
//! Every store index belongs to exactly one event. Internal events (membership, versions) hold a place in the history
//! but are shown to nobody; refreshes are shown to their proposer only.

use crate::ids::{Stamp, StoreIndex};
use crate::node::{Body, Node};
use crate::path::Key;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A key was written, replacing what was there.
    Set,
    /// A key was created where none was.
    Create,
    /// An existing key was written.
    Update,
    /// A key was written because its value or index was the expected one.
    CompareAndSwap,
    /// A key was deleted.
    Delete,
    /// A key was deleted because its value or index was the expected one.
    CompareAndDelete,
    /// A key reached its expiration.
    Expire,
    /// Something outside the keys: a member or the cluster version.
    Internal,
}

impl Action {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Create => "create",
            Self::Update => "update",
            Self::CompareAndSwap => "compareAndSwap",
            Self::Delete => "delete",
            Self::CompareAndDelete => "compareAndDelete",
            Self::Expire => "expire",
            Self::Internal => "internal",
        }
    }
}

/// One change to the store.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The store index of the change.
    pub index: StoreIndex,
    /// When it happened; remaining TTLs count from here.
    pub stamp: Stamp,
    /// The key as the change left it.
    pub node: Arc<Node>,
    /// The key as it was before, if it existed.
    pub prev_node: Option<Arc<Node>>,
    /// Whether only the TTL was renewed, which watchers are not told.
    pub is_refresh: bool,
    /// The rendered body: every watcher of the event gets the same bytes.
    json: OnceLock<Bytes>,
}

impl Event {
    /// An event that watchers are told.
    #[must_use]
    pub fn new(
        action: Action,
        index: StoreIndex,
        stamp: Stamp,
        node: Arc<Node>,
        prev_node: Option<Arc<Node>>,
    ) -> Self {
        Self { action, index, stamp, node, prev_node, is_refresh: false, json: OnceLock::new() }
    }

    /// An event without a key, which takes a place in the history and is shown to nobody.
    #[must_use]
    pub fn internal(index: StoreIndex, stamp: Stamp) -> Self {
        let node = Node {
            key: Key::root(),
            body: Body::Directory,
            expiration: None,
            modified: index,
            created: index,
        };
        Self::new(Action::Internal, index, stamp, Arc::new(node), None)
    }

    /// The same event as a mere renewal of the TTL, if `is_refresh`.
    #[must_use]
    pub fn refreshing(mut self, is_refresh: bool) -> Self {
        self.is_refresh = is_refresh;
        self
    }

    /// Whether a watcher may ever see it.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        !self.is_refresh && self.action != Action::Internal
    }

    /// Whether it is answered with 201: a create, or a set where nothing was.
    #[must_use]
    pub fn is_created(&self) -> bool {
        match self.action {
            Action::Create => true,
            Action::Set => self.prev_node.is_none(),
            _ => false,
        }
    }

    /// Whether a directory went away with all that was below it.
    #[must_use]
    pub fn removes_directory(&self) -> bool {
        matches!(self.action, Action::Delete | Action::Expire) && self.node.is_dir()
    }

    /// The body: one JSON object and a newline. Rendered once.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| self.render().into()).clone()
    }

    /// The body for `noValueOnSuccess`: the action alone, and a newline.
    #[must_use]
    pub fn json_no_value(&self) -> Bytes {
        format!("{{\"action\":\"{}\"}}\n", self.action.name()).into()
    }

    fn render(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"action\":\"");
        out.extend_from_slice(self.action.name().as_bytes());
        out.extend_from_slice(b"\",\"node\":");
        self.node.write_json(self.stamp, &mut out);
        if let Some(prev_node) = &self.prev_node {
            out.extend_from_slice(b",\"prevNode\":");
            prev_node.write_json(self.stamp, &mut out);
        }
        out.extend_from_slice(b"}\n");
        out
    }
}
