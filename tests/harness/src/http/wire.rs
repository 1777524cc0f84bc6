//! A buffered connection whose every read has a deadline. Bytes that came before a deadline are kept for the next read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::HttpError;

/// A line longer than this is no HTTP head.
const LINE_MAX: usize = 1 << 20;
const READ_SIZE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
}

impl Wire {
    pub(super) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream, buffer: Vec::new(), closed: false })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        match self.stream.write_all(bytes) {
            // The server may have answered and closed before it read everything; that answer is still to be read.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            other => other.map_err(HttpError::Broken),
        }
    }

    /// False once the server has closed its side, or has sent something nobody asked for.
    pub(super) fn is_still_open(&self) -> bool {
        let mut byte = [0];
        if !self.buffer.is_empty() || self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let quiet = matches!(self.stream.peek(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock);
        quiet && self.stream.set_nonblocking(false).is_ok()
    }

    /// The next line without its line end; `None` when `until` passed first.
    pub(super) fn line(&mut self, until: Instant) -> Result<Option<String>, HttpError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                return Ok(Some(text));
            }
            if self.buffer.len() > LINE_MAX {
                return Err(HttpError::NotHttp(format!("a line of more than {LINE_MAX} bytes")));
            }
            if self.closed {
                return Err(HttpError::Closed);
            }
            if !self.fill(until)? {
                return Ok(None);
            }
        }
    }

    /// Between one and `limit` bytes; empty when the connection has ended; `None` when `until` passed first.
    pub(super) fn some(
        &mut self,
        limit: usize,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        if self.buffer.is_empty() && !self.closed && !self.fill(until)? {
            return Ok(None);
        }
        let taken = limit.min(self.buffer.len());
        Ok(Some(self.buffer.drain(..taken).collect()))
    }

    /// Reads once; false when `until` passed first. An ended connection is noted, not an error.
    fn fill(&mut self, until: Instant) -> Result<bool, HttpError> {
        // A zero timeout would mean "none"; a passed deadline still takes what has already arrived.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = vec![0; READ_SIZE];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
            Err(error) => return Err(HttpError::Broken(error)),
        }
        Ok(true)
    }
}
