//! The life of the process: store, listeners, duties, and the end in good order.

use std::sync::Arc;
use std::time::Duration;

use quorate_client::KeysClient;
use quorate_server::embedded::Embedded;
use quorate_transport::acceptor::Plain;
use quorate_transport::http_server::HttpServer;
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use tokio::signal::unix::{SignalKind, signal};

use crate::dns::Zone;
use crate::dns::desk::Desk;
use crate::dns::server::Sockets;
use crate::http::{Edge, EdgeSettings};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::protection::{self, Protection};
use crate::service::Service;
use crate::settings::Settings;
use crate::store::embedded::EmbeddedStore;
use crate::store::remote::RemoteStore;
use crate::store::{Feed, Layout, Store};
use crate::sweeper;

/// How long running requests have when the process is told to stop; polls end at once.
const STOP_PATIENCE: Duration = Duration::from_secs(4);
/// Headers are small here: a path, a host, a secret.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Why the service ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] quorate_transport::listener::BindError),
    /// An address cannot be listened on for DNS.
    #[error(transparent)]
    BindDns(#[from] crate::dns::server::BindError),
    /// The store of its own cannot be used.
    #[error("the store in --data-dir cannot be used: {0}")]
    Store(#[from] quorate_server::run::RunError),
    /// Certificates, keys or authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] quorate_transport::tls::TlsError),
    /// The metrics are defined twice.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system refuses something.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The prefix is none.
    #[error("--store-prefix cannot be used")]
    Prefix,
    /// The store of its own had to stop.
    #[error("the store stopped: {0}")]
    Stopped(quorate_server::node::StopReason),
}

/// Serves until told to stop.
///
/// # Errors
/// Why it could not start, or could not go on.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    // Bound first, so that a port in use is noticed before anything is made.
    let mut listeners = Vec::with_capacity(settings.listen.len());
    for endpoint in &settings.listen {
        listeners.push(Listener::bind(endpoint).await?);
    }
    let mut names = Vec::new();
    for address in settings.dns.iter().flat_map(|dns| &dns.listen) {
        names.push(Sockets::bind(*address).await?);
    }
    let bound = Bound { listeners, names };
    let layout = Layout::new(&settings.store_prefix).ok_or(RunError::Prefix)?;
    if !settings.store.is_empty() {
        let client = quorate_client::Settings {
            connector: protection::connector(&settings)?,
            user: protection::user(&settings)?,
            ..quorate_client::Settings::plain(settings.store.clone())
        };
        let store = RemoteStore::new(Arc::new(KeysClient::new(client)), layout.clone());
        return serve(settings, bound, store, layout, std::future::pending()).await;
    }
    let own = Arc::new(Embedded::open("discovery", &settings.data_dir).await?);
    let store = EmbeddedStore::new(Arc::clone(&own), layout.clone());
    let end = {
        let own = Arc::clone(&own);
        async move { own.stopped().await }
    };
    let outcome = serve(settings, bound, store, layout, end).await;
    own.stop().await;
    outcome
}

/// Where requests and questions come in.
struct Bound {
    listeners: Vec<Listener>,
    names: Vec<Sockets>,
}

async fn serve<S: Store>(
    settings: Settings,
    bound: Bound,
    store: S,
    layout: Layout,
    failed: impl Future<Output = quorate_server::node::StopReason>,
) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let feed = store.feed();
    let protection = Protection::load(&settings)?;
    let tls = protection.as_ref().map(Protection::acceptor);
    let metrics = Metrics::new(protection)?;
    let service = Service::new(store, layout, settings.rules, settings.tokens_max, metrics);
    let mut duties = vec![
        tokio::spawn(follow(service.clone(), feed)),
        tokio::spawn(sweeper::run(service.clone())),
    ];
    if let Some(dns) = settings.dns {
        warn_of_lame(&dns.zone);
        let desk = Arc::new(Desk::new(dns.zone, service.clone(), dns.queries_per_second));
        duties.extend(bound.names.into_iter().flat_map(|sockets| sockets.serve(&desk)));
    }
    let edge = EdgeSettings {
        public_url: settings.public_url,
        poll_timeout: settings.poll_timeout,
        token_ttl: settings.rules.token_ttl,
        trusted_proxies: settings.trusted_proxies,
    };
    let edge = Arc::new(Edge::new(service, Limits::new(settings.allowance), edge));
    let limits = ServerLimits { header_bytes_max: HEADER_BYTES_MAX, ..ServerLimits::default() };
    let servers: Vec<HttpServer> = bound
        .listeners
        .into_iter()
        .map(|listener| {
            let (is_tls, edge) = (listener.local_endpoint().is_tls, Arc::clone(&edge));
            let server = match &tls {
                Some(tls) if is_tls => HttpServer::spawn(listener, tls.clone(), edge, limits),
                // The settings allow `https://` only with a certificate.
                _ => HttpServer::spawn(listener, Plain, edge, limits),
            };
            tracing::info!(endpoint = %server.local_endpoint(), "ready to serve discovery requests");
            server
        })
        .collect();
    let outcome = tokio::select! {
        reason = failed => Err(RunError::Stopped(reason)),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    let stops = servers.into_iter().map(|server| server.shutdown(STOP_PATIENCE));
    futures_util::future::join_all(stops).await;
    duties.iter().for_each(tokio::task::JoinHandle::abort);
    tracing::info!("stopped");
    outcome
}

/// Says so when nobody can find the zone's name server by its records.
fn warn_of_lame(zone: &Zone) {
    if !zone.has_address() {
        tracing::warn!(
            zone = %zone.apex(),
            "the zone's name server has no address, for --dns-listen has none that others can use: resolvers that follow a delegation find nobody. Give --dns-address"
        );
    }
}

/// Wakes whoever waits when any replica has changed something.
async fn follow<S: Store>(service: Service<S>, mut feed: S::Feed) {
    loop {
        let changed = feed.next().await;
        service.changes().tell(&changed);
    }
}
