//! `peer_frames`: the bytes of a peer link.
//!
//! The input's first byte says how: as they are, or cut into pieces that get a true header, so that what lies behind the
//! checksum is reached. Promises: how the bytes arrive makes no difference; what comes out encodes to what went in; the
//! buffer is bounded by the largest body; an error reply survives its encoding.

use quorate_server::peer_api::link::ReplyError;
use quorate_server::peer_api::link::frame::{
    Decoder, Frame, FrameError, FrameType, HEADER_BYTES, header,
};

use crate::choices::Choices;

/// Small, so that inputs reach beyond it.
const BODY_MAX: usize = 300;
/// What a buffer may hold besides one frame: two reads' room.
const BUFFER_MAX: usize = 2 * 64 * 1024 + HEADER_BYTES + BODY_MAX;

const TYPES: [FrameType; 5] =
    [FrameType::Request, FrameType::Reply, FrameType::ErrorReply, FrameType::Ping, FrameType::Pong];

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let piece = 1 + choices.below(64);
    let bytes = if choices.flag() { sealed(choices) } else { choices.rest().to_vec() };
    let whole = decode(&bytes, bytes.len().max(1));
    assert_eq!(whole, decode(&bytes, piece), "in pieces of {piece}");
    let mut encoded = Vec::new();
    for frame in &whole.0 {
        encoded.extend(header(frame.frame_type, frame.kind, frame.id, &frame.body));
        encoded.extend_from_slice(&frame.body);
        let error = ReplyError::decode(&frame.body);
        assert_eq!(ReplyError::decode(&error.encode()), error);
    }
    assert!(bytes.starts_with(&encoded));
}

/// Frames as a peer of any version might send them: true checksums around anything.
fn sealed(mut choices: Choices<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !choices.is_done() {
        let (frame_type, kind, id) = (*choices.pick(&TYPES), choices.byte(), choices.number());
        let (flags, reserved) = (choices.byte(), choices.byte());
        let body = choices.bytes();
        let mut head = header(frame_type, kind, id, body);
        // Rarely, flags of another version.
        if reserved > 250 {
            head[9] = flags;
            head[10] = reserved & 1;
            let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..4]), &head[8..]);
            head[4..8].copy_from_slice(&crc32c::crc32c_append(crc, body).to_be_bytes());
        }
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(body);
    }
    bytes
}

fn decode(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new(&[], BODY_MAX);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        let space = decoder.space();
        assert!(space.capacity() <= BUFFER_MAX + bytes.len(), "{} bytes", space.capacity());
        space.extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
