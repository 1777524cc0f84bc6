//! What a watcher asks for, and which events it is told.
//!
//! One rule serves live watchers and the history. Waking and buffering watchers is the server's business.

use crate::event::Event;
use crate::path::Key;

/// What to watch, from when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchSpec {
    /// The key to watch; it need not exist.
    pub key: Key,
    /// Whether keys below it count too.
    pub recursive: bool,
    /// The first store index of interest; 0 for whatever comes next.
    pub since: u64,
}

impl WatchSpec {
    /// Whether the watcher is told about `event`.
    ///
    /// It is if the event is visible, not older than `since`, and happened at the key; or below it, for a recursive
    /// watcher, with no hidden segment in between; or removed a directory above it, since whatever was at the key is
    /// gone with it.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        if !event.is_visible() || event.index.0 < self.since {
            return false;
        }
        let at = &event.node.key;
        if let Some(rest) = self.key.below(at) {
            return self.recursive && !rest.windows(2).any(|pair| pair == b"/_");
        }
        *at == self.key || (event.removes_directory() && at.below(&self.key).is_some())
    }
}
