//! Finding the members in DNS: both services' SRV records, the addresses of their targets, and this member among them.
//!
//! Invariant: a lookup that failed is never taken for an empty answer, and a target that has no address is never left out. If
//! nobody said how many members there are, the list counts once it has stayed the same for a while.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use quorate_core::discovery::Learned;
use quorate_core::discovery::records::{self, Advertised, Expected, Record, Scheme};
use quorate_transport::dns::{Dns, DnsError, Service};

use super::learn::{Look, Trouble};
use crate::config::{self, AdvertiseUrl, SrvNames};

/// Between two looks: records are changed by people and programs, not in milliseconds.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a list of unknown size must stay the same: records that are written one after the other are there by then.
const STABLE_FOR: Duration = Duration::from_secs(5);
/// Records looked at: more than members that any cluster has.
const RECORDS_MAX: usize = 99;

/// See the module.
pub struct Records {
    names: SrvNames,
    dns: Dns,
    own: Vec<AdvertiseUrl>,
    token: String,
    /// The list that was found last, and since when it is the same.
    seen: Option<(Learned, Instant)>,
}

impl Records {
    /// The records of `names`, looked up in `dns`, for the member that advertises `own`; IDs are salted with `token`.
    #[must_use]
    pub fn new(names: SrvNames, dns: Dns, own: Vec<AdvertiseUrl>, token: String) -> Self {
        Self { names, dns, own, token, seen: None }
    }

    /// Looks all of it up anew.
    pub(super) async fn look(&mut self) -> Result<Look, Trouble> {
        let found = match self.judged().await {
            Ok(Ok(found)) => found,
            Ok(Err(incomplete)) => {
                self.seen = None;
                return Ok(Look::Incomplete(format!("{} ({})", incomplete, self.asked())));
            }
            Err(error) => return Err(Trouble::Passing(error.to_string())),
        };
        if self.names.expect.is_some() {
            return Ok(Look::Complete(found));
        }
        let since = match &self.seen {
            Some((seen, since)) if *seen == found => *since,
            _ => Instant::now(),
        };
        let count = found.listed.len();
        self.seen = Some((found.clone(), since));
        if since.elapsed() >= STABLE_FOR {
            return Ok(Look::Complete(found));
        }
        Ok(Look::Incomplete(format!(
            "{count} members were found by {}; waiting {} s for more, since --discovery-srv-expect does not say how many \
             there are",
            self.asked(),
            STABLE_FOR.as_secs()
        )))
    }

    pub(super) async fn rest() {
        tokio::time::sleep(LOOK_PAUSE).await;
    }

    async fn judged(&self) -> Result<Result<Learned, records::Incomplete>, DnsError> {
        let mut found = Vec::new();
        for (scheme, service) in [(Scheme::Https, "etcd-server-ssl"), (Scheme::Http, "etcd-server")]
        {
            let services = self.dns.services(&self.names.name(service)).await?;
            let records = services.into_iter().take(RECORDS_MAX).map(|it| self.record(scheme, it));
            found.extend(try_join_all(records).await?);
        }
        let own = try_join_all(self.own.iter().map(|url| self.advertised(url))).await?;
        let expected = self.names.expect.map_or(Expected::Unknown, |n| Expected::Exactly(n.get()));
        Ok(records::judge(&found, &own, expected, &self.token))
    }

    async fn record(&self, scheme: Scheme, service: Service) -> Result<Record, DnsError> {
        let Service { host: target, port, .. } = service;
        let addresses = self.addresses(&target, port).await?;
        Ok(Record { scheme, target, port, addresses })
    }

    async fn advertised(&self, url: &AdvertiseUrl) -> Result<Advertised, DnsError> {
        let scheme =
            if url.scheme() == config::Scheme::Https { Scheme::Https } else { Scheme::Http };
        let host = url.host().unwrap_or_default().to_owned();
        let port = url.port().unwrap_or_default();
        let addresses = self.addresses(&host, port).await?;
        Ok(Advertised { scheme, host, port, addresses })
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
        let found = self.dns.addresses(host).await?;
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    fn asked(&self) -> String {
        format!("{} and {}", self.names.name("etcd-server-ssl"), self.names.name("etcd-server"))
    }
}
