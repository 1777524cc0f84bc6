//! What is wrong, or soon will be, with this member's own certificates: their dates, and the names in them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_transport::tls::{Credentials, Expiry, rough_span};

/// From here on an end is worth a word: long enough to have a certificate signed anew.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// See the module.
#[derive(Default)]
pub struct Papers {
    sides: Vec<Side>,
}

/// What is shown on one side, and the hosts it is advertised for.
struct Side {
    credentials: Arc<Credentials>,
    flag: &'static str,
    hosts: Vec<String>,
}

impl Papers {
    /// Adds the credentials of a side whose URLs, given by `flag`, have these hosts.
    pub fn add(&mut self, credentials: Arc<Credentials>, flag: &'static str, hosts: Vec<String>) {
        self.sides.push(Side { credentials, flag, hosts });
    }

    /// All that is wrong, a sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.sides.iter().flat_map(|side| side.problems(now)).collect()
    }
}

impl Side {
    fn problems(&self, now: Duration) -> Vec<String> {
        let side = self.credentials.side();
        let expiries = self.credentials.figures().expiries;
        let mut problems: Vec<String> =
            expiries.iter().filter_map(|expiry| overdue(side, expiry, now)).collect();
        let unnamed = self.hosts.iter().filter(|host| self.credentials.names(host) == Some(false));
        problems.extend(unnamed.map(|host| {
            format!(
                "this member's own {side} certificate is not for {host}, which --{} names",
                self.flag
            )
        }));
        problems
    }
}

fn overdue(side: &str, expiry: &Expiry, now: Duration) -> Option<String> {
    let end = Duration::from_secs(u64::try_from(expiry.at).unwrap_or_default());
    let (what, ends, ended) = match expiry.what {
        "certificate" => ("own certificate", "expires", "expired"),
        "authority" => ("oldest trusted authority", "expires", "expired"),
        // Lists are made for days: only one that was not renewed is a problem.
        _ if end > now => return None,
        _ => ("revocation list", "is due", "was due"),
    };
    let of = format!("this member's {side} TLS: its {what}");
    match end.checked_sub(now) {
        None => Some(format!("{of} {ended} {} ago", rough_span(now.saturating_sub(end)))),
        Some(left) if left < SOON => Some(format!("{of} {ends} in {}", rough_span(left))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_soon_is_told_and_what_does_not_is_not() {
        let now = Duration::from_secs(1_000_000_000);
        let day = 24 * 3600;
        let said = |what, days: i64| {
            overdue("peer", &Expiry { what, at: 1_000_000_000 + days * day }, now)
        };
        assert_eq!(said("certificate", 15), None);
        assert_eq!(
            said("certificate", 3).as_deref(),
            Some("this member's peer TLS: its own certificate expires in 3 days")
        );
        assert_eq!(
            said("authority", -2).as_deref(),
            Some("this member's peer TLS: its oldest trusted authority expired 2 days ago")
        );
        let minutes = |minutes: i64| {
            overdue("peer", &Expiry { what: "certificate", at: 1_000_000_000 + minutes * 60 }, now)
        };
        assert_eq!(minutes(40), minutes(3), "minutes are not news");
        assert_eq!(minutes(-40), minutes(-3));
        assert_ne!(minutes(3), minutes(-3));
        assert_eq!(said("revocations", 1), None);
        assert!(said("revocations", -1).is_some_and(|said| said.contains("was due 1 day ago")));
    }
}
