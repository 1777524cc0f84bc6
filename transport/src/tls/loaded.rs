//! Everything that TLS needs on one side, read from its files at one moment.
//!
//! Invariant: a `Loaded` that exists can be used: its key belongs to its certificate, and each file in it was understood.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::ServerConfig;
use rustls::server::danger::ClientCertVerifier;

use super::error::TlsError;
use super::files::{self, Certificate};
use super::judged::Judged;
use super::maker::Maker;
use super::settings::{KeyPairFiles, TlsSettings, Trust};

/// See the module.
pub(super) struct Loaded {
    /// For accepted connections; `None` when there is no certificate to show.
    pub(super) server: Option<Arc<ServerConfig>>,
    /// For opened connections; `None` when none are opened.
    pub(super) client: Option<Arc<ClientConfig>>,
    /// What judges who connects; `None` when nobody is asked for a certificate.
    pub(super) connecting: Option<Arc<dyn ClientCertVerifier>>,
    /// What judges who is connected to; `None` when anybody is believed, or nobody is connected to.
    pub(super) connected_to: Option<Arc<dyn ServerCertVerifier>>,
    /// Tells apart what they judge by: authorities and revocation lists.
    pub(super) trusted: u64,
    /// What was found by them so far.
    pub(super) judged: Judged,
    /// What of it expires.
    pub(super) expiries: Vec<Expiry>,
    /// The own certificate, if there is one.
    pub(super) leaf: Option<CertificateDer<'static>>,
    /// When an authority in it expires, so that it has to be made anew without it. In seconds since 1970.
    pub(super) until: i64,
}

/// When something expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expiry {
    /// What: `certificate`, `authority` or `revocations`, of each the one that is the first to expire.
    pub what: &'static str,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// Kinds of [`Expiry`].
const CERTIFICATE: &str = "certificate";
const AUTHORITY: &str = "authority";
const REVOCATIONS: &str = "revocations";

/// What keys may be, for who has another.
const KEYS: &str =
    "use a key of another kind: RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519";

impl Loaded {
    /// Reads the files. What has expired is refused if `before` has not, and else only told of.
    pub(super) fn read(settings: &TlsSettings, before: Option<&Self>) -> Result<Self, TlsError> {
        let now = seconds_since_1970();
        let trusted = DefaultHasher::new();
        let mut reading = Reading { settings, before, now, expiries: Vec::new(), trusted };
        let shown = settings.key_pair.as_ref().map(|files| reading.key_pair(files)).transpose()?;
        let authorities = reading.authorities()?;
        let revocations = reading.revocations(authorities.as_ref())?;
        let maker = Maker::new(settings, revocations);
        let connecting = maker.connecting(authorities.as_ref())?;
        let connected_to = maker.connected_to(authorities.as_ref())?;
        let listening = shown.as_ref().filter(|_| settings.listens);
        let server = listening.map(|shown| maker.server(shown, connecting.clone()));
        let dials = settings.dials;
        let client =
            dials.then(|| maker.client(shown.as_ref(), connected_to.clone())).transpose()?;
        let until = authorities.as_ref().map_or(i64::MAX, |authorities| authorities.first_end);
        let leaf = shown.as_ref().and_then(|shown| shown.chain.first().cloned());
        Ok(Self {
            server: server.transpose()?,
            client,
            connecting,
            connected_to,
            trusted: reading.trusted.finish(),
            judged: Judged::default(),
            expiries: reading.expiries,
            leaf,
            until,
        })
    }

    fn expiry(&self, what: &str) -> Option<i64> {
        self.expiries.iter().find(|expiry| expiry.what == what).map(|expiry| expiry.at)
    }

    /// When the own certificate expires.
    pub(super) fn certificate_end(&self) -> Option<i64> {
        self.expiry(CERTIFICATE)
    }
}

/// The time, in seconds since 1970.
pub(super) fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What is shown to the other end.
pub(super) struct Shown<'a> {
    files: &'a KeyPairFiles,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: rustls::pki_types::PrivateKeyDer<'static>,
}

/// Who is trusted.
pub(super) struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    subjects: Vec<String>,
    /// When the first and the last of them expires.
    first_end: i64,
    pub(super) last_end: i64,
}

struct Reading<'a> {
    settings: &'a TlsSettings,
    before: Option<&'a Loaded>,
    now: i64,
    expiries: Vec<Expiry>,
    trusted: DefaultHasher,
}

impl<'a> Reading<'a> {
    fn key_pair(&mut self, files: &'a KeyPairFiles) -> Result<Shown<'a>, TlsError> {
        let path = &files.certificate;
        let chain = files::certificates("the certificate", path)?;
        let key = files::key("the key", &files.key)?;
        if let Some(leaf) = chain.first() {
            self.judge_usage(path, leaf)?;
            if leaf.facts.not_before > self.now {
                let advice = "check the clock of this machine and the certificate's dates";
                self.overdue("the certificate", path, "is not valid yet", advice, CERTIFICATE)?;
            }
        }
        let end = chain.iter().map(|it| it.facts.not_after).min().unwrap_or(i64::MAX);
        if end < self.now {
            let advice = "put a new certificate in its place; it is read without a restart";
            self.overdue("the certificate", path, "has expired", advice, CERTIFICATE)?;
        }
        self.expiries.push(Expiry { what: CERTIFICATE, at: end });
        let chain = chain.into_iter().map(|it| it.der).collect();
        Ok(Shown { files, chain, key })
    }

    /// Whether the own certificate may be used for what it is used for here.
    fn judge_usage(&self, path: &Path, leaf: &Certificate) -> Result<(), TlsError> {
        let shows_it_dialling =
            self.settings.dials && matches!(self.settings.trust, Trust::Bundle(_));
        let (lacking, why) = if self.settings.listens && !leaf.facts.serves {
            ("serverAuth", "who connects to this program refuses it")
        } else if shows_it_dialling && !leaf.facts.dials {
            (
                "clientAuth",
                "this program shows it when it connects to others, too, and they refuse it",
            )
        } else {
            return Ok(());
        };
        let cause = format!("its extended key usage lacks {lacking}, so {why}");
        let advice = "have it signed anew, with extendedKeyUsage = serverAuth, clientAuth";
        Err(TlsError::file("the certificate", path, cause, advice))
    }

    fn authorities(&mut self) -> Result<Option<Authorities>, TlsError> {
        let what = "the authorities in";
        let (path, is_own) = match &self.settings.trust {
            Trust::Bundle(path) => (path.clone(), true),
            Trust::System if self.settings.dials => (files::system_bundle()?, false),
            Trust::System | Trust::Anybody => return Ok(None),
        };
        let mut found = Authorities {
            roots: Arc::new(RootCertStore::empty()),
            subjects: Vec::new(),
            first_end: i64::MAX,
            last_end: i64::MIN,
        };
        let mut roots = RootCertStore::empty();
        for Certificate { der, facts } in files::certificates(what, &path)? {
            // Expired ones as well: that a date has passed is no change of whom this program trusts.
            self.trusted.write(&der);
            if facts.not_after < self.now {
                if is_own {
                    tracing::error!(
                        file = %path.display(), authority = facts.subject,
                        "this authority has expired: certificates that it signed are not accepted"
                    );
                }
                continue;
            }
            match roots.add(der) {
                Ok(()) => {}
                // One of the system's that can't be used here is none of this program's business.
                Err(_) if !is_own => continue,
                Err(error) => {
                    let cause = format!("{:?} cannot be used: {error}", facts.subject);
                    return Err(TlsError::file(what, &path, cause, "make the file anew"));
                }
            }
            found.first_end = found.first_end.min(facts.not_after);
            found.last_end = found.last_end.max(facts.not_after);
            found.subjects.push(facts.subject);
        }
        if roots.is_empty() {
            let advice = "put the certificates of authorities that are valid in its place";
            return Err(TlsError::file(what, &path, "all of them have expired", advice));
        }
        if is_own {
            self.expiries.push(Expiry { what: AUTHORITY, at: found.first_end });
        }
        found.roots = Arc::new(roots);
        Ok(Some(found))
    }

    fn revocations(
        &mut self,
        authorities: Option<&Authorities>,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let Some(path) = &self.settings.revocations else { return Ok(Vec::new()) };
        let lists = files::revocations("the revocation list", path)?;
        let subjects = authorities.iter().flat_map(|authorities| &authorities.subjects);
        for subject in subjects.filter(|subject| !lists.iter().any(|it| it.issuer == **subject)) {
            tracing::warn!(
                file = %path.display(), authority = subject,
                "the revocation lists say nothing of this authority: none of its certificates counts as revoked"
            );
        }
        let due = lists.iter().filter_map(|list| list.due).min();
        if due.is_some_and(|due| due < self.now) {
            let advice = "put its next edition in its place; it is read without a restart";
            let fault = "is overdue: until its next edition is there, no certificate of its authority is accepted";
            self.overdue("the revocation list", path, fault, advice, REVOCATIONS)?;
        }
        self.expiries.extend(due.map(|at| Expiry { what: REVOCATIONS, at }));
        lists.iter().for_each(|list| self.trusted.write(&list.der));
        Ok(lists.into_iter().map(|list| list.der).collect())
    }

    /// What is out of date replaces nothing that is not. At a start it is taken: the other end, or the verifier, refuses it.
    fn overdue(
        &self,
        what: &str,
        path: &Path,
        fault: &str,
        advice: &str,
        kind: &str,
    ) -> Result<(), TlsError> {
        let was_fine =
            self.before.is_some_and(|before| before.expiry(kind).is_none_or(|end| end >= self.now));
        if was_fine {
            return Err(TlsError::file(what, path, format!("it {fault}"), advice));
        }
        tracing::error!(file = %path.display(), "{what} {fault}; {advice}");
        Ok(())
    }
}

impl Shown<'_> {
    /// What to say when the library takes them for unusable.
    pub(super) fn unusable(&self, error: &rustls::Error) -> TlsError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let cause = format!(
                    "it does not belong to the certificate in {}",
                    self.files.certificate.display()
                );
                TlsError::file(
                    "the key",
                    &self.files.key,
                    cause,
                    "put the two files that belong together in place",
                )
            }
            error => TlsError::file("the key", &self.files.key, error, KEYS),
        }
    }
}
