//! One keep-alive connection with at most one request in flight.
//!
//! Invariant: a request is written at once when the socket takes it; only what it does not take is copied and kept.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::poller::Poller;
use crate::wire::ResponseParser;

/// Size of the read buffer all connections share; a v2 answer fits many times over.
pub const READ_BYTES: usize = 64 * 1024;

/// Longest wait for a connection to be made; loopback answers at once or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to one endpoint.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    parser: ResponseParser,
    /// What the socket did not take of the last request; keeps its memory.
    unsent: Vec<u8>,
    token: usize,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The answer is not complete.
    Partial,
    /// The answer is complete.
    Answered {
        /// Its status code.
        status: u16,
        /// The server wants no further request here.
        closes: bool,
    },
    /// The connection has ended before the answer.
    Broken,
    /// The answer was not HTTP.
    Malformed,
}

impl Connection {
    /// Connects and registers with `poller` as `token`.
    ///
    /// # Errors
    /// When nobody answers at `endpoint`, or the process has no file descriptor left.
    pub fn open(endpoint: SocketAddr, poller: &Poller, token: usize) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&endpoint, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.watch_reads(&stream, token)?;
        Ok(Self { stream, parser: ResponseParser::default(), unsent: Vec::new(), token })
    }

    /// Sends a request. The answer to the one before must have come.
    ///
    /// # Errors
    /// When the connection is broken.
    #[inline]
    pub fn send(&mut self, request: &[u8], poller: &Poller) -> io::Result<()> {
        self.parser.reset();
        self.unsent.clear();
        let sent = match self.stream.write(request) {
            Ok(sent) => sent,
            Err(error) if is_not_ready(&error) => 0,
            Err(error) => return Err(error),
        };
        let rest = request.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            self.unsent.extend_from_slice(rest);
            poller.watch_writes(&self.stream, self.token, true)?;
        }
        Ok(())
    }

    /// Moves what can be moved: the rest of the request out, the answer in.
    #[inline]
    pub fn advance(&mut self, buffer: &mut [u8], poller: &Poller) -> Progress {
        if !self.unsent.is_empty() && self.flush(poller).is_err() {
            return Progress::Broken;
        }
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) if self.parser.end_of_stream() => {
                    return Progress::Answered { status: self.parser.status(), closes: true };
                }
                Ok(0) => return Progress::Broken,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_not_ready(&error) => return Progress::Partial,
                Err(_) => return Progress::Broken,
            };
            match self.parser.feed(buffer.get(..count).unwrap_or_default(), &mut |_| ()) {
                Ok(used) if self.parser.is_done() && used == count => {
                    return Progress::Answered {
                        status: self.parser.status(),
                        closes: self.parser.closes(),
                    };
                }
                // Bytes after the answer: nobody asked for them.
                Ok(_) if self.parser.is_done() => return Progress::Malformed,
                Ok(_) => {}
                Err(_) => return Progress::Malformed,
            }
        }
    }

    /// The head of the answer has come.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.parser.has_head()
    }

    /// The status in that head; 0 before.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parser.status()
    }

    fn flush(&mut self, poller: &Poller) -> io::Result<()> {
        match self.stream.write(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if is_not_ready(&error) => {}
            Err(error) => return Err(error),
        }
        if self.unsent.is_empty() {
            poller.watch_writes(&self.stream, self.token, false)?;
        }
        Ok(())
    }
}

fn is_not_ready(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
