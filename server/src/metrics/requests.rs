//! Writes and linearizable reads of this member's clients, and what is applied here.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, Registry};

use super::catalogue::{proposals, store};
use crate::member::ProposeError;

/// See the module.
pub struct RequestMetrics {
    proposed: Histogram,
    proposals_failed: IntCounter,
    read: Histogram,
    reads_failed: IntCounter,
    operations: IntCounter,
    operations_per_entry: Histogram,
    watches: IntCounter,
}

impl RequestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            proposed: proposals::DURATION.histogram_in(registry)?,
            proposals_failed: proposals::FAILED.count_in(registry)?,
            read: proposals::READ_DURATION.histogram_in(registry)?,
            reads_failed: proposals::READS_FAILED.count_in(registry)?,
            operations: proposals::OPERATIONS_APPLIED.count_in(registry)?,
            operations_per_entry: proposals::OPERATIONS_PER_ENTRY.histogram_in(registry)?,
            watches: store::WATCH_REQUESTS.count_in(registry)?,
        })
    }

    /// An operation ended so after this long.
    pub fn proposed<T>(&self, took: Duration, outcome: &Result<T, ProposeError>) {
        match outcome {
            Ok(_) | Err(ProposeError::Store(_)) => self.proposed.observe(took.as_secs_f64()),
            Err(_) => self.proposals_failed.inc(),
        }
    }

    /// A wait for linearizability ended so after this long.
    pub fn read(&self, took: Duration, outcome: &Result<(), ProposeError>) {
        match outcome {
            Ok(()) => self.read.observe(took.as_secs_f64()),
            Err(_) => self.reads_failed.inc(),
        }
    }

    /// An entry with so many operations was applied.
    pub fn applied(&self, operations: usize) {
        self.operations.inc_by(operations as u64);
        self.operations_per_entry.observe(operations as f64);
    }

    /// A client began to watch.
    pub fn watched(&self) {
        self.watches.inc();
    }
}
