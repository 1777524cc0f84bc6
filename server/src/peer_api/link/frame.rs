//! The frames of the peer protocol, version 1. A wire contract: fields are never moved, flags never reused.
//!
//! ```text
//! u32 body length | u32 crc32c | u8 kind | u8 flags | u16 reserved = 0 | u64 request id | body      (big-endian)
//! ```
//! The checksum covers the length, everything after the checksum, and the body. Whatever is wrong with a frame ends
//! its connection: the place of the next frame is then unknown.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 20;
/// The frame answers the request of its ID.
const REPLY: u8 = 0b0001;
/// Together with `REPLY`: the answer is an error.
const ERROR: u8 = 0b0010;
/// Asks for a pong.
const PING: u8 = 0b0100;
/// Answers a ping.
const PONG: u8 = 0b1000;
/// Room asked for before each read: large enough for full-speed appends, shared by all the frames that fit.
const READ_BYTES: usize = 64 * 1024;
/// Longest text of an error reply; the rest is cut off.
const ERROR_TEXT_MAX: usize = 4 * 1024;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameType {
    /// Asks for something; each one is answered.
    Request,
    /// The answer to the request of its ID.
    Reply,
    /// The answer is a [`ReplyError`].
    ErrorReply,
    /// Asks for a sign of life.
    Ping,
    /// Gives it.
    Pong,
}

impl FrameType {
    fn flags(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Reply => REPLY,
            Self::ErrorReply => REPLY | ERROR,
            Self::Ping => PING,
            Self::Pong => PONG,
        }
    }

    fn from_flags(flags: u8) -> Option<Self> {
        [Self::Request, Self::Reply, Self::ErrorReply, Self::Ping, Self::Pong]
            .into_iter()
            .find(|known| known.flags() == flags)
    }
}

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// What it is.
    pub frame_type: FrameType,
    /// What a request asks for; its meaning is not known here.
    pub kind: u8,
    /// The request's number on this connection.
    pub id: u64,
    /// What it carries.
    pub body: Bytes,
}

/// Why bytes are no frame.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// The announced body is larger than this link allows.
    #[error("a frame announces {length} bytes, and {max} are allowed")]
    TooLarge {
        /// Announced.
        length: usize,
        /// Allowed.
        max: usize,
    },
    /// The checksum is wrong.
    #[error("a frame's checksum is {found:08x}, and its content gives {computed:08x}")]
    Corrupt {
        /// In the frame.
        found: u32,
        /// Of the content.
        computed: u32,
    },
    /// The flags mean nothing in this version.
    #[error("a frame has the unknown flags {flags:#04x} (reserved field {reserved:#06x})")]
    UnknownFlags {
        /// The flags.
        flags: u8,
        /// The reserved field, which must be 0.
        reserved: u16,
    },
    /// A reply came for a request that was never sent.
    #[error("a reply has the request ID {id}, which was never sent")]
    UnknownReply {
        /// The ID.
        id: u64,
    },
    /// A frame came in the wrong direction.
    #[error("a frame came in the wrong direction")]
    WrongDirection,
}

/// What a peer's service says instead of a result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text} (code {code})")]
pub struct ReplyError {
    /// Tells programs what went wrong; the service defines the numbers.
    pub code: u16,
    /// Tells people.
    pub text: String,
}

impl ReplyError {
    /// The body of the frame that says it.
    pub fn encode(&self) -> Bytes {
        let mut cut = self.text.len().min(ERROR_TEXT_MAX);
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        let text = self.text.get(..cut).unwrap_or_default();
        let mut body = Vec::with_capacity(2 + text.len());
        body.extend_from_slice(&self.code.to_be_bytes());
        body.extend_from_slice(text.as_bytes());
        body.into()
    }

    /// Reads it from a frame's body; every body is some error.
    pub fn decode(body: &[u8]) -> Self {
        match body.split_first_chunk::<2>() {
            Some((code, text)) => Self {
                code: u16::from_be_bytes(*code),
                text: String::from_utf8_lossy(text).into_owned(),
            },
            None => Self { code: 0, text: "an error without a code".to_owned() },
        }
    }
}

/// The header of a frame; the body follows it.
///
/// # Panics
/// On a body of 4 GiB or more, which no [`super::LinkLimits`] allow.
#[must_use]
pub fn header(frame_type: FrameType, kind: u8, id: u64, body: &[u8]) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(body.len())
        .expect("bodies are bounded far below 4 GiB before they come here");
    let (id, length) = (id.to_be_bytes(), length.to_be_bytes());
    let mut rest = [0; 12];
    rest[0] = kind;
    rest[1] = frame_type.flags();
    rest[4..].copy_from_slice(&id);
    let crc = checksum(length, &rest, body).to_be_bytes();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length);
    header[4..8].copy_from_slice(&crc);
    header[8..].copy_from_slice(&rest);
    header
}

fn checksum(length: [u8; 4], rest: &[u8; 12], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&length), rest), body)
}

/// Cuts arriving bytes into frames. Bodies are slices of the read buffer, never copies.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    body_max: usize,
}

impl Decoder {
    /// A decoder that begins with the bytes in `early` and takes bodies of at most `body_max` bytes.
    #[must_use]
    pub fn new(early: &[u8], body_max: usize) -> Self {
        Self { buffer: BytesMut::from(early), body_max }
    }

    /// Where to read into. Asked for before each read.
    pub fn space(&mut self) -> &mut BytesMut {
        // The length was checked by `next_frame`, so the room for the rest of a frame is bounded.
        let missing = self
            .announced()
            .map_or(0, |length| (HEADER_BYTES + length).saturating_sub(self.buffer.len()));
        if self.buffer.capacity() - self.buffer.len() < missing.max(READ_BYTES / 4) {
            self.buffer.reserve(missing.max(READ_BYTES));
        }
        &mut self.buffer
    }

    fn announced(&self) -> Option<usize> {
        let length = self.buffer.first_chunk::<4>()?;
        Some((u32::from_be_bytes(*length) as usize).min(self.body_max))
    }

    /// The next whole frame, if it has arrived.
    ///
    /// # Errors
    /// The bytes are no frame. Where the next one would begin is then unknown.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return self.early_check();
        };
        let mut fields = &header[..];
        let length_bytes = (fields.get_u32()).to_be_bytes();
        let length = u32::from_be_bytes(length_bytes) as usize;
        let found = fields.get_u32();
        if length > self.body_max {
            return Err(FrameError::TooLarge { length, max: self.body_max });
        }
        let rest: [u8; 12] = std::array::from_fn(|at| header[8 + at]);
        let (kind, flags, reserved, id) =
            (fields.get_u8(), fields.get_u8(), fields.get_u16(), fields.get_u64());
        let Some(body) = self.buffer.get(HEADER_BYTES..HEADER_BYTES + length) else {
            return Ok(None);
        };
        let computed = checksum(length_bytes, &rest, body);
        if computed != found {
            return Err(FrameError::Corrupt { found, computed });
        }
        let frame_type = FrameType::from_flags(flags).filter(|_| reserved == 0);
        let frame_type = frame_type.ok_or(FrameError::UnknownFlags { flags, reserved })?;
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(length).freeze();
        Ok(Some(Frame { frame_type, kind, id, body }))
    }

    /// A length that is too large is known from the first four bytes.
    fn early_check(&self) -> Result<Option<Frame>, FrameError> {
        match self.buffer.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize) {
            Some(length) if length > self.body_max => {
                Err(FrameError::TooLarge { length, max: self.body_max })
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    const MAX: usize = 1000;

    fn encoded(frame_type: FrameType, kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
        [&header(frame_type, kind, id, body), body].concat()
    }

    #[test]
    fn a_frame_is_laid_out_as_documented() {
        let bytes = encoded(FrameType::Reply, 7, 0x0102_0304_0506_0708, b"hi");
        let crc = crc32c::crc32c(&[&bytes[..4], &bytes[8..]].concat()).to_be_bytes();
        let expected =
            [&[0, 0, 0, 2][..], &crc, &[7, 1, 0, 0], &[1, 2, 3, 4, 5, 6, 7, 8], b"hi"].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn frames_are_found_however_the_bytes_arrive() {
        let frames = [
            encoded(FrameType::Request, 1, 1, b""),
            encoded(FrameType::ErrorReply, 2, u64::MAX, &[9; MAX]),
            encoded(FrameType::Pong, 0, 0, b"x"),
        ];
        let all = frames.concat();
        for step in [1, 3, 19, 20, 21, 500, all.len()] {
            let mut decoder = Decoder::new(&[], MAX);
            let mut found = Vec::new();
            for piece in all.chunks(step) {
                decoder.space().extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(encoded(frame.frame_type, frame.kind, frame.id, &frame.body));
                }
            }
            assert_eq!(found, frames, "in steps of {step}");
        }
    }

    #[test]
    fn every_single_changed_bit_is_noticed() {
        let good = encoded(FrameType::Request, 3, 4, b"body");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // A longer length waits for more; give it what it waits for.
            bad.resize(bad.len() + MAX, 0);
            assert!(Decoder::new(&bad, MAX).next_frame().is_err(), "bit {bit}");
        }
    }

    #[test]
    fn unknown_flags_and_reserved_bits_are_refused_under_a_right_checksum() {
        for (at, value) in [(1, 0b1_0000), (1, PING | PONG), (1, ERROR), (2, 1), (3, 1)] {
            let mut rest = [0u8; 12];
            rest[at] = value;
            let crc = checksum([0; 4], &rest, b"").to_be_bytes();
            let bytes = [&[0; 4][..], &crc, &rest].concat();
            assert!(matches!(
                Decoder::new(&bytes, MAX).next_frame(),
                Err(FrameError::UnknownFlags { .. })
            ));
        }
    }

    #[test]
    fn random_bytes_never_panic_and_never_allocate_beyond_the_bound() {
        let seed = RandomState::new().hash_one(0u8);
        println!("seed {seed:#x}");
        let mut state = seed | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2_000 {
            let mut decoder = Decoder::new(&[], MAX);
            for _ in 0..random() % 8 {
                let piece: Vec<u8> = (0..random() % 64).map(|_| (random() % 3) as u8).collect();
                decoder.space().extend_from_slice(&piece);
                assert!(decoder.buffer.capacity() <= 2 * READ_BYTES + MAX);
                if decoder.next_frame().is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn error_replies_survive_the_wire_and_long_texts_are_cut_at_a_character() {
        let error = ReplyError { code: 500, text: "ü".repeat(ERROR_TEXT_MAX) };
        let back = ReplyError::decode(&error.encode());
        assert_eq!((back.code, back.text.len()), (500, ERROR_TEXT_MAX));
        assert_eq!(ReplyError::decode(b"x").code, 0);
    }
}
