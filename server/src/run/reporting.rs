//! The discovery service as a member knows it, by its flags or by its peers: how it is connected to, and, if it is one of ours and
//! may be told, the reports to it.
//!
//! Invariant: with `--discovery-report=false` there is no task, nothing is sent, no peer is asked or told where to send, and what one
//! told before is forgotten.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use quorate_core::bootstrap::Disk;
use quorate_transport::http_client::{Connector, PlainConnector};
use quorate_transport::tls::{TlsSettings, Trust};
use tokio::runtime::Handle;

use super::protection::{Protection, discovery_connector};
use super::{RunError, beginning, disk};
use crate::bootstrap::learned_file::LearnedFile;
use crate::config::{AdvertiseUrl, Config, Fallback, ListenUrl, MemberSource};
use crate::reports::{
    Connect, Inherited, Papers, Prober, Reporter, Reports, Service, Tally, Target, Teller,
    Whereabouts, Whom,
};
use crate::storage::data_dir::DataDir;

/// See the module.
pub(super) struct Discovering {
    /// What opens connections to the service that the flags name.
    pub(super) connector: Arc<dyn Connector>,
    /// Where to leave what is to be reported.
    pub(super) reports: Reports,
    /// Where reports go, for peers that ask.
    pub(super) whereabouts: Whereabouts,
    /// How they fare.
    pub(super) tally: Tally,
    _reporter: Option<Reporter>,
}

impl Discovering {
    /// Reads the files that the connection needs, and starts to report on `runtime`.
    pub(super) fn start(
        config: &Config,
        data_dir: &DataDir,
        protection: &Protection,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        let discovery = &config.discovery;
        let is_told = matches!(discovery.source, MemberSource::Flag | MemberSource::Srv(_));
        if (!discovery.reports || !is_told)
            && let Err(error) = Inherited::forget(data_dir.path())
        {
            tracing::warn!(%error, "what other members said of their discovery service cannot be removed from the data directory");
        }
        let authorities = discovery.tls.as_ref().and_then(authorities);
        let Some(target) = Target::of_flags(&discovery.source, authorities) else {
            let inherited = Inherited::new(data_dir.path(), connect(config, runtime));
            let whom = Whom::Peers(inherited);
            return Ok(Self::telling(config, protection, runtime, Arc::new(PlainConnector), whom));
        };
        let proxy = discovery.proxy.as_ref();
        let connector = match discovery_connector(proxy, discovery.tls.as_ref(), runtime) {
            Ok(connector) => connector,
            Err(error) if looks_up(config, data_dir) => return Err(error.into()),
            // Files for the forming are often gone after it. Whoever has data needs no service.
            Err(error) => {
                tracing::warn!(%error, "nothing is reported to the discovery service");
                return Ok(Self::silent(Arc::new(PlainConnector)));
            }
        };
        let service = Service::new(&target, Arc::clone(&connector));
        let whom = Whom::Named(target, service);
        Ok(Self::telling(config, protection, runtime, connector, whom))
    }

    fn telling(
        config: &Config,
        protection: &Protection,
        runtime: &Handle,
        connector: Arc<dyn Connector>,
        whom: Whom,
    ) -> Self {
        let silent = Self::silent(connector);
        if !config.discovery.reports {
            return silent;
        }
        let teller = Teller {
            own: beginning::as_advertised(config).id,
            client_urls: config.advertise_client_urls.iter().map(ToString::to_string).collect(),
            metrics_urls: metrics_urls(config),
            prober: Prober::new(protection.probing_connector()),
            papers: papers(config, protection),
            whereabouts: silent.whereabouts.clone(),
            tally: silent.tally.clone(),
        };
        let (reports, reporter) = Reports::start(teller, whom, runtime);
        Self { reports, _reporter: Some(reporter), ..silent }
    }

    fn silent(connector: Arc<dyn Connector>) -> Self {
        let (whereabouts, tally) = (Whereabouts::default(), Tally::default());
        Self { connector, reports: Reports::default(), whereabouts, tally, _reporter: None }
    }
}

/// How a service is connected to that another member tells of: by this member's own flags as far as they say, else by the authorities
/// that came along, else by the system's.
fn connect(config: &Config, runtime: &Handle) -> Connect {
    let (proxy, own) = (config.discovery.proxy.clone(), config.discovery.tls.clone());
    let runtime = runtime.clone();
    Box::new(move |target| {
        let told = || {
            let trust = target.authorities().map(|path| Trust::Bundle(path.to_owned()));
            TlsSettings::dialling("discovery", None, trust.unwrap_or(Trust::System))
        };
        let tls = target.is_tls().then(|| own.clone().unwrap_or_else(told));
        discovery_connector(proxy.as_ref(), tls.as_ref(), &runtime)
    })
}

/// The authorities that the flags name.
fn authorities(settings: &TlsSettings) -> Option<PathBuf> {
    match &settings.trust {
        Trust::Bundle(path) => Some(path.clone()),
        Trust::System | Trust::Anybody => None,
    }
}

/// Whether this start has to ask the service who the members are.
fn looks_up(config: &Config, data_dir: &DataDir) -> bool {
    let is_proxy = || {
        config.discovery.fallback == Fallback::Proxy
            && LearnedFile::open(data_dir.path()).is_ok_and(|file| !file.proxied().is_empty())
    };
    disk(data_dir) == Disk::Fresh && !is_proxy()
}

fn papers(config: &Config, protection: &Protection) -> Papers {
    let hosts = |urls: &[AdvertiseUrl]| {
        let mut hosts: Vec<String> =
            urls.iter().filter_map(|url| url.host()).map(str::to_owned).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    };
    let mut papers = Papers::default();
    if let Some(credentials) = protection.peer_credentials() {
        let hosts = hosts(&config.initial_advertise_peer_urls);
        papers.add(credentials, "initial-advertise-peer-urls", hosts);
    }
    if let Some(credentials) = protection.client_credentials() {
        papers.add(credentials, "advertise-client-urls", hosts(&config.advertise_client_urls));
    }
    papers
}

/// Where others find the listeners for metrics: under the host that clients use, if they listen on all addresses.
fn metrics_urls(config: &Config) -> Vec<String> {
    let advertised = config.advertise_client_urls.iter().find_map(|url| url.host());
    let is_near =
        |host: &str| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let shown = |url: &ListenUrl| {
        let host = if url.is_wildcard() { advertised } else { url.host() };
        // Who follows from elsewhere finds the same metrics at the client URLs.
        let host = host.filter(|host| !is_near(host) || advertised.is_none_or(is_near));
        Some(format!("{}://{}:{}", url.scheme().as_str(), bracketed(host?), url.port()?))
    };
    config.listen_metrics_urls.iter().filter_map(shown).collect()
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
