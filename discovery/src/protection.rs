//! TLS of the service: the certificate it shows, whose it demands, and how it reaches a store that is protected.

use std::io;
use std::path::Path;
use std::sync::Arc;

use quorate_client::Basic;
use quorate_transport::http_client::{Connector, PlainConnector};
use quorate_transport::tls::{
    Credentials, Failures, TlsAcceptor, TlsConnector, TlsError, TlsSettings, Trust,
};

use crate::settings::Settings;

/// A password is one line; more than this is another file.
const PASSWORD_BYTES_MAX: usize = 4096;

/// What protects connections that are accepted: what it shows, and who was not let in.
#[derive(Clone)]
pub struct Protection {
    /// What is shown, and who is trusted.
    pub credentials: Arc<Credentials>,
    /// Who was not let in.
    pub failures: Arc<Failures>,
}

impl Protection {
    /// Reads the files and keeps them fresh; `None` without a certificate.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn load(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let Some(wanted) = &settings.protection else { return Ok(None) };
        let plain = settings.listen.iter().find(|endpoint| !endpoint.is_tls);
        if let (Some(plain), Trust::Bundle(_)) = (plain, &wanted.trust) {
            tracing::warn!(
                endpoint = %plain,
                "this URL is plain HTTP: whoever connects there is let in without a certificate, whatever \
                 --trusted-ca-file says"
            );
        }
        let failures = Arc::new(Failures::new(wanted.side));
        let credentials = Credentials::load(wanted.clone())?;
        tokio::spawn(Arc::clone(&credentials).keep_fresh());
        Ok(Some(Self { credentials, failures }))
    }

    /// What shakes hands.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::new(Arc::clone(&self.credentials), Arc::clone(&self.failures))
    }
}

/// What opens connections to the store.
///
/// # Errors
/// The files cannot be used.
pub fn connector(settings: &Settings) -> Result<Arc<dyn Connector>, TlsError> {
    if !settings.store.iter().any(|endpoint| endpoint.is_tls) {
        return Ok(Arc::new(PlainConnector));
    }
    let trust = settings.store_ca.clone().map_or(Trust::System, Trust::Bundle);
    let wanted = TlsSettings::dialling("store", settings.store_key_pair.clone(), trust);
    let credentials = Credentials::load(wanted)?;
    tokio::spawn(Arc::clone(&credentials).keep_fresh());
    Ok(Arc::new(TlsConnector::new(credentials, Arc::new(Failures::new("store")))))
}

/// Who the service is at the store.
///
/// # Errors
/// The file cannot be read, or holds no password.
pub fn user(settings: &Settings) -> io::Result<Option<Basic>> {
    let Some((name, file)) = &settings.store_user else { return Ok(None) };
    let password = password(file).map_err(|error| {
        io::Error::new(error.kind(), format!("--store-password-file={}: {error}", file.display()))
    })?;
    Ok(Some(Basic::new(name, &password)))
}

fn password(file: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > PASSWORD_BYTES_MAX {
        let reason = "its first line must be the password";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(line.to_owned())
}
