//! The life of a proxy: what became of a process that found all places of its discovery token taken.
//!
//! Invariant: it opens no log and no peer port, so its data directory stays one that never held a member.

use std::sync::Arc;

use quorate_transport::http_client::Connector;
use quorate_transport::http_server::HttpServer;
use quorate_transport::tls::TlsAcceptor;
use tokio::runtime::Handle;

use super::RunError;
use super::listeners::ClientListeners;
use crate::bootstrap::learned_file::LearnedFile;
use crate::config::Config;
use crate::node::request_timeout;
use crate::proxy::{MemberAddresses, Proxy};

/// What a proxy begins with.
pub(super) struct Beginning {
    /// Where the members' peer ports are.
    pub(super) peer_urls: Vec<String>,
    /// Where that is kept.
    pub(super) file: LearnedFile,
}

/// Serves clients until `stopped` is ready.
pub(super) async fn serve(
    config: &Config,
    beginning: Beginning,
    listeners: ClientListeners,
    (connector, tls): (Arc<dyn Connector>, Option<TlsAcceptor>),
    runtime: &Handle,
    stopped: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let Beginning { peer_urls, file } = beginning;
    tracing::warn!(
        members = peer_urls.join(", "),
        "all places of the discovery token are taken: this process is a proxy of the cluster and no member of it"
    );
    let members = Arc::new(MemberAddresses::new(peer_urls));
    let proxy = Arc::new(Proxy::new(Arc::clone(&members), Arc::clone(&connector)));
    let servers: Vec<HttpServer> = listeners.serve_all(&proxy, tls.as_ref(), runtime)?;
    tracing::info!(name = config.name, "ready to serve client requests");
    let keep = |peer_urls: &[String]| {
        if let Err(error) = file.proxies(peer_urls) {
            tracing::warn!(%error, "the members' addresses could not be noted");
        }
    };
    tokio::select! {
        () = members.refresh(&*connector, keep) => {}
        () = stopped => {}
    }
    let patience = request_timeout(config.election_timeout);
    let stops = servers.into_iter().map(|server| server.shutdown(patience));
    futures_util::future::join_all(stops).await;
    Ok(())
}
