//! Failed handshakes: why, in words and as a kind to count, logged at a bounded rate. So are connections that were open and end
//! because their certificate is not accepted any more: a list that revokes many must not fill the disk.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError, Error};

/// Lines of log for failed handshakes within [`WINDOW`], and as many for connections that end: enough to see who, too few to fill a disk by trying.
const LINES_MAX: u32 = 10;
/// See [`LINES_MAX`].
const WINDOW: Duration = Duration::from_secs(10);

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum FailureKind {
    /// The other end speaks plain HTTP.
    PlainHttp,
    /// It took too long.
    TimedOut,
    /// The other end left in the middle of it.
    Closed,
    /// The two have no version, cipher suite or protocol in common.
    Incompatible,
    /// The other end showed no certificate.
    NoCertificate,
    /// The certificate's authority is not one of those that are trusted.
    UnknownAuthority,
    /// The certificate, or its authority, has expired or is not valid yet.
    Expired,
    /// The certificate was revoked.
    Revoked,
    /// The revocation list is overdue.
    RevocationsOverdue,
    /// The certificate may not be used for this.
    WrongUsage,
    /// The certificate is another's: the name does not fit.
    WrongName,
    /// The certificate is broken in another way.
    BadCertificate,
    /// The other end refused.
    RefusedByFarEnd,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::PlainHttp,
        Self::TimedOut,
        Self::Closed,
        Self::Incompatible,
        Self::NoCertificate,
        Self::UnknownAuthority,
        Self::Expired,
        Self::Revoked,
        Self::RevocationsOverdue,
        Self::WrongUsage,
        Self::WrongName,
        Self::BadCertificate,
        Self::RefusedByFarEnd,
        Self::Other,
    ];

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::RevocationsOverdue => "revocations_overdue",
            Self::WrongUsage => "wrong_usage",
            Self::WrongName => "wrong_name",
            Self::BadCertificate => "bad_certificate",
            Self::RefusedByFarEnd => "refused_by_far_end",
            Self::Other => "other",
        }
    }

    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            None => Self::Closed,
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Self::Incompatible,
            Some(Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(Error::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
            )) => Self::Incompatible,
            Some(Error::AlertReceived(_)) => Self::RefusedByFarEnd,
            Some(_) => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        use super::verifier::Unwanted;
        use CertificateError as E;
        match error {
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => Self::Expired,
            E::Revoked => Self::Revoked,
            E::ExpiredRevocationList
            | E::ExpiredRevocationListContext { .. }
            | E::UnknownRevocationStatus => Self::RevocationsOverdue,
            E::UnknownIssuer => Self::UnknownAuthority,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongUsage,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            E::Other(other) => match other.0.downcast_ref::<Unwanted>() {
                Some(Unwanted::CommonName { .. } | Unwanted::HostName { .. }) => Self::WrongName,
                Some(Unwanted::Authorities) => Self::Expired,
                _ => Self::BadCertificate,
            },
            _ => Self::BadCertificate,
        }
    }

    /// What it means and what to do; empty where the library's words say it all.
    fn advice(self) -> &'static str {
        match self {
            Self::PlainHttp => "it speaks plain HTTP to a port that speaks TLS; use https://",
            Self::Incompatible => {
                "no version of TLS, cipher suite or protocol in common; see --tls-min-version and --cipher-suites"
            }
            Self::NoCertificate => "it showed no certificate, and one is demanded here",
            Self::UnknownAuthority => {
                "no authority that is trusted here has signed its certificate"
            }
            Self::WrongUsage => {
                "its certificate may not be used for this: see extendedKeyUsage (clientAuth for who connects, serverAuth for \
                 who is connected to, both for members)"
            }
            Self::RevocationsOverdue => {
                "the revocation list of its authority is overdue: put the next edition in place"
            }
            Self::RefusedByFarEnd => "the other end refused; its log says why",
            _ => "",
        }
    }
}

/// The failed handshakes of one side.
#[derive(Debug)]
pub struct Failures {
    side: &'static str,
    counts: [AtomicU64; FailureKind::ALL.len()],
    handshakes: Lines,
    ended: Lines,
}

/// Lines of log of one kind: so many within [`WINDOW`].
#[derive(Debug)]
struct Lines {
    max: u32,
    window: Mutex<LogWindow>,
}

#[derive(Debug)]
struct LogWindow {
    since: Instant,
    lines: u32,
    unlogged: u64,
}

impl Failures {
    /// None so far.
    #[must_use]
    pub fn new(side: &'static str) -> Self {
        Self::logging(side, LINES_MAX)
    }

    /// None so far, and none that will be logged: for connections whose failures are told in another way.
    #[must_use]
    pub fn unlogged(side: &'static str) -> Self {
        Self::logging(side, 0)
    }

    fn logging(side: &'static str, lines_max: u32) -> Self {
        let (handshakes, ended) = (Lines::new(lines_max), Lines::new(lines_max));
        Self { side, counts: Default::default(), handshakes, ended }
    }

    /// How often this kind has happened.
    #[must_use]
    pub fn count(&self, kind: FailureKind) -> u64 {
        self.counts.get(kind as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Notes that a handshake with `whom` failed, who showed a certificate of this subject.
    pub(super) fn note(&self, whom: &dyn Display, subject: Option<&str>, error: &io::Error) {
        self.note_kind(whom, FailureKind::of(error), subject, error);
    }

    pub(super) fn note_kind(
        &self,
        whom: &dyn Display,
        kind: FailureKind,
        subject: Option<&str>,
        error: &dyn Display,
    ) {
        if let Some(count) = self.counts.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let Some(unlogged) = self.handshakes.may_log() else { return };
        tracing::warn!(
            side = self.side, with = %whom, certificate = subject, reason = kind.name(), %error, unlogged,
            hint = kind.advice(),
            "a TLS handshake failed"
        );
    }

    /// Notes that an open connection ends because of its certificate, whose subject is looked up if it is logged.
    pub(super) fn note_end(
        &self,
        address: Option<SocketAddr>,
        subject: impl FnOnce() -> Option<String>,
        error: &dyn Display,
    ) {
        let Some(unlogged) = self.ended.may_log() else { return };
        tracing::info!(
            side = self.side, ?address, subject = subject(), %error, unlogged,
            "an open connection ends: its certificate is not accepted any more"
        );
    }
}

impl Lines {
    fn new(max: u32) -> Self {
        Self { max, window: Mutex::new(LogWindow { since: Instant::now(), lines: 0, unlogged: 0 }) }
    }

    /// The number of those that went unlogged since the last line, or `None` when this one does, too.
    fn may_log(&self) -> Option<u64> {
        let mut window = self.window.lock();
        if window.since.elapsed() >= WINDOW {
            window.since = Instant::now();
            window.lines = 0;
        }
        if window.lines >= self.max {
            window.unlogged += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_takes_few_lines_and_takes_them_from_nobody_else() {
        let failures = Failures::new("client");
        let logged = (0..1000).filter(|_| failures.ended.may_log().is_some()).count();
        // A machine so slow that this takes longer than a window would log a second lot.
        assert!((10..500).contains(&logged), "{logged}");
        assert!(failures.handshakes.may_log().is_some());
        assert!(Failures::unlogged("client").ended.may_log().is_none());
    }
}
