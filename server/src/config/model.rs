//! What the rest of the server sees of the configuration: one typed, validated value.
//!
//! Invariant: a `Config` that exists has passed every check that needs no data directory and no other member.
//! Left out: where each value came from (`settings`), and checks of the first start (`cluster`).

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::cluster::InitialCluster;
use super::discovery::Discovery;
use super::tls::TlsConfig;
use super::urls::{AdvertiseUrl, ListenUrl};
use crate::logging::LogSettings;

/// Everything a member is told at its start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// This member's name (`--name`), never empty.
    pub name: String,
    /// Where the member keeps its data (`--data-dir`).
    pub data_dir: PathBuf,
    /// A directory for the log alone (`--wal-dir`); inside the data directory when not given.
    pub wal_dir: Option<PathBuf>,
    /// A snapshot is taken after this many entries (`--snapshot-count`).
    pub snapshot_count: NonZeroU64,
    /// How many snapshots are kept (`--max-snapshots`).
    pub max_snapshots: Retention,
    /// How many log segments that are no longer needed are kept (`--max-wals`).
    pub max_wals: Retention,
    /// How often a leader tells that it lives (`--heartbeat-interval`).
    pub heartbeat_interval: Duration,
    /// How long a follower waits for a sign of life before it stands for election (`--election-timeout`).
    /// At least five heartbeats, at most 50 s.
    pub election_timeout: Duration,
    /// Where peers are listened to (`--listen-peer-urls`), never empty.
    pub listen_peer_urls: Vec<ListenUrl>,
    /// Where clients are listened to (`--listen-client-urls`), never empty.
    pub listen_client_urls: Vec<ListenUrl>,
    /// Additional listeners for `/metrics` and `/health` (`--listen-metrics-urls`).
    pub listen_metrics_urls: Vec<ListenUrl>,
    /// The peer URLs told to the cluster when it is formed (`--initial-advertise-peer-urls`), never empty.
    pub initial_advertise_peer_urls: Vec<AdvertiseUrl>,
    /// The client URLs told to the cluster at each start (`--advertise-client-urls`), never empty.
    pub advertise_client_urls: Vec<AdvertiseUrl>,
    /// The members a new cluster is formed of (`--initial-cluster`); nobody if the list has to be learned.
    pub initial_cluster: InitialCluster,
    /// Where the list of members comes from (`--discovery`, `--discovery-srv` and what goes with them).
    pub discovery: Discovery,
    /// Whether this member forms a cluster or joins one (`--initial-cluster-state`).
    pub initial_cluster_state: InitialClusterState,
    /// Salt of the cluster ID (`--initial-cluster-token`).
    pub initial_cluster_token: String,
    /// Refuse membership changes that would cost the quorum (`--strict-reconfig-check`).
    pub strict_reconfig_check: bool,
    /// Origins that browsers may call from (`--cors`).
    pub cors: Allowed,
    /// Host names that requests may be addressed to (`--host-whitelist`).
    pub host_whitelist: Allowed,
    /// How connections are protected (`--cert-file`, `--peer-cert-file` and what goes with them).
    pub tls: TlsConfig,
    /// What is logged, how and where (`--log-level`, `--logger`, `--log-outputs`, `--debug`).
    pub logging: LogSettings,
}

/// How many files of a kind are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retention {
    /// None is ever removed (written 0).
    Unlimited,
    /// The newest so many are kept.
    Newest(NonZeroUsize),
}

/// What `--initial-cluster-state` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InitialClusterState {
    /// The members listed form a new cluster.
    New,
    /// The cluster exists; this member was added to it.
    Existing,
    /// The member finds out from the others, and refuses to start rather than guess.
    Auto,
}

impl InitialClusterState {
    /// The value as written on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Existing => "existing",
            Self::Auto => "auto",
        }
    }
}

/// A list of allowed names, or no restriction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// Everything is allowed (written empty or `*`).
    Any,
    /// Only these, exactly as written.
    Only(Vec<String>),
}

impl Allowed {
    /// Whether `name` may pass.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => names.iter().any(|allowed| allowed == name),
        }
    }
}
