//! One watcher's side: the slot an event is put in, and the subscription that takes it out.
//!
//! Invariant: a slot that has been told its last event, or its end, is no longer in the registry, so dropping its subscription then
//! takes no lock of the hub.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use quorate_core::{Event, StoreIndex};

use super::{STREAM_BACKLOG_MAX, Shared, WatchMode};

/// Why a watch is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchEnd {
    /// The one event it waited for has been told.
    Done,
    /// The client read too slowly, or the state was replaced: events after the last one told are missing.
    Overflow,
    /// The member is stopping.
    Stopped,
    /// The watcher may no longer read what it watches.
    Forbidden,
}

/// What comes next on a watch.
#[derive(Clone, Debug)]
pub enum Next {
    /// An event.
    Event(Arc<Event>),
    /// Nothing more, ever.
    End(WatchEnd),
}

/// A running watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct Subscription {
    index: StoreIndex,
    /// What had happened before the watch began.
    missed: VecDeque<Arc<Event>>,
    live: Option<Live>,
}

/// A subscription's hold on the hub.
#[derive(Debug)]
struct Live {
    shared: Arc<Shared>,
    place: u32,
    slot: Arc<Slot>,
}

impl Subscription {
    /// A watch whose one event lies in the past.
    pub(super) fn of_the_past(index: StoreIndex, missed: VecDeque<Arc<Event>>) -> Self {
        Self { index, missed, live: None }
    }

    /// A watch that is told of `missed` first and then of what comes.
    pub(super) fn waiting(
        index: StoreIndex,
        missed: VecDeque<Arc<Event>>,
        shared: Arc<Shared>,
        place: u32,
        slot: Arc<Slot>,
    ) -> Self {
        Self { index, missed, live: Some(Live { shared, place, slot }) }
    }

    /// The store index when the watch began.
    #[must_use]
    pub fn index(&self) -> StoreIndex {
        self.index
    }

    /// The next event, or the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if !self.missed.is_empty() && self.live.as_ref().is_some_and(|it| it.slot.is_forbidden()) {
            self.missed.clear();
        }
        if let Some(event) = self.missed.pop_front() {
            return Poll::Ready(Next::Event(event));
        }
        match &self.live {
            Some(live) => live.slot.poll_next(context),
            None => Poll::Ready(Next::End(WatchEnd::Done)),
        }
    }

    /// Waits for the next event, or the end. Nothing is lost if it is dropped before it is done.
    pub async fn next(&mut self) -> Next {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.slot.is_over() {
            self.shared.remove(self.place, &self.slot);
        }
    }
}

/// Where events are put for one watcher.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
}

/// Kept small: thousands of these wait.
#[derive(Debug)]
enum State {
    /// One event is waited for.
    Once(Option<Waker>),
    /// The one event has come.
    Told(Arc<Event>),
    /// Events come until further notice.
    Stream(Box<Stream>),
    /// It is over.
    Ended(WatchEnd),
}

#[derive(Debug, Default)]
struct Stream {
    /// At most [`STREAM_BACKLOG_MAX`].
    events: VecDeque<Arc<Event>>,
    waker: Option<Waker>,
    /// What follows once `events` has been read.
    end: Option<WatchEnd>,
}

/// Whether a watcher stays in the registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum After {
    /// It waits for more.
    Stays,
    /// It has been told all that it will be told.
    Leaves,
}

impl Slot {
    pub(super) fn new(mode: WatchMode) -> Arc<Self> {
        let state = match mode {
            WatchMode::Once => State::Once(None),
            WatchMode::Stream => State::Stream(Box::default()),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Hands over an event; whoever is to be woken for it goes to `wakes`.
    pub(super) fn tell(&self, event: &Arc<Event>, wakes: &mut Vec<Waker>) -> After {
        let mut state = self.state.lock();
        match &mut *state {
            State::Once(waker) => {
                wakes.extend(waker.take());
                *state = State::Told(Arc::clone(event));
                After::Leaves
            }
            State::Stream(stream) => {
                wakes.extend(stream.waker.take());
                if stream.events.len() < STREAM_BACKLOG_MAX {
                    stream.events.push_back(Arc::clone(event));
                    return After::Stays;
                }
                stream.end = Some(WatchEnd::Overflow);
                After::Leaves
            }
            State::Told(_) | State::Ended(_) => After::Leaves,
        }
    }

    /// Ends the watch; what it has been told before can still be read, unless it may not be read any more.
    pub(super) fn end(&self, end: WatchEnd, wakes: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Once(waker) => {
                wakes.extend(waker.take());
                *state = State::Ended(end);
            }
            State::Stream(stream) => {
                wakes.extend(stream.waker.take());
                if end == WatchEnd::Forbidden {
                    stream.events.clear();
                }
                stream.end = Some(end);
            }
            State::Told(_) | State::Ended(_) => {}
        }
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        let next = match &mut *state {
            State::Once(waker) => {
                remember(waker, context);
                return Poll::Pending;
            }
            State::Told(event) => {
                let event = Arc::clone(event);
                *state = State::Ended(WatchEnd::Done);
                Next::Event(event)
            }
            State::Stream(stream) => match (stream.events.pop_front(), stream.end) {
                (Some(event), _) => Next::Event(event),
                (None, Some(end)) => Next::End(end),
                (None, None) => {
                    remember(&mut stream.waker, context);
                    return Poll::Pending;
                }
            },
            State::Ended(end) => Next::End(*end),
        };
        Poll::Ready(next)
    }

    fn is_forbidden(&self) -> bool {
        match &*self.state.lock() {
            State::Stream(stream) => stream.end == Some(WatchEnd::Forbidden),
            State::Ended(end) => *end == WatchEnd::Forbidden,
            State::Once(_) | State::Told(_) => false,
        }
    }

    fn is_over(&self) -> bool {
        match &*self.state.lock() {
            State::Once(_) => false,
            State::Stream(stream) => stream.end.is_some(),
            State::Told(_) | State::Ended(_) => true,
        }
    }
}

fn remember(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_watcher_is_small() {
        // With the allocation's two counts a slot takes 48 bytes.
        assert!(size_of::<Slot>() <= 32, "{}", size_of::<Slot>());
        assert!(size_of::<Subscription>() <= 64, "{}", size_of::<Subscription>());
    }
}
