//! Looking names up: SRV records, and the addresses of hosts.
//!
//! Invariant: nothing is cached here, so that a corrected record counts at the next look; and "there is no such record" is
//! told from "nobody could say", which is an error. Left out: what the records mean, and asking again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, Resolver, ResolverBuilder, TokioResolver};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

/// How long one server has to answer one question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the system's own way may take: it has patience of its own, five seconds and twice for each server. Who has less
/// sets a limit of its own.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a question is put to a server that does not answer: packets get lost.
const ATTEMPTS: usize = 2;
/// The port of DNS.
pub const DNS_PORT: u16 = 53;

/// A place to look names up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Dns {
    /// As this machine is set up: its resolver's configuration and its hosts file, read anew each time.
    System,
    /// This server, over UDP and, for long answers, TCP. It is asked for complete names only.
    Server(SocketAddr),
}

/// Where hosts are looked up that this process connects to, if not by the system: one for the process, as the system's
/// own resolver is.
static HOSTS: OnceLock<Dns> = OnceLock::new();

/// Lets all connections that this process opens find their hosts in `dns`. To be called once, before the first one; hosts
/// that `dns` does not know are looked up by the system all the same.
pub fn find_hosts_in(dns: Dns) {
    // A second call comes too late for the connections that were opened; the first one stays in force.
    let _ = HOSTS.set(dns);
}

/// Opens a TCP connection to the first address of `host` that takes one.
///
/// # Errors
/// The host has no address, or none of them takes a connection; the error is that of the last one tried.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let dns = HOSTS.get().cloned().unwrap_or(Dns::System);
    TcpStream::connect(&*dns.sockets(host, port).await?).await
}

/// The addresses of `host`, as this machine knows it, with `port`: at least one.
///
/// # Errors
/// It has none, or nobody could say.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Dns::System.sockets(host, port).await
}

/// The same for those who may block, of hosts that are looked up in `dns`, and by this machine if that does not know them; none if there is
/// no answer.
#[must_use]
pub fn addresses_blocking(dns: &Dns, host: &str, port: u16) -> Vec<SocketAddr> {
    // On a thread of its own, since this one may belong to a runtime already.
    let look = || {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(dns.sockets(host, port)).ok()
    };
    std::thread::scope(|scope| scope.spawn(look).join()).ok().flatten().unwrap_or_default()
}

/// One SRV record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Service {
    /// The lower the earlier it is to be tried.
    pub priority: u16,
    /// The higher the more often it is to be chosen among equals.
    pub weight: u16,
    /// The host's name, without the dot at its end.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A name could not be looked up: nobody could say whether there is such a record.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot look up {name} ({place}): {reason}")]
pub struct DnsError {
    name: String,
    place: String,
    reason: String,
}

impl Dns {
    /// The SRV records of `name`, in order of priority; none if it has none. A record that says that there is no such
    /// service (its target is the root) is none.
    ///
    /// # Errors
    /// No server gave a valid answer.
    pub async fn services(&self, name: &str) -> Result<Vec<Service>, DnsError> {
        let resolver = self.resolver().map_err(|error| self.error(name, &error))?;
        let lookup = match resolver.srv_lookup(self.complete(name)).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(self.error(name, &error)),
        };
        let mut services: Vec<Service> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) if !srv.target.is_root() => Some(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                    port: srv.port,
                }),
                _ => None,
            })
            .collect();
        services.sort();
        Ok(services)
    }

    /// The addresses of `host`, which may be an address itself, in the order to try them; none if it has none.
    ///
    /// # Errors
    /// No server gave a valid answer.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let found = self.places(host).await?;
        Ok(unique(found.into_iter().map(|place| place.ip())))
    }

    /// Where to connect to reach `port` of `host`: what this knows, else what this machine knows; at least one.
    ///
    /// # Errors
    /// The host has no address, or nobody could say.
    pub async fn sockets(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let mut found = self.places(host).await.map_err(io::Error::other)?;
        if found.is_empty() && *self != Self::System {
            found = Self::System.places(host).await.map_err(io::Error::other)?;
        }
        if found.is_empty() {
            let text = format!("this machine knows no address of {host}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        found.iter_mut().for_each(|place| place.set_port(port));
        Ok(found)
    }

    /// The addresses of a name, at port 0: an address of one link alone (`fe80::1%eth0`) goes with that link.
    async fn places(&self, host: &str) -> Result<Vec<SocketAddr>, DnsError> {
        match self {
            // Links are this machine's own: no server knows them.
            Self::Server(_) if !host.contains('%') => {
                self.addresses_by_server(host).await.map(at_any_port)
            }
            Self::System | Self::Server(_) => self.addresses_by_system(host).await,
        }
    }

    /// The system's own way honours its hosts file and whatever else it is set up to ask. It does not tell "no such name"
    /// from trouble in a form that could be relied on, so both are "none".
    ///
    /// A program that is linked statically cannot load what the system's own way consists of: it reads the hosts file and
    /// asks the servers itself, as Go's static programs do.
    async fn addresses_by_system(&self, host: &str) -> Result<Vec<SocketAddr>, DnsError> {
        if let Some(place) = on_link(host) {
            return Ok(vec![place]);
        }
        if cfg!(target_feature = "crt-static") {
            return self.addresses_by_itself(host).await.map(at_any_port);
        }
        match tokio::time::timeout(SYSTEM_TIMEOUT, tokio::net::lookup_host((host, 0))).await {
            Ok(Ok(found)) => Ok(unique(found)),
            Ok(Err(error)) => {
                tracing::debug!(host, %error, "the system knows no address");
                Ok(Vec::new())
            }
            Err(_) => Err(self.error(host, &"the system's resolver does not answer")),
        }
    }

    /// The hosts file decides alone about the names in it, so that these need no server. It is read anew each time.
    async fn addresses_by_itself(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let file = Hosts::from_system().unwrap_or_default();
        let listed = in_hosts_file(&file, host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        self.addresses_by_server(host).await
    }

    async fn addresses_by_server(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let resolver = self.resolver().map_err(|error| self.error(host, &error))?;
        match resolver.lookup_ip(self.complete(host)).await {
            Ok(found) => Ok(unique(found.iter())),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(self.error(host, &error)),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self {
            Self::System => system(),
            Self::Server(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|way| way.port = address.port());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = ANSWER_TIMEOUT;
        options.attempts = ATTEMPTS;
        builder.build()
    }

    /// A server is asked for the name as it stands; the system may have domains to search in.
    fn complete(&self, name: &str) -> String {
        match self {
            Self::Server(_) if !name.ends_with('.') => format!("{name}."),
            _ => name.to_owned(),
        }
    }

    fn error(&self, name: &str, reason: &dyn std::fmt::Display) -> DnsError {
        let place = match self {
            Self::System => "this machine's resolver".to_owned(),
            Self::Server(address) => format!("server {address}"),
        };
        DnsError { name: name.to_owned(), place, reason: reason.to_string() }
    }
}

fn at_any_port(addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
    addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()
}

/// An address with its link, which is named or numbered: no resolver is needed for it, and not every one understands it.
fn on_link(host: &str) -> Option<SocketAddr> {
    let (address, link) = host.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let number = link.parse().ok().or_else(|| link_number(link))?;
    Some(SocketAddrV6::new(address, 0, 0, number).into())
}

/// As the kernel lists them.
fn link_number(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

fn in_hosts_file(file: &Hosts, host: &str) -> Vec<IpAddr> {
    let Ok(mut name) = Name::from_utf8(host) else { return Vec::new() };
    name.set_fqdn(true);
    let of_type = |kind| file.lookup_static_host(&Query::query(name.clone(), kind));
    let lookups = [of_type(RecordType::A), of_type(RecordType::AAAA)];
    let records = lookups.iter().flatten().flat_map(|lookup| lookup.answers());
    unique(records.filter_map(|record| record.data.ip_addr()))
}

/// As `resolv.conf` says; without one, a server on this machine is asked, as its manual has it.
fn system() -> ResolverBuilder<TokioRuntimeProvider> {
    let mut builder = Resolver::builder(TokioRuntimeProvider::default()).unwrap_or_else(|_| {
        let here = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![here]);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    builder.options_mut().use_hosts_file = ResolveHosts::Always;
    builder
}

/// Each once, in the order given: whoever answered may have put the nearest first, or shares out the load.
fn unique<T: PartialEq>(addresses: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_static_program_knows_the_hosts_file() {
        // What a dynamic one leaves to the system.
        let found = Dns::System.addresses_by_itself("localhost").await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
    }

    #[test]
    fn the_hosts_file_alone_decides_about_the_names_in_it() {
        let mut file = Hosts::default();
        let text = "192.0.2.7 n1.example.com n1 # the first\n2001:db8::8 both\n192.0.2.8 both\n";
        file.read_hosts_conf(text.as_bytes()).unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(in_hosts_file(&file, "n1"), [address("192.0.2.7")]);
        assert_eq!(in_hosts_file(&file, "N1.example.com"), [address("192.0.2.7")]);
        assert_eq!(in_hosts_file(&file, "both"), [address("192.0.2.8"), address("2001:db8::8")]);
        assert_eq!(in_hosts_file(&file, "n2"), [] as [IpAddr; 0]);
    }

    #[test]
    fn who_may_block_gets_the_same_addresses() {
        let found = addresses_blocking(&Dns::System, "localhost", 7);
        assert!(found.iter().any(|address| address.ip().is_loopback()), "{found:?}");
        assert!(found.iter().all(|address| address.port() == 7), "{found:?}");
        let found = addresses_blocking(&Dns::System, "192.0.2.1", 7);
        assert_eq!(found, ["192.0.2.1:7".parse().unwrap()]);
    }

    #[tokio::test]
    async fn an_address_of_one_link_keeps_its_link() {
        let link = |found: &[SocketAddr]| match found {
            [SocketAddr::V6(place)] => (place.scope_id(), place.port()),
            other => panic!("{other:?}"),
        };
        let server = Dns::Server("192.0.2.53:53".parse().unwrap());
        for dns in [Dns::System, server] {
            assert_eq!(link(&dns.sockets("fe80::1%7", 2380).await.unwrap()), (7, 2380));
            let number = link_number("lo").unwrap();
            assert_eq!(link(&dns.sockets("fe80::1%lo", 2380).await.unwrap()), (number, 2380));
            assert_eq!(
                dns.addresses("fe80::1%lo").await.unwrap(),
                ["fe80::1".parse::<IpAddr>().unwrap()]
            );
        }
    }
}
