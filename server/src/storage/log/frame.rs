//! One record in a segment: a 24-byte header, the payload, zeros up to a multiple of 8.
//!
//! ```text
//!  0 u32 payload length      8 u64 segment sequence     20 u8 kind
//!  4 u32 CRC32C             16 u32 start of its batch   21 three zero bytes        (little endian)
//! ```
//! Invariant: the checksum also covers the segment's random salt and the frame's own offset, and the
//! header names the segment's never-reused sequence. So a record left over from the segment's former
//! life, moved to another place, or forged inside a client's value is never taken for a live one.

use crate::storage::record::Kind;

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 24;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Largest payload: bounds what a damaged length can make a reader allocate.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// What makes the frames of one segment its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameKey {
    /// The segment's sequence number.
    pub(super) sequence: u64,
    seed: u32,
}

impl FrameKey {
    pub(super) fn new(sequence: u64, salt: u64) -> Self {
        Self { sequence, seed: crc32c::crc32c(&salt.to_le_bytes()) }
    }

    fn checksum(self, offset: u64, header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
        let (length, rest) = header.split_at(4);
        let (_, rest) = rest.split_at(4);
        let crc = crc32c::crc32c_append(self.seed, &offset.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, length);
        let crc = crc32c::crc32c_append(crc, rest);
        crc32c::crc32c_append(crc, payload)
    }
}

/// Bytes a frame with this payload takes, padding included.
pub(super) const fn frame_bytes(payload: usize) -> usize {
    (HEADER_BYTES + payload).next_multiple_of(ALIGN)
}

/// Where a frame goes: its own offset in the segment and that of the batch it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) batch_start: u32,
}

/// Appends a frame to `buffer`; `encode` appends exactly the payload.
pub(super) fn push(
    buffer: &mut Vec<u8>,
    key: FrameKey,
    place: Place,
    kind: Kind,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = buffer.len();
    buffer.resize(start + HEADER_BYTES, 0);
    encode(buffer);
    let end = buffer.len();
    let payload_bytes = end - start - HEADER_BYTES;
    buffer.resize(start + frame_bytes(payload_bytes), 0);
    let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
    let mut header = Header { length, crc: 0, batch_start: place.batch_start, kind: kind as u8 };
    let (_, frame) = buffer.split_at_mut(start);
    let (head, rest) = frame.split_at_mut(HEADER_BYTES);
    let payload = rest.get(..payload_bytes).unwrap_or_default();
    header.crc = key.checksum(place.offset, &header.to_bytes(key), payload);
    head.copy_from_slice(&header.to_bytes(key));
}

/// A frame's header, not yet believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) length: u32,
    crc: u32,
    pub(super) batch_start: u32,
    pub(super) kind: u8,
}

impl Header {
    /// The header in `bytes`, if they name this segment and are well formed.
    pub(super) fn parse(key: FrameKey, bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (words, tail) = bytes.split_at(20);
        let u32_at = |at: usize| {
            words.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
        };
        let sequence = words.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)?;
        let &[kind, 0, 0, 0] = tail else { return None };
        let header = Self { length: u32_at(0)?, crc: u32_at(4)?, batch_start: u32_at(16)?, kind };
        let plausible = sequence == key.sequence && header.length as usize <= PAYLOAD_BYTES_MAX;
        plausible.then_some(header)
    }

    /// Whether the checksum holds at this offset.
    pub(super) fn matches(self, key: FrameKey, offset: u64, payload: &[u8]) -> bool {
        key.checksum(offset, &self.to_bytes(key), payload) == self.crc
    }

    fn to_bytes(self, key: FrameKey) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let fields = self.length.to_le_bytes().into_iter().chain(self.crc.to_le_bytes());
        let fields = fields.chain(key.sequence.to_le_bytes()).chain(self.batch_start.to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(fields.chain([self.kind])) {
            *slot = byte;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: FrameKey, offset: u64) -> Vec<u8> {
        let mut buffer = Vec::new();
        let place = Place { offset, batch_start: 4096 };
        push(&mut buffer, key, place, Kind::Entry, |out| out.extend_from_slice(b"payload"));
        buffer
    }

    fn valid(key: FrameKey, offset: u64, bytes: &[u8]) -> bool {
        let header: &[u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().expect("header");
        Header::parse(key, header).is_some_and(|header| {
            bytes[HEADER_BYTES..]
                .get(..header.length as usize)
                .is_some_and(|payload| header.matches(key, offset, payload))
        })
    }

    #[test]
    fn layout_is_fixed() {
        let bytes = sample(FrameKey::new(0x0102, 9), 5000);
        assert_eq!(bytes.len(), 32);
        assert_eq!(&bytes[..4], 7u32.to_le_bytes());
        assert_eq!(&bytes[8..24], [2, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 2, 0, 0, 0]);
        let covered = [&9u64.to_le_bytes()[..], &5000u64.to_le_bytes(), &bytes[..4], &bytes[8..31]];
        assert_eq!(&bytes[4..8], crc32c::crc32c(&covered.concat()).to_le_bytes());
        assert_eq!(bytes[4..8], [36, 116, 54, 91], "fixed for ever");
    }

    #[test]
    fn only_the_right_place_and_segment_are_believed() {
        let key = FrameKey::new(3, 77);
        let bytes = sample(key, 4096);
        assert!(valid(key, 4096, &bytes));
        assert!(!valid(key, 4104, &bytes), "moved");
        assert!(!valid(FrameKey::new(4, 77), 4096, &bytes), "an older segment's");
        assert!(!valid(FrameKey::new(3, 78), 4096, &bytes), "another salt");
    }

    #[test]
    fn every_flipped_bit_but_padding_is_noticed() {
        let key = FrameKey::new(3, 77);
        let bytes = sample(key, 4096);
        for at in 0..HEADER_BYTES + 7 {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(!valid(key, 4096, &damaged), "byte {at} bit {bit}");
            }
        }
    }
}
