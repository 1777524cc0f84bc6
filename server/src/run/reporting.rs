//! The discovery service as a member knows it: how it is connected to, and, if it is one of ours and may be told, the reports
//! to it.
//!
//! Invariant: without a service, or with `--discovery-report=false`, there is no task and nothing is sent.

use std::sync::Arc;

use quorate_transport::http_client::{Connector, PlainConnector};
use tokio::runtime::Handle;

use super::protection::{Protection, discovery_connector};
use super::{RunError, beginning};
use crate::config::{AdvertiseUrl, Config, ListenUrl, MemberSource};
use crate::reports::{Papers, Prober, Reporter, Reports, Service, Teller};

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
        protection: &Protection,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        let nowhere = |connector| Self { connector, reports: Reports::default(), _reporter: None };
        if !matches!(config.discovery.source, MemberSource::Url(_) | MemberSource::Token(_)) {
            return Ok(nowhere(Arc::new(PlainConnector)));
        }
        let connector = discovery_connector(config, runtime)?;
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
    let shown = |url: &ListenUrl| {
        let host = if url.is_wildcard() { advertised } else { url.host() };
        Some(format!("{}://{}:{}", url.scheme().as_str(), bracketed(host?), url.port()?))
    };
    config.listen_metrics_urls.iter().filter_map(shown).collect()
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
