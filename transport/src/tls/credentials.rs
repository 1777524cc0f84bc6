//! The certificates, keys, authorities and revocation lists of one side, kept as their files are.
//!
//! Files are looked at once a second, and read again when they have changed and are at rest. The next handshake uses what is
//! new, and connections that are open are judged by it ([`Session`](super::Session)). Files that can't be used change nothing: the old ones stay in use, the
//! fault is logged and counted, and they are tried again.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ServerConfig};

use super::error::TlsError;
use super::judged::ChainId;
use super::loaded::{Expiry, Loaded, seconds_since_1970};
use super::self_made;
use super::settings::{TlsSettings, Trust};

/// How often the files are looked at: a new one counts after two looks, and a look is five calls to the kernel.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often files that could not be used are tried again although they look the same: dates pass, permissions change.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// See the module.
pub struct Credentials {
    settings: TlsSettings,
    current: ArcSwap<Loaded>,
    edition: AtomicU64,
    reloads: AtomicU64,
    reload_failures: AtomicU64,
}

/// Which authorities and revocation lists are in use: another one for each change of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Edition(u64);

/// What there is to know about credentials.
#[derive(Clone, Debug, Default)]
pub struct CredentialFigures {
    /// What of them expires.
    pub expiries: Vec<Expiry>,
    /// How often changed files were taken into use.
    pub reloads: u64,
    /// How often changed files could not be used.
    pub reload_failures: u64,
}

impl Credentials {
    /// Reads the files; makes the certificate first if it is to be self-made.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn load(settings: TlsSettings) -> Result<Arc<Self>, TlsError> {
        self_made::renew(&settings, None)?;
        let loaded = Loaded::read(&settings, None)?;
        Ok(Arc::new(Self {
            settings,
            current: ArcSwap::from_pointee(loaded),
            edition: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
        }))
    }

    /// What the side is called: `client` or `peer`.
    #[must_use]
    pub fn side(&self) -> &'static str {
        self.settings.side
    }

    /// What there is to know about them right now.
    #[must_use]
    pub fn figures(&self) -> CredentialFigures {
        CredentialFigures {
            expiries: self.current.load().expiries.clone(),
            reloads: self.reloads.load(Ordering::Relaxed),
            reload_failures: self.reload_failures.load(Ordering::Relaxed),
        }
    }

    /// Whether the own certificate is valid for `host`, a name or an address; `None` if there is none, or nobody asks whom it
    /// is for: it is self-made, or the other end believes any.
    #[must_use]
    pub fn names(&self, host: &str) -> Option<bool> {
        if self.settings.self_made_for.is_some() || self.settings.trust == Trust::Anybody {
            return None;
        }
        let current = self.current.load();
        let parsed = ParsedCertificate::try_from(current.leaf.as_ref()?).ok()?;
        let name = ServerName::try_from(host).ok()?;
        Some(verify_server_name(&parsed, &name).is_ok())
    }

    /// Keeps them as their files are, for ever. To be run in a task of its own, once.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut watch = Watch::new(&self.settings);
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let this = Arc::clone(&self);
            // Files may lie on a disk that hangs.
            let looked = tokio::task::spawn_blocking(move || {
                this.look(&mut watch);
                watch
            });
            match looked.await {
                Ok(back) => watch = back,
                Err(error) => {
                    tracing::error!(%error, "certificates are not read again until the next start");
                    return;
                }
            }
        }
    }

    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current.load().server.clone()
    }

    pub(super) fn client(&self) -> Option<Arc<ClientConfig>> {
        self.current.load().client.clone()
    }

    /// Read it before what is to be used: then what is used is of this edition or of a later one.
    pub(super) fn edition(&self) -> Edition {
        Edition(self.edition.load(Ordering::Acquire))
    }

    /// Whether a certificate that was accepted at some time would have been, by what the files say now. Verified once for all
    /// that show the same.
    pub(super) fn verify_again(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        let current = self.current.load();
        match (name, &current.connecting, &current.connected_to) {
            (None, Some(verifier), _) => {
                current.judged.ask(ChainId::of(leaf, above, None), at, |at| {
                    verifier.verify_client_cert(leaf, above, at).map(|_| ())
                })
            }
            (Some(name), _, Some(verifier)) => {
                current.judged.ask(ChainId::of(leaf, above, Some(name)), at, |at| {
                    verifier.verify_server_cert(leaf, above, name, &[], at).map(|_| ())
                })
            }
            // Nothing is demanded of it.
            (None, None, _) | (Some(_), _, None) => Ok(()),
        }
    }

    fn look(&self, watch: &mut Watch) {
        let before = self.current.load_full();
        if let Err(error) = self_made::renew(&self.settings, before.certificate_end()) {
            tracing::error!(side = self.settings.side, %error, "the certificate cannot be renewed");
        }
        let is_outlived = before.until < seconds_since_1970();
        if !watch.is_due(&self.settings, is_outlived) {
            return;
        }
        match Loaded::read(&self.settings, Some(&before)) {
            Ok(loaded) => {
                watch.succeeded();
                let is_other_trust = loaded.trusted != before.trusted;
                self.current.store(Arc::new(loaded));
                if is_other_trust {
                    self.edition.fetch_add(1, Ordering::Release);
                }
                self.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    side = self.settings.side,
                    "certificates read again; the next handshakes use them"
                );
            }
            Err(error) => {
                self.reload_failures.fetch_add(1, Ordering::Relaxed);
                if watch.failed(&error) {
                    tracing::error!(
                        side = self.settings.side, %error,
                        "the changed files cannot be used; the ones read before stay in use"
                    );
                }
            }
        }
    }
}

/// What the files looked like, in the order of [`paths`]; `None` is a file that isn't there.
type Looks = Vec<Option<[i64; 7]>>;

/// When to read the files again.
struct Watch {
    /// What the files looked like when they were read the last time, and at the last look.
    read: Looks,
    seen: Looks,
    failure: Option<(Instant, TlsError)>,
}

impl Watch {
    fn new(settings: &TlsSettings) -> Self {
        let looks = looks(settings);
        Self { read: looks.clone(), seen: looks, failure: None }
    }

    fn is_due(&mut self, settings: &TlsSettings, is_outlived: bool) -> bool {
        let now = looks(settings);
        let is_at_rest = now == self.seen;
        let has_changed = now != self.read;
        self.seen = now;
        let retries =
            self.failure.as_ref().is_some_and(|(since, _)| since.elapsed() >= RETRY_INTERVAL);
        let is_due =
            is_at_rest && (has_changed || retries || (is_outlived && self.failure.is_none()));
        if is_due {
            self.read.clone_from(&self.seen);
        }
        is_due
    }

    fn succeeded(&mut self) {
        self.failure = None;
    }

    /// Whether this failure is another than the one before.
    fn failed(&mut self, error: &TlsError) -> bool {
        let is_new = self.failure.as_ref().is_none_or(|(_, known)| known != error);
        self.failure = Some((Instant::now(), error.clone()));
        is_new
    }
}

fn looks(settings: &TlsSettings) -> Looks {
    paths(settings).map(look_of).collect()
}

fn paths(settings: &TlsSettings) -> impl Iterator<Item = &Path> {
    let shown = settings.key_pair.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    let bundle = match &settings.trust {
        Trust::Bundle(path) => Some(path),
        Trust::System | Trust::Anybody => None,
    };
    shown.chain(bundle).chain(&settings.revocations).map(AsRef::as_ref)
}

fn look_of(path: &Path) -> Option<[i64; 7]> {
    // Follows links, which is how secrets are swapped under Kubernetes.
    let file = std::fs::metadata(path).ok()?;
    let number = |value: u64| value.cast_signed();
    Some([
        number(file.dev()),
        number(file.ino()),
        number(file.size()),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ])
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use rustls::CertificateError;

    use super::*;
    use crate::tls::KeyPairFiles;

    /// A side that demands certificates, and one that it accepts: its own.
    fn side(folder: &Path) -> (Arc<Credentials>, CertificateDer<'static>) {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let bundle = authority.self_signed(&authority_key).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text).unwrap();
            folder.join(name)
        };
        let files = KeyPairFiles {
            certificate: write("cert.pem", leaf.pem()),
            key: write("key.pem", key.serialize_pem()),
        };
        let trust = Trust::Bundle(write("ca.pem", bundle.pem()));
        let settings = TlsSettings::listening("client", files, trust);
        (Credentials::load(settings).unwrap(), leaf.der().clone())
    }

    #[test]
    fn open_connections_are_judged_by_what_is_known_of_their_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (credentials, leaf) = side(folder.path());
        let now = UnixTime::now();
        let ask = || credentials.verify_again(&leaf, &[], None, now);
        assert_eq!(ask(), Ok(()));
        // No verifying: it is known to be good.
        let chain = ChainId::of(&leaf, &[], None);
        let revoked = || rustls::Error::from(CertificateError::Revoked);
        assert_eq!(credentials.current.load().judged.ask(chain, now, |_| Err(revoked())), Ok(()));
        // What is read anew is asked anew.
        let (credentials, leaf) = side(folder.path());
        let chain = ChainId::of(&leaf, &[], None);
        let found = credentials.current.load().judged.ask(chain, now, |_| Err(revoked()));
        assert_eq!(found, Err(revoked()));
        assert_eq!(credentials.verify_again(&leaf, &[], None, now), Err(revoked()));
    }
}
