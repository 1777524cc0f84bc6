//! What is counted per peer. The numbers of a peer are looked up once and kept; whoever counts takes no lock for it.
//!
//! Invariant: a removed member has no series, and what still arrives for it makes none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use quorate_core::MemberId;

use super::catalogue::peers;
use super::latency::Latencies;
use super::page::Page;
use crate::member::AppendStats;
use crate::peer_api::link::Class;

/// See the module.
pub struct PeerMetrics {
    known: ArcSwap<Known>,
    /// Held while a peer is added or forgotten.
    changing: Mutex<()>,
    sent_bytes: IntCounterVec,
    received_bytes: IntCounterVec,
    failures: IntCounterVec,
    round_trips: HistogramVec,
    appends: HistogramVec,
    heartbeat_failures: IntCounter,
    appends_sent: AtomicU64,
    appends_received: AtomicU64,
}

#[derive(Clone, Default)]
struct Known {
    peers: BTreeMap<MemberId, Arc<Peer>>,
    /// Those that were removed for ever.
    gone: BTreeSet<MemberId>,
}

struct Peer {
    sent_bytes: IntCounter,
    received_bytes: IntCounter,
    failures: IntCounter,
    round_trip: Histogram,
    append: Histogram,
    latencies: Mutex<Latencies>,
    /// By class.
    links: [AtomicBool; Class::ALL.len()],
}

impl PeerMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            known: ArcSwap::default(),
            changing: Mutex::new(()),
            sent_bytes: peers::SENT_BYTES.counts_in(registry)?,
            received_bytes: peers::RECEIVED_BYTES.counts_in(registry)?,
            failures: peers::SENT_FAILURES.counts_in(registry)?,
            round_trips: peers::ROUND_TRIP.histograms_in(registry)?,
            appends: peers::APPEND_DURATION.histograms_in(registry)?,
            heartbeat_failures: peers::HEARTBEAT_FAILURES.count_in(registry)?,
            appends_sent: AtomicU64::new(0),
            appends_received: AtomicU64::new(0),
        })
    }

    /// Bytes went out.
    pub fn sent(&self, peer: MemberId, bytes: usize) {
        self.with(peer, |peer| peer.sent_bytes.inc_by(bytes as u64));
    }

    /// Bytes came in.
    pub fn received(&self, peer: MemberId, bytes: usize) {
        self.with(peer, |peer| peer.received_bytes.inc_by(bytes as u64));
    }

    /// A connection failed, or could not be made, and `calls` calls with it.
    pub fn failed(&self, peer: MemberId, calls: usize) {
        self.with(peer, |peer| peer.failures.inc_by(calls.max(1) as u64));
    }

    /// A link came up or went down.
    pub fn linked(&self, peer: MemberId, class: Class, is_up: bool) {
        self.with(peer, |peer| {
            if let Some(link) = peer.links.get(class as usize) {
                link.store(is_up, Ordering::Relaxed);
            }
        });
    }

    /// A heartbeat was answered after this long, or not at all.
    pub fn heartbeat(&self, peer: MemberId, took: Option<Duration>) {
        match took {
            Some(took) => self.with(peer, |peer| peer.round_trip.observe(took.as_secs_f64())),
            None => self.heartbeat_failures.inc(),
        }
    }

    /// Entries are on their way to a peer.
    pub fn append_sent(&self) {
        self.appends_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries, or none, came from the leader.
    pub fn append_received(&self) {
        self.appends_received.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries were on a peer's disk after this long, or their end is unknown.
    pub fn append(&self, peer: MemberId, took: Option<Duration>) {
        self.with(peer, |peer| match took {
            Some(took) => {
                peer.append.observe(took.as_secs_f64());
                peer.latencies.lock().succeeded(took);
            }
            None => peer.latencies.lock().failed(),
        });
    }

    /// Traffic of the log, all peers together.
    #[must_use]
    pub fn append_stats(&self) -> AppendStats {
        AppendStats {
            received: self.appends_received.load(Ordering::Relaxed),
            sent: self.appends_sent.load(Ordering::Relaxed),
        }
    }

    pub(super) fn latencies(&self, peer: MemberId) -> Latencies {
        let known = self.known.load();
        known.peers.get(&peer).map(|peer| *peer.latencies.lock()).unwrap_or_default()
    }

    /// Drops the series of members that were removed for ever.
    pub(super) fn forget(&self, removed: &[MemberId]) {
        let known = self.known.load();
        if removed.iter().all(|id| known.gone.contains(id)) {
            return;
        }
        let _changing = self.changing.lock();
        let mut known = Known::clone(&self.known.load());
        for id in removed.iter().filter(|id| known.gone.insert(**id)) {
            known.peers.remove(id);
        }
        self.known.store(Arc::new(known));
        for label in removed.iter().map(ToString::to_string) {
            // An error means that there was no such series.
            let _ = self.sent_bytes.remove_label_values(&[&label]);
            let _ = self.received_bytes.remove_label_values(&[&label]);
            let _ = self.failures.remove_label_values(&[&label]);
            let _ = self.round_trips.remove_label_values(&[&label]);
            let _ = self.appends.remove_label_values(&[&label]);
        }
    }

    pub(super) fn write(&self, page: &mut Page) {
        for (id, peer) in &self.known.load().peers {
            for (class, link) in Class::ALL.into_iter().zip(&peer.links) {
                let labels = [&*id.to_string(), class.name()];
                page.flag(&peers::LINKS, &labels, link.load(Ordering::Relaxed));
            }
        }
    }

    fn with(&self, id: MemberId, count: impl FnOnce(&Peer)) {
        if let Some(peer) = self.known.load().peers.get(&id) {
            return count(peer);
        }
        if let Some(peer) = self.add(id) {
            count(&peer);
        }
    }

    fn add(&self, id: MemberId) -> Option<Arc<Peer>> {
        let _changing = self.changing.lock();
        let mut known = Known::clone(&self.known.load());
        if known.gone.contains(&id) {
            return None;
        }
        if let Some(peer) = known.peers.get(&id) {
            return Some(Arc::clone(peer));
        }
        let label = id.to_string();
        let peer = Arc::new(Peer {
            sent_bytes: self.sent_bytes.with_label_values(&[&label]),
            received_bytes: self.received_bytes.with_label_values(&[&label]),
            failures: self.failures.with_label_values(&[&label]),
            round_trip: self.round_trips.with_label_values(&[&label]),
            append: self.appends.with_label_values(&[&label]),
            latencies: Mutex::default(),
            links: Default::default(),
        });
        known.peers.insert(id, Arc::clone(&peer));
        self.known.store(Arc::new(known));
        Some(peer)
    }
}
