//! A body that is read while it arrives: watches.

use std::time::{Duration, Instant};

use super::HttpError;
use super::answer::{Answer, Ending};
use super::body::Body;
use super::wire::Wire;

/// What a stream had to give.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line {
    /// A line, without its line end.
    Text(String),
    /// Nothing within the time given; the stream is still open.
    Quiet,
    /// The body is over.
    End(Ending),
}

impl Line {
    /// The line's text, unless there was none.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Quiet | Self::End(_) => None,
        }
    }
}

/// An answer whose body may still be on its way. Dropping it closes the connection.
pub struct Stream {
    head: Answer,
    wire: Wire,
    body: Body,
}

impl Stream {
    pub(super) fn new(head: Answer, wire: Wire, method: &str) -> Self {
        let body = Body::of(&head, method);
        Self { head, wire, body }
    }

    /// Status line and headers; the body in it is empty.
    pub fn head(&self) -> &Answer {
        &self.head
    }

    /// The next line, waiting for it no longer than `within`.
    pub fn next_line(&mut self, within: Duration) -> Result<Line, HttpError> {
        let until = Instant::now() + within;
        loop {
            if let Some(line) = self.body.take_line() {
                return Ok(Line::Text(
                    String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned(),
                ));
            }
            if let Some(ending) = self.body.ending() {
                return Ok(Line::End(ending));
            }
            if !self.body.advance(&mut self.wire, until)? {
                return Ok(Line::Quiet);
            }
        }
    }

    /// Waits for the end of the body and returns the whole answer. Lines already taken are not in it.
    pub fn finish(mut self, within: Duration) -> Result<Answer, HttpError> {
        let until = Instant::now() + within;
        while self.body.ending().is_none() {
            if !self.body.advance(&mut self.wire, until)? {
                return Err(HttpError::TimedOut(within));
            }
        }
        self.head.ending = self.body.ending().unwrap_or(Ending::Premature);
        self.head.body = self.body.take();
        Ok(self.head)
    }
}
