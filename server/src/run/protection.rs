//! TLS of this member: what is read from files at the start, and who of its listeners and links uses it.

use std::sync::Arc;

use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{Connector, PlainConnector};
use quorate_transport::proxy::ProxyConnector;
use quorate_transport::tls::{
    Credentials, Failures, TlsAcceptor, TlsConnector, TlsError, TlsSettings,
};
use tokio::runtime::Handle;

use crate::config::TlsConfig;
use crate::metrics::TlsSide;

/// See the module.
pub(super) struct Protection {
    client: Option<TlsSide>,
    peer: Option<TlsSide>,
}

impl Protection {
    /// Reads the files, and keeps them fresh by a task on `runtime`.
    pub(super) fn load(config: &TlsConfig, runtime: &Handle) -> Result<Self, TlsError> {
        let side = |settings: &Option<TlsSettings>| {
            let Some(settings) = settings else { return Ok(None) };
            let failures = Arc::new(Failures::new(settings.side));
            let credentials = Credentials::load(settings.clone())?;
            runtime.spawn(Arc::clone(&credentials).keep_fresh());
            Ok(Some(TlsSide { credentials, failures }))
        };
        Ok(Self { client: side(&config.client)?, peer: side(&config.peer)? })
    }

    /// The sides that are protected.
    pub(super) fn sides(&self) -> impl Iterator<Item = TlsSide> {
        self.client.iter().chain(&self.peer).cloned()
    }

    /// What protects connections of clients.
    pub(super) fn client_acceptor(&self) -> Option<TlsAcceptor> {
        self.client.as_ref().map(acceptor)
    }

    /// What protects connections of other members.
    pub(super) fn peer_acceptor(&self) -> Option<TlsAcceptor> {
        self.peer.as_ref().map(acceptor)
    }

    /// What opens connections to other members to see whether it can: failures are the caller's to tell, and are not logged.
    pub(super) fn probing_connector(&self) -> Arc<dyn Connector> {
        match &self.peer {
            Some(TlsSide { credentials, .. }) => {
                let failures = Arc::new(Failures::unlogged(credentials.side()));
                Arc::new(TlsConnector::new(Arc::clone(credentials), failures))
            }
            None => Arc::new(PlainConnector),
        }
    }

    /// What is shown to other members, if anything is.
    pub(super) fn peer_credentials(&self) -> Option<Arc<Credentials>> {
        self.peer.as_ref().map(|side| Arc::clone(&side.credentials))
    }

    /// What is shown to clients, if anything is.
    pub(super) fn client_credentials(&self) -> Option<Arc<Credentials>> {
        self.client.as_ref().map(|side| Arc::clone(&side.credentials))
    }

    /// What opens connections to other members.
    pub(super) fn peer_connector(&self) -> Arc<dyn Connector> {
        match &self.peer {
            Some(TlsSide { credentials, failures }) => {
                Arc::new(TlsConnector::new(Arc::clone(credentials), Arc::clone(failures)))
            }
            None => Arc::new(PlainConnector),
        }
    }
}

/// What opens connections to the discovery service; its files are kept fresh by a task on `runtime`.
pub(super) fn discovery_connector(
    proxy: Option<&Endpoint>,
    tls: Option<&TlsSettings>,
    runtime: &Handle,
) -> Result<Arc<dyn Connector>, TlsError> {
    let tls = match tls {
        Some(settings) => {
            let failures = Arc::new(Failures::new(settings.side));
            let credentials = Credentials::load(settings.clone())?;
            runtime.spawn(Arc::clone(&credentials).keep_fresh());
            Some(Arc::new(TlsConnector::new(credentials, failures)))
        }
        None => None,
    };
    Ok(match (proxy, tls) {
        (Some(proxy), tls) => Arc::new(ProxyConnector::new(proxy.clone(), tls)),
        (None, Some(tls)) => tls,
        (None, None) => Arc::new(PlainConnector),
    })
}

fn acceptor(side: &TlsSide) -> TlsAcceptor {
    TlsAcceptor::new(Arc::clone(&side.credentials), Arc::clone(&side.failures))
}
