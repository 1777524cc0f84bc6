//! The bytes of a frame: a 20-byte header, then the body. All numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the body |
//! | 4..8 | CRC32C (RFC 3720, appendix B.4) of bytes 8..20 and the body |
//! | 8 | kind |
//! | 9 | flags: bit 0 marks a reply, bit 1 a reply that is an error text |
//! | 10..12 | zero |
//! | 12..20 | request ID; a reply repeats its request's |
//!
//! The length is checked before anything is allocated. Any damage ends the connection: what follows can't be found again.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 20;
/// Largest body: a full append of one-megabyte entries leaves ample room below it.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const REPLY: u8 = 1;
const ERROR: u8 = 2;

/// A frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// The request it is, or answers.
    pub id: u64,
    /// The body.
    pub body: Bytes,
}

/// What a frame does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// It asks.
    Request,
    /// It answers.
    Reply,
    /// It says why there is no answer.
    Error,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("a frame of {0} bytes is longer than the {BODY_BYTES_MAX} allowed")]
    TooLong(usize),
    /// The checksum does not fit.
    #[error("a frame's checksum does not fit its contents")]
    Checksum,
    /// A flag or reserved bit that this version does not know.
    #[error("a frame has flags that this version does not know")]
    Flags,
}

/// Appends a frame to `out`.
pub fn encode(direction: Direction, frame: &Frame, out: &mut BytesMut) {
    let flags = match direction {
        Direction::Request => 0,
        Direction::Reply => REPLY,
        Direction::Error => REPLY | ERROR,
    };
    let mut checked = [0; HEADER_BYTES - 8];
    checked[0] = frame.kind;
    checked[1] = flags;
    checked[4..].copy_from_slice(&frame.id.to_be_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&checked), &frame.body);
    out.reserve(HEADER_BYTES + frame.body.len());
    // A body too long for the length field is refused by the receiver's bound long before.
    out.put_u32(u32::try_from(frame.body.len()).unwrap_or(u32::MAX));
    out.put_u32(checksum);
    out.put_slice(&checked);
    out.put_slice(&frame.body);
}

/// Takes the first frame off `buffer`, if all of it is there. The body shares the buffer's memory.
///
/// # Errors
/// When the bytes are no frame; nothing more can be read from the connection then.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<(Direction, Frame)>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let mut header: &[u8] = header;
    let length = header.get_u32() as usize;
    let checksum = header.get_u32();
    let checked = header;
    let (kind, flags, reserved, id) = (header.get_u8(), header.get_u8(), header.get_u16(), header.get_u64());
    if length > BODY_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = buffer.get(HEADER_BYTES..HEADER_BYTES + length) else { return Ok(None) };
    if crc32c::crc32c_append(crc32c::crc32c(checked), body) != checksum {
        return Err(FrameError::Checksum);
    }
    let direction = match flags {
        0 => Direction::Request,
        REPLY => Direction::Reply,
        flags if flags == REPLY | ERROR => Direction::Error,
        _ => return Err(FrameError::Flags),
    };
    if reserved != 0 {
        return Err(FrameError::Flags);
    }
    buffer.advance(HEADER_BYTES);
    let body = buffer.split_to(length).freeze();
    Ok(Some((direction, Frame { kind, id, body })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { kind: 7, id: 0x0102_0304_0506_0708, body: Bytes::from_static(b"body") }
    }

    fn encoded(direction: Direction) -> BytesMut {
        let mut out = BytesMut::new();
        encode(direction, &frame(), &mut out);
        out
    }

    #[test]
    fn frames_survive_the_round_trip_at_every_cut() {
        for direction in [Direction::Request, Direction::Reply, Direction::Error] {
            let whole = encoded(direction);
            for cut in 0..whole.len() {
                let mut part = BytesMut::from(&whole[..cut]);
                assert_eq!(decode(&mut part), Ok(None));
                part.extend_from_slice(&whole[cut..]);
                assert_eq!(decode(&mut part), Ok(Some((direction, frame()))));
                assert!(part.is_empty());
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = encoded(Direction::Request);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&mut damaged);
            assert!(matches!(decoded, Err(_) | Ok(None)), "bit {bit} went unnoticed");
        }
    }

    #[test]
    fn a_long_frame_is_refused_before_its_body_arrives() {
        let mut header = BytesMut::zeroed(HEADER_BYTES);
        header[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&mut header), Err(FrameError::TooLong(u32::MAX as usize)));
    }
}
