//! The discovery service as a member knows it: how it is connected to, and, if it is one of ours and may be told, the reports
//! to it.
//!
//! Invariant: without a service, or with `--discovery-report=false`, there is no task and nothing is sent.

use std::net::IpAddr;
use std::sync::Arc;

use quorate_core::bootstrap::Disk;
use quorate_transport::http_client::{Connector, PlainConnector};
use tokio::runtime::Handle;

use super::protection::{Protection, discovery_connector};
use super::{RunError, beginning, disk};
use crate::bootstrap::learned_file::LearnedFile;
use crate::config::{AdvertiseUrl, Config, Fallback, ListenUrl, MemberSource};
use crate::reports::{Papers, Prober, Reporter, Reports, Service, Teller};
use crate::storage::data_dir::DataDir;

/// See the module.
pub(super) struct Discovering {
    /// What opens connections to the service.
    pub(super) connector: Arc<dyn Connector>,
    /// Where to leave what is to be reported.
    pub(super) reports: Reports,
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
        let nowhere = |connector| Self { connector, reports: Reports::default(), _reporter: None };
        if !matches!(config.discovery.source, MemberSource::Url(_) | MemberSource::Token(_)) {
            return Ok(nowhere(Arc::new(PlainConnector)));
        }
        let connector = match discovery_connector(config, runtime) {
            Ok(connector) => connector,
            Err(error) if looks_up(config, data_dir) => return Err(error.into()),
            // Files for the forming are often gone after it. Whoever has data needs no service.
            Err(error) => {
                tracing::warn!(%error, "nothing is reported to the discovery service");
                return Ok(nowhere(Arc::new(PlainConnector)));
            }
        };
        let service = match &config.discovery.source {
            MemberSource::Url(url) => Service::of_url(url, Arc::clone(&connector)),
            MemberSource::Token(token) => Service::of_token(token, Arc::clone(&connector)),
            MemberSource::Flag | MemberSource::Srv(_) => return Ok(nowhere(connector)),
        };
        if !config.discovery.reports {
            return Ok(nowhere(connector));
        }
        let teller = Teller {
            service,
            own: beginning::as_advertised(config).id,
            client_urls: config.advertise_client_urls.iter().map(ToString::to_string).collect(),
            metrics_urls: metrics_urls(config),
            prober: Prober::new(protection.probing_connector()),
            papers: papers(config, protection),
        };
        let (reports, reporter) = Reports::start(teller, runtime);
        Ok(Self { connector, reports, _reporter: Some(reporter) })
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
