//! The last events of the store, so that a watcher may begin in the past.
//!
//! Invariant: the events' indexes follow one another without a gap, so the place of an index is a subtraction. Internal
//! events and refreshes hold their places too.

use crate::error::{ErrorCode, StoreError};
use crate::event::Event;
use crate::ids::StoreIndex;
use crate::watch::WatchSpec;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many events are kept. Clients reckon with etcd's number: they must hear of a cleared index at the same distance.
pub(crate) const HISTORY_EVENTS_MAX: usize = 1000;

/// The last events, oldest first. A clone shares them until the next push.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    events: Arc<VecDeque<Arc<Event>>>,
}

impl History {
    /// Appends the event with the next index, dropping the oldest if there are too many.
    pub(crate) fn push(&mut self, event: Arc<Event>) {
        let events = Arc::make_mut(&mut self.events);
        debug_assert!(events.back().is_none_or(|last| last.index.next() == event.index), "no gaps");
        if events.len() == HISTORY_EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The kept events, oldest first.
    pub(crate) fn events(&self) -> &VecDeque<Arc<Event>> {
        &self.events
    }

    /// The first kept event that `watch` is told; `None` if it has not happened yet, or if the watch begins now.
    pub(crate) fn scan(
        &self,
        watch: &WatchSpec,
        now: StoreIndex,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        let oldest = self.events.front().map_or(0, |event| event.index.0);
        if watch.since == 0 || watch.since > now.0 {
            return Ok(None);
        }
        let Some(offset) = watch.since.checked_sub(oldest) else {
            let cause =
                format!("the requested history has been cleared [{oldest}/{}]", watch.since);
            return Err(StoreError::new(ErrorCode::EventIndexCleared, cause, now));
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.events.iter().skip(offset).find(|event| watch.matches(event)).cloned())
    }
}
