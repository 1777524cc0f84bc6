//! What the log on the disk tells about itself.

use std::time::Duration;

use prometheus::{Histogram, IntGauge, Registry};

use super::catalogue::disk;
use crate::storage::log::{BatchStats, LogObserver};

/// See the module.
pub(super) struct LogMetrics {
    fsync: Histogram,
    written: IntGauge,
    entries: Histogram,
    made: Histogram,
    recycled: Histogram,
}

impl LogMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let prepared = disk::SEGMENT_PREPARED.histograms_in(registry)?;
        Ok(Self {
            fsync: disk::FSYNC_DURATION.histogram_in(registry)?,
            written: disk::WRITTEN_BYTES.gauge_in(registry)?,
            entries: disk::ENTRIES_PER_FSYNC.histogram_in(registry)?,
            made: prepared.with_label_values(&["false"]),
            recycled: prepared.with_label_values(&["true"]),
        })
    }
}

impl LogObserver for LogMetrics {
    fn batch_synced(&self, batch: &BatchStats) {
        self.fsync.observe(batch.sync.as_secs_f64());
        self.written.add(i64::try_from(batch.bytes).unwrap_or(i64::MAX));
        if batch.entries > 0 {
            self.entries.observe(batch.entries as f64);
        }
    }

    fn segment_prepared(&self, recycled: bool, took: Duration) {
        let histogram = if recycled { &self.recycled } else { &self.made };
        histogram.observe(took.as_secs_f64());
    }
}
