//! What TLS is to be like on one side of a program: what to show, whom to trust, whom to let in.

use std::path::PathBuf;

/// The settings of one side: a server's clients, or a member's peers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsSettings {
    /// What the side is called in log lines and metrics: `client` or `peer`.
    pub side: &'static str,
    /// What is shown to the other end; without it nothing can be listened on.
    pub key_pair: Option<KeyPairFiles>,
    /// The hosts that a certificate is to be made for, if this program makes its own at the place of [`Self::key_pair`].
    pub self_made_for: Option<Vec<String>>,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// Whether connections are accepted.
    pub listens: bool,
    /// Whether connections are opened.
    pub dials: bool,
    /// A file of revocation lists.
    pub revocations: Option<PathBuf>,
    /// What else a certificate must say.
    pub allowed: AllowedName,
    /// The versions spoken.
    pub versions: Versions,
    /// The cipher suites offered; empty for all there are.
    pub suites: Vec<Suite>,
    /// The protocols offered by name (ALPN), the preferred one first.
    pub protocols: &'static [Protocol],
}

impl TlsSettings {
    /// For a program that is connected to: shows `key_pair`, and speaks HTTP/2 and HTTP/1.1. With [`Trust::Bundle`]
    /// whoever connects has to show a certificate.
    #[must_use]
    pub fn listening(side: &'static str, key_pair: KeyPairFiles, trust: Trust) -> Self {
        let protocols = &[Protocol::Http2, Protocol::Http11];
        Self { key_pair: Some(key_pair), listens: true, protocols, ..Self::new(side, trust) }
    }

    /// For a program that connects, in HTTP/1.1: believes servers of `trust`, and shows `key_pair` if there is one.
    #[must_use]
    pub fn dialling(side: &'static str, key_pair: Option<KeyPairFiles>, trust: Trust) -> Self {
        Self { key_pair, dials: true, ..Self::new(side, trust) }
    }

    fn new(side: &'static str, trust: Trust) -> Self {
        Self {
            side,
            key_pair: None,
            self_made_for: None,
            trust,
            listens: false,
            dials: false,
            revocations: None,
            allowed: AllowedName::Any,
            versions: Versions::default(),
            suites: Vec::new(),
            protocols: &[Protocol::Http11],
        }
    }
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPairFiles {
    /// The certificate, followed by those of the authorities between it and the root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Whose certificates are accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// Those of the authorities in this file. Whoever connects has to show one.
    Bundle(PathBuf),
    /// Of those that are connected to: the ones of the system's authorities. Whoever connects shows none.
    System,
    /// Any. The traffic is encrypted, and neither end knows with whom it speaks.
    Anybody,
}

/// What a certificate must say besides being valid.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AllowedName {
    /// Nothing.
    #[default]
    Any,
    /// Its subject's only common name is this one.
    CommonName(String),
    /// It is valid for this host.
    HostName(String),
}

/// The versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Versions {
    /// The lowest.
    pub min: Version,
    /// The highest, if not all.
    pub max: Option<Version>,
}

/// A version of TLS. Older ones are not spoken at all.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// Reads `TLS1.2` or `TLS1.3`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "TLS1.2" => Some(Self::Tls12),
            "TLS1.3" => Some(Self::Tls13),
            _ => None,
        }
    }
}

/// A protocol that is spoken inside TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/2.
    Http2,
    /// HTTP/1.1.
    Http11,
}

impl Protocol {
    /// Its name in the handshake.
    #[must_use]
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http11 => b"http/1.1",
        }
    }
}

pub use super::suites::Suite;
