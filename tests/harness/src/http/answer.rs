//! An answer as it was received: status line, headers in order and spelling, body, and how the body ended.

use std::fmt;
use std::time::Instant;

use super::HttpError;
use super::wire::Wire;

/// More header lines than any server under test sends; keeps a runaway answer from filling the memory.
const HEADERS_MAX: usize = 256;

/// How the length of a body was announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither: the body lasts until the connection closes.
    UntilClose,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// As announced.
    Complete,
    /// The connection ended before the announced length or the last chunk.
    Premature,
}

/// A received answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The first line without its line end, e.g. `HTTP/1.1 200 OK`.
    pub status_line: String,
    /// The status code.
    pub status: u16,
    /// Header names and values, spelled and ordered as on the wire.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// How the body's length was announced.
    pub framing: Framing,
    /// How the body ended.
    pub ending: Ending,
}

impl Answer {
    /// The first value of a header, its name compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(spelled, _)| spelled.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or JSON null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// The `X-Etcd-Index` header as a number.
    pub fn etcd_index(&self) -> Option<u64> {
        self.header("X-Etcd-Index")?.parse().ok()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status_line)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let text = self.text();
        let shown: String = text.chars().take(LONGEST_SHOWN).collect();
        write!(f, "\n{shown}")?;
        if shown.len() < text.len() {
            write!(f, "... ({} bytes)", self.body.len())?;
        }
        if self.ending == Ending::Premature {
            write!(f, "\n(the connection ended before the body did)")?;
        }
        Ok(())
    }
}

/// Bodies are shown up to this many characters.
const LONGEST_SHOWN: usize = 4000;

/// Reads up to the blank line after the headers; `None` when `until` passed first.
pub(super) fn read_head(wire: &mut Wire, until: Instant) -> Result<Option<Answer>, HttpError> {
    let Some(status_line) = wire.line(until)? else { return Ok(None) };
    let mut words = status_line.splitn(3, ' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|code| code.parse().ok());
    let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
        return Err(HttpError::NotHttp(status_line));
    };
    let mut headers = Vec::new();
    loop {
        let Some(line) = wire.line(until)? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(HttpError::NotHttp(line));
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
        if headers.len() > HEADERS_MAX {
            return Err(HttpError::NotHttp(format!("more than {HEADERS_MAX} headers")));
        }
    }
    let mut answer = Answer {
        status_line,
        status,
        headers,
        body: Vec::new(),
        framing: Framing::UntilClose,
        ending: Ending::Premature,
    };
    answer.framing = framing(&answer)?;
    Ok(Some(answer))
}

fn framing(answer: &Answer) -> Result<Framing, HttpError> {
    if answer.header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        return Ok(Framing::Chunked);
    }
    match answer.header("content-length") {
        Some(length) => length
            .parse()
            .map(Framing::Length)
            .map_err(|_| HttpError::NotHttp(format!("Content-Length: {length}"))),
        None => Ok(Framing::UntilClose),
    }
}
