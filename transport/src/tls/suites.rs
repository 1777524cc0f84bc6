//! Cipher suites by the names that Go and etcd give them.

use std::fmt;

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as ring;

use super::settings::Version;

/// A cipher suite that can be offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suite(&'static Known);

/// Why a cipher suite can't be offered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SuiteError {
    /// It exists, and is too weak.
    #[error("{0} is refused: it has no forward secrecy or no authenticated encryption; offered can be {names}", names = names())]
    Weak(String),
    /// It doesn't exist.
    #[error("{0} is no cipher suite; offered can be {names}", names = names())]
    Unknown(String),
}

#[derive(Debug, PartialEq)]
struct Known {
    name: &'static str,
    version: Version,
    suite: SupportedCipherSuite,
}

impl Eq for Known {}

/// The best first.
static OFFERED: [Known; 9] = [
    tls13("TLS_AES_256_GCM_SHA384", ring::TLS13_AES_256_GCM_SHA384),
    tls13("TLS_AES_128_GCM_SHA256", ring::TLS13_AES_128_GCM_SHA256),
    tls13("TLS_CHACHA20_POLY1305_SHA256", ring::TLS13_CHACHA20_POLY1305_SHA256),
    tls12("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ring::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    tls12("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ring::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    tls12(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ring::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    tls12("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ring::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    tls12("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ring::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    tls12(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ring::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// The old names that Go still takes.
const OLD_NAMES: [(&str, &str); 2] = [
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// Suites that etcd takes and that are not offered here.
pub const REFUSED: [&str; 17] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_FALLBACK_SCSV",
];

impl Suite {
    /// The suite of this name.
    ///
    /// # Errors
    /// When it is unknown or too weak.
    pub fn named(name: &str) -> Result<Self, SuiteError> {
        let name = OLD_NAMES.iter().find(|(old, _)| *old == name).map_or(name, |(_, now)| now);
        if let Some(known) = OFFERED.iter().find(|known| known.name == name) {
            return Ok(Self(known));
        }
        if REFUSED.contains(&name) {
            return Err(SuiteError::Weak(name.to_owned()));
        }
        Err(SuiteError::Unknown(name.to_owned()))
    }

    /// The version of TLS it belongs to.
    #[must_use]
    pub fn version(self) -> Version {
        self.0.version
    }

    pub(super) fn supported(self) -> SupportedCipherSuite {
        self.0.suite
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// All that can be offered, separated by commas.
#[must_use]
pub fn names() -> String {
    OFFERED.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

const fn tls13(name: &'static str, suite: SupportedCipherSuite) -> Known {
    Known { name, version: Version::Tls13, suite }
}

const fn tls12(name: &'static str, suite: SupportedCipherSuite) -> Known {
    Known { name, version: Version::Tls12, suite }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_names_are_known_and_the_weak_ones_are_refused() {
        assert_eq!(
            Suite::named("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305").unwrap(),
            Suite::named("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256").unwrap()
        );
        assert_eq!(Suite::named("TLS_AES_128_GCM_SHA256").unwrap().version(), Version::Tls13);
        for weak in REFUSED {
            assert!(matches!(Suite::named(weak), Err(SuiteError::Weak(_))), "{weak}");
        }
        assert!(matches!(Suite::named("AES128"), Err(SuiteError::Unknown(_))));
    }

    #[test]
    fn the_page_lists_them_all() {
        let page = include_str!("../../../docs/security.md");
        let listed: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("- `TLS_")?.strip_suffix('`'))
            .collect();
        let all = OFFERED.iter().map(|known| known.name).chain(REFUSED);
        assert_eq!(listed, all.map(|name| name.trim_start_matches("TLS_")).collect::<Vec<_>>());
    }
}
