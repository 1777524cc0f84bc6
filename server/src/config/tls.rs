//! The TLS flags of both sides, made into what the transport understands, and the faults that show without a file.
//!
//! Invariant: nothing that was asked for is left out without a word. A flag that could only be ignored is refused when
//! ignoring it would let more people in. Left out: reading the files.

use std::path::{Path, PathBuf};

use quorate_transport::tls::{
    AllowedName, KeyPairFiles, Protocol, Suite, TlsSettings, Trust, Version, Versions,
};

use super::cluster::InitialCluster;
use super::settings::Settings;
use super::urls::{AdvertiseUrl, ListenUrl, Scheme};
use super::value;

/// Where a self-made certificate lies in the data directory: etcd's place.
const SELF_MADE: &str = "fixtures";

/// Why TLS flags can't be used together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TlsConfigError {
    /// A listen URL asks for TLS and there is nothing to show.
    #[error(
        "TLS key/cert (--{prefix}cert-file, --{prefix}key-file) must be provided for {side} url {url} with HTTPS \
         scheme; name the two files, or use http:// if plain HTTP is acceptable on this network"
    )]
    NoCertificate {
        /// `peer-` or nothing.
        prefix: &'static str,
        /// `peer` or `client`.
        side: &'static str,
        /// The URL.
        url: String,
    },
    /// One of two files is missing.
    #[error(
        "--{given} is given without --{lacking}; a certificate is of use only together with its key: name both"
    )]
    HalfAPair {
        /// The flag that is there.
        given: String,
        /// The one that isn't.
        lacking: String,
    },
    /// A flag judges certificates, and nobody is asked for one.
    #[error(
        "--{flag} is given without --{prefix}trusted-ca-file: nobody would be asked for a certificate, so it would check \
         nothing; name the file of the authorities whose certificates are accepted"
    )]
    NoAuthorities {
        /// The flag.
        flag: String,
        /// `peer-` or nothing.
        prefix: &'static str,
    },
    /// Both ways to choose among valid certificates.
    #[error(
        "--peer-cert-allowed-cn and --peer-cert-allowed-hostname are mutually exclusive (cn={cn}, hostname={hostname}); \
         use one of them"
    )]
    TwoAllowedNames {
        /// The common name.
        cn: String,
        /// The host name.
        hostname: String,
    },
    /// A version that isn't spoken.
    #[error(
        "unexpected TLS version {text:?} for --{flag}; it is TLS1.2 or TLS1.3, older ones are not spoken"
    )]
    Version {
        /// The flag.
        flag: &'static str,
        /// What it says.
        text: String,
    },
    /// Nothing between the two.
    #[error(
        "min version ({min}) is greater than max version ({max}); swap --tls-min-version and --tls-max-version"
    )]
    NoVersion {
        /// The lowest.
        min: String,
        /// The highest.
        max: String,
    },
    /// A suite that can't be offered.
    #[error("unexpected TLS cipher suite in --cipher-suites: {0}")]
    Suite(#[from] quorate_transport::tls::suites::SuiteError),
    /// Suites and versions don't fit.
    #[error(
        "none of the --cipher-suites is of a version from --tls-min-version to --tls-max-version; add one that is"
    )]
    NoSuite,
}

/// What each URL flag says, as far as TLS depends on it.
pub(super) struct Urls<'a> {
    pub(super) peer_listeners: &'a [ListenUrl],
    pub(super) client_listeners: &'a [ListenUrl],
    pub(super) metrics_listeners: &'a [ListenUrl],
    pub(super) peers_advertised: &'a [AdvertiseUrl],
    pub(super) clients_advertised: &'a [AdvertiseUrl],
    pub(super) cluster: &'a InitialCluster,
}

/// TLS for both sides; `None` where nothing asks for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsConfig {
    /// For clients, and for metrics on a port of their own.
    pub client: Option<TlsSettings>,
    /// For other members.
    pub peer: Option<TlsSettings>,
    /// Whether the common name of a client's certificate is its user's name. As in etcd, only `--client-cert-auth` makes it
    /// so; authorities alone merely demand a certificate.
    pub client_names_are_users: bool,
}

/// Makes the settings of both sides.
pub(super) fn config(
    settings: &mut Settings,
    urls: &Urls<'_>,
) -> Result<TlsConfig, TlsConfigError> {
    let (versions, suites) = (versions(settings)?, suites(settings)?);
    judge_suites(versions, &suites)?;
    let data_dir = PathBuf::from(settings.text("data-dir"));
    let is_https = |url: &&ListenUrl| url.scheme() == Scheme::Https;
    // A plain port for metrics is a choice of its own; only a protected one has to do with the certificates.
    let metrics = urls.metrics_listeners.iter().filter(is_https);
    let client_listeners: Vec<ListenUrl> =
        urls.client_listeners.iter().chain(metrics).cloned().collect();
    let client = Side { settings, is_peer: false, versions, suites: suites.clone() };
    let client = client.make(&client_listeners, urls.clients_advertised, false, &data_dir)?;
    let mut peers = urls.cluster.members().flat_map(|(_, urls)| urls).chain(urls.peers_advertised);
    let dials = peers.any(|url| url.scheme() == Scheme::Https);
    let peer = Side { settings, is_peer: true, versions, suites };
    let peer = peer.make(urls.peer_listeners, urls.peers_advertised, dials, &data_dir)?;
    let names_users = value::boolean(settings.text("client-cert-auth")) == Some(true);
    Ok(TlsConfig { client, peer, client_names_are_users: names_users })
}

struct Side<'a> {
    settings: &'a mut Settings,
    is_peer: bool,
    versions: Versions,
    suites: Vec<Suite>,
}

impl Side<'_> {
    fn make(
        self,
        listeners: &[ListenUrl],
        advertised: &[AdvertiseUrl],
        dials: bool,
        data_dir: &Path,
    ) -> Result<Option<TlsSettings>, TlsConfigError> {
        let protected = listeners.iter().find(|url| url.scheme() == Scheme::Https);
        let files = self.key_pair()?;
        let makes_its_own = self.boolean("auto-tls") && files.is_none();
        let (trust, allowed) = (self.trust(makes_its_own)?, self.allowed()?);
        if let (Some(url), None, false) = (protected, &files, makes_its_own) {
            let (prefix, side) = (self.prefix(), self.side());
            return Err(TlsConfigError::NoCertificate { prefix, side, url: url.to_string() });
        }
        let has_flags = files.is_some() || makes_its_own || trust != Trust::System;
        let revocations = self.path(if self.is_peer { "peer-crl-file" } else { "client-crl-file" });
        let is_wanted = protected.is_some() || dials || (self.is_peer && has_flags);
        let mut made = TlsSettings {
            side: self.side(),
            key_pair: files,
            self_made_for: makes_its_own.then(|| hosts(listeners, advertised)),
            trust,
            listens: true,
            dials: self.is_peer,
            revocations,
            allowed,
            versions: self.versions,
            suites: self.suites.clone(),
            protocols: if self.is_peer { PEER_PROTOCOLS } else { CLIENT_PROTOCOLS },
        };
        if makes_its_own {
            let folder = data_dir.join(SELF_MADE).join(self.side());
            made.key_pair = Some(KeyPairFiles {
                certificate: folder.join("cert.pem"),
                key: folder.join("key.pem"),
            });
        }
        self.warn(listeners, has_flags, &made);
        Ok(is_wanted.then_some(made))
    }

    fn key_pair(&self) -> Result<Option<KeyPairFiles>, TlsConfigError> {
        let (certificate, key) = (self.flag("cert-file"), self.flag("key-file"));
        match (self.path(&certificate), self.path(&key)) {
            (Some(certificate), Some(key)) => Ok(Some(KeyPairFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(TlsConfigError::HalfAPair { given: certificate, lacking: key }),
            (None, Some(_)) => Err(TlsConfigError::HalfAPair { given: key, lacking: certificate }),
        }
    }

    /// As in etcd, authorities alone already demand a certificate. Without them etcd falls back on the system's, which is
    /// either nobody's intention or lets the whole world in.
    fn trust(&self, makes_its_own: bool) -> Result<Trust, TlsConfigError> {
        if let Some(bundle) = self.path(&self.flag("trusted-ca-file")) {
            return Ok(Trust::Bundle(bundle));
        }
        let demands = [
            (self.flag("client-cert-auth"), self.boolean("client-cert-auth")),
            self.given(if self.is_peer { "peer-crl-file" } else { "client-crl-file" }),
            self.given("peer-cert-allowed-cn"),
            self.given(if self.is_peer {
                "peer-cert-allowed-hostname"
            } else {
                "client-cert-allowed-hostname"
            }),
        ];
        if let Some((flag, _)) = demands.into_iter().find(|(_, is_given)| *is_given) {
            return Err(TlsConfigError::NoAuthorities { flag, prefix: self.prefix() });
        }
        Ok(if self.is_peer && makes_its_own { Trust::Anybody } else { Trust::System })
    }

    fn allowed(&self) -> Result<AllowedName, TlsConfigError> {
        let text = |flag: &str| self.settings.given(flag).map(str::to_owned);
        if !self.is_peer {
            let host = text("client-cert-allowed-hostname");
            return Ok(host.map_or(AllowedName::Any, AllowedName::HostName));
        }
        match (text("peer-cert-allowed-cn"), text("peer-cert-allowed-hostname")) {
            (Some(cn), Some(hostname)) => Err(TlsConfigError::TwoAllowedNames { cn, hostname }),
            (Some(cn), None) => Ok(AllowedName::CommonName(cn)),
            (None, Some(host)) => Ok(AllowedName::HostName(host)),
            (None, None) => Ok(AllowedName::Any),
        }
    }

    fn warn(self, listeners: &[ListenUrl], has_flags: bool, made: &TlsSettings) {
        let (prefix, side) = (self.prefix(), self.side());
        let plain = listeners.iter().find(|url| url.scheme() == Scheme::Http);
        let is_protected = listeners.iter().any(|url| url.scheme() == Scheme::Https);
        let is_given = made.key_pair.is_some() && made.self_made_for.is_none();
        if is_given && self.boolean("auto-tls") {
            self.settings.warn(format!(
                "--{prefix}auto-tls has no effect: --{prefix}cert-file and --{prefix}key-file are given"
            ));
        }
        let Some(url) = plain.filter(|_| has_flags) else { return };
        if matches!(made.trust, Trust::Bundle(_)) {
            self.settings.warn(format!(
                "the {side} url {url} is plain HTTP: whoever connects there is let in without a certificate, whatever \
                 --{prefix}trusted-ca-file says; use https:// to demand one"
            ));
        } else if !is_protected {
            self.settings.warn(format!(
                "the {side} url {url} is plain HTTP, and so the certificate is not used; use https:// to use it"
            ));
        }
    }

    fn prefix(&self) -> &'static str {
        if self.is_peer { "peer-" } else { "" }
    }

    fn side(&self) -> &'static str {
        if self.is_peer { "peer" } else { "client" }
    }

    fn flag(&self, stem: &str) -> String {
        format!("{}{stem}", self.prefix())
    }

    fn path(&self, flag: &str) -> Option<PathBuf> {
        self.settings.given(flag).map(PathBuf::from)
    }

    fn boolean(&self, stem: &str) -> bool {
        value::boolean(self.settings.text(&self.flag(stem))).unwrap_or_default()
    }

    /// A flag and whether it is given, if it is one of this side's.
    fn given(&self, flag: &str) -> (String, bool) {
        let is_own = flag.starts_with("peer-") == self.is_peer;
        (flag.to_owned(), is_own && self.settings.given(flag).is_some())
    }
}

const CLIENT_PROTOCOLS: &[Protocol] = &[Protocol::Http2, Protocol::Http11];
/// The links between members begin with an upgrade, which HTTP/2 has not.
const PEER_PROTOCOLS: &[Protocol] = &[Protocol::Http11];

/// The hosts by which this member is reached, as far as its own flags say.
fn hosts(listeners: &[ListenUrl], advertised: &[AdvertiseUrl]) -> Vec<String> {
    let listened = listeners.iter().filter(|url| !url.is_wildcard()).filter_map(ListenUrl::host);
    let advertised = advertised.iter().filter_map(AdvertiseUrl::host);
    let mut hosts: Vec<String> =
        listened.chain(advertised).chain(["localhost", "127.0.0.1"]).map(str::to_owned).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn versions(settings: &Settings) -> Result<Versions, TlsConfigError> {
    let read = |flag: &'static str| match settings.text(flag) {
        "" => Ok(None),
        text => match Version::named(text) {
            Some(version) => Ok(Some(version)),
            None => Err(TlsConfigError::Version { flag, text: text.to_owned() }),
        },
    };
    let (min, max) = (read("tls-min-version")?.unwrap_or_default(), read("tls-max-version")?);
    if max.is_some_and(|max| max < min) {
        let text = |flag| settings.text(flag).to_owned();
        let (min, max) = (text("tls-min-version"), text("tls-max-version"));
        return Err(TlsConfigError::NoVersion { min, max });
    }
    Ok(Versions { min, max })
}

fn suites(settings: &Settings) -> Result<Vec<Suite>, TlsConfigError> {
    let names = value::items(settings.text("cipher-suites"));
    Ok(names.map(Suite::named).collect::<Result<_, _>>()?)
}

/// A list of suites that are all of other versions would change nothing, or leave nothing to offer.
fn judge_suites(versions: Versions, suites: &[Suite]) -> Result<(), TlsConfigError> {
    let is_spoken = |suite: &Suite| {
        suite.version() >= versions.min && versions.max.is_none_or(|max| suite.version() <= max)
    };
    if suites.is_empty() || suites.iter().any(is_spoken) {
        return Ok(());
    }
    Err(TlsConfigError::NoSuite)
}
