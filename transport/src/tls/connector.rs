//! Opens connections, protected where the endpoint says so, and verifies who is at the other end.

use std::error::Error;
use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;

use super::credentials::Credentials;
use super::failures::{FailureKind, Failures};
use super::session::{Session, Standing};
use super::verifier::remembering_refused;
use crate::endpoint::{Address, Endpoint};
use crate::http_client::{Connector, PlainConnector};
use crate::stream::Stream;

/// See the module. The time limit is the caller's.
pub struct TlsConnector {
    credentials: Arc<Credentials>,
    failures: Arc<Failures>,
}

impl TlsConnector {
    /// Connects with `credentials`, which must be for dialling.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>, failures: Arc<Failures>) -> Self {
        Self { credentials, failures }
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let plain = Endpoint { is_tls: false, address: endpoint.address.clone() };
        let raw = PlainConnector.connect(&plain).await?;
        if !endpoint.is_tls {
            return Ok(raw);
        }
        self.protect(endpoint, raw).await
    }

    /// Protects a connection to `endpoint` that was made in another way.
    pub(crate) async fn protect(&self, endpoint: &Endpoint, raw: Stream) -> io::Result<Stream> {
        let (protected, refused) = remembering_refused(self.shake_hands(endpoint, raw)).await;
        protected.inspect_err(|error| self.failures.note(endpoint, refused.as_deref(), error))
    }

    async fn shake_hands(&self, endpoint: &Endpoint, raw: Stream) -> io::Result<Stream> {
        let edition = self.credentials.edition();
        let Some(config) = self.credentials.client() else {
            return Err(io::Error::other("these credentials are not for dialling"));
        };
        let host = match &endpoint.address {
            Address::Tcp { host, .. } => host.as_str(),
            Address::Unix(_) => "localhost",
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = tokio_rustls::TlsConnector::from(config).connect(name.clone(), raw).await?;
        let (credentials, failures) = (Arc::clone(&self.credentials), Arc::clone(&self.failures));
        let standing = Standing::new(credentials, failures, edition, Some(name));
        Ok(Stream::Tls(Box::new(Session::new(tls, standing))))
    }
}

impl Connector for TlsConnector {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(self.open(endpoint))
    }

    fn broke(&self, endpoint: &Endpoint, error: &hyper::Error) {
        let inner = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        if let Some(inner) = inner
            && FailureKind::of(inner) == FailureKind::RefusedByFarEnd
        {
            self.failures.note(endpoint, None, inner);
        }
    }
}
