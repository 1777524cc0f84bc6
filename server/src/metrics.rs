//! What a member counts about itself, in Prometheus' text format, under etcd's names where they mean the same here.
//!
//! Two ways lead onto the page. What happens is counted where it happens, through handles that were looked up before; what is
//! (who leads, how far the log is applied) is looked up when somebody asks, see [`Moment`]. Every metric is defined in
//! [`catalogue`], from which `docs/metrics.md` is made.

pub mod catalogue;
pub mod definition;
mod elections;
mod latency;
mod log;
pub mod manual;
mod moment;
mod page;
mod peers;
mod requests;
mod snapshots;
mod tls;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use quorate_transport::traffic::Traffic;

use crate::client_api::HttpMetrics;
use crate::member::{AppendStats, Follower};
use crate::raft::figures::FollowerFigures;
use crate::reports::{Figures, Tally};
use crate::storage::log::LogObserver;
use catalogue::{clients, reports};
pub use elections::{Cause, Election};
pub use moment::{Moment, StoreCounts};
use page::Page;
pub use peers::PeerMetrics;
pub use requests::RequestMetrics;
pub use snapshots::{SnapshotMetrics, Transfer};
pub use tls::TlsSide;

/// See the module. One per process.
pub struct Metrics {
    registry: Registry,
    http: HttpMetrics,
    log: Arc<log::LogMetrics>,
    peers: PeerMetrics,
    requests: RequestMetrics,
    snapshots: SnapshotMetrics,
    elections: elections::ElectionMetrics,
    /// What goes over the listeners for clients.
    listeners: Mutex<Vec<Traffic>>,
    /// The sides that are protected by TLS.
    protected: Mutex<Vec<TlsSide>>,
    /// How reports to the discovery service fare.
    reports: Mutex<Tally>,
}

impl Metrics {
    /// All counters at zero.
    ///
    /// # Errors
    /// A metric is defined twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            http: HttpMetrics::register(&registry)?,
            log: Arc::new(log::LogMetrics::register(&registry)?),
            peers: PeerMetrics::register(&registry)?,
            requests: RequestMetrics::register(&registry)?,
            snapshots: SnapshotMetrics::register(&registry)?,
            elections: elections::ElectionMetrics::register(&registry)?,
            listeners: Mutex::default(),
            protected: Mutex::default(),
            reports: Mutex::default(),
            registry,
        })
    }

    /// The counters of requests for keys.
    #[must_use]
    pub fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// What the log tells goes here.
    #[must_use]
    pub fn log_observer(&self) -> Arc<dyn LogObserver> {
        Arc::clone(&self.log) as _
    }

    /// The counters of the traffic between members.
    #[must_use]
    pub fn peers(&self) -> &PeerMetrics {
        &self.peers
    }

    /// The counters of writes and linearizable reads.
    #[must_use]
    pub fn requests(&self) -> &RequestMetrics {
        &self.requests
    }

    /// The counters of snapshots.
    #[must_use]
    pub fn snapshots(&self) -> &SnapshotMetrics {
        &self.snapshots
    }

    /// This member won an election and has committed in its term.
    pub fn election_won(&self, election: &Election) {
        self.elections.won(election);
    }

    /// The traffic of one more listener for clients.
    pub fn add_listener(&self, traffic: Traffic) {
        self.listeners.lock().push(traffic);
    }

    /// One more side that is protected by TLS.
    pub fn add_tls(&self, side: TlsSide) {
        self.protected.lock().push(side);
    }

    /// How reports fare.
    pub fn add_reports(&self, tally: Tally) {
        *self.reports.lock() = tally;
    }

    /// Traffic of the log, for `/v2/stats/self`.
    #[must_use]
    pub fn append_stats(&self) -> AppendStats {
        self.peers.append_stats()
    }

    /// What `/v2/stats/leader` says of a follower.
    #[must_use]
    pub fn follower(&self, figures: &FollowerFigures) -> Follower {
        let latencies = self.peers.latencies(figures.member);
        let (success, fail) = latencies.counts();
        Follower {
            id: figures.member,
            matched_index: figures.matched_index,
            latency: latencies.latency(),
            fail,
            success,
        }
    }

    /// The page: text format 0.0.4, in order.
    #[must_use]
    pub fn exposition(&self, moment: &Moment) -> Bytes {
        self.peers.forget(&moment.removed);
        self.snapshots.forget(&moment.removed);
        let mut page = Page::new(self.registry.gather());
        moment.write(&mut page);
        self.peers.write(&mut page);
        let (mut received, mut sent, mut connections) = (0, 0, 0);
        for traffic in &*self.listeners.lock() {
            received += traffic.received();
            sent += traffic.sent();
            connections += traffic.connections() as u64;
        }
        page.count(&clients::RECEIVED_BYTES, &[], received);
        page.count(&clients::SENT_BYTES, &[], sent);
        page.count(&clients::CONNECTIONS, &[], connections);
        self.protected.lock().iter().for_each(|side| side.write(&mut page));
        if let Some(Figures { taken, failed, failing_for }) = self.reports.lock().figures() {
            page.count(&reports::REPORTS, &["taken"], taken);
            page.count(&reports::REPORTS, &["failed"], failed);
            page.number(&reports::FAILING, &[], failing_for.as_secs_f64());
        }
        page.text()
    }
}
