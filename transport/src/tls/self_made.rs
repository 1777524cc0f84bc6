//! Self-made certificates: nobody vouches for them, so they hide the traffic from listeners and prove nothing.
//!
//! They are kept in files, so that a restart shows the same one, and made anew a month before they expire.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;

use super::error::TlsError;
use super::files;
use super::loaded::seconds_since_1970;
use super::settings::{KeyPairFiles, TlsSettings};

/// How long a certificate is valid, as etcd's are.
const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 3600);
/// It is made anew this long before it expires: enough for who pins it to notice.
const RENEW_BEFORE_S: i64 = 30 * 24 * 3600;
/// A little in the past, for clients whose clocks are behind.
const CLOCK_LAG: Duration = Duration::from_secs(3600);

/// Makes the certificate if `settings` ask for one and there is none that will do. `end` is when the present one expires,
/// if that is known, in seconds since 1970.
pub(super) fn renew(settings: &TlsSettings, end: Option<i64>) -> Result<(), TlsError> {
    let (Some(hosts), Some(files)) = (&settings.self_made_for, &settings.key_pair) else {
        return Ok(());
    };
    let lasts = |end: i64| end - seconds_since_1970() > RENEW_BEFORE_S;
    let is_fine = match end {
        Some(end) => lasts(end),
        None => is_present(files, hosts, lasts),
    };
    if is_fine {
        return Ok(());
    }
    make(files, hosts).map_err(|cause| {
        let advice = "check that the data directory can be written to";
        TlsError::file("the self-made certificate", &files.certificate, cause, advice)
    })?;
    tracing::warn!(
        side = settings.side, file = %files.certificate.display(), ?hosts,
        "made a certificate that nobody vouches for: traffic is encrypted, and who is at the other end is not known"
    );
    Ok(())
}

fn is_present(files: &KeyPairFiles, hosts: &[String], lasts: impl Fn(i64) -> bool) -> bool {
    let Ok(chain) = files::certificates("the certificate", &files.certificate) else {
        return false;
    };
    let Some(leaf) = chain.first() else { return false };
    let Ok(parsed) = ParsedCertificate::try_from(&leaf.der) else { return false };
    let names = |host: &String| {
        ServerName::try_from(host.as_str())
            .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    files.key.exists() && lasts(leaf.facts.not_after) && hosts.iter().all(names)
}

fn make(files: &KeyPairFiles, hosts: &[String]) -> io::Result<()> {
    let mut params = CertificateParams::new(hosts.to_vec()).map_err(io::Error::other)?;
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_LAG).into();
    params.not_after = (now + VALID_FOR).into();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "quorate");
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write(&files.key, &key.serialize_pem())?;
    write(&files.certificate, &certificate.pem())
}

/// Writes a file that only its owner can read, beside its place first.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    // One that a crash left behind may have other permissions.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
