//! Takes the framing off a body as it arrives.

use std::time::Instant;

use super::HttpError;
use super::answer::{Answer, Ending, Framing};
use super::wire::Wire;

/// Above anything the tests transfer; keeps a runaway answer from filling the memory.
const BODY_MAX: usize = 256 * 1024 * 1024;

enum State {
    ChunkSize,
    Chunk { left: usize },
    ChunkEnd,
    Trailer,
    Length { left: usize },
    UntilClose,
    Ended(Ending),
}

pub(super) struct Body {
    state: State,
    decoded: Vec<u8>,
}

impl Body {
    /// The body that follows the head of `answer` to a request with `method`.
    pub(super) fn of(answer: &Answer, method: &str) -> Self {
        let without_body = method == "HEAD" || matches!(answer.status, 100..200 | 204 | 304);
        let state = match answer.framing {
            _ if without_body => State::Ended(Ending::Complete),
            Framing::Chunked => State::ChunkSize,
            Framing::Length(0) => State::Ended(Ending::Complete),
            Framing::Length(left) => State::Length { left },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, decoded: Vec::new() }
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// What has been decoded and not been taken yet.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.decoded)
    }

    /// Takes one line out of what has been decoded; without a line end only when the body has ended.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        match self.decoded.iter().position(|byte| *byte == b'\n') {
            Some(end) => Some(self.decoded.drain(..=end).collect()),
            None if self.ending().is_some() && !self.decoded.is_empty() => Some(self.take()),
            None => None,
        }
    }

    /// Goes one step further; false when `until` passed first.
    pub(super) fn advance(&mut self, wire: &mut Wire, until: Instant) -> Result<bool, HttpError> {
        if self.decoded.len() > BODY_MAX {
            return Err(HttpError::NotHttp(format!("a body of more than {BODY_MAX} bytes")));
        }
        match self.step(wire, until) {
            Err(HttpError::Closed) => {
                self.state = State::Ended(Ending::Premature);
                Ok(true)
            }
            Ok(Some(next)) => {
                self.state = next;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn step(&mut self, wire: &mut Wire, until: Instant) -> Result<Option<State>, HttpError> {
        Ok(Some(match self.state {
            State::ChunkSize => match wire.line(until)? {
                Some(line) => match chunk_size(&line)? {
                    0 => State::Trailer,
                    left => State::Chunk { left },
                },
                None => return Ok(None),
            },
            State::Chunk { left } => match self.transfer(wire, left, until)? {
                Some(moved) if moved == left => State::ChunkEnd,
                Some(moved) => State::Chunk { left: left - moved },
                None => return Ok(None),
            },
            State::ChunkEnd => match wire.line(until)? {
                Some(line) if line.is_empty() => State::ChunkSize,
                Some(line) => return Err(HttpError::NotHttp(format!("`{line}` after a chunk"))),
                None => return Ok(None),
            },
            State::Trailer => match wire.line(until)? {
                Some(line) if line.is_empty() => State::Ended(Ending::Complete),
                Some(_) => State::Trailer,
                None => return Ok(None),
            },
            State::Length { left } => match self.transfer(wire, left, until)? {
                Some(moved) if moved == left => State::Ended(Ending::Complete),
                Some(moved) => State::Length { left: left - moved },
                None => return Ok(None),
            },
            State::UntilClose => match wire.some(usize::MAX, until)? {
                Some(bytes) if bytes.is_empty() => State::Ended(Ending::Complete),
                Some(bytes) => {
                    self.decoded.extend_from_slice(&bytes);
                    State::UntilClose
                }
                None => return Ok(None),
            },
            State::Ended(ending) => State::Ended(ending),
        }))
    }

    fn transfer(
        &mut self,
        wire: &mut Wire,
        limit: usize,
        until: Instant,
    ) -> Result<Option<usize>, HttpError> {
        match wire.some(limit, until)? {
            Some(bytes) if bytes.is_empty() => Err(HttpError::Closed),
            Some(bytes) => {
                self.decoded.extend_from_slice(&bytes);
                Ok(Some(bytes.len()))
            }
            None => Ok(None),
        }
    }
}

fn chunk_size(line: &str) -> Result<usize, HttpError> {
    let digits = line.split(';').next().unwrap_or_default().trim();
    usize::from_str_radix(digits, 16)
        .map_err(|_| HttpError::NotHttp(format!("chunk size `{line}`")))
}
