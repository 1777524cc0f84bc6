//! Expiry: the keys whose time has come go, earliest first.

use super::Store;
use crate::event::{Action, Event};
use crate::ids::Stamp;
use std::sync::Arc;

/// Keys that one entry lets expire; the leader proposes further entries for the rest. It bounds how long applying an entry
/// holds up everything else: some milliseconds.
const EXPIRED_AT_ONCE_MAX: usize = 4096;

impl Store {
    /// Removes every key whose expiration is not after `now`, with one event each. Keys below an expired directory go
    /// with it, silently.
    pub(crate) fn expire(&mut self, now: Stamp) -> Vec<Arc<Event>> {
        let mut events = Vec::new();
        while let Some((_, node)) =
            self.tree.next_expiry().filter(|(expiration, _)| *expiration <= now)
        {
            if events.len() == EXPIRED_AT_ONCE_MAX {
                break;
            }
            let node = node.clone();
            events.push(self.uproot(now, Action::Expire, node));
        }
        events
    }
}
