//! The stream under the HTTP parser: it tells the connection's record what is going on, and notices a client that
//! hung up while its answer is being awaited.
//!
//! The parser runs with half-close allowed, so that it doesn't read (and keep a second buffer) while a request waits;
//! the hang-up is looked for here instead, on the flush that ends each of its turns.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connections::{Phase, Registration};
use crate::stream::{FarEnd, Stream};

/// A head and a body of no more than this go out in one piece: to copy them costs less than what the kernel does to write
/// several pieces.
const GATHERED_BYTES_MAX: usize = 1024;

/// A counted stream.
#[derive(Debug)]
pub(crate) struct TrackedIo {
    pub(crate) stream: Stream,
    pub(crate) registration: Registration,
    pub(crate) put_back: Bytes,
    /// Many requests share it: what comes and goes says nothing about any of them.
    is_multiplexed: bool,
}

impl TrackedIo {
    pub(crate) fn new(stream: Stream, registration: Registration) -> Self {
        Self { stream, registration, put_back: Bytes::new(), is_multiplexed: false }
    }

    /// For HTTP/2, where the connection's phase is kept by whoever serves it.
    pub(crate) fn multiplexed(stream: Stream, registration: Registration) -> Self {
        Self { is_multiplexed: true, ..Self::new(stream, registration) }
    }

    /// Has `bytes` read again, before what the stream still holds.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        debug_assert!(
            self.put_back.is_empty(),
            "the parser reads these before it reads the stream"
        );
        // A copy, because even an empty slice of the parser's buffer would keep all of it.
        self.put_back = Bytes::copy_from_slice(bytes);
    }

    /// Ready when there is something to say about the other end, without reading anything.
    pub(crate) fn poll_far_end(&mut self, cx: &mut Context<'_>) -> Poll<FarEnd> {
        match self.stream.poll_far_end(cx) {
            Poll::Pending if !self.put_back.is_empty() => {
                Poll::Ready(FarEnd::Unread { is_gone: false })
            }
            Poll::Ready(FarEnd::Gone) if !self.put_back.is_empty() => {
                Poll::Ready(FarEnd::Unread { is_gone: true })
            }
            far_end => far_end,
        }
    }

    /// Pushes out what TLS has kept back. A plain stream keeps nothing.
    pub(crate) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pushed = Pin::new(&mut self.stream).poll_flush(cx);
        match pushed {
            Poll::Pending => self.registration.0.write_blocked(),
            Poll::Ready(_) => self.registration.0.write_progressed(),
        }
        pushed
    }

    fn note_write(&self, result: &Poll<io::Result<usize>>) {
        self.registration.0.is_flushed.store(false, Ordering::Relaxed);
        match result {
            Poll::Pending => self.registration.0.write_blocked(),
            Poll::Ready(written) => {
                self.registration.0.count_sent(*written.as_ref().unwrap_or(&0));
                self.registration.0.write_progressed();
            }
        }
    }
}

impl AsyncRead for TrackedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = if this.put_back.is_empty() {
            let result = Pin::new(&mut this.stream).poll_read(cx, buf);
            this.registration.0.count_received(buf.filled().len() - before);
            result
        } else {
            let piece = this.put_back.split_to(this.put_back.len().min(buf.remaining()));
            buf.put_slice(&piece);
            Poll::Ready(Ok(()))
        };
        if this.is_multiplexed {
            return result;
        }
        let tracked = &this.registration.0;
        match (&result, tracked.phase()) {
            (Poll::Ready(_), Phase::Idle) if buf.filled().len() > before => {
                tracked.enter(Phase::Head);
            }
            (Poll::Ready(_), Phase::ReadingBody) => tracked.relabel(Phase::Serving),
            (Poll::Pending, Phase::Serving) => tracked.relabel(Phase::ReadingBody),
            _ => {}
        }
        result
    }
}

impl AsyncWrite for TrackedIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if bufs.len() > 1 && total <= GATHERED_BYTES_MAX {
            let mut gathered = [0; GATHERED_BYTES_MAX];
            let mut rest = &mut gathered[..];
            for buf in bufs {
                let (here, behind) = rest.split_at_mut(buf.len());
                here.copy_from_slice(buf);
                rest = behind;
            }
            return self.poll_write(cx, gathered.get(..total).unwrap_or_default());
        }
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stream.is_buffered() {
            ready!(this.poll_push(cx))?;
        }
        let tracked = &this.registration.0;
        // The parser flushes only after all it had was written.
        if !tracked.is_flushed.swap(true, Ordering::Relaxed) && tracked.phase() == Phase::Idle {
            // The time without a request begins when the last byte of the last answer is gone.
            tracked.enter(Phase::Idle);
        }
        let abandons = tracked.abandons_when_gone.load(Ordering::Relaxed);
        if abandons && !this.is_multiplexed && tracked.phase() == Phase::Serving {
            match this.poll_far_end(cx) {
                Poll::Ready(FarEnd::Gone | FarEnd::Unread { is_gone: true }) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Poll::Ready(FarEnd::Unread { is_gone: false }) => {
                    this.registration.0.looks_again.store(true, Ordering::Relaxed);
                }
                Poll::Pending => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
