//! Protects accepted connections, and says who is at the other end.
//!
//! A bounded number of handshakes runs at a time, each within a time limit. Who speaks plain HTTP is told so.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::certificate::Facts;
use super::credentials::{Credentials, Edition};
use super::failures::{FailureKind, Failures};
use super::session::{Session, Standing};
use super::verifier::remembering_refused;
use crate::acceptor::{Acceptor, FarCertificate, FarIdentity};
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::stream::Stream;

/// Handshakes at a time, over all listeners of one side. Each costs some 50 KiB and at most
/// [`HANDSHAKE_TIMEOUT`]; a fleet that reconnects at once is through in a second.
const HANDSHAKES_MAX: usize = 1024;
/// What is read of a request in plain HTTP before it is answered.
const PLAIN_REQUEST_BYTES: usize = 4096;
/// The words are Go's, which people search for.
const PLAIN_ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// See the module. Cheap to clone; clones share their bound.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Shared>);

struct Shared {
    credentials: Arc<Credentials>,
    failures: Arc<Failures>,
    room: Semaphore,
}

impl TlsAcceptor {
    /// Protects with `credentials`, which must have a certificate.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>, failures: Arc<Failures>) -> Self {
        Self(Arc::new(Shared { credentials, failures, room: Semaphore::new(HANDSHAKES_MAX) }))
    }
}

impl Acceptor for TlsAcceptor {
    fn accept(
        &self,
        raw: Stream,
    ) -> impl Future<Output = io::Result<(Stream, FarIdentity)>> + Send {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.accept(raw).await })
    }
}

impl Shared {
    async fn accept(&self, raw: Stream) -> io::Result<(Stream, FarIdentity)> {
        let whom = Whom(raw.far_address());
        let work = timeout(HANDSHAKE_TIMEOUT, self.shake_hands(raw));
        let (shaken, refused) = remembering_refused(work).await;
        match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(Some(accepted)) => Ok(accepted),
            // Somebody looked whether the port is open, or was answered.
            Ok(None) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(error) => {
                self.failures.note(&whom, refused.as_deref(), &error);
                Err(error)
            }
        }
    }

    fn standing(&self, edition: Edition) -> Standing {
        Standing::new(Arc::clone(&self.credentials), Arc::clone(&self.failures), edition, None)
    }

    async fn shake_hands(&self, mut raw: Stream) -> io::Result<Option<(Stream, FarIdentity)>> {
        let Some(first) = raw.first_byte().await? else { return Ok(None) };
        let address = raw.far_address();
        if first.is_ascii_uppercase() {
            let why = "no TLS";
            self.failures.note_kind(&Whom(address), FailureKind::PlainHttp, None, &why);
            answer_plainly(&mut raw).await?;
            return Ok(None);
        }
        // Never closed.
        let _place = self.room.acquire().await.map_err(io::Error::other)?;
        let edition = self.credentials.edition();
        let Some(config) = self.credentials.server() else {
            return Err(io::Error::other("there is no certificate to show"));
        };
        let tls = tokio_rustls::TlsAcceptor::from(config).accept(raw).await?;
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.map(|leaf| {
            let facts = Facts::of(leaf).map_err(io::Error::other)?;
            Ok::<_, io::Error>(Arc::new(FarCertificate { common_name: facts.common_name }))
        });
        let identity =
            FarIdentity { address, is_protected: true, certificate: certificate.transpose()? };
        let standing = self.standing(edition);
        Ok(Some((Stream::Tls(Box::new(Session::new(tls, standing))), identity)))
    }
}

async fn answer_plainly(raw: &mut Stream) -> io::Result<()> {
    // What is left unread when the connection closes would make the kernel take the answer back.
    let mut request = [0u8; PLAIN_REQUEST_BYTES];
    let _ = raw.read(&mut request).await?;
    raw.write_all(PLAIN_ANSWER).await?;
    raw.shutdown().await
}

/// Who is at the other end, for the log.
struct Whom(Option<SocketAddr>);

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("a unix socket"),
        }
    }
}
