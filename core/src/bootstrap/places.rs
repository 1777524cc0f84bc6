//! Which member of a running cluster a listed one is: by its peer URLs, and where these are spelt in another way, by where they lead.
//!
//! Invariant: two URLs are one place if they have the same scheme and port and an address in common; nothing is guessed: what leads to
//! several members, or to nowhere that is known, is told as such. Looking addresses up is the caller's business.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use super::{Known, Listed};

/// The addresses of host names, as far as they were looked up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Places(BTreeMap<String, Vec<IpAddr>>);

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found<'a> {
    /// This member.
    Member(&'a Known),
    /// None of them.
    Nobody,
    /// Several, as is said here: nobody can know which is meant.
    Several(String),
    /// It cannot be said, since something has no address; that may pass.
    Unknown(String),
}

impl Places {
    /// Notes the addresses of a host; none if it has none.
    pub fn note(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.0.insert(host.to_ascii_lowercase(), addresses);
    }

    /// Whether addresses of `host` are known.
    #[must_use]
    pub fn knows(&self, host: &str) -> bool {
        self.0.get(&host.to_ascii_lowercase()).is_some_and(|found| !found.is_empty())
    }

    /// The member that `listed` is: the one that is spelt the same, else the one whose URLs lead to the same places.
    pub(super) fn find<'a>(&self, listed: &Listed, members: &'a [Known]) -> Found<'a> {
        let spelt = members.iter().find(|known| known.peer_urls == listed.peer_urls);
        if let Some(known) = spelt {
            return Found::Member(known);
        }
        let is_same = |known: &&Known| self.are_same(&listed.peer_urls, &known.peer_urls);
        let found: Vec<&Known> = members.iter().filter(is_same).collect();
        match found.as_slice() {
            [one] => Found::Member(one),
            [] => self.nobody(listed, members),
            several => Found::Several(format!(
                "{} leads to several members of the cluster: {}",
                self.show_all(&listed.peer_urls),
                self.show_members(several.iter().copied())
            )),
        }
    }

    fn nobody<'a>(&self, listed: &Listed, members: &[Known]) -> Found<'a> {
        let all = members.iter().flat_map(|known| &known.peer_urls).chain(&listed.peer_urls);
        let unknown: Vec<&str> =
            all.filter(|url| self.addresses(url).is_empty()).map(String::as_str).collect();
        if unknown.is_empty() {
            return Found::Nobody;
        }
        Found::Unknown(format!(
            "cannot compare {} with the members of the cluster, {}: no address is known of {}",
            self.show_all(&listed.peer_urls),
            self.show_members(members),
            unknown.join(", ")
        ))
    }

    /// As many URLs, and each leads where one of the others leads.
    fn are_same(&self, one: &[String], other: &[String]) -> bool {
        let leads_to = |url: &String, urls: &[String]| urls.iter().any(|it| self.is_same(url, it));
        one.len() == other.len()
            && one.iter().all(|url| leads_to(url, other))
            && other.iter().all(|url| leads_to(url, one))
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
        let addresses = self.addresses(other);
        let meet = || self.addresses(one).iter().any(|address| addresses.contains(address));
        one == other || (scheme(one) == scheme(other) && meet())
    }

    fn addresses(&self, url: &str) -> Vec<SocketAddr> {
        let Some((host, port)) = host_and_port(url) else { return Vec::new() };
        // An IPv4 address in IPv6's clothes leads to the same place.
        let socket = |address: &IpAddr| SocketAddr::new(address.to_canonical(), port);
        if let Ok(address) = host.parse() {
            return vec![socket(&address)];
        }
        self.0.get(&host.to_ascii_lowercase()).into_iter().flatten().map(socket).collect()
    }

    /// The members' URLs, with the addresses that names in them have.
    pub(super) fn show_members<'a>(&self, members: impl IntoIterator<Item = &'a Known>) -> String {
        let shown: Vec<String> =
            members.into_iter().map(|known| self.show_all(&known.peer_urls)).collect();
        shown.join("; ")
    }

    /// The URLs of one member, with the addresses that names in them have.
    pub(super) fn show_all(&self, urls: &[String]) -> String {
        let shown: Vec<String> = urls.iter().map(|url| self.show(url)).collect();
        shown.join(",")
    }

    fn show(&self, url: &str) -> String {
        let is_name = host_and_port(url).is_some_and(|(host, _)| host.parse::<IpAddr>().is_err());
        if !is_name {
            return url.to_owned();
        }
        let ips: Vec<String> = self.addresses(url).iter().map(|it| it.ip().to_string()).collect();
        if ips.is_empty() {
            format!("{url} (no address)")
        } else {
            format!("{url} ({})", ips.join(" "))
        }
    }
}

/// The host of a peer URL, without brackets, and its port.
#[must_use]
pub fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (_, rest) = url.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((inner.unwrap_or(host), port.parse().ok()?))
}
