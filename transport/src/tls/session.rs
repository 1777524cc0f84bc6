//! A stream under TLS that ends when the other end would no longer be let in.
//!
//! Files are read again while connections are open. When authorities or revocation lists have changed, each connection has the
//! other end's certificate verified anew before the next byte passes in either direction, and ends if it is refused: a
//! certificate that was revoked is of no use on an open connection either. The certificate is judged as of the moment of the
//! handshake, so that only what the files say counts: a date that passes ends no connection. (An authority that has expired by the time the
//! files change is taken out of what they say, and the connections that it vouches for end then.)
//!
//! Invariant: as long as those files stay as they are this costs a look at one number, and no connection is verified twice. When
//! they change, connections that show the same certificate are verified once for all.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::certificate::Facts;
use super::credentials::{Credentials, Edition};
use super::failures::Failures;
use crate::stream::Stream;

/// See the module.
#[derive(Debug)]
pub struct Session {
    stream: TlsStream<Stream>,
    standing: Standing,
}

/// By what the other end was let in.
pub(super) struct Standing {
    credentials: Arc<Credentials>,
    failures: Arc<Failures>,
    /// The edition of the files by which it was last found good.
    edition: Edition,
    since: UnixTime,
    /// The name that was connected to; `None` for who connects.
    name: Option<ServerName<'static>>,
}

impl Standing {
    /// That of a connection whose handshake has just been done with `credentials`, at the earliest by `edition` of them.
    pub(super) fn new(
        credentials: Arc<Credentials>,
        failures: Arc<Failures>,
        edition: Edition,
        name: Option<ServerName<'static>>,
    ) -> Self {
        Self { credentials, failures, edition, since: UnixTime::now(), name }
    }

    fn verify(&mut self, chain: Option<&[CertificateDer<'_>]>) -> Result<(), rustls::Error> {
        // Who was not asked for a certificate is not judged by one.
        let Some((leaf, above)) = chain.and_then(<[_]>::split_first) else { return Ok(()) };
        self.credentials.verify_again(leaf, above, self.name.as_ref(), self.since)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("edition", &self.edition).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(stream: impl Into<TlsStream<Stream>>, standing: Standing) -> Self {
        Self { stream: stream.into(), standing }
    }

    /// The stream below TLS.
    pub(crate) fn raw(&self) -> &Stream {
        self.stream.get_ref().0
    }

    /// The protocol that the two ends agreed on by name.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// Ready with whether there is something to read, without taking it away from the reader.
    pub(crate) fn poll_has_unread(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let filled = Pin::new(&mut self.stream).poll_fill_buf(cx);
        filled.map(|data| data.is_ok_and(|data| !data.is_empty()))
    }

    /// An error if the other end would not be let in any more.
    fn judge(&mut self) -> io::Result<()> {
        let newest = self.standing.credentials.edition();
        if newest == self.standing.edition {
            return Ok(());
        }
        let (raw, session) = self.stream.get_ref();
        let chain = session.peer_certificates();
        match self.standing.verify(chain) {
            Ok(()) => {
                self.standing.edition = newest;
                Ok(())
            }
            Err(error) => {
                let leaf = chain.and_then(<[_]>::first);
                let subject = || Some(Facts::of(leaf?).ok()?.subject);
                self.standing.failures.note_end(raw.far_address(), subject, &error);
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, error))
            }
        }
    }
}

impl AsyncRead for Session {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.judge()?;
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.judge()?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.judge()?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
