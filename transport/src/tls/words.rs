//! A failed handshake in words for people who see nothing of it but these words: on a status page, say, far from both ends.
//!
//! Invariant: a sentence is about the one certificate that was not accepted, and says whose it is. Left out: what to do about
//! it, which depends on who reads it, and failures that are not about certificates.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, ExtendedKeyPurpose};

use super::verifier::Unwanted;

/// So many names of a certificate are told: who is connected to chooses them.
const NAMES_MAX: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is wrong with a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateFault {
    /// With the other end's. To be read after "its certificate": "expired 3 days ago".
    Theirs(String),
    /// The other end accepts this program's not. To be read after "it refuses this one's certificate": "as expired".
    Ours(String),
}

impl CertificateFault {
    /// What `error`, which ended a handshake or the connection after it, says about a certificate; nothing if it is about
    /// something else.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<Error>()?;
        match inner {
            Error::InvalidCertificate(error) => Some(Self::Theirs(fault(error))),
            Error::NoCertificatesPresented => Some(Self::Theirs("is not shown at all".to_owned())),
            Error::AlertReceived(alert) => alert_of(*alert).map(|said| Self::Ours(said.to_owned())),
            _ => None,
        }
    }
}

/// A length of time as people say it: `3 days`, `2 hours`, `5 minutes`.
#[must_use]
pub fn span(length: Duration) -> String {
    let (unit, name) = match length {
        length if length >= DAY => (DAY, "day"),
        length if length >= HOUR => (HOUR, "hour"),
        _ => (MINUTE, "minute"),
    };
    let count = (length.as_secs() / unit.as_secs()).max(1);
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// A length of time that is told again and again: [`span`] but for the minutes, which would be news each time.
#[must_use]
pub fn rough_span(length: Duration) -> String {
    if length < HOUR { "less than an hour".to_owned() } else { span(length) }
}

fn fault(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::ExpiredContext { time, not_after } => {
            format!("expired {} ago", between(*not_after, *time))
        }
        E::Expired => "has expired".to_owned(),
        E::NotValidYetContext { time, not_before } => {
            format!("is valid only in {}: a clock may be wrong", between(*time, *not_before))
        }
        E::NotValidYet => "is not valid yet: a clock may be wrong".to_owned(),
        E::NotValidForNameContext { expected, presented } => names(expected, presented),
        E::NotValidForName => "is for another host".to_owned(),
        E::UnknownIssuer => {
            "is signed by no authority that this member was told to trust".to_owned()
        }
        E::Revoked => "was revoked by its authority".to_owned(),
        E::ExpiredRevocationListContext { time, next_update } => format!(
            "cannot be checked: the revocation list of its authority is overdue by {}",
            between(*next_update, *time)
        ),
        E::ExpiredRevocationList | E::UnknownRevocationStatus => {
            "cannot be checked: the revocation list of its authority is overdue".to_owned()
        }
        E::InvalidPurposeContext { required: ExtendedKeyPurpose::ServerAuth, .. } => {
            "may not be used by a server: its extended key usage lacks serverAuth".to_owned()
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "may not be used for this: see its extended key usage".to_owned()
        }
        E::Other(other) => match other.0.downcast_ref::<Unwanted>() {
            Some(unwanted) => format!("is not let in: {unwanted}"),
            None => format!("cannot be used: {other:?}"),
        },
        other => format!("cannot be used: {other}"),
    }
}

/// What the other end says about the certificate it was shown.
fn alert_of(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateExpired => "as expired",
        AlertDescription::CertificateRevoked => "as revoked",
        AlertDescription::UnknownCA => "since it trusts no authority that has signed it",
        AlertDescription::CertificateRequired => "since none was shown",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "without saying why; its log does",
        _ => return None,
    })
}

fn names(expected: &ServerName<'_>, presented: &[String]) -> String {
    let expected = expected.to_str();
    if presented.is_empty() {
        return format!("is for no host at all, and so not for {expected}");
    }
    let mut text = String::from("is for ");
    for (position, name) in presented.iter().take(NAMES_MAX).enumerate() {
        let comma = if position == 0 { "" } else { ", " };
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}{}", bare(name));
    }
    if presented.len() > NAMES_MAX {
        let _ = write!(text, " and {} more", presented.len() - NAMES_MAX);
    }
    let _ = write!(text, ", not for {expected}");
    text
}

/// The library has names as `DnsName("a.example")` and `IpAddress(192.0.2.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn between(earlier: UnixTime, later: UnixTime) -> String {
    rough_span(Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    fn said(error: Error) -> Option<CertificateFault> {
        CertificateFault::of(&io::Error::other(error))
    }

    #[test]
    fn faults_of_certificates_are_told_in_words() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let wanted = ServerName::try_from("n2.example.com").unwrap();
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: wanted.clone(),
            presented: presented.iter().map(|it| (*it).to_owned()).collect(),
        };
        let other = OtherError(Arc::new(Unwanted::HostName { wanted: "peers.example".to_owned() }));
        for (error, expected) in [
            (
                CertificateError::ExpiredContext { time: at(3 * 86400 + 7), not_after: at(0) },
                "expired 3 days ago",
            ),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(7200) },
                "is valid only in 2 hours: a clock may be wrong",
            ),
            (
                names(&["DnsName(\"n9.example.com\")"]),
                "is for n9.example.com, not for n2.example.com",
            ),
            (
                names(&[
                    "IpAddress(192.0.2.1)",
                    "DnsName(\"a\")",
                    "DnsName(\"b\")",
                    "DnsName(\"c\")",
                ]),
                "is for 192.0.2.1, a, b and 1 more, not for n2.example.com",
            ),
            (names(&[]), "is for no host at all, and so not for n2.example.com"),
            (CertificateError::Revoked, "was revoked by its authority"),
            (
                CertificateError::Other(other),
                "is not let in: it is not valid for the host name that is let in, \"peers.example\"",
            ),
        ] {
            let fault = said(Error::InvalidCertificate(error));
            assert_eq!(fault, Some(CertificateFault::Theirs(expected.to_owned())));
        }
    }

    #[test]
    fn what_the_other_end_refuses_is_told_from_what_is_no_certificate() {
        let refused = said(Error::AlertReceived(AlertDescription::CertificateExpired));
        assert_eq!(refused, Some(CertificateFault::Ours("as expired".to_owned())));
        assert_eq!(said(Error::AlertReceived(AlertDescription::ProtocolVersion)), None);
        assert_eq!(CertificateFault::of(&io::ErrorKind::ConnectionRefused.into()), None);
    }

    #[test]
    fn spans_are_rounded_down_but_never_to_nothing() {
        let said = [0, 61, 3599, 7200, 86_400, 200_000].map(|s| span(Duration::from_secs(s)));
        assert_eq!(said, ["1 minute", "1 minute", "59 minutes", "2 hours", "1 day", "2 days"]);
        let said = [0, 3599, 3600, 7200].map(|s| rough_span(Duration::from_secs(s)));
        assert_eq!(said, ["less than an hour", "less than an hour", "1 hour", "2 hours"]);
    }
}
