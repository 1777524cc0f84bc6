//! The index of waiting watchers: by path, so that an event finds those it concerns along its own path and below a removed directory.
//!
//! Watchers of one key form a doubly linked list through a slab, so that one leaves in constant time. Invariant: a key is in `lists`
//! exactly while its list has a watcher.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Waker;

use quorate_core::{Auth, Event, Key, WatchSpec};
use slab::Slab;

use super::reader::{Reader, ReaderName, may_read};
use super::subscription::{After, Slot, WatchEnd};
use super::{WATCHERS_MAX, WatchError};

/// The end of a list. Below it lies [`WATCHERS_MAX`], so no watcher has this place.
const NOBODY: u32 = u32::MAX;

/// All waiting watchers.
#[derive(Debug, Default)]
pub(super) struct Registry {
    watchers: Slab<Watcher>,
    /// The first watcher of each watched key.
    lists: BTreeMap<ByPath, u32>,
    /// The names of those watchers that have one.
    names: BTreeMap<u32, ReaderName>,
    closed: bool,
}

/// One waiting watcher.
#[derive(Debug)]
struct Watcher {
    slot: Arc<Slot>,
    key: Key,
    since: u64,
    prev: u32,
    next: u32,
    recursive: bool,
    has_slash: bool,
    has_name: bool,
}

/// A key in the order of its path's bytes, so that what lies below a directory is one range.
#[derive(Debug)]
struct ByPath(Key);

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Adds a watcher and returns its place.
    pub(super) fn insert(
        &mut self,
        spec: WatchSpec,
        slot: Arc<Slot>,
        reader: Reader,
    ) -> Result<u32, WatchError> {
        if self.closed {
            return Err(WatchError::Stopped);
        }
        if self.watchers.len() >= WATCHERS_MAX {
            return Err(WatchError::TooMany);
        }
        let WatchSpec { key, recursive, since } = spec;
        let place = u32::try_from(self.watchers.vacant_key()).map_err(|_| WatchError::TooMany)?;
        let next = self.lists.insert(ByPath(key.clone()), place).unwrap_or(NOBODY);
        if let Some(next) = self.watcher(next) {
            next.prev = place;
        }
        let Reader { name, has_slash } = reader;
        let has_name = name.is_some();
        self.names.extend(name.map(|name| (place, name)));
        self.watchers.insert(Watcher {
            slot,
            key,
            since,
            prev: NOBODY,
            next,
            recursive,
            has_slash,
            has_name,
        });
        Ok(place)
    }

    /// Removes the watcher at `place` if it is still the one with this slot.
    pub(super) fn remove(&mut self, place: u32, slot: &Arc<Slot>) {
        if self.watcher(place).is_some_and(|watcher| Arc::ptr_eq(&watcher.slot, slot)) {
            self.take(place);
        }
    }

    /// Tells every watcher that `event` concerns.
    pub(super) fn notify(&mut self, event: &Arc<Event>, wakes: &mut Vec<Waker>) {
        if self.watchers.is_empty() || !event.is_visible() {
            return;
        }
        let path = event.node.key.as_bytes();
        self.notify_list(b"/", event, wakes);
        for (end, _) in path.iter().enumerate().skip(1).filter(|&(_, &byte)| byte == b'/') {
            self.notify_list(path.get(..end).unwrap_or_default(), event, wakes);
        }
        if path.len() > 1 {
            self.notify_list(path, event, wakes);
        }
        if event.removes_directory() {
            self.notify_below(path, event, wakes);
        }
    }

    /// Ends the watches that their watchers have no right to any more.
    pub(super) fn judge(&mut self, auth: &Auth, wakes: &mut Vec<Waker>) {
        let (watchers, names) = (&self.watchers, &self.names);
        let judged = watchers.iter().filter_map(|(place, watcher)| {
            let place = u32::try_from(place).ok()?;
            let name = if watcher.has_name { names.get(&place) } else { None };
            let Watcher { key, has_slash, recursive, slot, .. } = watcher;
            let stays = may_read(auth, name, *has_slash, key.as_bytes(), *recursive);
            (!stays).then(|| (place, Arc::clone(slot)))
        });
        let leaving: Vec<(u32, Arc<Slot>)> = judged.collect();
        for (place, slot) in leaving {
            slot.end(WatchEnd::Forbidden, wakes);
            self.take(place);
        }
    }

    /// Ends every watch and admits no more.
    pub(super) fn close(&mut self, wakes: &mut Vec<Waker>) {
        self.closed = true;
        self.end_all(WatchEnd::Stopped, wakes);
    }

    /// Ends every watch.
    pub(super) fn end_all(&mut self, end: WatchEnd, wakes: &mut Vec<Waker>) {
        self.lists.clear();
        self.names.clear();
        for watcher in self.watchers.drain() {
            watcher.slot.end(end, wakes);
        }
        // The memory of a crowd that has gone is given back.
        self.watchers.shrink_to_fit();
    }

    fn notify_below(&mut self, path: &[u8], event: &Arc<Event>, wakes: &mut Vec<Waker>) {
        let stem = if path == b"/" { b"" } else { path };
        // '0' is the byte after '/'.
        let (from, to) = ([stem, b"/"].concat(), [stem, b"0"].concat());
        let range = (Bound::Excluded(&from[..]), Bound::Excluded(&to[..]));
        // Telling a list may remove its key, so the keys are noted first.
        let below: Vec<Key> =
            self.lists.range::<[u8], _>(range).map(|(ByPath(key), _)| key.clone()).collect();
        for key in below {
            self.notify_list(key.as_bytes(), event, wakes);
        }
    }

    /// Tells the watchers of one key. The rule is asked once for each kind of watcher, however many there are.
    fn notify_list(&mut self, path: &[u8], event: &Arc<Event>, wakes: &mut Vec<Waker>) {
        let Some((ByPath(key), &first)) = self.lists.get_key_value(path) else { return };
        let concerns =
            |recursive| WatchSpec { key: key.clone(), recursive, since: 0 }.matches(event);
        let (exact, recursive) = (concerns(false), concerns(true));
        let mut place = first;
        while let Some(watcher) = self.watcher(place) {
            let next = watcher.next;
            let concerned = if watcher.recursive { recursive } else { exact };
            if concerned
                && event.index.0 >= watcher.since
                && watcher.slot.tell(event, wakes) == After::Leaves
            {
                self.take(place);
            }
            place = next;
        }
    }

    fn watcher(&mut self, place: u32) -> Option<&mut Watcher> {
        self.watchers.get_mut(usize::try_from(place).ok()?)
    }

    fn take(&mut self, place: u32) {
        let Some(watcher) = usize::try_from(place).ok().and_then(|at| self.watchers.try_remove(at))
        else {
            return;
        };
        if watcher.has_name {
            self.names.remove(&place);
        }
        if let Some(next) = self.watcher(watcher.next) {
            next.prev = watcher.prev;
        }
        if let Some(prev) = self.watcher(watcher.prev) {
            prev.next = watcher.next;
        } else if watcher.next == NOBODY {
            self.lists.remove(watcher.key.as_bytes());
        } else if let Some(first) = self.lists.get_mut(watcher.key.as_bytes()) {
            *first = watcher.next;
        }
    }
}

impl Borrow<[u8]> for ByPath {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Ord for ByPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl PartialOrd for ByPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByPath {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes() == other.0.as_bytes()
    }
}

impl Eq for ByPath {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_watcher_is_small() {
        assert!(size_of::<Watcher>() <= 48, "{}", size_of::<Watcher>());
    }
}
