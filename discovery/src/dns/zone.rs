//! The zone: its own records, and which of its names belongs to which cluster.
//!
//! The zone is delegated by its parent to this service: `q.example.com. NS ns.q.example.com.` with the address of `ns`.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, Record};

/// Seconds for which the records of a cluster may be kept: members come and go, and whoever asks is to follow.
pub const RECORD_TTL: u32 = 30;
/// Seconds for which the name server of the zone may be kept: it changes when an administrator moves the service.
const ZONE_TTL: u32 = 3600;
/// The longest zone, in bytes as it is written. Below it, the names of the largest cluster fit into an answer over TCP.
const ZONE_BYTES_MAX: usize = 100;
/// The longest label of a name.
const LABEL_BYTES_MAX: usize = 63;
/// Nobody transfers this zone, so no one compares its versions.
const SERIAL: u32 = 1;
/// What secondaries would be told, if there could be any.
const SECONDARY_SECONDS: i32 = 3600;

/// Why a text is no zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ZoneError {
    /// It is not made of labels.
    #[error("give a domain such as quorate.example.com: letters, digits and dashes between dots")]
    Form,
    /// It is too long for names below it.
    #[error("a zone has at most {ZONE_BYTES_MAX} bytes")]
    TooLong,
}

/// The zone that is answered for.
#[derive(Clone, Debug)]
pub struct Zone {
    apex: Name,
    server: Name,
    own: Vec<Record>,
}

/// To whom a name of the zone belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// It is not in the zone.
    Elsewhere,
    /// The zone itself, or its name server.
    Own,
    /// The cluster of this label, in lower case; there may be none.
    Cluster(String),
}

impl Zone {
    /// The zone `apex`, whose name server `ns` below it has these addresses.
    ///
    /// # Errors
    /// `apex` is no domain that names can stand below.
    pub fn new(apex: &str, addresses: &[IpAddr]) -> Result<Self, ZoneError> {
        let text = apex.strip_suffix('.').unwrap_or(apex).to_ascii_lowercase();
        if text.len() > ZONE_BYTES_MAX {
            return Err(ZoneError::TooLong);
        }
        if !text.split('.').all(is_label) {
            return Err(ZoneError::Form);
        }
        let apex =
            Name::from_labels(text.split('.').map(str::as_bytes)).map_err(|_| ZoneError::Form)?;
        let below = |label: &str| apex.prepend_label(label).map_err(|_| ZoneError::TooLong);
        let (server, contact) = (below("ns")?, below("hostmaster")?);
        let seconds = SECONDARY_SECONDS;
        let soa = SOA::new(server.clone(), contact, SERIAL, seconds, seconds, seconds, RECORD_TTL);
        let mut own = vec![
            Record::from_rdata(apex.clone(), RECORD_TTL, RData::SOA(soa)),
            Record::from_rdata(apex.clone(), ZONE_TTL, RData::NS(NS(server.clone()))),
        ];
        own.extend(addresses.iter().map(|address| host(&server, ZONE_TTL, *address)));
        Ok(Self { apex, server, own })
    }

    /// Its name.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Its own records; the first is its SOA, which stands in answers without records.
    #[must_use]
    pub fn own(&self) -> &[Record] {
        &self.own
    }

    /// Whether its name server has an address. Without one, a delegation to it leads nowhere.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.own.iter().any(|record| matches!(record.data, RData::A(_) | RData::AAAA(_)))
    }

    /// To whom a name belongs.
    #[must_use]
    pub fn place(&self, name: &Name) -> Place {
        if !self.apex.zone_of(name) {
            return Place::Elsewhere;
        }
        if self.server.zone_of(name) {
            return Place::Own;
        }
        let depth =
            usize::from(name.num_labels()).saturating_sub(usize::from(self.apex.num_labels()));
        let label = depth.checked_sub(1).and_then(|at| name.iter().nth(at));
        let Some(label) = label else { return Place::Own };
        // A label of other bytes is nobody's, and spelt so no cluster's either.
        Place::Cluster(String::from_utf8_lossy(label).to_ascii_lowercase())
    }
}

/// An address of a name.
#[must_use]
pub fn host(name: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name.clone(), ttl, data)
}

/// Whether a text can stand between two dots of a host name.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let is_usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_usable)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        let zone = Zone::new("Q.example.com.", &[]).unwrap();
        zone.place(&Name::from_ascii(name).unwrap())
    }

    #[test]
    fn names_belong_to_the_zone_to_a_cluster_or_to_others() {
        for own in ["q.example.com.", "Q.EXAMPLE.com.", "ns.q.example.com.", "x.NS.q.example.com."]
        {
            assert_eq!(place(own), Place::Own, "{own}");
        }
        for other in ["example.com.", "xq.example.com.", ".", "q.example.com.evil."] {
            assert_eq!(place(other), Place::Elsewhere, "{other}");
        }
        for name in ["Ab.q.example.com.", "_tcp.aB.q.example.com.", "a.b.c.d.ab.q.example.com."] {
            assert_eq!(place(name), Place::Cluster("ab".to_owned()), "{name}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for bad in ["", ".", "a..b", "-a.b", "a_b.c", "é.example", "a b", "*.example"] {
            assert_eq!(Zone::new(bad, &[]).err(), Some(ZoneError::Form), "{bad}");
        }
        assert_eq!(Zone::new(&"a.".repeat(60), &[]).err(), Some(ZoneError::TooLong));
        assert!(Zone::new("cluster.local", &[]).is_ok());
    }
}
