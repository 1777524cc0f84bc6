//! The request metrics of `/v2/keys`, under the names etcd's dashboards and alerts use.
//!
//! Invariant: counters of the hot path are looked up once, at start. Watches are not counted as received, since they would spoil the
//! rates, but one that is refused counts as failed.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};

use crate::metrics::catalogue::{clients, cluster};

/// What a request was, as the `method` label says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A local read, or a watch.
    Get,
    /// A linearizable read.
    QuorumGet,
    /// A read without a body.
    Head,
    /// A write.
    Put,
    /// A creation in order.
    Post,
    /// A removal.
    Delete,
}

/// The labels, in the order of [`Kind`].
const LABELS: [&str; 6] = ["GET", "QGET", "HEAD", "PUT", "POST", "DELETE"];

/// The counters and timings of requests for keys.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    received: [IntCounter; LABELS.len()],
    successful: [Histogram; LABELS.len()],
    failed: IntCounterVec,
    health_success: IntCounter,
    health_failures: IntCounter,
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let received = clients::HTTP_RECEIVED.counts_in(registry)?;
        let successful = clients::HTTP_DURATION.histograms_in(registry)?;
        Ok(Self {
            received: LABELS.map(|label| received.with_label_values(&[label])),
            successful: LABELS.map(|label| successful.with_label_values(&[label])),
            failed: clients::HTTP_FAILED.counts_in(registry)?,
            health_success: cluster::HEALTH_SUCCESS.count_in(registry)?,
            health_failures: cluster::HEALTH_FAILURES.count_in(registry)?,
        })
    }

    pub(super) fn received(&self, kind: Kind) {
        if let Some(counter) = self.received.get(kind as usize) {
            counter.inc();
        }
    }

    pub(super) fn succeeded(&self, kind: Kind, took: Duration) {
        if let Some(histogram) = self.successful.get(kind as usize) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(super) fn failed(&self, kind: Kind, status: u16) {
        if let Some(label) = LABELS.get(kind as usize) {
            self.failed.with_label_values(&[*label, &status.to_string()]).inc();
        }
    }

    /// `/health` answered.
    pub(super) fn health(&self, is_well: bool) {
        if is_well {
            self.health_success.inc();
        } else {
            self.health_failures.inc();
        }
    }
}
