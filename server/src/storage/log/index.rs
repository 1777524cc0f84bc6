//! Where on disk the entries are: one place per run of neighbouring entries, not one per entry.
//!
//! Invariant: runs are in index order, and the run that begins at entry `first` covers every entry up
//! to the next run's first. Reading a run from its place and taking the entries in sequence meets
//! exactly the live ones: wherever history bends (a truncation, a new segment) a new run begins.

use std::collections::VecDeque;

/// Bytes of segment a run may span: what a read at worst goes through before its first entry.
const RUN_BYTES_MAX: u64 = 64 << 10;

/// A stretch of entries that lie one after the other in a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    /// Index of its first entry.
    pub(super) first: u64,
    /// The segment's sequence.
    pub(super) sequence: u64,
    /// Offset of the first entry's frame.
    pub(super) offset: u64,
}

/// The runs of a log.
#[derive(Debug, Default)]
pub(super) struct Index {
    runs: VecDeque<Run>,
    bend: bool,
}

impl Index {
    /// Notes that entry `index` was written there. Entries come in order.
    pub(super) fn note(&mut self, index: u64, sequence: u64, offset: u64) {
        let begins = self.bend
            || self
                .runs
                .back()
                .is_none_or(|run| run.sequence != sequence || offset - run.offset >= RUN_BYTES_MAX);
        if begins {
            self.runs.push_back(Run { first: index, sequence, offset });
            self.bend = false;
        }
    }

    /// Forgets the entries after `last`, or all.
    pub(super) fn truncate_after(&mut self, last: Option<u64>) {
        while self.runs.back().is_some_and(|run| last.is_none_or(|last| run.first > last)) {
            self.runs.pop_back();
        }
        self.bend = true;
    }

    /// Forgets the runs that hold nothing after `purged`. `last` is the log's last entry.
    pub(super) fn purge(&mut self, purged: u64, last: u64) {
        if last <= purged {
            self.runs.clear();
            self.bend = true;
        }
        while self.runs.get(1).is_some_and(|second| second.first <= purged + 1) {
            self.runs.pop_front();
        }
    }

    /// The run that holds `index` and the first index of the run behind it, if there is one.
    pub(super) fn find(&self, index: u64) -> Option<(Run, Option<u64>)> {
        let behind = self.runs.partition_point(|run| run.first <= index);
        let run = self.runs.get(behind.checked_sub(1)?)?;
        Some((*run, self.runs.get(behind).map(|next| next.first)))
    }

    /// The oldest run.
    pub(super) fn first(&self) -> Option<Run> {
        self.runs.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(index: &Index, of: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
        of.into_iter().map(|i| index.find(i).map(|(run, _)| run.offset)).collect()
    }

    #[test]
    fn runs_break_at_segments_and_distance() {
        let mut index = Index::default();
        index.note(1, 1, 4096);
        index.note(2, 1, 5000);
        index.note(3, 1, 4096 + RUN_BYTES_MAX);
        index.note(4, 2, 4096);
        let far = 4096 + RUN_BYTES_MAX;
        assert_eq!(
            places(&index, 0..=5),
            [None, Some(4096), Some(4096), Some(far), Some(4096), Some(4096)]
        );
        assert_eq!(index.find(2).map(|(_, next)| next), Some(Some(3)));
        assert_eq!(index.find(4).map(|(_, next)| next), Some(None));
    }

    #[test]
    fn a_truncation_begins_a_new_run() {
        let mut index = Index::default();
        (1..=5).for_each(|i| index.note(i, 1, 4096 + i * 8));
        index.truncate_after(Some(3));
        index.note(4, 1, 5000);
        assert_eq!(places(&index, [3, 4, 5]), [Some(4104), Some(5000), Some(5000)]);
        index.truncate_after(None);
        assert_eq!(index.first(), None);
    }

    #[test]
    fn a_purge_keeps_the_run_that_holds_the_next_entry() {
        let mut index = Index::default();
        for (i, sequence) in [(1, 1), (10, 2), (20, 3)] {
            index.note(i, sequence, 4096);
        }
        index.purge(8, 25);
        assert_eq!(index.first().map(|run| run.sequence), Some(1));
        index.purge(9, 25);
        assert_eq!(index.first().map(|run| run.sequence), Some(2));
        index.purge(25, 25);
        assert_eq!(index.first(), None);
    }
}
