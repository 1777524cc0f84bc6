//! Reads the files that TLS is set up from, and says of each what is wrong with it.
//!
//! Every file is read whole, within a bound. What a key's file holds never appears in an error.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::certificate::{self, Facts};
use super::error::TlsError;

/// A bundle of all public authorities has a quarter of this.
const CERTIFICATES_BYTES_MAX: u64 = 1 << 20;
/// A list of some hundred thousand revoked certificates.
const REVOCATIONS_BYTES_MAX: u64 = 16 << 20;
/// Permission bits by which others than the owner and the group read a file, and by which they write it.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// Where systems keep the bundle of public authorities; the first that is there is taken. `SSL_CERT_FILE` goes before them.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A certificate with what it says.
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) facts: Facts,
}

/// A revocation list with what it says.
pub(super) struct Revocations {
    pub(super) der: CertificateRevocationListDer<'static>,
    /// When the next edition is due, in seconds since 1970.
    pub(super) due: Option<i64>,
    pub(super) issuer: String,
}

/// Reads all certificates of a PEM file; `what` names the file's purpose.
pub(super) fn certificates(what: &str, path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let bytes = read(what, path, CERTIFICATES_BYTES_MAX)?;
    let mut certificates = Vec::new();
    for found in CertificateDer::pem_slice_iter(&bytes) {
        let der = found.map_err(|error| not_pem(what, path, &error))?;
        let number = certificates.len() + 1;
        let facts = Facts::of(&der).map_err(|cause| {
            let cause = format!("certificate {number} in it cannot be read: {cause}");
            TlsError::file(what, path, cause, "make the file anew")
        })?;
        certificates.push(Certificate { der, facts });
    }
    if certificates.is_empty() {
        let advice = "it must be PEM, with -----BEGIN CERTIFICATE----- on a line of its own";
        return Err(TlsError::file(what, path, "it holds no certificate", advice));
    }
    Ok(certificates)
}

/// Reads a key. A file that others may write to is refused, one that they may read is warned of.
pub(super) fn key(what: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(what, path, CERTIFICATES_BYTES_MAX)?;
    let mode = std::fs::metadata(path).map(|file| file.mode()).unwrap_or_default();
    if mode & OTHERS_WRITE != 0 {
        let advice = format!("take that away: chmod o-rwx {}", path.display());
        return Err(TlsError::file(
            what,
            path,
            "every user of this machine may replace it",
            advice,
        ));
    }
    if mode & OTHERS_READ != 0 {
        tracing::warn!(
            file = %path.display(), mode = format!("{:o}", mode & 0o777),
            "every user of this machine may read this key, and be taken for its owner; take that away with chmod o-rwx"
        );
    }
    if bytes.windows(9).any(|window| window == b"ENCRYPTED") {
        let advice =
            "store it unencrypted, readable by its owner alone: openssl pkey -in OLD -out NEW";
        return Err(TlsError::file(what, path, "it is encrypted with a passphrase", advice));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            let advice = "it must be PEM, with -----BEGIN PRIVATE KEY----- (or EC or RSA PRIVATE KEY) on a line of its own";
            TlsError::file(what, path, "it holds no key", advice)
        }
        error => not_pem(what, path, &error),
    })
}

/// Reads all revocation lists of a file, PEM or DER.
pub(super) fn revocations(what: &str, path: &Path) -> Result<Vec<Revocations>, TlsError> {
    let bytes = read(what, path, REVOCATIONS_BYTES_MAX)?;
    let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    let lists = if is_pem {
        let lists = CertificateRevocationListDer::pem_slice_iter(&bytes);
        lists.collect::<Result<Vec<_>, _>>().map_err(|error| not_pem(what, path, &error))?
    } else {
        vec![CertificateRevocationListDer::from(bytes)]
    };
    if lists.is_empty() {
        let advice = "it must be PEM (-----BEGIN X509 CRL-----) or DER";
        return Err(TlsError::file(what, path, "it holds no revocation list", advice));
    }
    let read = |der: CertificateRevocationListDer<'static>| {
        let (due, issuer) = certificate::revocations_due(&der).map_err(|cause| {
            TlsError::file(what, path, cause, "it must be PEM (-----BEGIN X509 CRL-----) or DER")
        })?;
        Ok(Revocations { der, due, issuer })
    };
    lists.into_iter().map(read).collect()
}

/// The file of the system's authorities.
pub(super) fn system_bundle() -> Result<PathBuf, TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_BUNDLES.into_iter().map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.exists()).ok_or_else(|| {
        let cause = "none of the usual files of public authorities is there";
        TlsError::new(
            "the system's authorities",
            cause,
            "install ca-certificates, or name a file of authorities",
        )
    })
}

fn read(what: &str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause: io::Error| {
        let advice = match cause.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "let the user that this program runs as read it",
            _ => "check what it is",
        };
        TlsError::file(what, path, format!("it cannot be read: {cause}"), advice)
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        let cause = format!("it is larger than {} MiB", bytes_max >> 20);
        return Err(TlsError::file(what, path, cause, "check that it is the right file"));
    }
    Ok(bytes)
}

fn not_pem(what: &str, path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    use rustls::pki_types::pem::Error;
    // The library's text may quote the file.
    let cause = match error {
        Error::MissingSectionEnd { .. } => "a section of it has no -----END line",
        Error::IllegalSectionStart { .. } => "a -----BEGIN line of it is malformed",
        Error::Base64Decode(_) => "a section of it is no base64",
        _ => "it is not PEM",
    };
    TlsError::file(what, path, cause, "make the file anew, or convert it with openssl")
}
