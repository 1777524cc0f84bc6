//! What is read out of a certificate besides what its verification needs: whose it is, for how long, and what for.

use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

/// What one certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Facts {
    /// The whole subject, for people.
    pub(super) subject: String,
    /// The common name, if there is exactly one.
    pub(super) common_name: Option<String>,
    /// When it begins and ends to be valid, in seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// Whether it may be shown by who is connected to, and by who connects.
    pub(super) serves: bool,
    pub(super) dials: bool,
}

impl Facts {
    /// Reads a certificate in DER.
    pub(super) fn of(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let mut names = certificate.subject().iter_common_name();
        let common_name = match (names.next(), names.next()) {
            // Two names leave open which of them speaks for the holder.
            (Some(only), None) => only.as_str().ok().map(str::to_owned),
            _ => None,
        };
        // A usage that can't be read counts as one that allows nothing.
        let (serves, dials) = match certificate.extended_key_usage() {
            Ok(None) => (true, true),
            Ok(Some(usage)) => (usage.value.server_auth, usage.value.client_auth),
            Err(_) => (false, false),
        };
        Ok(Self {
            subject: certificate.subject().to_string(),
            common_name,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            serves,
            dials,
        })
    }
}

/// When the next edition of a revocation list in DER is due, in seconds since 1970, and who issued it.
pub(super) fn revocations_due(der: &[u8]) -> Result<(Option<i64>, String), String> {
    let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
    Ok((list.next_update().map(|time| time.timestamp()), list.issuer().to_string()))
}
