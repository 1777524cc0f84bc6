//! A member's life from its flags to its exit: open the disk, find out how to start, serve, and stop in good order.
//!
//! The order matters. The data directory is locked before a port is opened, so that a second process disturbs nothing; the
//! peer port answers before the member knows how it starts, since others ask it; clients are served last and stopped first.

mod beginning;
pub(crate) mod formation_file;
mod listeners;
mod protection;
mod proxying;
mod reporting;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::bootstrap::{Disk, Incarnation, Known};
use quorate_core::{ClusterId, MemberId, identity};
use quorate_transport::dns::{self, Dns};
use quorate_transport::http_client::Connector;
use quorate_transport::http_server::HttpServer;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bootstrap::{self, Forming, Plan, Started};
use crate::client_tasks::ClientTasks;
use crate::config::{Config, Retention};
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::node::{Ingredients, Node, NodeError, StopReason, request_timeout};
use crate::peer_api::http::PeerHttp;
use crate::peer_api::link::Local;
use crate::raft::snapshots::Snapshots;
use crate::reports::Whereabouts;
use crate::storage::data_dir::{DataDir, Identity};
use crate::storage::log::{Log, LogOptions};
use crate::storage::snapshot::SnapshotDir;
use beginning::Begun;
use formation_file::FormationFile;
use listeners::Listeners;
use protection::Protection;
use reporting::Discovering;

/// Why a member ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] quorate_transport::listener::BindError),
    /// An address is not one.
    #[error("{0}")]
    Address(String),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] quorate_transport::tls::TlsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] crate::storage::data_dir::DataDirError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] crate::storage::log::OpenError),
    /// The snapshots cannot be used.
    #[error(transparent)]
    Snapshot(#[from] crate::storage::snapshot::SnapshotError),
    /// The facts forbid to start.
    #[error(transparent)]
    Bootstrap(#[from] bootstrap::BootstrapError),
    /// The flags name no cluster that this member could form.
    #[error("{0}")]
    Cluster(String),
    /// The disk failed.
    #[error("cannot use the data directory: {0}")]
    Io(#[from] std::io::Error),
    /// The member could not be put together.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The metrics are defined twice.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// It had to stop.
    #[error("{0}")]
    Stopped(StopReason),
}

/// Runs a member until it is told to stop. Its clients are served on the runtime `clients`, all else on the present one.
///
/// # Errors
/// Why it could not start, or could not go on.
pub async fn run(config: Config, logging: LogHandle, clients: Handle) -> Result<(), RunError> {
    if config.discovery.dns != Dns::System {
        dns::find_hosts_in(config.discovery.dns.clone());
    }
    let mut data_dir = DataDir::open(&config.data_dir, config.wal_dir.as_deref())?;
    let protection = Protection::load(&config.tls, &clients)?;
    let listeners = Listeners::bind(&config, &clients).await?;
    let file = FormationFile::open(data_dir.path())?;
    let forming = Arc::new(Forming::learning(file.incarnation()));
    let peer_http = Arc::new(PeerHttp::<Node>::new(Arc::clone(&forming)));
    let (peer_listeners, client_listeners) = listeners.split();
    let peer_servers = peer_listeners.serve(&peer_http, protection.peer_acceptor().as_ref())?;
    let connector = protection.peer_connector();
    let discovering = Discovering::start(&config, &data_dir, &protection, &clients)?;
    let mut stop = StopSignals::listen()?;
    let begun = tokio::select! {
        begun = beginning::begin(&config, &data_dir, &file, &forming, &*connector, &discovering) => begun?,
        () = stop.asked() => return Ok(()),
    };
    let (plan, started) = match begun {
        Begun::Member(plan, started) => (*plan, started),
        Begun::Proxy(beginning) => {
            drop((peer_servers, discovering));
            let calls = (connector, protection.client_acceptor());
            let serving = proxying::serve(
                &config,
                beginning,
                client_listeners,
                calls,
                &clients,
                stop.asked(),
            );
            return serving.await;
        }
    };
    let metrics = metrics(&protection, &discovering)?;
    let decided = Decided {
        plan: &plan,
        started: &started,
        bound: &file.bound(),
        connector,
        clients: ClientTasks::on(clients.clone()),
        reporting: discovering.whereabouts.clone(),
    };
    let node = start_node(&config, &mut data_dir, &decided, &metrics, logging).await?;
    let own = node.own();
    peer_http.joined(Arc::new(node.clone()));
    discovering.reports.runs(Arc::new(node.clone()));
    enter_cluster(&node, &started).await?;
    let client_servers =
        client_listeners.serve(&config, &node, &metrics, protection.client_acceptor(), &clients)?;
    tracing::info!(member = %own.member, cluster = %own.cluster, name = config.name, "ready to serve client requests");

    let reason = tokio::select! {
        reason = node.stopped() => Some(reason),
        () = stop.asked() => None,
    };
    end(&config, &node, reason, (client_servers, peer_servers), &data_dir).await
}

fn metrics(protection: &Protection, discovering: &Discovering) -> Result<Arc<Metrics>, RunError> {
    let metrics = Metrics::new()?;
    protection.sides().for_each(|side| metrics.add_tls(side));
    metrics.add_reports(discovering.tally.clone());
    Ok(Arc::new(metrics))
}

/// Has the member form its cluster, or look for the one that it joins.
async fn enter_cluster(node: &Node, started: &Started) -> Result<(), NodeError> {
    match started {
        // A member that crashed before the first entry was written has a log, too, and has to finish what it began.
        Started::Forms { .. } | Started::Restarts => node.form().await?,
        Started::Joins { members, .. } => node.meet(members),
    }
    Ok(())
}

/// Stops a member that was told to, or says why it cannot go on.
async fn end(
    config: &Config,
    node: &Node,
    reason: Option<StopReason>,
    (clients, peers): (Vec<HttpServer>, Vec<HttpServer>),
    data_dir: &DataDir,
) -> Result<(), RunError> {
    match reason {
        None => {
            stop_in_good_order(config, node, clients, peers).await;
            Ok(())
        }
        Some(reason) => {
            node.end_watches();
            cannot_go_on(reason, data_dir)
        }
    }
}

/// The ways in which a process is told to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Returns once it is told to.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a member starts, as the facts decided.
pub(crate) struct Decided<'a> {
    /// What the flags and the disk said.
    pub(crate) plan: &'a Plan,
    /// What was decided.
    pub(crate) started: &'a Started,
    /// Whom this directory bound itself to.
    pub(crate) bound: &'a BTreeMap<MemberId, Incarnation>,
    /// How its peers are called.
    pub(crate) connector: Arc<dyn Connector>,
    /// Where its clients' tasks run.
    pub(crate) clients: ClientTasks,
    /// Where it reports, for peers that ask.
    pub(crate) reporting: Whereabouts,
}

/// Opens the disk in the identity that was decided, and starts to replicate.
pub(crate) async fn start_node(
    config: &Config,
    data_dir: &mut DataDir,
    decided: &Decided<'_>,
    metrics: &Arc<Metrics>,
    logging: LogHandle,
) -> Result<Node, RunError> {
    let own = identify(data_dir, decided.plan, decided.started)?;
    let (log, snapshots) = open_storage(config, data_dir, own, metrics).await?;
    let founders = founders(decided.plan, own, decided.bound);
    let ingredients = Ingredients {
        config: config.clone(),
        own,
        founders,
        log,
        snapshots,
        metrics: Arc::clone(metrics),
        logging,
        connector: Arc::clone(&decided.connector),
        clients: decided.clients.clone(),
        reporting: decided.reporting.clone(),
    };
    Ok(Node::start(ingredients).await?)
}

fn cannot_go_on(reason: StopReason, data_dir: &DataDir) -> Result<(), RunError> {
    if !matches!(reason, StopReason::Removed(_)) {
        return Err(RunError::Stopped(reason));
    }
    data_dir.mark_removed()?;
    // It was asked for, and starting again would not help: no failure, so that supervisors leave it stopped.
    tracing::error!("{reason}");
    Ok(())
}

/// What the flags and the disk say about the start.
pub(crate) fn plan(
    config: &Config,
    data_dir: &DataDir,
    file: &FormationFile,
) -> Result<Plan, RunError> {
    let disk = disk(data_dir);
    if disk == Disk::Fresh {
        config
            .verify_forming(&|url| crate::config::resolve_in(&config.discovery.dns, url))
            .map_err(|error| RunError::Cluster(error.to_string()))?;
    }
    Ok(Plan::new(config, disk, file.incarnation(), bound(file)))
}

/// What the data directory holds.
fn disk(data_dir: &DataDir) -> Disk {
    match data_dir.identity() {
        _ if data_dir.is_removed() => Disk::Removed,
        Some(Identity { has_log: true, .. }) => Disk::Log,
        _ => Disk::Fresh,
    }
}

/// Whom this member has bound itself to, if it has.
fn bound(file: &FormationFile) -> Option<BTreeMap<MemberId, Incarnation>> {
    Some(file.bound()).filter(|bound| !bound.is_empty())
}

/// The members this directory took part in founding its cluster with; empty if it joined a cluster that was there.
fn founders(plan: &Plan, own: Local, bound: &BTreeMap<MemberId, Incarnation>) -> Vec<Known> {
    let ids: Vec<MemberId> = bound.keys().copied().collect();
    // A binding that led to nothing may be left from before it joined.
    if !bound.contains_key(&own.member) || identity::cluster_id(&ids) != own.cluster {
        return Vec::new();
    }
    let known = bound.iter().map(|(id, incarnation)| {
        // The flags may have changed since; whoever was founded is then named by ID only.
        let listed = plan.listed.iter().find(|listed| listed.id == *id);
        let (name, peer_urls) = listed
            .map(|listed| (listed.name.clone(), listed.peer_urls.clone()))
            .unwrap_or_default();
        Known { id: *id, name, peer_urls, incarnation: Some(*incarnation) }
    });
    known.collect()
}

/// Who this member is: as the disk says, or as it was just decided, which is written down before anything else.
fn identify(data_dir: &mut DataDir, plan: &Plan, started: &Started) -> Result<Local, RunError> {
    let identity = match (data_dir.identity(), started) {
        (Some(identity), _) => identity,
        (None, Started::Forms { cluster, .. }) => {
            new_identity(*cluster, plan.own.id, plan.incarnation)
        }
        (None, Started::Joins { cluster, member, .. }) => {
            new_identity(*cluster, *member, plan.incarnation)
        }
        (None, Started::Restarts) => new_identity(plan.cluster(), plan.own.id, plan.incarnation),
    };
    if data_dir.identity().is_none() {
        data_dir.identify(identity)?;
    }
    Ok(Local {
        cluster: ClusterId(identity.cluster),
        member: MemberId(identity.member),
        incarnation: identity.incarnation,
    })
}

fn new_identity(cluster: ClusterId, member: MemberId, incarnation: Incarnation) -> Identity {
    Identity { cluster: cluster.0, member: member.0, incarnation: incarnation.0, has_log: false }
}

async fn open_storage(
    config: &Config,
    data_dir: &mut DataDir,
    own: Local,
    metrics: &Arc<Metrics>,
) -> Result<(Log, Arc<Snapshots>), RunError> {
    let is_new = data_dir.identity().is_none_or(|identity| !identity.has_log);
    let observer = metrics.log_observer();
    let options = LogOptions { create: is_new, observer, ..LogOptions::new(own.cluster.0) };
    let log_dir = data_dir.log_dir().to_owned();
    // Reading a log, or making one, takes its time: meanwhile peers that are starting are answered.
    let opened = tokio::task::spawn_blocking(move || Log::open(&log_dir, options)).await;
    let log = opened.map_err(std::io::Error::other)??;
    let keep = match config.max_snapshots {
        Retention::Unlimited => usize::MAX,
        Retention::Newest(count) => count.get(),
    };
    let dir = SnapshotDir::open(&data_dir.snapshot_dir(), own.cluster.0, keep)?;
    let snapshots =
        Snapshots::new(dir, log.clone(), config.snapshot_count.get(), Arc::clone(metrics));
    data_dir.log_created()?;
    Ok((log, Arc::new(snapshots)))
}

/// How long connections to peers may take to close.
const PEER_PATIENCE: Duration = Duration::from_millis(200);

/// The leadership moves away first, while this member still serves: whatever a client sends meanwhile is carried out by the
/// new leader. Then clients are sent away, and only then does the member leave its cluster's sight.
async fn stop_in_good_order(
    config: &Config,
    node: &Node,
    clients: Vec<HttpServer>,
    peers: Vec<HttpServer>,
) {
    tracing::info!("stopping: handing over what others can do");
    node.step_aside().await;
    node.end_watches();
    let patience = request_timeout(config.election_timeout);
    let stops = clients.into_iter().map(|server| server.shutdown(patience));
    futures_util::future::join_all(stops).await;
    node.shut_down().await;
    let stops = peers.into_iter().map(|server| server.shutdown(PEER_PATIENCE));
    futures_util::future::join_all(stops).await;
    tracing::info!("stopped");
}
