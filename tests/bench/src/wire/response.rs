//! Finds the status and the end of an HTTP/1.1 response in a stream of bytes, and nothing else.
//!
//! Invariant: fed the same bytes in any cuts, it ends at the same byte with the same status. Works straight on the
//! read buffer; only a head cut in two is copied (into a buffer that is kept). Leaves out every header but
//! Content-Length, Transfer-Encoding and Connection, and responses without a body by request method (HEAD).

use std::fmt;

/// A head longer than this is an attack or a bug, not a v2 answer (etcd's heads are below 500 bytes).
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Parses one response, then the next after [`ResponseParser::reset`].
#[derive(Debug, Default)]
pub struct ResponseParser {
    phase: Phase,
    /// The part of a cut head that has come so far; empty otherwise.
    head: Vec<u8>,
    status: u16,
    closes: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Head,
    Fixed(u64),
    ChunkSize {
        size: u64,
        /// An extension after `;` is skipped.
        extension: bool,
    },
    ChunkData(u64),
    ChunkEnd,
    Trailer {
        line_empty: bool,
    },
    UntilClose,
    Done,
}

/// The bytes were not an HTTP/1.1 response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's answer is not HTTP/1.1: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl ResponseParser {
    /// Takes the next bytes of the connection, hands the body's bytes to `body`, and says how many it used: fewer
    /// than given only when the response ended before the last of them.
    ///
    /// # Errors
    /// When the bytes cannot be a response; the connection is then good for nothing.
    #[inline]
    pub fn feed(&mut self, data: &[u8], body: &mut impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut used = 0;
        while self.phase != Phase::Done {
            let rest = data.get(used..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            used += self.step(rest, body)?;
        }
        Ok(used)
    }

    /// The whole response has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// The head has come: the server has accepted the request.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.phase != Phase::Head
    }

    /// The status code; 0 before the head has come.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server will not take another request on this connection.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// The connection ended. True when that is how this response was to end.
    pub fn end_of_stream(&mut self) -> bool {
        if self.phase == Phase::UntilClose {
            self.phase = Phase::Done;
        }
        self.is_done()
    }

    /// Ready for the next response on the connection.
    pub fn reset(&mut self) {
        self.phase = Phase::Head;
        self.head.clear();
        self.status = 0;
        self.closes = false;
    }

    fn step(&mut self, data: &[u8], body: &mut impl FnMut(&[u8])) -> Result<usize, Malformed> {
        match self.phase {
            Phase::Head => self.take_head(data),
            Phase::Fixed(left) => {
                let (used, left) = take_body(data, left, body);
                self.phase = if left == 0 { Phase::Done } else { Phase::Fixed(left) };
                Ok(used)
            }
            Phase::ChunkSize { size, extension } => self.take_chunk_size(data, size, extension),
            Phase::ChunkData(left) => {
                let (used, left) = take_body(data, left, body);
                self.phase = if left == 0 { Phase::ChunkEnd } else { Phase::ChunkData(left) };
                Ok(used)
            }
            Phase::ChunkEnd => match data.first() {
                Some(b'\r') => Ok(1),
                Some(b'\n') => {
                    self.phase = Phase::ChunkSize { size: 0, extension: false };
                    Ok(1)
                }
                _ => Err(Malformed("a chunk is longer than its size")),
            },
            Phase::Trailer { line_empty } => Ok(self.take_trailer(data, line_empty)),
            Phase::UntilClose => {
                body(data);
                Ok(data.len())
            }
            Phase::Done => Ok(0),
        }
    }

    fn take_head(&mut self, data: &[u8]) -> Result<usize, Malformed> {
        if self.head.is_empty() {
            if let Some(end) = head_end(data, 0) {
                self.begin_body(data.get(..end).unwrap_or_default())?;
                return Ok(end);
            }
            self.head.extend_from_slice(data);
            return self.bounded(data.len());
        }
        let before = self.head.len();
        self.head.extend_from_slice(data);
        // The blank line may have begun in what came before.
        let Some(end) = head_end(&self.head, before.saturating_sub(3)) else {
            return self.bounded(data.len());
        };
        let mut head = std::mem::take(&mut self.head);
        self.begin_body(head.get(..end).unwrap_or_default())?;
        head.clear();
        self.head = head;
        Ok(end - before)
    }

    fn bounded(&self, used: usize) -> Result<usize, Malformed> {
        if self.head.len() > HEAD_BYTES_MAX {
            return Err(Malformed("the head is longer than 16 KiB"));
        }
        Ok(used)
    }

    fn begin_body(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let mut ends = memchr::memchr_iter(b'\n', head);
        let mut begin = 0;
        let mut lines = std::iter::from_fn(|| {
            let end = ends.next()?;
            let line = head.get(begin..end);
            begin = end + 1;
            line
        });
        let status_line = lines.next().unwrap_or_default();
        self.status = status_of(status_line)?;
        self.closes = status_line.starts_with(b"HTTP/1.0");
        let mut length = None;
        let mut chunked = false;
        for line in lines {
            // Two letters decide for nearly every header of a v2 answer.
            if !matches!(line.first(), Some(b'C' | b'c' | b'T' | b't')) {
                continue;
            }
            if let Some(value) = value_of(line, b"content-length:") {
                length = Some(decimal(value).ok_or(Malformed("Content-Length is not a number"))?);
            } else if let Some(value) = value_of(line, b"transfer-encoding:") {
                chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if let Some(value) = value_of(line, b"connection:") {
                self.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        self.phase = match (chunked, length) {
            _ if matches!(self.status, 204 | 304) => Phase::Done,
            (true, _) => Phase::ChunkSize { size: 0, extension: false },
            (false, Some(0)) => Phase::Done,
            (false, Some(length)) => Phase::Fixed(length),
            (false, None) => {
                self.closes = true;
                Phase::UntilClose
            }
        };
        Ok(())
    }

    fn take_chunk_size(
        &mut self,
        data: &[u8],
        mut size: u64,
        mut extension: bool,
    ) -> Result<usize, Malformed> {
        for (at, byte) in data.iter().enumerate() {
            match byte {
                b'\n' => {
                    self.phase = if size == 0 {
                        Phase::Trailer { line_empty: true }
                    } else {
                        Phase::ChunkData(size)
                    };
                    return Ok(at + 1);
                }
                b'\r' => {}
                b';' => extension = true,
                _ if extension => {}
                _ => {
                    let digit = char::from(*byte)
                        .to_digit(16)
                        .ok_or(Malformed("a chunk size is not hexadecimal"))?;
                    size = size
                        .checked_mul(16)
                        .and_then(|size| size.checked_add(u64::from(digit)))
                        .ok_or(Malformed("a chunk size is too big"))?;
                }
            }
        }
        self.phase = Phase::ChunkSize { size, extension };
        Ok(data.len())
    }

    fn take_trailer(&mut self, data: &[u8], mut line_empty: bool) -> usize {
        for (at, byte) in data.iter().enumerate() {
            match byte {
                b'\n' if line_empty => {
                    self.phase = Phase::Done;
                    return at + 1;
                }
                b'\n' => line_empty = true,
                b'\r' => {}
                _ => line_empty = false,
            }
        }
        self.phase = Phase::Trailer { line_empty };
        data.len()
    }
}

/// Hands on at most `left` bytes; returns how many, and how many are still to come.
fn take_body(data: &[u8], left: u64, body: &mut impl FnMut(&[u8])) -> (usize, u64) {
    let used = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
    body(data.get(..used).unwrap_or_default());
    (used, left - used as u64)
}

/// The place after the blank line, looking from `from` on.
fn head_end(data: &[u8], from: usize) -> Option<usize> {
    // Line ends are rarer than bytes.
    memchr::memchr_iter(b'\n', data.get(from..)?)
        .map(|at| from + at + 1)
        .find(|&end| data.get(from..end).is_some_and(|tail| tail.ends_with(b"\r\n\r\n")))
}

fn status_of(line: &[u8]) -> Result<u16, Malformed> {
    let malformed = Malformed("the status line does not begin with HTTP/1.x and a code");
    if !line.starts_with(b"HTTP/1.") {
        return Err(malformed);
    }
    let code = line.get(9..12).and_then(decimal).ok_or(malformed)?;
    u16::try_from(code).ok().filter(|code| *code >= 200).ok_or(malformed)
}

fn value_of<'line>(line: &'line [u8], lower_name: &[u8]) -> Option<&'line [u8]> {
    let (name, value) = line.split_at_checked(lower_name.len())?;
    name.eq_ignore_ascii_case(lower_name).then(|| value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] =
        b"HTTP/1.1 201 Created\r\nX-Etcd-Index: 7\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nB\r\n0123456789\n\r\n0\r\nT: v\r\n\r\n";

    /// Feeds `wire` in pieces of `cut` bytes; returns status, body and the bytes used.
    fn parse(wire: &[u8], cut: usize) -> Result<(u16, Vec<u8>, usize), Malformed> {
        let mut parser = ResponseParser::default();
        let mut body = Vec::new();
        let mut used = 0;
        for piece in wire.chunks(cut) {
            used += parser.feed(piece, &mut |bytes| body.extend_from_slice(bytes))?;
            if parser.is_done() {
                break;
            }
        }
        assert!(parser.is_done(), "no end found with pieces of {cut}");
        Ok((parser.status(), body, used))
    }

    #[test]
    fn every_cut_gives_the_same_answer() {
        for cut in 1..=PLAIN.len() {
            assert_eq!(parse(PLAIN, cut), Ok((201, b"hello".to_vec(), PLAIN.len())), "cut {cut}");
        }
        for cut in 1..=CHUNKED.len() {
            assert_eq!(
                parse(CHUNKED, cut),
                Ok((200, b"abc0123456789\n".to_vec(), CHUNKED.len())),
                "cut {cut}"
            );
        }
    }

    #[test]
    fn stops_at_the_end_of_the_response() {
        let mut two = PLAIN.to_vec();
        two.extend_from_slice(CHUNKED);
        let mut parser = ResponseParser::default();
        assert_eq!(parser.feed(&two, &mut |_| ()), Ok(PLAIN.len()));
        assert!(parser.is_done() && !parser.closes());
        parser.reset();
        assert_eq!(parser.feed(&two[PLAIN.len()..], &mut |_| ()), Ok(CHUNKED.len()));
        assert_eq!(parser.status(), 200);
    }

    #[test]
    fn says_when_the_head_has_come_before_the_body() {
        let mut parser = ResponseParser::default();
        parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Enc", &mut |_| ()).expect("half a head");
        assert!(!parser.has_head());
        parser.feed(b"oding: chunked\r\n\r\n", &mut |_| ()).expect("the rest");
        assert!(parser.has_head() && !parser.is_done());
    }

    #[test]
    fn bodies_that_end_with_the_connection() {
        let mut parser = ResponseParser::default();
        parser
            .feed(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\ngone", &mut |_| ())
            .expect("parses");
        assert!(!parser.is_done());
        assert!(parser.end_of_stream() && parser.closes());
        let mut cut = ResponseParser::default();
        cut.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", &mut |_| ()).expect("parses");
        assert!(!cut.end_of_stream(), "a cut body is not an end");
    }

    #[test]
    fn empty_bodies_end_with_the_head() {
        for wire in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length:0\r\nconnection: Close\r\n\r\n",
        ] {
            assert_eq!(parse(wire, wire.len()).map(|(_, body, _)| body), Ok(Vec::new()));
        }
    }

    #[test]
    fn refuses_what_is_not_a_response() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'a'; HEAD_BYTES_MAX]].concat();
        for wire in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            &long,
        ] {
            assert!(
                ResponseParser::default().feed(wire, &mut |_| ()).is_err(),
                "{}",
                String::from_utf8_lossy(wire)
            );
        }
    }
}
