//! Makes of what was read from files what the library needs: what judges the other end, and what handshakes are done with.
//!
//! Invariant: where a certificate is demanded, no session is resumed: a resumed one would not be verified again.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::{SupportedProtocolVersion, version};

use super::error::TlsError;
use super::loaded::{Authorities, Shown};
use super::settings::{TlsSettings, Trust, Version};
use super::verifier::{Anybody, ConnectedTo, Connecting, Guard};

/// See the module.
pub(super) struct Maker<'a> {
    settings: &'a TlsSettings,
    provider: Arc<CryptoProvider>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        settings: &'a TlsSettings,
        revocations: Vec<CertificateRevocationListDer<'static>>,
    ) -> Self {
        Self { settings, provider: Arc::new(provider(settings)), revocations }
    }

    /// What judges who connects.
    pub(super) fn connecting(
        &self,
        authorities: Option<&Authorities>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let demanded = authorities
            .filter(|_| self.settings.listens && matches!(self.settings.trust, Trust::Bundle(_)));
        let Some(authorities) = demanded else { return Ok(None) };
        let roots = Arc::clone(&authorities.roots);
        let mut library =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .with_crls(self.revocations.iter().cloned());
        if !self.revocations.is_empty() {
            library = library.allow_unknown_revocation_status().enforce_revocation_expiration();
        }
        let library = library.build().map_err(|error| self.bad_revocations(&error))?;
        Ok(Some(Arc::new(Connecting { library, guard: self.guard(authorities) })))
    }

    /// What judges who is connected to.
    pub(super) fn connected_to(
        &self,
        authorities: Option<&Authorities>,
    ) -> Result<Option<Arc<dyn ServerCertVerifier>>, TlsError> {
        let Some(authorities) = authorities.filter(|_| self.settings.dials) else {
            return Ok(None);
        };
        let roots = Arc::clone(&authorities.roots);
        let mut library =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .with_crls(self.revocations.iter().cloned());
        if !self.revocations.is_empty() {
            library = library.allow_unknown_revocation_status().enforce_revocation_expiration();
        }
        let library = library.build().map_err(|error| self.bad_revocations(&error))?;
        Ok(Some(Arc::new(ConnectedTo { library, guard: self.guard(authorities) })))
    }

    /// For accepted connections.
    pub(super) fn server(
        &self,
        shown: &Shown<'_>,
        connecting: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&versions(self.settings))
            .map_err(unusable)?;
        let demands = connecting.is_some();
        let builder = match connecting {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder
            .with_single_cert(shown.chain.clone(), shown.key.clone_key())
            .map_err(|error| shown.unusable(&error))?;
        config.alpn_protocols = self.settings.protocols.iter().map(|it| it.name().into()).collect();
        if demands {
            // A resumed session is not verified again: whoever is revoked meanwhile must not come back by it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    /// For opened connections.
    pub(super) fn client(
        &self,
        shown: Option<&Shown<'_>>,
        connected_to: Option<Arc<dyn ServerCertVerifier>>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&versions(self.settings))
            .map_err(unusable)?
            .dangerous();
        let builder = match (connected_to, &self.settings.trust) {
            (None, Trust::Anybody) => builder
                .with_custom_certificate_verifier(Arc::new(Anybody(Arc::clone(&self.provider)))),
            // Trusting everyone is only ever asked for by name; a lack of authorities must not come to mean it.
            (None, Trust::Bundle(_) | Trust::System) => {
                let missing = "there are no authorities to verify the other end by";
                let advice = "name a file that holds them";
                return Err(TlsError::new("the authorities", missing, advice));
            }
            (Some(verifier), _) => builder.with_custom_certificate_verifier(verifier),
        };
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => builder
                .with_client_auth_cert(shown.chain.clone(), shown.key.clone_key())
                .map_err(|error| shown.unusable(&error))?,
        };
        config.alpn_protocols = self.settings.protocols.iter().map(|it| it.name().into()).collect();
        // As above: each connection is verified.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    fn guard(&self, authorities: &Authorities) -> Guard {
        Guard { allowed: self.settings.allowed.clone(), authorities_end: authorities.last_end }
    }

    fn bad_revocations(&self, error: &impl ToString) -> TlsError {
        let path = self.settings.revocations.as_deref().unwrap_or(Path::new(""));
        let advice = "make it anew: version 2, with a next update, and no delta (openssl ca -gencrl with crl_extensions)";
        TlsError::file("the revocation list", path, error.to_string(), advice)
    }
}

fn unusable(error: rustls::Error) -> TlsError {
    TlsError::new(
        "the versions of TLS and the cipher suites",
        error,
        "choose ones that fit each other",
    )
}

fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let chosen = &settings.suites;
    if chosen.is_empty() {
        return provider;
    }
    let names_tls13 = chosen.iter().any(|suite| suite.version() == Version::Tls13);
    provider.cipher_suites.retain(|suite| {
        // As in Go, a list without a suite of TLS 1.3 says nothing about TLS 1.3.
        (suite.tls13().is_some() && !names_tls13)
            || chosen.iter().any(|chosen| chosen.supported() == *suite)
    });
    provider
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)];
    let spoken = |version: Version| {
        version >= settings.versions.min && settings.versions.max.is_none_or(|max| version <= max)
    };
    all.into_iter().filter(|(version, _)| spoken(*version)).map(|(_, it)| it).collect()
}
