//! Takes questions: keeps each address to its share, reads the cluster that is asked for, answers.
//!
//! Invariant: an address that has used up its share gets no more bytes over UDP than were sent in its name. When the store fails, what
//! was last read is told; when nothing was, that it failed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::Record;
use tokio::sync::Semaphore;

use super::answer::{self, Asked, Known, Transport};
use super::cache::{Cache, Cached};
use super::records;
use super::zone::Zone;
use crate::limits::{Allowance, Limits, OpenPoll, What};
use crate::registry::TokenId;
use crate::service::Service;
use crate::store::Store;

/// Resolvers ask again after a second or two: an answer has to be there by then.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(1500);
/// Clusters that are read from the store at the same time. Questions for random names must not keep it from its work.
const LOOKUPS_MAX: usize = 64;
/// Open connections in all, and from one address: they are for answers that do not fit a datagram.
const CONNECTIONS_MAX: u32 = 256;
const CONNECTIONS_PER_ADDRESS_MAX: u32 = 16;
/// Of the questions beyond an address's share this part is told to come by TCP, so that an honest resolver whose name is misused still
/// gets through; the others get nothing.
const TOLD_OF: usize = 2;

/// See the module.
pub struct Desk<S> {
    zone: Zone,
    service: Service<S>,
    cache: Cache,
    limits: Limits,
    lookups: Semaphore,
    refused: AtomicUsize,
}

impl<S: Store> Desk<S> {
    /// A desk for `zone`; an address may ask `queries_per_second` (0 is no limit).
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
            limits: Limits::new(allowance),
            lookups: Semaphore::new(LOOKUPS_MAX),
            refused: AtomicUsize::new(0),
        }
    }

    /// A place for a connection; none when there are too many.
    #[must_use]
    pub fn place(&self, from: IpAddr) -> Option<OpenPoll> {
        self.limits.poll(Some(from), Instant::now()).ok()
    }

    /// The answer to a message, if it gets one.
    pub async fn answer(
        &self,
        bytes: &[u8],
        from: IpAddr,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let metrics = self.service.metrics();
        let is_limited = self.limits.take(What::Request, Some(from), Instant::now()).is_err();
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
        match self.read(&id).await {
            Ok(Some(records)) => {
                self.cache.put(label, Arc::clone(&records), Instant::now());
                Ok(Some(records))
            }
            Ok(None) => {
                self.cache.forget(label);
                Ok(None)
            }
            Err(Unavailable) => {
                let cached = self.cache.fall_back(label, Instant::now()).ok_or(Unavailable)?;
                Ok(Some(self.counted(cached)))
            }
        }
    }

    fn counted(&self, cached: Cached) -> Arc<[Record]> {
        if cached.is_stale {
            self.service.metrics().dns_stale();
        }
        cached.records
    }

    async fn read(&self, id: &TokenId) -> Result<Option<Arc<[Record]>>, Unavailable> {
        let _place = self.lookups.try_acquire().map_err(|_| Unavailable)?;
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

/// The store does not answer.
struct Unavailable;
