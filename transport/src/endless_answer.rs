//! An answer without a known length, written as chunks straight to the stream: what a watcher waits on.
//!
//! The head goes out at once, so that a client knows that it waits. The answer ends with its body, with its client, or
//! (properly, with the closing chunk) when the server drains.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Body;
use tokio::io::AsyncWrite;

use crate::stream::FarEnd;
use crate::tracked_io::TrackedIo;

/// Bytes that may be queued for a slow reader before its body is no longer asked for more.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// What becomes of the connection.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The answer is complete and another request may follow.
    NextRequest,
    /// The connection ends.
    Over,
}

/// One such answer on its way.
pub(crate) struct EndlessAnswer<B> {
    body: B,
    unsent: Vec<u8>,
    sent: usize,
    ends_after: bool,
    is_complete: bool,
}

impl<B: Body<Data = Bytes> + Unpin> EndlessAnswer<B> {
    /// `ends_after` closes the connection after the answer, and says so in its head.
    pub(crate) fn new(response: Response<B>, ends_after: bool) -> Self {
        let (parts, body) = response.into_parts();
        let unsent = head(parts.status, &parts.headers, ends_after);
        Self { body, unsent, sent: 0, ends_after, is_complete: false }
    }

    /// Sends what there is. While there is nothing, watches for the client's hanging up.
    pub(crate) fn poll_send(
        &mut self,
        io: &mut TrackedIo,
        is_draining: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome> {
        loop {
            if self.gather(is_draining, cx).is_err() {
                // The missing closing chunk tells the client that the answer is cut short.
                return Poll::Ready(Outcome::Over);
            }
            if self.sent < self.unsent.len() {
                match Pin::new(&mut *io)
                    .poll_write(cx, self.unsent.get(self.sent..).unwrap_or_default())
                {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Outcome::Over),
                    Poll::Ready(Ok(written)) => self.advance(written),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            if io.stream.is_buffered() {
                match io.poll_push(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Outcome::Over),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if self.is_complete {
                let outcome = if self.ends_after { Outcome::Over } else { Outcome::NextRequest };
                return Poll::Ready(outcome);
            }
            return match io.poll_far_end(cx) {
                Poll::Ready(FarEnd::Gone | FarEnd::Unread { is_gone: true }) => {
                    Poll::Ready(Outcome::Over)
                }
                Poll::Ready(FarEnd::Unread { is_gone: false }) => {
                    io.registration.0.looks_again.store(true, Ordering::Relaxed);
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            };
        }
    }

    /// Queues what the body has, up to the bound.
    fn gather(&mut self, is_draining: bool, cx: &mut Context<'_>) -> Result<(), B::Error> {
        while !self.is_complete && self.unsent.len() < UNSENT_BYTES_MAX {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    if let Ok(data) = frame?.into_data()
                        && !data.is_empty()
                    {
                        push_chunk(&mut self.unsent, &data);
                    }
                }
                Poll::Ready(None) => self.complete(),
                Poll::Pending if is_draining => {
                    self.ends_after = true;
                    self.complete();
                }
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn complete(&mut self) {
        self.unsent.extend_from_slice(b"0\r\n\r\n");
        self.is_complete = true;
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        if self.sent >= self.unsent.len() {
            // Not merely emptied: thousands of watchers wait with nothing to send.
            self.unsent = Vec::new();
            self.sent = 0;
        }
    }
}

fn head(status: StatusCode, headers: &HeaderMap, ends_after: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        // The framing is decided here.
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
            continue;
        }
        push_title_case(&mut head, name.as_str());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if !headers.contains_key(header::DATE) {
        // Writing to a Vec can't fail.
        let _ = write!(head, "Date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
    }
    if ends_after {
        head.extend_from_slice(b"Connection: close\r\n");
    }
    head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    head
}

fn push_title_case(out: &mut Vec<u8>, name: &str) {
    let mut starts_word = true;
    for byte in name.bytes() {
        out.push(if starts_word { byte.to_ascii_uppercase() } else { byte });
        starts_word = byte == b'-';
    }
}

fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    // Writing to a Vec can't fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_head_is_spelled_as_etcd_spells_it() {
        let mut headers = HeaderMap::new();
        headers.insert("x-etcd-index", HeaderValue::from_static("7"));
        headers.insert("content-length", HeaderValue::from_static("3"));
        headers.insert("date", HeaderValue::from_static("today"));
        let head = String::from_utf8(head(StatusCode::OK, &headers, true)).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nDate: today\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
    }
}
