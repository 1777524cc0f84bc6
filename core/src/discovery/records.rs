//! What DNS SRV records say about the members: one record, one member.
//!
//! Invariant: the list depends on the set of records alone, never on the order of an answer, on priority or weight, on the
//! case of a name, or on who asks; so members are named by the target of their record, and this member too. Nothing is left
//! out: a target without an address makes the list incomplete.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::{Learned, member};
use crate::bootstrap::Listed;

/// How a member's peers speak to it, by the service name its record stands under.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// `_etcd-server._tcp`.
    Http,
    /// `_etcd-server-ssl._tcp`.
    Https,
}

/// One record, with the addresses its target has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The service it stands under.
    pub scheme: Scheme,
    /// The target's host name, with or without the dot at its end.
    pub target: String,
    /// The port.
    pub port: u16,
    /// The target's addresses with that port; none if it could not be resolved.
    pub addresses: Vec<SocketAddr>,
}

/// One of the URLs this member advertises to its peers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advertised {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its host, a name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The host's addresses with that port; none if it could not be resolved.
    pub addresses: Vec<SocketAddr>,
}

/// How many members there are to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// So many.
    Exactly(usize),
    /// Nobody said; the caller waits until the records stay the same for a while.
    Unknown,
}

/// Why the records are no list of members yet.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Incomplete {
    /// There are none.
    #[error("there are no SRV records")]
    None,
    /// A target has no address.
    #[error("the target {0} of an SRV record has no address")]
    Unresolved(String),
    /// Not as many as there are to be.
    #[error("{found} SRV records were found and {expected} are expected: {list}")]
    Count {
        /// How many were found.
        found: usize,
        /// How many are expected.
        expected: usize,
        /// Those that were found.
        list: String,
    },
    /// Two records lead to the same place.
    #[error(
        "the SRV records {first} and {second} lead to the same address {address}; each member has one record, under one of \
         the two service names"
    )]
    Twice {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// Where both lead.
        address: SocketAddr,
    },
    /// This member has no record.
    #[error(
        "cannot find local etcd member in SRV records: looked for {wanted}; found {found}. The record of a member has the \
         scheme, the port and the host name or an address of one of its --initial-advertise-peer-urls"
    )]
    NotLocal {
        /// What this member advertises, with addresses.
        wanted: String,
        /// What the records name, with addresses.
        found: String,
    },
    /// This member has several records.
    #[error("the SRV records {0} all lead to this member; each member has one record")]
    SeveralLocal(String),
    /// A single record, and nobody said that there is only one member.
    #[error(
        "there is one SRV record only, {0}. For a cluster of one say so with --discovery-srv-expect=1; otherwise the records \
         of the others are still missing"
    )]
    Alone(String),
}

/// Judges the records, from the view of the member that advertises `own`; IDs are salted with `token`.
///
/// # Errors
/// See [`Incomplete`]. All of it may pass, as records are added and corrected.
pub fn judge(
    records: &[Record],
    own: &[Advertised],
    expected: Expected,
    token: &str,
) -> Result<Learned, Incomplete> {
    let records = distinct(records);
    if records.is_empty() {
        return Err(Incomplete::None);
    }
    if let Some(record) = records.values().find(|record| record.addresses.is_empty()) {
        return Err(Incomplete::Unresolved(name(record)));
    }
    if let Expected::Exactly(expected) = expected
        && records.len() != expected
    {
        let list = records.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Incomplete::Count { found: records.len(), expected, list });
    }
    check_distinct_addresses(&records)?;
    let local = local(&records, own)?;
    if let (1, Expected::Unknown) = (records.len(), expected) {
        return Err(Incomplete::Alone(url(local)));
    }
    let listed: Vec<Listed> =
        records.values().map(|record| member(&name(record), vec![url(record)], token)).collect();
    let own = member(&name(local), vec![url(local)], token);
    Ok(Learned { own, listed, token: token.to_owned() })
}

/// `host:port` of a record in the one form that all members use.
fn name(record: &Record) -> String {
    format!("{}:{}", host(&record.target), record.port)
}

fn host(target: &str) -> String {
    target.strip_suffix('.').unwrap_or(target).to_ascii_lowercase()
}

fn url(record: &Record) -> String {
    let scheme = match record.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    format!("{scheme}://{}", name(record))
}

/// The records by their URLs: a record that an answer holds twice is one.
fn distinct(records: &[Record]) -> BTreeMap<String, &Record> {
    records.iter().map(|record| (url(record), record)).collect()
}

fn check_distinct_addresses(records: &BTreeMap<String, &Record>) -> Result<(), Incomplete> {
    let mut seen: BTreeMap<SocketAddr, &String> = BTreeMap::new();
    for (url, record) in records {
        for address in record.addresses.iter().copied().collect::<BTreeSet<_>>() {
            if let Some(first) = seen.insert(address, url) {
                let (first, second) = (first.clone(), url.clone());
                return Err(Incomplete::Twice { first, second, address });
            }
        }
    }
    Ok(())
}

/// This member's record: by host name if one fits, else by address.
fn local<'a>(
    records: &BTreeMap<String, &'a Record>,
    own: &[Advertised],
) -> Result<&'a Record, Incomplete> {
    let by = |fits: &dyn Fn(&Record, &Advertised) -> bool| -> Vec<&'a Record> {
        let is_own = |record: &&&Record| {
            own.iter().any(|own| own.scheme == record.scheme && fits(record, own))
        };
        records.values().filter(is_own).copied().collect()
    };
    let mut found =
        by(&|record, own| own.port == record.port && host(&own.host) == host(&record.target));
    if found.is_empty() {
        found = by(&|record, own| {
            record.addresses.iter().any(|address| own.addresses.contains(address))
        });
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Incomplete::NotLocal {
            wanted: own.iter().map(show_advertised).collect::<Vec<_>>().join(", "),
            found: records
                .values()
                .map(|record| show(&url(record), &record.addresses))
                .collect::<Vec<_>>()
                .join(", "),
        }),
        several => {
            let urls: Vec<String> = several.iter().map(|record| url(record)).collect();
            Err(Incomplete::SeveralLocal(urls.join(", ")))
        }
    }
}

fn show_advertised(own: &Advertised) -> String {
    let scheme = if own.scheme == Scheme::Https { "https" } else { "http" };
    let host = if own.host.contains(':') { format!("[{}]", own.host) } else { own.host.clone() };
    show(&format!("{scheme}://{host}:{}", own.port), &own.addresses)
}

fn show(url: &str, addresses: &[SocketAddr]) -> String {
    if addresses.is_empty() {
        return format!("{url} (no address)");
    }
    let mut ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    ips.sort();
    format!("{url} ({})", ips.join(" "))
}

#[cfg(test)]
mod tests;
