//! Snapshots made, restored and carried between members.

use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use quorate_core::MemberId;

use super::catalogue::snapshots;

/// See the module.
pub struct SnapshotMetrics {
    saved: Histogram,
    restored: Histogram,
    bytes: IntGauge,
    sent: Transfers,
    received: Transfers,
}

/// One direction.
struct Transfers {
    success: IntCounterVec,
    failures: IntCounterVec,
    under_way: IntGaugeVec,
    durations: HistogramVec,
}

/// A snapshot on its way. Dropping it counts a failure; [`Transfer::done`] a success.
#[must_use]
pub struct Transfer<'a> {
    transfers: &'a Transfers,
    peer: String,
    since: Instant,
    is_done: bool,
}

impl SnapshotMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            saved: snapshots::SAVE_DURATION.histogram_in(registry)?,
            restored: snapshots::RESTORE_DURATION.histogram_in(registry)?,
            bytes: snapshots::BYTES.gauge_in(registry)?,
            sent: Transfers {
                success: snapshots::SENT.counts_in(registry)?,
                failures: snapshots::SEND_FAILURES.counts_in(registry)?,
                under_way: snapshots::SENDING.gauges_in(registry)?,
                durations: snapshots::SEND_DURATION.histograms_in(registry)?,
            },
            received: Transfers {
                success: snapshots::RECEIVED.counts_in(registry)?,
                failures: snapshots::RECEIVE_FAILURES.counts_in(registry)?,
                under_way: snapshots::RECEIVING.gauges_in(registry)?,
                durations: snapshots::RECEIVE_DURATION.histograms_in(registry)?,
            },
        })
    }

    /// A snapshot was written.
    pub fn saved(&self, took: Duration, bytes: u64) {
        self.saved.observe(took.as_secs_f64());
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A snapshot was read into memory.
    pub fn restored(&self, took: Duration, bytes: u64) {
        self.restored.observe(took.as_secs_f64());
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A snapshot begins to travel to `peer`.
    pub fn sending(&self, peer: MemberId) -> Transfer<'_> {
        self.sent.begin(peer)
    }

    /// A snapshot begins to arrive from `peer`.
    pub fn receiving(&self, peer: MemberId) -> Transfer<'_> {
        self.received.begin(peer)
    }

    pub(super) fn forget(&self, removed: &[MemberId]) {
        for label in removed.iter().map(ToString::to_string) {
            self.sent.forget(&label);
            self.received.forget(&label);
        }
    }
}

impl Transfers {
    fn begin(&self, peer: MemberId) -> Transfer<'_> {
        let peer = peer.to_string();
        self.under_way.with_label_values(&[&peer]).inc();
        Transfer { transfers: self, peer, since: Instant::now(), is_done: false }
    }

    fn forget(&self, label: &str) {
        // An error means that there was no such series.
        let _ = self.success.remove_label_values(&[label]);
        let _ = self.failures.remove_label_values(&[label]);
        let _ = self.under_way.remove_label_values(&[label]);
        let _ = self.durations.remove_label_values(&[label]);
    }
}

impl Transfer<'_> {
    /// It arrived and was installed.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        let label = [&*self.peer];
        self.transfers.under_way.with_label_values(&label).dec();
        if self.is_done {
            self.transfers.success.with_label_values(&label).inc();
            let took = self.since.elapsed();
            self.transfers.durations.with_label_values(&label).observe(took.as_secs_f64());
        } else {
            self.transfers.failures.with_label_values(&label).inc();
        }
    }
}
