//! Turns a raw accepted stream into the stream that HTTP is spoken on, and says who is at the other end.
//!
//! [`Plain`] protects nothing and names nobody; [`TlsAcceptor`](crate::tls::TlsAcceptor) does both.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::stream::Stream;

/// Who is at the other end of an accepted connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FarIdentity {
    /// The address the connection came from; `None` on a unix socket.
    pub address: Option<SocketAddr>,
    /// Whether the connection is protected by TLS.
    pub is_protected: bool,
    /// What its verified certificate says, if it was asked for one.
    pub certificate: Option<Arc<FarCertificate>>,
}

/// What a verified certificate of the other end says: the leaf's, never that of an authority above it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FarCertificate {
    /// The subject's common name. `None` when there is none, or more than one and so no telling which counts.
    pub common_name: Option<String>,
}

/// Protects accepted connections.
pub trait Acceptor: Clone + Send + Sync + 'static {
    /// Makes `raw` ready for HTTP. It runs in the connection's own task, under
    /// [`ServerLimits::handshake_timeout`](crate::limits::ServerLimits::handshake_timeout). Box what is large: the
    /// space of this future is part of every connection's task.
    fn accept(&self, raw: Stream)
    -> impl Future<Output = io::Result<(Stream, FarIdentity)>> + Send;
}

/// No protection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Acceptor for Plain {
    fn accept(
        &self,
        raw: Stream,
    ) -> impl Future<Output = io::Result<(Stream, FarIdentity)>> + Send {
        let identity = FarIdentity { address: raw.far_address(), ..FarIdentity::default() };
        std::future::ready(Ok((raw, identity)))
    }
}
