//! The records of one cluster, made of its members' URLs.
//!
//! ```text
//! _etcd-server._tcp.LABEL.ZONE       SRV of peer URLs with http; _etcd-server-ssl with https
//! _etcd-client._tcp.LABEL.ZONE       SRV of client URLs with http; _etcd-client-ssl with https
//! MEMBER.LABEL.ZONE                  the address in a member's peer URL
//! MEMBER-ADDRESS.LABEL.ZONE          another address of it, in hex
//! ```
//!
//! Invariant: a name that stands for an address has that one alone. A member's peers and its clients may be on different networks, and
//! an address of the other one is worse than none.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::zone::{RECORD_TTL, Zone, host};
use crate::registry::claim::is_loopback;
use crate::registry::{Present, Published};

/// The records of the cluster `label`; of URLs that DNS cannot tell there are none.
#[must_use]
pub fn of_cluster(zone: &Zone, label: &str, cluster: &Published) -> Vec<Record> {
    let Ok(domain) = zone.apex().prepend_label(label) else { return Vec::new() };
    let mut made = Made::of(&domain, &cluster.members);
    // A cluster that was formed by these names has them in its URLs. They go on meaning what they meant.
    let missing: BTreeSet<Name> = made.targets_without_address();
    let before = Made::of(&domain, &cluster.registered).records;
    let is_missing = |record: &Record| is_address(record) && missing.contains(&record.name);
    before.into_iter().filter(is_missing).for_each(|record| made.push(record));
    made.records
}

fn is_address(record: &Record) -> bool {
    matches!(record.record_type(), RecordType::A | RecordType::AAAA)
}

struct Made {
    domain: Name,
    /// Each record once, whatever the URLs say.
    seen: BTreeSet<String>,
    records: Vec<Record>,
}

struct Url<'a> {
    is_tls: bool,
    /// A name, or an address without brackets.
    host: &'a str,
    port: u16,
}

impl Made {
    fn of(domain: &Name, members: &[Present]) -> Self {
        let mut made = Self { domain: domain.clone(), seen: BTreeSet::new(), records: Vec::new() };
        for member in members {
            let urls = parsed(&member.peer_urls);
            let main = urls.iter().find_map(|url| url.host.parse().ok());
            for (service, urls) in [("server", urls), ("client", parsed(&member.client_urls))] {
                for url in urls {
                    made.add(member, service, &url, main);
                }
            }
        }
        made
    }

    /// Names of this cluster that records lead to and that lead nowhere.
    fn targets_without_address(&self) -> BTreeSet<Name> {
        let addresses: BTreeSet<&Name> =
            self.records.iter().filter(|it| is_address(it)).map(|it| &it.name).collect();
        let targets = self.records.iter().filter_map(|record| match &record.data {
            RData::SRV(srv) if self.domain.zone_of(&srv.target) => Some(&srv.target),
            _ => None,
        });
        targets.filter(|target| !addresses.contains(target)).cloned().collect()
    }

    fn add(&mut self, member: &Present, service: &str, url: &Url<'_>, main: Option<IpAddr>) {
        let target = match url.host.parse::<IpAddr>() {
            Ok(address) => {
                let label = if main == Some(address) {
                    member.id.to_string()
                } else {
                    format!("{}-{}", member.id, hex(address))
                };
                let Ok(name) = self.domain.prepend_label(label.as_str()) else { return };
                self.push(host(&name, RECORD_TTL, address));
                name
            }
            Err(_) => {
                let Ok(mut name) = Name::from_ascii(url.host) else { return };
                name.set_fqdn(true);
                name
            }
        };
        let protection = if url.is_tls { "-ssl" } else { "" };
        let labels = [format!("_etcd-{service}{protection}"), "_tcp".to_owned()];
        let owner = Name::from_labels(labels.iter().map(String::as_bytes))
            .and_then(|name| name.append_domain(&self.domain));
        let Ok(owner) = owner else { return };
        let data = RData::SRV(SRV::new(0, 0, url.port, target));
        self.push(Record::from_rdata(owner, RECORD_TTL, data));
    }

    fn push(&mut self, record: Record) {
        if self.seen.insert(record.to_string()) {
            self.records.push(record);
        }
    }
}

/// URLs have been checked when they came: what cannot be read is left out. So is what leads others to their own machine, unless there is
/// nothing else.
fn parsed(urls: &[String]) -> Vec<Url<'_>> {
    let is_local = urls.iter().all(|url| is_loopback(url));
    urls.iter().filter(|url| is_local || !is_loopback(url)).filter_map(|url| parse(url)).collect()
}

fn parse(url: &str) -> Option<Url<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some(Url { is_tls: scheme == "https", host: inner.unwrap_or(host), port: port.parse().ok()? })
}

fn hex(address: IpAddr) -> String {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
