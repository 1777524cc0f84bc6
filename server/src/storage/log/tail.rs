//! The log as its callers see it: its ends, the newest entries in memory, and what is still to be
//! written.
//!
//! Invariant: the cached entries are neighbours and end at the last entry; an entry leaves the cache
//! only when it is on the device and the cache is over its bound. Changes and their commands are made
//! under one lock, so the writer sees them in the order callers did.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::Done;
use super::error::FatalError;
use crate::storage::record::{Checkpoint, Entry, EntryId, Payload, Vote};

/// What an entry costs in memory besides its payload.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// Something for the writer to do.
pub(super) enum Command {
    /// Write entries, then report.
    Append { entries: Vec<Entry>, units: u32, done: Done },
    /// Write a vote, then report.
    Vote { vote: Vote, done: Done },
    /// Note that the entries after this one are gone.
    Truncate { after: Option<EntryId> },
    /// Note that the entries up to this one are gone, and drop whole segments.
    Purge { upto: EntryId },
}

/// See the module.
pub(super) struct Tail {
    /// The state after every command so far, written or not.
    pub(super) state: Checkpoint,
    /// Index of the oldest entry held; meaningless while there is none.
    first: u64,
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    /// Entries below this index are on the device.
    durable_next: u64,
    /// The lowest end the log was cut back to since the writer last took commands.
    cut_since_taken: Option<u64>,
    commands: Vec<Command>,
    pub(super) closing: bool,
    pub(super) fatal: Option<Arc<FatalError>>,
}

/// Where a read has to look.
pub(super) enum Found {
    /// Here are the entries.
    Cached(Vec<Entry>),
    /// On disk: entries from the range's start up to its end, which is where the cache begins.
    OnDisk(Range<u64>),
}

impl Tail {
    pub(super) fn new(state: Checkpoint, first: Option<u64>) -> Self {
        let next = state.last.map_or(0, |last| last.index + 1);
        let first = first.unwrap_or(next).max(state.purged.map_or(0, |p| p.index + 1));
        Self {
            state,
            first,
            cache: VecDeque::new(),
            cache_bytes: 0,
            durable_next: next,
            cut_since_taken: None,
            commands: Vec::new(),
            closing: false,
            fatal: None,
        }
    }

    /// Takes new entries. Fails, changing nothing, if they do not follow the last one.
    pub(super) fn append(
        &mut self,
        entries: Vec<Entry>,
        units: u32,
        done: Done,
    ) -> Result<(), Gap> {
        let mut last = self.state.last;
        for entry in &entries {
            if let Some(last) = last.filter(|last| last.index + 1 != entry.index) {
                return Err(Gap { last, next: entry.id() });
            }
            last = Some(entry.id());
        }
        if let (None, Some(begin)) = (self.state.last, entries.first()) {
            self.first = begin.index;
        }
        self.state.last = last;
        self.cache_bytes += entries.iter().map(cost).sum::<usize>();
        self.cache.extend(entries.iter().cloned());
        self.commands.push(Command::Append { entries, units, done });
        Ok(())
    }

    pub(super) fn vote(&mut self, vote: Vote, done: Done) {
        self.state.vote = Some(vote);
        self.commands.push(Command::Vote { vote, done });
    }

    /// Drops the entries after `after`. True if there were any.
    pub(super) fn truncate_after(&mut self, after: Option<EntryId>) -> bool {
        let Some(last) = self.state.last else { return false };
        let keep_below = after.map_or(0, |after| after.index + 1).max(self.purged_next());
        if keep_below > last.index {
            return false;
        }
        while let Some(entry) = self.cache.pop_back_if(|entry| entry.index >= keep_below) {
            self.cache_bytes -= cost(&entry);
        }
        let after = after.filter(|after| after.index >= self.purged_next());
        self.state.last = after.or(self.state.purged);
        self.durable_next = self.durable_next.min(keep_below);
        self.cut_since_taken = Some(self.cut_since_taken.map_or(keep_below, |c| c.min(keep_below)));
        self.commands.push(Command::Truncate { after });
        true
    }

    /// Drops the entries up to and including `upto`. True if that is news.
    pub(super) fn purge(&mut self, upto: EntryId) -> bool {
        if upto.index < self.purged_next() {
            return false;
        }
        self.state.purged = Some(upto);
        self.first = self.first.max(upto.index + 1);
        while let Some(entry) = self.cache.pop_front_if(|entry| entry.index <= upto.index) {
            self.cache_bytes -= cost(&entry);
        }
        if self.state.last.is_none_or(|last| last.index <= upto.index) {
            self.state.last = Some(upto);
        }
        self.commands.push(Command::Purge { upto });
        true
    }

    /// Where to read `range`: entries that do not exist are left out, and no more than `bytes_max` of
    /// payload are taken, but at least one entry.
    pub(super) fn find(&self, range: Range<u64>, bytes_max: usize) -> Found {
        let Some(last) = self.state.last else { return Found::Cached(Vec::new()) };
        let start = range.start.max(self.first);
        let end = range.end.min(last.index + 1);
        let cached_from = last.index + 1 - self.cache.len() as u64;
        if start >= end {
            return Found::Cached(Vec::new());
        }
        if start < cached_from {
            return Found::OnDisk(start..end.min(cached_from));
        }
        let skip = usize::try_from(start - cached_from).unwrap_or(usize::MAX);
        let count = usize::try_from(end - start).unwrap_or(usize::MAX);
        let mut left = bytes_max;
        let mut taken = Vec::new();
        for entry in self.cache.range(skip.min(self.cache.len())..).take(count) {
            let bytes = cost(entry);
            if bytes > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(bytes);
            taken.push(entry.clone());
        }
        Found::Cached(taken)
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Hands the commands over, in exchange for an empty list.
    pub(super) fn take(&mut self, into: &mut Vec<Command>) {
        std::mem::swap(&mut self.commands, into);
        self.cut_since_taken = None;
    }

    /// The taken commands are on the device; `next` is the index after their last entry.
    pub(super) fn durable(&mut self, next: u64, cache_bytes_max: usize) {
        self.durable_next = self.cut_since_taken.map_or(next, |cut| cut.min(next));
        let durable_next = self.durable_next;
        while self.cache_bytes > cache_bytes_max
            && let Some(entry) = self.cache.pop_front_if(|entry| entry.index < durable_next)
        {
            self.cache_bytes -= cost(&entry);
        }
    }

    fn purged_next(&self) -> u64 {
        self.state.purged.map_or(0, |purged| purged.index + 1)
    }
}

/// An entry that does not follow the last one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the entry at {next} does not follow the log's last entry at {last}")]
pub(super) struct Gap {
    last: EntryId,
    next: EntryId,
}

/// Bytes an entry counts for in the cache and towards a read's limit.
pub(super) fn cost(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        Some(Payload::Normal(bytes)) => bytes.len(),
        _ => 0,
    };
    payload + ENTRY_OVERHEAD_BYTES
}
