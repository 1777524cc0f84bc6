//! The request metrics of `/v2/keys`, under the names etcd's dashboards and alerts use.
//!
//! Invariant: counters of the hot path are looked up once, at start. Watches are not counted as received, since they would spoil the
//! rates, but one that is refused counts as failed.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

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
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// They are registered there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let received = IntCounterVec::new(
            Opts::new(
                "etcd_http_received_total",
                "Requests for keys that were understood, without watches, by method.",
            ),
            &["method"],
        )?;
        let failed = IntCounterVec::new(
            Opts::new(
                "etcd_http_failed_total",
                "Requests for keys that failed, by method and HTTP status.",
            ),
            &["method", "code"],
        )?;
        let successful = HistogramVec::new(
            HistogramOpts::new(
                "etcd_http_successful_duration_seconds",
                "How long successful requests for keys took, without watches, by method.",
            )
            .buckets(prometheus::exponential_buckets(0.0005, 2.0, 13)?),
            &["method"],
        )?;
        registry.register(Box::new(received.clone()))?;
        registry.register(Box::new(failed.clone()))?;
        registry.register(Box::new(successful.clone()))?;
        Ok(Self {
            received: LABELS.map(|label| received.with_label_values(&[label])),
            successful: LABELS.map(|label| successful.with_label_values(&[label])),
            failed,
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
}
