//! Frames on their way to the socket: small ones side by side in one buffer, large bodies by reference between them,
//! so that many frames cost one system call and no large body is copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{FrameType, header};

/// Bodies up to this size are copied next to their header; beyond it a slice of their own is cheaper.
const COPIED_BODY_MAX: usize = 4 * 1024;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Before `tail`. None is empty.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame_type: FrameType, kind: u8, id: u64, body: Bytes) {
        let header = header(frame_type, kind, id, &body);
        self.length += header.len() + body.len();
        self.tail.extend_from_slice(&header);
        if body.len() <= COPIED_BODY_MAX {
            self.tail.extend_from_slice(&body);
        } else {
            self.pieces.push_back(self.tail.split().freeze());
            self.pieces.push_back(body);
        }
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&self.tail, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces.iter().map(|piece| &piece[..]);
        let tail = std::iter::once(&self.tail[..]).filter(|tail| !tail.is_empty());
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces.chain(tail)) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut written: usize) {
        self.length = self.length.checked_sub(written).expect("no more is written than there was");
        while let Some(front) = self.pieces.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.pieces.pop_front();
        }
        self.tail.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_whatever_the_sizes_of_bodies_and_writes() {
        for step in [1, 7, 20, 4_096, 10_000] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            let mut written = Vec::new();
            for (id, length) in [0, 5, 9_000, 4_096, 4_097, 1].into_iter().enumerate() {
                let body = Bytes::from(vec![id as u8; length]);
                expected.extend_from_slice(&header(FrameType::Request, 1, id as u64, &body));
                expected.extend_from_slice(&body);
                outbox.push(FrameType::Request, 1, id as u64, body);
                // Written while more is pushed, as on a link.
                let part = outbox.chunk().len().min(step);
                written.extend_from_slice(&outbox.chunk()[..part]);
                outbox.advance(part);
            }
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = outbox.chunks_vectored(&mut slices);
                let joined: Vec<u8> =
                    slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let part = joined.len().min(step);
                written.extend_from_slice(&joined[..part]);
                outbox.advance(part);
            }
            assert_eq!(written, expected);
            assert_eq!(outbox.remaining(), 0);
        }
    }
}
