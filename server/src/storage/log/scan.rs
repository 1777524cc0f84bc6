//! Reading frames out of a segment through a small window.
//!
//! Invariant: a frame is handed out only when its checksum holds and its batch is consistent with its
//! place; memory is one window plus at most one frame.

use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{ALIGN, HEADER_BYTES, Header, frame_bytes};
use super::segment::{RECORDS_START, Segment};

/// Bytes read ahead at once while scanning.
const WINDOW_BYTES: usize = 256 << 10;

/// A frame whose checksum holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) batch_start: u64,
    pub(super) payload: &'a [u8],
    /// Where the frame after this one begins.
    pub(super) next: u64,
    /// The first byte of the padding that is not zero. The checksum does not cover it, so the record itself is whole.
    pub(super) dirt: Option<u64>,
}

/// What lies behind the first place where no valid frame begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Survey {
    /// Nothing of this segment's: the log simply ends here.
    End,
    /// Pieces of one unfinished batch, all before `end`: a torn write.
    Torn { end: u64 },
    /// A valid frame at `offset` of a batch that was begun only after the damaged place had been
    /// synced: the damage came later.
    Damaged { offset: u64 },
}

/// Reads one segment.
pub(super) struct Scanner<'a> {
    segment: &'a Segment,
    window: Vec<u8>,
    window_start: u64,
    window_bytes: usize,
}

impl<'a> Scanner<'a> {
    /// A reader that reads ahead as fits a scan of the whole segment.
    pub(super) const fn new(segment: &'a Segment) -> Self {
        Self::with_window(segment, WINDOW_BYTES)
    }

    /// A reader that reads ahead `window_bytes`.
    pub(super) const fn with_window(segment: &'a Segment, window_bytes: usize) -> Self {
        Self { segment, window: Vec::new(), window_start: 0, window_bytes }
    }

    /// The frame at `offset`, if a valid one begins there.
    pub(super) fn frame_at(&mut self, offset: u64) -> io::Result<Option<Frame<'_>>> {
        let key = self.segment.key;
        let Some(bytes) = self.bytes(offset, HEADER_BYTES)?.first_chunk() else {
            return Ok(None);
        };
        let Some(header) = Header::parse(key, bytes) else { return Ok(None) };
        let length = header.length as usize;
        let batch_start = u64::from(header.batch_start);
        let next = offset + frame_bytes(length) as u64;
        let in_place = (RECORDS_START..=offset).contains(&batch_start);
        if !in_place || next > self.segment.size {
            return Ok(None);
        }
        let frame = self.bytes(offset, frame_bytes(length))?;
        let Some((payload, padding)) =
            frame.get(HEADER_BYTES..).and_then(|rest| rest.split_at_checked(length))
        else {
            return Ok(None);
        };
        let valid = header.matches(key, offset, payload);
        let dirt = padding.iter().position(|&byte| byte != 0);
        let dirt = dirt.map(|at| next - (padding.len() - at) as u64);
        Ok(valid.then_some(Frame { kind: header.kind, batch_start, payload, next, dirt }))
    }

    /// Judges what lies at and behind `from`, where no valid frame begins.
    pub(super) fn survey(&mut self, from: u64) -> io::Result<Survey> {
        let mut end = from;
        let mut offset = from;
        while offset + HEADER_BYTES as u64 <= self.segment.size {
            let Some(candidate) = self.next_candidate(offset)? else { break };
            end = end.max(candidate + HEADER_BYTES as u64);
            offset = candidate + ALIGN as u64;
            if let Some(frame) = self.frame_at(candidate)? {
                if frame.batch_start > from {
                    return Ok(Survey::Damaged { offset: candidate });
                }
                end = end.max(frame.next);
            }
        }
        Ok(if end == from { Survey::End } else { Survey::Torn { end } })
    }

    /// The next aligned place at or after `offset` where this segment's sequence number stands where
    /// a header would have it.
    fn next_candidate(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        const SEQUENCE: std::ops::Range<usize> = 8..16;
        let sequence = self.segment.key.sequence.to_le_bytes();
        loop {
            let bytes = self.bytes_up_to(offset)?;
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            let places = (0..=bytes.len() - HEADER_BYTES).step_by(ALIGN);
            let looked_at = places.clone().count() * ALIGN;
            let hit = places.into_iter().find(|&at| {
                bytes.get(at + SEQUENCE.start..at + SEQUENCE.end) == Some(sequence.as_slice())
            });
            if let Some(at) = hit {
                return Ok(Some(offset + at as u64));
            }
            offset += looked_at as u64;
        }
    }

    /// Exactly `count` bytes at `offset`, or fewer at the end of the file.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let end = offset + count as u64;
        if offset < self.window_start || end > self.window_start + self.window.len() as u64 {
            self.load(offset, count.max(self.window_bytes))?;
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        let window = self.window.get(start..).unwrap_or_default();
        Ok(window.get(..count).unwrap_or(window))
    }

    /// All the window holds at and behind `offset`, at least a header's worth if the file has it.
    fn bytes_up_to(&mut self, offset: u64) -> io::Result<&[u8]> {
        self.bytes(offset, HEADER_BYTES)?;
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        Ok(self.window.get(start..).unwrap_or_default())
    }

    fn load(&mut self, offset: u64, count: usize) -> io::Result<()> {
        let rest = self.segment.size.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(count, |rest| rest.min(count));
        self.window.clear();
        // A rare giant frame must not keep its memory for the rest of the scan.
        self.window.shrink_to(self.window_bytes);
        self.window.resize(count, 0);
        self.window_start = offset;
        self.segment.file.read_exact_at(&mut self.window, offset)
    }
}
