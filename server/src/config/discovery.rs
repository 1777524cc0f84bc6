//! Where the list of members comes from: a flag, a discovery URL, or DNS; and what the flags about it come to.
//!
//! Invariant: exactly one source. The discovery URL is kept as it was written, because the members' IDs are salted with it;
//! whoever knows it can take a place in the cluster, so it is never shown whole.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use quorate_transport::dns::{DNS_PORT, Dns};
use quorate_transport::endpoint::{Address, Endpoint};
use quorate_transport::tls::{KeyPairFiles, TlsSettings, Trust};

use super::error::ConfigError;
use super::settings::Settings;
use super::tls::TlsConfigError;
use super::value;

/// Ports of URLs without one.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Everything about learning the list of members.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Discovery {
    /// Where the list comes from.
    pub source: MemberSource,
    /// How long it may take to become complete (`--discovery-timeout`); for ever if `None`.
    pub timeout: Option<Duration>,
    /// What a member does that comes when all places are taken (`--discovery-fallback`).
    pub fallback: Fallback,
    /// The HTTP proxy that the service is reached through (`--discovery-proxy`).
    pub proxy: Option<Endpoint>,
    /// Whether a service of ours is told how this member is (`--discovery-report`).
    pub reports: bool,
    /// Where names are looked up (`--dns-server`).
    pub dns: Dns,
    /// How the connection to the service is protected, if its URL asks for it (`--discovery-cacert`, `--discovery-cert`,
    /// `--discovery-key`).
    pub tls: Option<TlsSettings>,
}

/// Where the list of members comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MemberSource {
    /// `--initial-cluster`.
    Flag,
    /// The registry at this URL (`--discovery`).
    Url(DiscoveryUrl),
    /// A token of our own discovery service, by its native API (`--discovery-token`, `--discovery-endpoints`).
    Token(DiscoveryToken),
    /// DNS SRV records (`--discovery-srv`).
    Srv(SrvNames),
}

/// What `--discovery-fallback` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// To end, with a reason.
    Exit,
    /// To serve clients by asking the members.
    Proxy,
}

/// The URL of a discovery token.
#[derive(Clone, Eq, PartialEq)]
pub struct DiscoveryUrl {
    text: String,
    endpoint: Endpoint,
    path: String,
}

impl DiscoveryUrl {
    /// The text as it was given: the salt of the members' IDs.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the service is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The token's path, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads a URL; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => HTTP_PORT,
            "https" => HTTPS_PORT,
            _ => return Err("its scheme is neither http nor https"),
        };
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment, which no token has");
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("it names a user, which a discovery service does not know");
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let whole =
            if has_port { authority.to_owned() } else { format!("{authority}:{default_port}") };
        let endpoint: Endpoint =
            format!("{scheme}://{whole}").parse().map_err(|_| "its host or port is malformed")?;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.is_empty() {
            return Err("it has no path, and so names no token");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has a character that must be escaped");
        }
        Ok(Self { text: text.to_owned(), endpoint, path: format!("/{}", segments.join("/")) })
    }
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/..", self.endpoint)
    }
}

impl fmt::Debug for DiscoveryUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A token's secret to join, and where the service is.
#[derive(Clone, Eq, PartialEq)]
pub struct DiscoveryToken {
    /// The secret: the salt of the members' IDs, too.
    pub secret: String,
    /// The service's replicas, in the order to try them.
    pub endpoints: Vec<Endpoint>,
}

impl fmt::Debug for DiscoveryToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.endpoints)
    }
}

/// Which SRV records name the members.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SrvNames {
    /// The domain (`--discovery-srv`).
    pub domain: String,
    /// What is added to the services' names (`--discovery-srv-name`).
    pub suffix: Option<String>,
    /// How many members there are (`--discovery-srv-expect`).
    pub expect: Option<NonZeroUsize>,
}

impl SrvNames {
    /// The full name of a service's records: `_etcd-server._tcp.example.com`.
    pub fn name(&self, service: &str) -> String {
        match &self.suffix {
            Some(suffix) => format!("_{service}-{suffix}._tcp.{}", self.domain),
            None => format!("_{service}._tcp.{}", self.domain),
        }
    }
}

/// Reads the flags about the source of the list.
pub(super) fn config(settings: &Settings) -> Result<Discovery, ConfigError> {
    let given: Vec<&str> = ["initial-cluster", "discovery", "discovery-srv", "discovery-token"]
        .into_iter()
        .filter(|flag| settings.given(flag).is_some())
        .collect();
    if given.len() > 1 {
        let given = given.iter().map(|flag| format!("--{flag}")).collect::<Vec<_>>().join(", ");
        return Err(ConfigError::SeveralSources { given });
    }
    Ok(Discovery {
        source: source(settings)?,
        timeout: Some(value::duration(settings.text("discovery-timeout")).unwrap_or_default())
            .filter(|timeout| !timeout.is_zero()),
        fallback: match settings.text("discovery-fallback") {
            "proxy" => Fallback::Proxy,
            _ => Fallback::Exit,
        },
        proxy: proxy(settings)?,
        reports: value::boolean(settings.text("discovery-report")).unwrap_or_default(),
        dns: dns(settings)?,
        tls: tls(settings)?,
    })
}

/// A service at an https:// URL is verified by the authorities named, or else by the system's.
fn tls(settings: &Settings) -> Result<Option<TlsSettings>, ConfigError> {
    let path = |flag: &str| settings.given(flag).map(PathBuf::from);
    let (certificate, key) = (path("discovery-cert"), path("discovery-key"));
    let half = |given: &str, lacking: &str| {
        let (given, lacking) = (given.to_owned(), lacking.to_owned());
        Err(ConfigError::from(TlsConfigError::HalfAPair { given, lacking }))
    };
    let key_pair = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(KeyPairFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return half("discovery-cert", "discovery-key"),
        (None, Some(_)) => return half("discovery-key", "discovery-cert"),
    };
    let trust = path("discovery-cacert").map_or(Trust::System, Trust::Bundle);
    let is_https = match source(settings)? {
        MemberSource::Url(url) => url.endpoint().is_tls,
        MemberSource::Token(token) => token.endpoints.iter().any(|endpoint| endpoint.is_tls),
        MemberSource::Flag | MemberSource::Srv(_) => false,
    };
    // Who joins a cluster may be told by its members of a service, to report there.
    let may_be_told = settings.text("initial-cluster-state") != "new"
        && matches!(source(settings)?, MemberSource::Flag | MemberSource::Srv(_));
    let is_given = key_pair.is_some() || trust != Trust::System;
    if may_be_told && is_given {
        return Ok(Some(TlsSettings::dialling("discovery", key_pair, trust)));
    }
    if !is_https {
        let flag = ["discovery-cacert", "discovery-cert"]
            .into_iter()
            .find(|flag| settings.given(flag).is_some());
        return match flag {
            None => Ok(None),
            Some(flag) => Err(ConfigError::Discovery {
                flag,
                origin: settings.origin(flag),
                reason: "there is no discovery service with an https:// URL, so nobody would be verified",
            }),
        };
    }
    Ok(Some(TlsSettings::dialling("discovery", key_pair, trust)))
}

/// As in etcd, a proxy without a scheme is spoken to in HTTP. A user in its URL would have to be kept secret, and is refused.
fn proxy(settings: &Settings) -> Result<Option<Endpoint>, ConfigError> {
    let flag = "discovery-proxy";
    let Some(text) = settings.given(flag).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bad = |reason| ConfigError::Discovery { flag, origin: settings.origin(flag), reason };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match whole.parse() {
        Ok(Endpoint { is_tls: true, .. }) => Err(bad(
            "a proxy is spoken to in plain HTTP (what goes through it to https:// is protected all the same)",
        )),
        Ok(endpoint @ Endpoint { address: Address::Tcp { .. }, .. }) => Ok(Some(endpoint)),
        _ => Err(bad(
            "it is no address of an HTTP proxy, such as http://192.0.2.1:3128, without a user and a path",
        )),
    }
}

/// A URL as it may be shown: without the token.
pub(super) fn masked(url: &str) -> String {
    DiscoveryUrl::parse(url).map_or_else(|_| "..".to_owned(), |url| url.to_string())
}

fn source(settings: &Settings) -> Result<MemberSource, ConfigError> {
    let bad = |flag: &'static str, reason: &'static str| ConfigError::Discovery {
        flag,
        origin: settings.origin(flag),
        reason,
    };
    if let Some(url) = settings.given("discovery") {
        let url = DiscoveryUrl::parse(url).map_err(|reason| bad("discovery", reason))?;
        return Ok(MemberSource::Url(url));
    }
    if settings.given("discovery-token").is_some()
        || settings.given("discovery-endpoints").is_some()
    {
        return token(settings)
            .map(MemberSource::Token)
            .map_err(|(flag, reason)| bad(flag, reason));
    }
    let Some(domain) = settings.given("discovery-srv") else { return Ok(MemberSource::Flag) };
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    };
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if !is_name(domain) {
        return Err(bad("discovery-srv", "it is no domain name, such as example.com"));
    }
    let suffix = settings.given("discovery-srv-name").map(str::to_owned);
    if suffix.as_deref().is_some_and(|suffix| !is_name(suffix) || suffix.contains('.')) {
        return Err(bad("discovery-srv-name", "it is no part of a name, such as prod"));
    }
    let expect = settings.text("discovery-srv-expect").parse().unwrap_or_default();
    let expect = NonZeroUsize::new(expect);
    Ok(MemberSource::Srv(SrvNames { domain: domain.to_owned(), suffix, expect }))
}

fn token(settings: &Settings) -> Result<DiscoveryToken, (&'static str, &'static str)> {
    let (secret, endpoints) = ("discovery-token", "discovery-endpoints");
    let text =
        settings.given(secret).ok_or((endpoints, "--discovery-token is not given with it"))?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err((secret, "it is no token's secret to join"));
    }
    let urls = settings.given(endpoints);
    let urls = urls.ok_or((secret, "--discovery-endpoints does not say where the service is"))?;
    let parsed: Option<Vec<Endpoint>> = value::items(urls).map(|url| url.parse().ok()).collect();
    let is_tcp = |at: &Endpoint| matches!(at.address, Address::Tcp { .. });
    let parsed = parsed.filter(|all| !all.is_empty() && all.iter().all(is_tcp));
    let endpoints = parsed.ok_or((endpoints, "it is no list of http:// or https:// URLs"))?;
    Ok(DiscoveryToken { secret: text.to_owned(), endpoints })
}

fn dns(settings: &Settings) -> Result<Dns, ConfigError> {
    let flag = "dns-server";
    let Some(text) = settings.given(flag) else { return Ok(Dns::System) };
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_default = |ip: IpAddr| SocketAddr::new(ip, DNS_PORT);
    let address = text.parse().or_else(|_| bare.parse().map(with_default));
    address.map(Dns::Server).map_err(|_| ConfigError::Discovery {
        flag,
        origin: settings.origin(flag),
        reason: "it is no address of a server, such as 192.0.2.53 or [2001:db8::53]:5353",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_urls_name_a_service_and_a_token() {
        let cases = [
            ("http://d.example/t", "http://d.example:80", "/t"),
            ("https://d.example/v2/keys//x/t/", "https://d.example:443", "/v2/keys/x/t"),
            ("HTTP://192.0.2.1:2379/t", "http://192.0.2.1:2379", "/t"),
            ("https://[2001:db8::1]/t", "https://[2001:db8::1]:443", "/t"),
        ];
        for (text, endpoint, path) in cases {
            let url = DiscoveryUrl::parse(text).expect(text);
            assert_eq!(
                (url.text(), url.endpoint().to_string().as_str(), url.path()),
                (text, endpoint, path)
            );
            assert_eq!(url.to_string(), format!("{endpoint}/.."));
        }
        for (text, reason) in [
            ("d.example/t", "no scheme"),
            ("ftp://d.example/t", "neither http nor https"),
            ("http://d.example", "no token"),
            ("http://d.example/", "no token"),
            ("http://d.example/t?size=3", "query"),
            ("http://u:p@d.example/t", "user"),
            ("http://:80/t", "malformed"),
            ("http://d.example:x/t", "malformed"),
            ("http://d.example/a b", "escaped"),
        ] {
            let error = DiscoveryUrl::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
