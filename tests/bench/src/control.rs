//! Single requests outside the load: health, leader, the one write that an event needs. One connection each.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::Moment;
use crate::wire::{Login, ResponseParser};

/// No answer to a control request is bigger.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// An answer in full.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// `GET path`, all within `patience`.
///
/// # Errors
/// When no whole answer came in time.
pub fn get(endpoint: SocketAddr, path: &str, patience: Duration) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n");
    exchange(endpoint, request.as_bytes(), patience)
}

/// `GET path` as a user.
///
/// # Errors
/// When no whole answer came in time.
pub fn get_as(
    endpoint: SocketAddr,
    path: &str,
    login: &Login,
    patience: Duration,
) -> io::Result<Answer> {
    let login = login.header();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {endpoint}\r\n{login}Connection: close\r\n\r\n");
    exchange(endpoint, request.as_bytes(), patience)
}

/// `PUT path` with a body in JSON, as a user.
///
/// # Errors
/// When no whole answer came in time.
pub fn put_json(
    endpoint: SocketAddr,
    path: &str,
    body: &str,
    login: &Login,
    patience: Duration,
) -> io::Result<Answer> {
    let (login, length) = (login.header(), body.len());
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: {endpoint}\r\n{login}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    exchange(endpoint, request.as_bytes(), patience)
}

/// Sets `key` (below /v2/keys/) to `value`, which needs no escaping.
///
/// # Errors
/// When no whole answer came in time.
pub fn put(endpoint: SocketAddr, key: &str, value: &str, patience: Duration) -> io::Result<Answer> {
    let request = format!(
        "PUT /v2/keys/{key} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\nvalue={value}",
        value.len() + 6
    );
    exchange(endpoint, request.as_bytes(), patience)
}

/// Reads `http://host:port` or `host:port`.
///
/// # Errors
/// When it is neither, names https (which is not measured), or the host is unknown.
pub fn parse_endpoint(text: &str) -> anyhow::Result<SocketAddr> {
    if text.starts_with("https:") {
        bail!("{text}: only plain http is measured; start the servers with an http client URL");
    }
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let mut found = address.to_socket_addrs().with_context(|| {
        format!("{text:?} is not an endpoint; write http://HOST:PORT or HOST:PORT")
    })?;
    found.next().with_context(|| format!("the host of {text:?} has no address"))
}

fn exchange(endpoint: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Answer> {
    let deadline = Moment::now().after(patience);
    let mut stream = TcpStream::connect_timeout(&endpoint, patience)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut parser = ResponseParser::default();
    let mut body = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.since(Moment::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut buffer)?;
        if count == 0 && !parser.end_of_stream() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        parser
            .feed(buffer.get(..count).unwrap_or_default(), &mut |bytes| {
                body.extend_from_slice(bytes);
            })
            .map_err(io::Error::other)?;
        if parser.is_done() {
            return Ok(Answer { status: parser.status(), body });
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(io::Error::other("the answer is bigger than 1 MiB"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_or_addresses() {
        let expected = SocketAddr::from(([127, 0, 0, 1], 2379));
        for text in ["http://127.0.0.1:2379", "http://127.0.0.1:2379/", "127.0.0.1:2379"] {
            assert_eq!(parse_endpoint(text).expect(text), expected);
        }
        for text in ["https://127.0.0.1:2379", "127.0.0.1", "", "http://"] {
            assert!(parse_endpoint(text).is_err(), "{text}");
        }
    }
}
