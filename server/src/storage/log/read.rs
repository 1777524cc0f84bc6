//! Reading entries that are no longer in memory.
//!
//! Invariant: entries come back in sequence and verified; a record that was valid at the start and is
//! not any more is an error, never skipped.

use std::io;
use std::ops::Range;

use prost::Message;

use super::scan::Scanner;
use super::segment::Segment;
use super::shared::Shared;
use super::tail::cost;
use crate::storage::record::{Entry, EntryId, Kind};

/// Bytes read from a segment at once.
const WINDOW_BYTES: usize = 128 << 10;

/// Reads entries from the start of `range`: at least one, and no more than `bytes_max` of payload.
/// Empty only if they have been purged meanwhile.
pub(super) fn read(shared: &Shared, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
    let mut taken = Taken { entries: Vec::new(), next: range.start, left: bytes_max };
    while taken.next < range.end {
        let located = shared.files.lock().locate(taken.next);
        let Some((run, segment, behind)) = located else { break };
        let until = behind.map_or(range.end, |behind| behind.min(range.end));
        if !read_run(&segment, run.offset, until, &mut taken)? {
            break;
        }
    }
    Ok(taken.entries)
}

struct Taken {
    entries: Vec<Entry>,
    next: u64,
    left: usize,
}

/// Takes entries up to `until` from the run at `offset`. False when enough bytes are taken.
fn read_run(segment: &Segment, mut offset: u64, until: u64, taken: &mut Taken) -> io::Result<bool> {
    let mut scanner = Scanner::with_window(segment, WINDOW_BYTES);
    while taken.next < until {
        // Padding was seen or made to be zero when the log was opened.
        let frame = scanner.frame_at(offset)?.filter(|frame| frame.dirt.is_none());
        let frame = frame.ok_or_else(|| lost(segment, offset, taken.next))?;
        offset = frame.next;
        if frame.kind != Kind::Entry as u8 {
            continue;
        }
        // The id's tags are the entry's first ones: this skips the payload.
        let id = EntryId::decode(frame.payload)?;
        if id.index < taken.next {
            continue;
        }
        let entry = Entry::decode(frame.payload)?;
        if id.index > taken.next {
            return Err(lost(segment, offset, taken.next));
        }
        let bytes = cost(&entry);
        if bytes > taken.left && !taken.entries.is_empty() {
            return Ok(false);
        }
        taken.left = taken.left.saturating_sub(bytes);
        taken.entries.push(entry);
        taken.next += 1;
    }
    Ok(true)
}

fn lost(segment: &Segment, offset: u64, index: u64) -> io::Error {
    let text = format!(
        "the raft log was damaged while in use: entry {index} is no longer readable at byte {offset} \
         of {}. Check the disk, then remove this member from the cluster and add it again with an \
         empty data directory",
        segment.path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}
