//! What the records of a log add up to.
//!
//! Invariant: each record is checked against all before it; the first one that does not follow is
//! an error that says why, never a guess.

use prost::Message;

use super::index::Index;
use crate::storage::record::{COUNT_MAX, Checkpoint, Entry, EntryId, Kind, Pointer, Vote};

/// Folds records, in stream order, into the state they leave behind.
#[derive(Debug)]
pub(super) struct Replay {
    state: Checkpoint,
    index: Index,
    /// The last entry before the oldest segment.
    base: Option<EntryId>,
    /// No record has been seen at all.
    pristine: bool,
    may_be_new: bool,
    /// The next record must be a checkpoint.
    at_segment_start: bool,
    /// The log is empty so far, or its last segment was sealed.
    sealed: bool,
}

impl Replay {
    /// Nothing read yet. `may_be_new`: an empty first segment is a creation that did not finish.
    pub(super) fn new(may_be_new: bool) -> Self {
        Self {
            state: Checkpoint::default(),
            index: Index::default(),
            base: None,
            pristine: true,
            may_be_new,
            at_segment_start: true,
            sealed: true,
        }
    }

    /// Whether the log goes on in a segment not yet seen.
    pub(super) const fn expects_segment(&self) -> bool {
        self.sealed
    }

    /// Whether a segment may have no records: only if an older one holds
    /// the state, or there is none yet.
    pub(super) const fn may_lack_checkpoint(&self) -> bool {
        !self.pristine || self.may_be_new
    }

    /// A new segment's records follow.
    pub(super) const fn begin_segment(&mut self) {
        self.sealed = false;
        self.at_segment_start = true;
    }

    /// Takes the next record.
    pub(super) fn apply(
        &mut self,
        kind: u8,
        payload: &[u8],
        sequence: u64,
        offset: u64,
    ) -> Result<(), String> {
        let Some(kind) = Kind::from_number(kind) else {
            return Err(format!(
                "a record of unknown kind {kind}: perhaps a newer version of the program wrote it"
            ));
        };
        if self.at_segment_start != (kind == Kind::Checkpoint) {
            return Err(format!("a {kind:?} record where a segment's records do not allow one"));
        }
        self.at_segment_start = false;
        match kind {
            Kind::Checkpoint => self.checkpoint(decode(payload)?)?,
            Kind::Entry => {
                let entry: Entry = decode(payload)?;
                possible(Some(entry.id()))?;
                if entry.payload.is_none() {
                    return Err("an entry without a payload this version understands".into());
                }
                self.entry(entry.id(), sequence, offset)?;
            }
            Kind::Vote => self.state.vote = possible_vote(Some(decode(payload)?))?,
            Kind::Committed => self.state.committed = pointer(payload)?,
            Kind::TruncateAfter => self.truncate(pointer(payload)?),
            Kind::PurgedUpTo => self.purge(pointer(payload)?)?,
            Kind::Mark => {}
            Kind::Seal => self.sealed = true,
        }
        Ok(())
    }

    /// Whether every entry after the purged ones is there.
    pub(super) fn check_complete(&self) -> Result<(), String> {
        let Some(last) = self.state.last else { return Ok(()) };
        let from = self.state.purged.map_or(0, |purged| purged.index + 1);
        let found = self.index.first().map(|run| run.first);
        // A log that began empty in the oldest segment has no older entries to miss.
        let began_here = self.base.is_none() && found.is_some();
        if last.index < from || began_here || found.is_some_and(|first| first <= from) {
            return Ok(());
        }
        let to = found.unwrap_or(last.index + 1).saturating_sub(1);
        Err(format!("entries {from} to {to} are missing: older segment files are gone"))
    }

    /// The state and the places of the entries.
    pub(super) fn finish(self) -> (Checkpoint, Index) {
        let mut state = self.state;
        // A pointer beyond the end would make the raft library wait for entries it has to fetch.
        state.committed = state.committed.min(state.last);
        (state, self.index)
    }

    fn checkpoint(&mut self, found: Checkpoint) -> Result<(), String> {
        possible_vote(found.vote)?;
        for id in [found.purged, found.committed, found.last] {
            possible(id)?;
        }
        if self.pristine {
            self.pristine = false;
            self.base = found.last;
            self.state = found;
            return Ok(());
        }
        let expected = Checkpoint { committed: found.committed, ..self.state };
        if found == expected {
            self.state = found;
            return Ok(());
        }
        Err(format!("a checkpoint that does not continue the log: {found:?} after {expected:?}"))
    }

    fn entry(&mut self, id: EntryId, sequence: u64, offset: u64) -> Result<(), String> {
        if let Some(last) = self.state.last.filter(|last| last.index + 1 != id.index) {
            return Err(format!("the entry at {id} follows the one at {last}"));
        }
        self.state.last = Some(id);
        self.index.note(id.index, sequence, offset);
        Ok(())
    }

    fn truncate(&mut self, last: Option<EntryId>) {
        self.state.last = last.or(self.state.purged);
        self.index.truncate_after(last.map(|last| last.index));
    }

    fn purge(&mut self, purged: Option<EntryId>) -> Result<(), String> {
        let purged = purged.ok_or("a purge record without an entry")?;
        self.state.purged = Some(purged);
        let last = self.state.last.filter(|last| last.index > purged.index).unwrap_or(purged);
        self.state.last = Some(last);
        self.index.purge(purged.index, last.index);
        Ok(())
    }
}

fn pointer(payload: &[u8]) -> Result<Option<EntryId>, String> {
    possible(decode::<Pointer>(payload)?.entry)
}

fn possible(id: Option<EntryId>) -> Result<Option<EntryId>, String> {
    match id {
        Some(id) if !id.is_possible() => Err(format!("a record of the impossible entry at {id}")),
        id => Ok(id),
    }
}

fn possible_vote(vote: Option<Vote>) -> Result<Option<Vote>, String> {
    match vote {
        Some(vote) if vote.term > COUNT_MAX => {
            Err(format!("a vote in the impossible term {}", vote.term))
        }
        vote => Ok(vote),
    }
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| {
        format!("a record with a valid checksum that cannot be understood ({error}): perhaps a newer version of the program wrote it")
    })
}
