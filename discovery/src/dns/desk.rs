//! Takes questions: keeps each address to its share, reads the cluster that is asked for, answers.
//!
//! Invariants: an address that has used up its share of datagrams is only told to come by TCP, where it has another share: whoever asks
//! in its name cannot take that. When the store fails, what was last read is told; when nothing was, that it failed. Much to do is no
//! failure of the store: it does not prolong what was read.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::Record;
use tokio::sync::Semaphore;

use super::answer::{self, Asked, Known, Transport};
use super::cache::{Cache, Cached, Fruitless};
use super::records;
use super::zone::Zone;
use crate::limits::{Allowance, Limits, OpenPoll, What};
use crate::registry::TokenId;
use crate::service::Service;
use crate::store::Store;

/// Resolvers ask again after a second or two: an answer has to be there by then.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(1500);
/// For so long a question waits for its turn at the store. One that finds no room by then is told to come again.
const PLACE_PATIENCE: Duration = Duration::from_millis(500);
/// Clusters that are read from the store at the same time, of those that have been read before and of the others each. Questions for
/// random names must not keep the store from its work, nor those who ask for a cluster from its names.
const LOOKUPS_MAX: usize = 64;
/// Open connections in all, and from one address: they are for answers that do not fit a datagram.
const CONNECTIONS_MAX: u32 = 256;
const CONNECTIONS_PER_ADDRESS_MAX: u32 = 16;
/// And from one network, of which one party may have all addresses: a quarter leaves room for others.
const CONNECTIONS_PER_NETWORK_MAX: u32 = 64;
/// What a site is given of IPv6 is no larger than this; of IPv4 it is as much as is passed on in the internet's tables.
const NETWORK_V6_BITS: u32 = 48;
const NETWORK_V4_BITS: u32 = 24;
/// Of the questions beyond an address's share this part is told to come by TCP, so that an honest resolver whose name is misused still
/// gets through; the others get nothing.
const TOLD_OF: usize = 2;

/// See the module.
pub struct Desk<S> {
    zone: Zone,
    service: Service<S>,
    cache: Cache,
    datagrams: Limits,
    /// The other end of a connection is who it says it is, so it has a share of its own.
    connections: Limits,
    networks: Limits,
    lookups: Semaphore,
    lookups_known: Semaphore,
    /// Whether the store failed when it was last asked.
    is_store_away: AtomicBool,
    refused: AtomicUsize,
}

/// Room for a connection; given back when dropped.
pub struct Place(
    #[expect(dead_code, reason = "held for its end")] OpenPoll,
    #[expect(dead_code, reason = "held for its end")] OpenPoll,
);

impl<S: Store> Desk<S> {
    /// A desk for `zone`; an address may ask `queries_per_second` (0 is no limit) by UDP, and as many by TCP.
    #[must_use]
    pub fn new(zone: Zone, service: Service<S>, queries_per_second: u32) -> Self {
        let allowance = Allowance {
            requests_per_second: queries_per_second,
            tokens_per_minute: 0,
            polls_per_address: CONNECTIONS_PER_ADDRESS_MAX,
            polls: CONNECTIONS_MAX,
        };
        Self {
            zone,
            service,
            cache: Cache::default(),
            datagrams: Limits::new(allowance),
            connections: Limits::new(allowance),
            networks: Limits::new(Allowance {
                polls_per_address: CONNECTIONS_PER_NETWORK_MAX,
                ..allowance
            }),
            lookups: Semaphore::new(LOOKUPS_MAX),
            lookups_known: Semaphore::new(LOOKUPS_MAX),
            is_store_away: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        }
    }

    /// A place for a connection; none when there are too many.
    #[must_use]
    pub fn place(&self, from: IpAddr) -> Option<Place> {
        let now = Instant::now();
        let in_network = self.networks.poll(Some(network(from)), now).ok()?;
        Some(Place(self.connections.poll(Some(from), now).ok()?, in_network))
    }

    /// The answer to a message, if it gets one.
    pub async fn answer(
        &self,
        bytes: &[u8],
        from: IpAddr,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let metrics = self.service.metrics();
        let limits = match transport {
            Transport::Udp => &self.datagrams,
            Transport::Tcp => &self.connections,
        };
        let is_limited = limits.take(What::Request, Some(from), Instant::now()).is_err();
        let reply = match answer::read(bytes) {
            Ok(asked) if is_limited => {
                let is_told = transport == Transport::Udp
                    && self.refused.fetch_add(1, Ordering::Relaxed).is_multiple_of(TOLD_OF);
                if !is_told {
                    metrics.dns_query(asked.kind(), "limited");
                    return None;
                }
                asked.come_by_tcp()
            }
            Ok(asked) => self.reply(&asked, transport).await,
            Err(Some(reply)) if !is_limited => reply,
            Err(_) => {
                metrics.dns_query("none", "ignored");
                return None;
            }
        };
        metrics.dns_query(reply.kind, reply.result);
        Some(reply.bytes).filter(|bytes| !bytes.is_empty())
    }

    async fn reply(&self, asked: &Asked, transport: Transport) -> answer::Reply {
        let Some(label) = asked.label(&self.zone) else {
            return asked.reply(&self.zone, Known::Nothing, transport);
        };
        match self.records(&label).await {
            Ok(Some(records)) => asked.reply(&self.zone, Known::Cluster(&records), transport),
            Ok(None) => asked.reply(&self.zone, Known::Nothing, transport),
            Err(Unavailable) => asked.reply(&self.zone, Known::Unavailable, transport),
        }
    }

    /// The records of a cluster.
    async fn records(&self, label: &str) -> Result<Option<Arc<[Record]>>, Unavailable> {
        // What cannot be a token's ID is nobody's.
        let Some(id) = TokenId::parse(label) else { return Ok(None) };
        if let Some(cached) = self.cache.ready(label, Instant::now()) {
            return Ok(Some(self.counted(cached)));
        }
        // One question reads for all that ask for the same cluster at the time; this one waits no longer for it than for a place.
        let (turn, asked) = (self.cache.turn(label), Instant::now());
        let wait = tokio::time::timeout(PLACE_PATIENCE + LOOKUP_PATIENCE, turn.lock());
        let Ok(mut turn) = wait.await else {
            return self.no_room(label);
        };
        if let Some(cached) = self.cache.ready(label, Instant::now()) {
            return Ok(Some(self.counted(cached)));
        }
        // Nor is a store that failed, or had no such cluster, asked again for those who waited.
        match *turn {
            Some(Fruitless { at, is_nobody: true }) if at >= asked => return Ok(None),
            Some(Fruitless { at, is_nobody: false }) if at >= asked => return Err(Unavailable),
            _ => {}
        }
        let records = self.read_in_turn(label, &id).await;
        if !matches!(records, Ok(Some(_))) {
            *turn = Some(Fruitless { at: Instant::now(), is_nobody: records.is_ok() });
        }
        records
    }

    /// The records of a cluster, by whoever has the turn to read it.
    async fn read_in_turn(
        &self,
        label: &str,
        id: &TokenId,
    ) -> Result<Option<Arc<[Record]>>, Unavailable> {
        let is_known = self.cache.knows(label);
        let places = if is_known { &self.lookups_known } else { &self.lookups };
        let Ok(Ok(_place)) = tokio::time::timeout(PLACE_PATIENCE, places.acquire()).await else {
            return self.no_room(label);
        };
        let read = self.read(id).await;
        self.is_store_away.store(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(Some(records)) => {
                self.cache.put(label, Arc::clone(&records), Instant::now());
                Ok(Some(records))
            }
            Ok(None) => {
                self.cache.forget(label);
                Ok(None)
            }
            Err(Unavailable) => self.last_read(label),
        }
    }

    /// Those before wait for a store that fails: this one would, too. Otherwise there is much to do.
    fn no_room(&self, label: &str) -> Result<Option<Arc<[Record]>>, Unavailable> {
        let is_away = self.is_store_away.load(Ordering::Relaxed);
        if is_away { self.last_read(label) } else { Err(Unavailable) }
    }

    fn last_read(&self, label: &str) -> Result<Option<Arc<[Record]>>, Unavailable> {
        let cached = self.cache.fall_back(label, Instant::now()).ok_or(Unavailable)?;
        Ok(Some(self.counted(cached)))
    }

    fn counted(&self, cached: Cached) -> Arc<[Record]> {
        if cached.is_stale {
            self.service.metrics().dns_stale();
        }
        cached.records
    }

    async fn read(&self, id: &TokenId) -> Result<Option<Arc<[Record]>>, Unavailable> {
        let read = tokio::time::timeout(LOOKUP_PATIENCE, self.service.cluster(id)).await;
        let cluster = match read {
            Ok(Ok(cluster)) => cluster,
            Ok(Err(error)) => {
                tracing::debug!(token = %id, %error, "a cluster cannot be looked up");
                return Err(Unavailable);
            }
            Err(_) => return Err(Unavailable),
        };
        Ok(cluster.map(|cluster| records::of_cluster(&self.zone, id.as_str(), &cluster).into()))
    }
}

/// The store does not answer, or there is no room to ask it.
struct Unavailable;

/// The network that an address belongs to, as its first address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (u32::MAX << (32 - NETWORK_V4_BITS))).into()),
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & (u128::MAX << (128 - NETWORK_V6_BITS))).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_core::Key;

    use super::*;
    use crate::metrics::Metrics;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::{
        Capability, Claim, ClusterSize, Grants, MemberKey, Rules, Secret, Token,
    };
    use crate::service::now;
    use crate::store::{Changed, Feed, Layout, StoreError, Versioned, Written};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Has one token, and never answers about any other. Counts how often it was asked.
    #[derive(Clone)]
    struct OneToken(Key, Token, Arc<AtomicUsize>);

    struct Nothing;

    impl Feed for Nothing {
        async fn next(&mut self) -> Changed {
            std::future::pending().await
        }
    }

    impl Store for OneToken {
        type Feed = Nothing;

        async fn read(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
            self.2.fetch_add(1, Ordering::Relaxed);
            if *key != self.0 {
                return std::future::pending().await;
            }
            tokio::task::yield_now().await;
            let value = serde_json::to_string(&self.1).unwrap();
            Ok(Some(Versioned { value, version: 1 }))
        }

        async fn create(&self, _: &Key, _: String) -> Result<Written, StoreError> {
            Ok(Written::Outrun)
        }

        async fn swap(&self, _: &Key, _: String, _: u64) -> Result<Written, StoreError> {
            Ok(Written::Outrun)
        }

        async fn delete(&self, _: &Key, _: u64) -> Result<Written, StoreError> {
            Ok(Written::Outrun)
        }

        async fn put(&self, _: &Key, _: String) -> Result<(), StoreError> {
            Ok(())
        }

        async fn delete_tree(&self, _: &Key) -> Result<(), StoreError> {
            Ok(())
        }

        async fn list(&self, _: &Key) -> Result<BTreeMap<String, Versioned>, StoreError> {
            Ok(BTreeMap::new())
        }

        fn feed(&self) -> Nothing {
            Nothing
        }
    }

    /// A desk, and the label of the one token, whose records were read so long ago that they have to be read again.
    fn desk(change: impl Fn(Token) -> Token) -> (Desk<OneToken>, String) {
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let size = ClusterSize::new(1).unwrap();
        let token = Token::new(join.token_id().unwrap(), size, grants, now(), HOUR);
        let member = MemberKey::parse("a1").unwrap();
        let claim = Claim::from_value(member, "one=http://10.0.0.1:2380").unwrap();
        let rules = Rules { token_ttl: HOUR, seal_grace: HOUR, sealed_ttl: HOUR, memory: HOUR };
        let token = change(token.register(&claim, now(), &rules).unwrap().change.unwrap());
        let (layout, label) = (Layout::new("/d").unwrap(), token.id.to_string());
        let store = OneToken(layout.token(&token.id), token, Arc::default());
        let service = Service::new(store, layout, rules, 9, Metrics::new(None).unwrap());
        let desk = Desk::new(Zone::new("q.example", &[]).unwrap(), service, 0);
        let before = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        desk.cache.put(&label, Arc::from([]), before);
        (desk, label)
    }

    #[tokio::test]
    async fn questions_for_random_names_keep_nobody_from_a_cluster_nor_in_it() {
        let (formed, label) = desk(|token| token);
        let _flood = formed.lookups.acquire_many(LOOKUPS_MAX as u32).await.unwrap();
        assert!(formed.records(&"0".repeat(24)).await.is_err());
        let records = formed.records(&label).await.ok().flatten().unwrap();
        assert_eq!(records.len(), 2, "it was read again");
        let (revoked, label) = desk(|token| token.revoke(now()).unwrap());
        let _flood = revoked.lookups.acquire_many(LOOKUPS_MAX as u32).await.unwrap();
        assert!(matches!(revoked.records(&label).await, Ok(None)));
        assert!(!revoked.cache.knows(&label));
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_one_reading() {
        let (shared, label) = desk(|token| token);
        let asked = futures_util::future::join_all((0..50).map(|_| shared.records(&label))).await;
        assert!(asked.into_iter().all(|it| it.ok().flatten().is_some_and(|it| it.len() == 2)));
        assert_eq!(shared.service.store().2.load(Ordering::Relaxed), 1);
        // Nobody, and a store that does not answer, are found once, too. Who asks later asks anew.
        let (revoked, label) = desk(|token| token.revoke(now()).unwrap());
        for readings in 1..=2 {
            let asked = (0..50).map(|_| revoked.records(&label));
            let asked = futures_util::future::join_all(asked).await;
            assert!(asked.iter().all(|it| matches!(it, Ok(None))));
            assert_eq!(revoked.service.store().2.load(Ordering::Relaxed), readings);
        }
        let (silent, _) = desk(|token| token);
        let other = "0".repeat(24);
        let asked = futures_util::future::join_all((0..50).map(|_| silent.records(&other))).await;
        assert!(asked.iter().all(Result::is_err));
        assert_eq!(silent.service.store().2.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_network_leaves_connections_to_others() {
        let (desk, _) = desk(|token| token);
        let held: Vec<Place> = (0..64u16)
            .flat_map(|n| vec![format!("2001:db8:1:{n:x}::1"); 16])
            .filter_map(|from| desk.place(from.parse().unwrap()))
            .collect();
        assert_eq!(held.len(), 64, "a /58 has a quarter");
        assert!(desk.place("2001:db8:2::1".parse().unwrap()).is_some());
        assert!(desk.place("192.0.2.1".parse().unwrap()).is_some());
        drop(held);
        assert!(desk.place("2001:db8:1::1".parse().unwrap()).is_some());
    }

    #[tokio::test]
    async fn only_a_store_that_fails_prolongs_what_was_read() {
        let (desk, label) = desk(|token| token);
        let _flood = desk.lookups_known.acquire_many(LOOKUPS_MAX as u32).await.unwrap();
        assert!(desk.records(&label).await.is_err(), "there is much to do, and nothing wrong");
        // The store fails for somebody else.
        assert!(desk.records(&"0".repeat(24)).await.is_err());
        let records = desk.records(&label).await.ok().flatten().unwrap();
        assert!(records.is_empty(), "that is what was read before");
    }
}
