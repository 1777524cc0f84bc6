//! The sockets a member listens on: all bound before anything else happens, so that a port in use is noticed at once.

use std::sync::Arc;

use quorate_transport::acceptor::Plain;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_server::{Handler, HttpServer};
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use quorate_transport::tls::TlsAcceptor;

use tokio::runtime::Handle;

use super::RunError;
use super::service::{ClientService, MetricsService};
use crate::client_api::{Access, ClientApi, Via};
use crate::config::{Allowed, BindTarget, Config, ListenUrl, Scheme};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::peer_api::http::PeerHttp;

/// See the module.
pub(super) struct Listeners {
    peers: PeerListeners,
    clients: ClientListeners,
}

/// Bound sockets for peers.
pub(super) struct PeerListeners(Vec<Listener>);

/// Bound sockets for clients, and for metrics alone.
pub(super) struct ClientListeners {
    clients: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Listeners {
    /// Binds all of them.
    pub(super) async fn bind(config: &Config, clients: &Handle) -> Result<Self, RunError> {
        let peers = PeerListeners(bind(config.listen_peer_urls.clone()).await?);
        // A socket belongs to the runtime it is bound on.
        let urls = (config.listen_client_urls.clone(), config.listen_metrics_urls.clone());
        let bound =
            clients.spawn(async { Ok::<_, RunError>((bind(urls.0).await?, bind(urls.1).await?)) });
        let (clients, metrics) = bound.await.map_err(std::io::Error::other)??;
        Ok(Self { peers, clients: ClientListeners { clients, metrics } })
    }

    pub(super) fn split(self) -> (PeerListeners, ClientListeners) {
        (self.peers, self.clients)
    }
}

async fn bind(urls: Vec<ListenUrl>) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::with_capacity(urls.len());
    for url in &urls {
        let endpoint = match url.bind_target() {
            BindTarget::Tcp(address) => Endpoint::tcp(address.ip().to_string(), address.port()),
            BindTarget::Unix(path) => Endpoint::unix(path),
        };
        let endpoint = Endpoint { is_tls: url.scheme() == Scheme::Https, ..endpoint };
        let listener = Listener::bind(&endpoint).await?;
        tracing::info!(url = %url, endpoint = %listener.local_endpoint(), "listening");
        listeners.push(listener);
    }
    Ok(listeners)
}

impl PeerListeners {
    /// Serves peers from now on.
    pub(super) fn serve(
        self,
        http: &Arc<PeerHttp<Node>>,
        tls: Option<&TlsAcceptor>,
    ) -> Result<Vec<HttpServer>, RunError> {
        self.0.into_iter().map(|listener| serve(listener, tls, http)).collect()
    }
}

impl ClientListeners {
    /// Serves clients from now on.
    pub(super) fn serve(
        self,
        config: &Config,
        node: &Node,
        metrics: &Metrics,
        tls: Option<TlsAcceptor>,
        runtime: &Handle,
    ) -> Result<Vec<HttpServer>, RunError> {
        let _inside = runtime.enter();
        let access = Access { origins: names(&config.cors), hosts: names(&config.host_whitelist) };
        let api = ClientApi::new(node.clone(), access, metrics.http().clone());
        let names_users = config.tls.client_names_are_users;
        let service =
            |via| Arc::new(ClientService::new(api.clone(), node.clone(), via, names_users));
        let (plainly, protected) = (service(Via::Plain), service(Via::Tls));
        let counts = metrics;
        let metrics = Arc::new(MetricsService::new(api.clone()));
        let clients = self.clients.into_iter().map(|listener| {
            let service = if listener.local_endpoint().is_tls { &protected } else { &plainly };
            serve(listener, tls.as_ref(), service)
        });
        let metrics = self.metrics.into_iter().map(|it| serve(it, tls.as_ref(), &metrics));
        let servers: Vec<HttpServer> = clients.chain(metrics).collect::<Result<_, _>>()?;
        servers.iter().for_each(|server| counts.add_listener(server.traffic()));
        Ok(servers)
    }
}

impl ClientListeners {
    /// Serves everything that asks with one handler, from now on.
    pub(super) fn serve_all<H: Handler>(
        self,
        handler: &Arc<H>,
        tls: Option<&TlsAcceptor>,
        runtime: &Handle,
    ) -> Result<Vec<HttpServer>, RunError> {
        let _inside = runtime.enter();
        let listeners = self.clients.into_iter().chain(self.metrics);
        listeners.map(|listener| serve(listener, tls, handler)).collect()
    }
}

fn serve<H: Handler>(
    listener: Listener,
    tls: Option<&TlsAcceptor>,
    handler: &Arc<H>,
) -> Result<HttpServer, RunError> {
    let (handler, limits) = (Arc::clone(handler), ServerLimits::default());
    match (listener.local_endpoint().is_tls, tls) {
        (false, _) => Ok(HttpServer::spawn(listener, Plain, handler, limits)),
        (true, Some(tls)) => Ok(HttpServer::spawn(listener, tls.clone(), handler, limits)),
        // The configuration sees to it; should it ever not, nothing is served unprotected.
        (true, None) => Err(RunError::Address(format!(
            "{} speaks TLS, and there is no certificate to show; name one",
            listener.local_endpoint()
        ))),
    }
}

fn names(allowed: &Allowed) -> Option<Vec<String>> {
    match allowed {
        Allowed::Any => None,
        Allowed::Only(names) => Some(names.clone()),
    }
}
