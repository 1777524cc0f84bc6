//! TLS of the service: the certificate it shows, and how it reaches a store that is protected.

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

/// What protects connections that are accepted, and what it shows; nothing without a certificate.
///
/// # Errors
/// The files cannot be used.
pub fn acceptor(settings: &Settings) -> Result<Option<(TlsAcceptor, Arc<Credentials>)>, TlsError> {
    let Some(key_pair) = &settings.key_pair else { return Ok(None) };
    let wanted = TlsSettings::listening("client", key_pair.clone(), Trust::System);
    let credentials = Credentials::load(wanted)?;
    tokio::spawn(Arc::clone(&credentials).keep_fresh());
    let acceptor = TlsAcceptor::new(Arc::clone(&credentials), Arc::new(Failures::new("client")));
    Ok(Some((acceptor, credentials)))
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
