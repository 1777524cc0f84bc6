//! Opening a log: replay every segment, cut a torn tail, refuse anything else that is wrong.
//!
//! Invariant: what comes back is exactly what was written and synced, or an error. The one thing that
//! cannot be told from a torn write is damage to the very last batch before anything followed it; the
//! writer therefore puts a mark behind it as soon as it has nothing else to do.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::error::OpenError;
use super::frame::HEADER_BYTES;
use super::index::Index;
use super::options::LogOptions;
use super::replay::Replay;
use super::scan::{Scanner, Survey};
use super::segment::{self, RECORDS_START, SEAL_BYTES, Segment};
use crate::storage::disk::{Disk, PARTIAL_SUFFIX, write_fully};
use crate::storage::record::{COUNT_MAX, Checkpoint};

/// What a log holds, as read back from disk.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Vote, purged, committed and last entry.
    pub(super) state: Checkpoint,
    pub(super) index: Index,
    /// The segments in use, oldest first; the last one takes the next record.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Where in the last segment the next record goes.
    pub(super) position: u64,
    /// Segments made ahead of time, not yet used.
    pub(super) spares: VecDeque<Segment>,
}

/// Reads the log in `dir`. `None` when there are no segments at all.
pub(super) fn recover(dir: &Path, options: &LogOptions) -> Result<Option<Recovered>, OpenError> {
    let disk = &*options.disk;
    remove_partial_files(dir).map_err(|error| OpenError::io("clean up", dir, error))?;
    let listed = segment::list(dir).map_err(|error| OpenError::io("list", dir, error))?;
    let mut replay = Replay::new(options.create);
    let mut used = VecDeque::new();
    let mut spares = VecDeque::new();
    let mut end = End { position: RECORDS_START, torn: None, dirt: None };
    let mut previous = None;
    for (sequence, path) in listed {
        let segment = Segment::open(&path, sequence, options.cluster)?;
        in_sequence(&segment, previous)?;
        previous = Some(sequence);
        if !replay.expects_segment() {
            must_be_empty(&segment)?;
            spares.push_back(segment);
            continue;
        }
        end = read_segment(&segment, &mut replay)?;
        used.push_back(Arc::new(segment));
    }
    let Some(last) = used.back() else { return Ok(None) };
    if replay.expects_segment() {
        let found = "the log goes on in another segment, and that file is missing";
        return Err(damaged(last, end.position, found));
    }
    if let Err(found) = replay.check_complete() {
        let oldest = used.front().unwrap_or(last);
        return Err(damaged(oldest, RECORDS_START, &found));
    }
    // Not before everything else has proved sound: a log that is refused is left as it was.
    if let Some(torn) = end.torn {
        cut(last, end.position, torn, disk)?;
    }
    if let Some(dirt) = end.dirt {
        clean(last, dirt, end.position, disk)?;
    }
    // What was read may be in the page cache only; from here on it counts as durable.
    disk.sync_data(&last.file).map_err(|error| OpenError::io("sync", &last.path, error))?;
    let (state, index) = replay.finish();
    let position = end.position;
    Ok(Some(Recovered { state, index, segments: used, position, spares }))
}

/// Where a segment's records end.
#[derive(Clone, Copy)]
struct End {
    /// Where the next record goes.
    position: u64,
    /// Where the pieces of an unfinished write behind that place end, if there are any.
    torn: Option<u64>,
    /// Where the padding of the last record stops being zero, if it does.
    dirt: Option<u64>,
}

/// Replays one segment.
fn read_segment(segment: &Segment, replay: &mut Replay) -> Result<End, OpenError> {
    let io = |error| OpenError::io("read", &segment.path, error);
    let mut scanner = Scanner::new(segment);
    let mut offset = RECORDS_START;
    let mut batch = offset;
    let mut dirt = None;
    replay.begin_segment();
    while !replay.expects_segment() {
        // A batch goes on or a new one begins; anything else is a leftover, not a record.
        let frame = scanner.frame_at(offset).map_err(io)?;
        let Some(frame) = frame.filter(|f| f.batch_start == batch || f.batch_start == offset)
        else {
            break;
        };
        if let Some(dirt) = dirt {
            let found = format!(
                "a byte between two records that is not zero, although the one at byte {offset} was \
                 written after it"
            );
            return Err(damaged(segment, dirt, &found));
        }
        replay
            .apply(frame.kind, frame.payload, segment.sequence(), offset)
            .map_err(|found| damaged(segment, offset, &found))?;
        batch = frame.batch_start;
        offset = frame.next;
        dirt = frame.dirt;
    }
    if replay.expects_segment() {
        return Ok(End { position: offset, torn: None, dirt: None });
    }
    let torn = match scanner.survey(offset).map_err(io)? {
        Survey::End => None,
        Survey::Damaged { offset: later } => {
            let found = format!(
                "no valid record, although a record written after it is intact at byte {later}"
            );
            return Err(damaged(segment, offset, &found));
        }
        Survey::Torn { end } => Some(end),
    };
    if offset + SEAL_BYTES > segment.size {
        let found = "no room for the record that ends the segment, which a member always keeps";
        return Err(damaged(segment, offset, found));
    }
    if offset == RECORDS_START && !replay.may_lack_checkpoint() {
        let found = "the oldest segment does not begin with a valid checkpoint record";
        return Err(damaged(segment, offset, found));
    }
    Ok(End { position: offset, torn, dirt })
}

/// Wipes an unfinished batch, so that no piece of it can later be taken for a record.
fn cut(segment: &Segment, offset: u64, end: u64, disk: &dyn Disk) -> Result<(), OpenError> {
    let end = end.min(segment.size);
    tracing::warn!(
        file = %segment.path.display(), offset, bytes = end - offset,
        "cut an unfinished write off the end of the raft log; it was never acknowledged"
    );
    wipe(segment, offset, end, disk)
}

/// Wipes what stands in the last record's padding: once records follow it, it would be damage.
fn clean(segment: &Segment, offset: u64, end: u64, disk: &dyn Disk) -> Result<(), OpenError> {
    tracing::warn!(
        file = %segment.path.display(), offset, bytes = end - offset,
        "wiped bytes behind the last record of the raft log, which itself is whole; check the disk"
    );
    wipe(segment, offset, end, disk)
}

fn wipe(segment: &Segment, offset: u64, end: u64, disk: &dyn Disk) -> Result<(), OpenError> {
    let zeros = vec![0; HEADER_BYTES << 8];
    let mut at = offset;
    while at < end {
        let count = usize::try_from(end - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        let zeros = zeros.get(..count).unwrap_or(&zeros);
        write_fully(zeros, at, |bytes, offset| disk.write_at(&segment.file, bytes, offset))
            .map_err(|error| OpenError::io("cut the tail of", &segment.path, error))?;
        at += zeros.len() as u64;
    }
    disk.sync_data(&segment.file).map_err(|error| OpenError::io("sync", &segment.path, error))
}

fn must_be_empty(segment: &Segment) -> Result<(), OpenError> {
    let io = |error| OpenError::io("read", &segment.path, error);
    if Scanner::new(segment).frame_at(RECORDS_START).map_err(io)?.is_some() {
        let found = "records, although the segment before it has lost its end";
        return Err(damaged(segment, RECORDS_START, found));
    }
    Ok(())
}

fn in_sequence(segment: &Segment, previous: Option<u64>) -> Result<(), OpenError> {
    if segment.sequence() > COUNT_MAX {
        return Err(damaged(segment, 0, "the number of the segment file is impossible"));
    }
    match previous.map(|previous| previous + 1) {
        Some(expected) if expected != segment.sequence() => {
            let found = format!("the segment file number {expected:x} before this one is missing");
            Err(damaged(segment, 0, &found))
        }
        _ => Ok(()),
    }
}

fn damaged(segment: &Segment, offset: u64, found: &str) -> OpenError {
    OpenError::Damaged { file: segment.path.clone(), offset, found: found.into() }
}

fn remove_partial_files(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| PARTIAL_SUFFIX.strip_prefix('.') == ext.to_str()) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
