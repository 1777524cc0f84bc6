//! How a log is opened and what it tells the outside.
//!
//! Left out: anything that changes what is durable. There is no option for that.

use std::sync::Arc;
use std::time::Duration;

use crate::storage::disk::{Disk, RealDisk};

/// What [`super::Log::open`] needs to know.
#[derive(Clone)]
pub struct LogOptions {
    /// The cluster the log belongs to; written into each segment and checked.
    pub cluster: u64,
    /// Whether this member has never had a log. False refuses an empty directory.
    pub create: bool,
    /// Size of a new log's first segment in bytes: small, so that a new member starts at once. An
    /// entry must fit in it.
    pub first_segment_bytes: u64,
    /// Size of every other segment in bytes.
    pub segment_bytes: u64,
    /// Bytes of the newest entries to keep in memory. Entries not yet on the device are kept on top
    /// of that.
    pub cache_bytes: usize,
    /// The device.
    pub disk: Arc<dyn Disk>,
    /// Who hears how long syncs take.
    pub observer: Arc<dyn LogObserver>,
}

impl LogOptions {
    /// The defaults, for a member of `cluster` that has had a log before.
    #[must_use]
    pub fn new(cluster: u64) -> Self {
        Self {
            cluster,
            create: false,
            first_segment_bytes: 16 << 20,
            segment_bytes: 64 << 20,
            cache_bytes: 4 << 20,
            disk: Arc::new(RealDisk),
            observer: Arc::new(()),
        }
    }
}

/// Hears what the log does. Called on the log's own threads: must return at once.
pub trait LogObserver: Send + Sync + 'static {
    /// A batch is on the device.
    fn batch_synced(&self, batch: &BatchStats) {
        let _ = batch;
    }

    /// A segment was made ready; `recycled` if from a purged one.
    fn segment_prepared(&self, recycled: bool, took: Duration) {
        let _ = (recycled, took);
    }
}

impl LogObserver for () {}

/// What one sync covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchStats {
    /// Callers' requests.
    pub requests: usize,
    /// Log entries.
    pub entries: usize,
    /// Bytes written, framing included.
    pub bytes: u64,
    /// From the first write until everything was handed to the operating system.
    pub write: Duration,
    /// The sync alone.
    pub sync: Duration,
}

/// The files of a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogUsage {
    /// Segments in use.
    pub segments: usize,
    /// Their sizes together.
    pub bytes: u64,
}

/// Whether there is room to go on. Ordered from good to bad.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Space {
    /// There is room.
    #[default]
    Ample,
    /// The disk is full: no further segment can be made. Refuse clients' writes; what is under way,
    /// votes and membership changes still fit.
    Full,
    /// The current segment is nearly used up too. Refuse replicated entries as well; only votes and
    /// what is under way still fit.
    Exhausted,
}
