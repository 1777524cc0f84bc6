//! From settings as text to the typed configuration: defaults that follow from other values, and the checks that
//! need more than one of them.
//!
//! Invariant: every default that is not in the flag table is made here, and noted in the settings with its reason,
//! so that `--print-config` can show it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::cluster::InitialCluster;
use super::discovery::MemberSource;
use super::error::ConfigError;
use super::model::{Allowed, Config, InitialClusterState, Retention};
use super::settings::{Origin, Settings};
use super::urls::{self, AdvertiseUrl, ListenUrl, Scheme};
use super::{DefaultRoute, advertise, discovery, tls, value};
use crate::logging::LogSettings;

/// The longest election timeout etcd takes, in ms: beyond it a cluster would stay without leader for a minute.
const ELECTION_MAX_MS: u64 = 50_000;
/// Fewer heartbeats than this within an election timeout let one lost heartbeat start an election.
const HEARTBEATS_PER_ELECTION_MIN: u64 = 5;
/// Heartbeats in an election timeout when only the interval is given, as in etcd's defaults.
const HEARTBEATS_PER_ELECTION: u64 = 10;
/// Heartbeats in an election timeout when only the timeout is given and it is short: our defaults' own ratio.
const HEARTBEATS_PER_SHORT_ELECTION: u64 = 6;

/// Makes the configuration, and notes the derived values in `settings`.
pub(super) fn config(
    settings: &mut Settings,
    default_route: DefaultRoute<'_>,
) -> Result<Config, ConfigError> {
    let name = settings.text("name").to_owned();
    if settings.given("data-dir").is_none() {
        settings.derive("data-dir", format!("{name}.etcd"), "from --name");
    }
    let (heartbeat_interval, election_timeout) = timing(settings)?;
    let listen_peer_urls = peer_listeners(settings)?;
    let listen_client_urls = listeners(settings, "listen-client-urls")?;
    let listen_metrics_urls = listeners(settings, "listen-metrics-urls")?;
    let initial_advertise_peer_urls = advertise::peer(settings, &listen_peer_urls, default_route)?;
    let advertise_client_urls = advertise::client(settings, &listen_client_urls, default_route)?;
    let discovery = discovery::config(settings)?;
    let initial_cluster = match discovery.source {
        MemberSource::Flag => initial_cluster(settings, &name, &initial_advertise_peer_urls)?,
        MemberSource::Url(_) | MemberSource::Token(_) | MemberSource::Srv(_) => {
            InitialCluster::default()
        }
    };
    let urls = tls::Urls {
        peer_listeners: &listen_peer_urls,
        client_listeners: &listen_client_urls,
        metrics_listeners: &listen_metrics_urls,
        peers_advertised: &initial_advertise_peer_urls,
        clients_advertised: &advertise_client_urls,
        cluster: &initial_cluster,
    };
    let tls = tls::config(settings, &urls)?;
    Ok(Config {
        data_dir: PathBuf::from(settings.text("data-dir")),
        wal_dir: settings.given("wal-dir").map(PathBuf::from),
        snapshot_count: snapshot_count(settings),
        max_snapshots: retention(settings, "max-snapshots"),
        max_wals: retention(settings, "max-wals"),
        heartbeat_interval,
        election_timeout,
        listen_peer_urls,
        listen_client_urls,
        listen_metrics_urls,
        initial_advertise_peer_urls,
        advertise_client_urls,
        initial_cluster,
        discovery,
        initial_cluster_state: match settings.text("initial-cluster-state") {
            "existing" => InitialClusterState::Existing,
            "auto" => InitialClusterState::Auto,
            _ => InitialClusterState::New,
        },
        initial_cluster_token: settings.text("initial-cluster-token").to_owned(),
        strict_reconfig_check: boolean(settings, "strict-reconfig-check"),
        cors: allowed(settings.text("cors")),
        host_whitelist: allowed(settings.text("host-whitelist")),
        tls,
        logging: logging(settings),
        name,
    })
}

/// The two are made to fit each other when only one is given; a given one is never changed.
fn timing(settings: &mut Settings) -> Result<(Duration, Duration), ConfigError> {
    let (heartbeat_ms, election_ms) =
        (number(settings, "heartbeat-interval"), number(settings, "election-timeout"));
    match (settings.given("heartbeat-interval"), settings.given("election-timeout")) {
        (Some(_), None) => {
            let fitting_ms =
                (heartbeat_ms * HEARTBEATS_PER_ELECTION).clamp(election_ms, ELECTION_MAX_MS);
            if fitting_ms != election_ms {
                settings.derive(
                    "election-timeout",
                    fitting_ms.to_string(),
                    "from --heartbeat-interval",
                );
            }
        }
        (None, Some(_)) => {
            let fitting_ms = heartbeat_ms.min((election_ms / HEARTBEATS_PER_SHORT_ELECTION).max(1));
            if fitting_ms != heartbeat_ms {
                settings.derive(
                    "heartbeat-interval",
                    fitting_ms.to_string(),
                    "from --election-timeout",
                );
            }
        }
        _ => {}
    }
    let (heartbeat_ms, election_ms) =
        (number(settings, "heartbeat-interval"), number(settings, "election-timeout"));
    for (flag, ms) in [("heartbeat-interval", heartbeat_ms), ("election-timeout", election_ms)] {
        if ms == 0 {
            return Err(ConfigError::ZeroTiming { flag });
        }
    }
    let (heartbeat, election) =
        (Duration::from_millis(heartbeat_ms), Duration::from_millis(election_ms));
    if election_ms < heartbeat_ms * HEARTBEATS_PER_ELECTION_MIN {
        return Err(ConfigError::ElectionTooShort { election, heartbeat });
    }
    if election_ms > ELECTION_MAX_MS {
        return Err(ConfigError::ElectionTooLong { election });
    }
    Ok((heartbeat, election))
}

fn peer_listeners(settings: &Settings) -> Result<Vec<ListenUrl>, ConfigError> {
    let flag = "listen-peer-urls";
    let listeners = listeners(settings, flag)?;
    match listeners.iter().find(|url| url.scheme() == Scheme::Unix) {
        Some(url) => Err(ConfigError::UnixPeerUrl { flag, url: url.to_string() }),
        None => Ok(listeners),
    }
}

fn listeners(settings: &Settings, flag: &'static str) -> Result<Vec<ListenUrl>, ConfigError> {
    let mut listeners = Vec::new();
    for text in value::items(settings.text(flag)) {
        let url = ListenUrl::parse(text).map_err(|cause| url_error(settings, flag, cause))?;
        if !listeners.contains(&url) {
            listeners.push(url);
        }
    }
    Ok(listeners)
}

pub(super) fn url_error(
    settings: &Settings,
    flag: &'static str,
    cause: urls::UrlError,
) -> ConfigError {
    ConfigError::Url { flag, origin: settings.origin(flag), cause }
}

fn initial_cluster(
    settings: &mut Settings,
    name: &str,
    advertised: &[AdvertiseUrl],
) -> Result<InitialCluster, ConfigError> {
    let flag = "initial-cluster";
    let cluster = match settings.given(flag) {
        Some(text) => InitialCluster::parse(text)?,
        None => {
            let cluster = InitialCluster::of_one(name, advertised);
            settings.derive(
                flag,
                cluster.to_string(),
                "from --name and --initial-advertise-peer-urls",
            );
            cluster
        }
    };
    for url in cluster.members().flat_map(|(_, urls)| urls) {
        advertise::judge_peer_url(flag, url)?;
    }
    if cluster.is_empty() {
        return Err(ConfigError::Empty {
            written: format!("--{flag}"),
            origin: settings.origin(flag),
            advice: "list the members, or leave it out to form a cluster of this member alone",
        });
    }
    Ok(cluster)
}

fn snapshot_count(settings: &Settings) -> NonZeroU64 {
    /// What etcd takes for 0, and the default of the flag.
    const DEFAULT: NonZeroU64 = NonZeroU64::new(100_000).expect("the literal is not zero");
    NonZeroU64::new(number(settings, "snapshot-count")).unwrap_or(DEFAULT)
}

fn retention(settings: &Settings, flag: &str) -> Retention {
    let newest = usize::try_from(number(settings, flag)).unwrap_or(usize::MAX);
    NonZeroUsize::new(newest).map_or(Retention::Unlimited, Retention::Newest)
}

fn allowed(text: &str) -> Allowed {
    let names: Vec<String> = value::items(text).map(str::to_owned).collect();
    if names.is_empty() || names.iter().any(|name| name == "*") {
        Allowed::Any
    } else {
        Allowed::Only(names)
    }
}

fn logging(settings: &mut Settings) -> LogSettings {
    if boolean(settings, "debug") && settings.text("log-level") != "debug" {
        settings.derive("log-level", "debug".to_owned(), "from --debug");
    }
    let outputs: Vec<&str> = value::items(settings.text("log-outputs")).collect();
    LogSettings::from_words(settings.text("log-level"), settings.text("logger"), &outputs)
}

/// A number whose form was checked when the settings were merged.
fn number(settings: &Settings, flag: &str) -> u64 {
    settings.text(flag).parse().unwrap_or_default()
}

/// A boolean whose form was checked when the settings were merged.
fn boolean(settings: &Settings, flag: &str) -> bool {
    value::boolean(settings.text(flag)).unwrap_or_default()
}

/// Whether a person gave the value, by flag or variable.
pub(super) fn given_explicitly(settings: &Settings, flag: &str) -> bool {
    matches!(settings.origin(flag), Origin::CommandLine | Origin::Environment(_))
}
