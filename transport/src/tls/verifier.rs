//! Verifies certificates of the other end: the library's checks of chain, time, usage, name and revocation, and on top of
//! them what the library leaves out: names that are demanded, and authorities that have expired.
//!
//! Invariant: only the leaf's names count.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::certificate::Facts;
use super::settings::AllowedName;

/// A valid certificate that is not let in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unwanted {
    #[error("its subject {subject:?} has not the one common name that is let in, {wanted:?}")]
    CommonName { subject: String, wanted: String },
    #[error("it is not valid for the host name that is let in, {wanted:?}")]
    HostName { wanted: String },
    #[error("every authority that could have signed it has expired")]
    Authorities,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// The checks that the library leaves out.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) allowed: AllowedName,
    /// When the last of the authorities expires, in seconds since 1970.
    pub(super) authorities_end: i64,
}

/// Verifies who connects.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) library: Arc<dyn ClientCertVerifier>,
    pub(super) guard: Guard,
}

/// Verifies who is connected to.
#[derive(Debug)]
pub(super) struct ConnectedTo {
    pub(super) library: Arc<dyn ServerCertVerifier>,
    pub(super) guard: Guard,
}

/// Takes any certificate, as long as the other end has its key.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

tokio::task_local! {
    /// The subject of the last certificate that this task's handshake refused: verifiers are shared by all connections, and
    /// have no other way to say whose certificate it was.
    static REFUSED: RefCell<Option<String>>;
}

/// Subjects are logged up to this length: who is refused chooses them.
const SUBJECT_CHARS_MAX: usize = 200;

/// Runs a handshake, and gives the subject of the certificate that was refused in it, if one was.
pub(super) async fn remembering_refused<T>(work: impl Future<Output = T>) -> (T, Option<String>) {
    let work = async {
        let done = work.await;
        (done, REFUSED.with(RefCell::take))
    };
    REFUSED.scope(RefCell::default(), work).await
}

fn remember_refused(leaf: &CertificateDer<'_>) {
    let Ok(facts) = Facts::of(leaf) else { return };
    let subject = facts.subject.chars().take(SUBJECT_CHARS_MAX).collect();
    // A handshake that nobody watches is told of by its error alone.
    let _ = REFUSED.try_with(|refused| refused.replace(Some(subject)));
}

impl Guard {
    fn check(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        if i64::try_from(now.as_secs()).unwrap_or(i64::MAX) > self.authorities_end {
            return Err(unwanted(Unwanted::Authorities));
        }
        match &self.allowed {
            AllowedName::Any => Ok(()),
            AllowedName::CommonName(wanted) => {
                let facts =
                    Facts::of(leaf).map_err(|error| unwanted(Unwanted::Unreadable(error)))?;
                if facts.common_name.as_ref() == Some(wanted) {
                    return Ok(());
                }
                let wanted = wanted.clone();
                Err(unwanted(Unwanted::CommonName { subject: facts.subject, wanted }))
            }
            AllowedName::HostName(wanted) => {
                let refused = || unwanted(Unwanted::HostName { wanted: wanted.clone() });
                let name = ServerName::try_from(wanted.as_str()).map_err(|_| refused())?;
                let parsed = ParsedCertificate::try_from(leaf)?;
                verify_server_name(&parsed, &name).map_err(|_| refused())
            }
        }
    }
}

fn unwanted(reason: Unwanted) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

impl ClientCertVerifier for Connecting {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.library.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.library.verify_client_cert(end_entity, intermediates, now);
        let verified = verified.and_then(|it| self.guard.check(end_entity, now).map(|()| it));
        verified.inspect_err(|_| remember_refused(end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

impl ServerCertVerifier for ConnectedTo {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.library.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let verified = verified.and_then(|it| self.guard.check(end_entity, now).map(|()| it));
        verified.inspect_err(|_| remember_refused(end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
