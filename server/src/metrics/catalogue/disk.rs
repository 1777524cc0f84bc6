//! The log on the disk.

use super::Section;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Log on disk",
    metrics: &[
        &FSYNC_DURATION,
        &WRITTEN_BYTES,
        &ENTRIES_PER_FSYNC,
        &ENTRIES,
        &SEGMENTS,
        &DISK_BYTES,
        &SPACE,
        &SEGMENT_PREPARED,
    ],
};

/// etcd's: from 1 ms to 8.2 s.
pub const DISK_BUCKETS: Buckets = Buckets::doubling(0.001, 14);

/// The sync alone.
pub const FSYNC_DURATION: Metric = Metric::histogram(
    "etcd_disk_wal_fsync_duration_seconds",
    &[],
    DISK_BUCKETS,
    "How long syncing the log to the device took.",
);
/// As etcd has it: a gauge.
pub const WRITTEN_BYTES: Metric = Metric::gauge(
    "etcd_disk_wal_write_bytes_total",
    &[],
    "Bytes written to the log since the process started, framing included.",
)
.noted("A gauge, as in etcd since 3.5.");
/// How much one sync is good for.
pub const ENTRIES_PER_FSYNC: Metric = Metric::histogram(
    "quorate_log_entries_per_fsync",
    &[],
    Buckets::doubling(1.0, 12),
    "Entries that became durable with one sync.",
)
.noted("Syncs for a vote alone are left out.");
/// What is in the log.
pub const ENTRIES: Metric =
    Metric::gauge("quorate_log_entries", &[], "Entries in the log, the purged ones left out.");
/// In how many files.
pub const SEGMENTS: Metric =
    Metric::gauge("quorate_log_segments", &[], "Segment files of the log in use.");
/// How large those are.
pub const DISK_BYTES: Metric = Metric::gauge(
    "quorate_log_disk_bytes",
    &[],
    "Size of the segment files of the log in use.",
)
.noted("Segments are allocated whole, ahead of time; up to three more files may wait to be used.");
/// Is there room?
pub const SPACE: Metric = Metric::gauge(
    "quorate_log_space",
    &["state"],
    "Whether the disk has room for the log: 1 for the present state.",
)
.noted(
    "`state`: `ample`; `full`, clients' writes are refused; `exhausted`, replicated entries are, too. It returns to `ample` by \
     itself when there is room.",
);
/// Making files ahead of time.
pub const SEGMENT_PREPARED: Metric = Metric::histogram(
    "quorate_log_segment_prepare_duration_seconds",
    &["recycled"],
    DISK_BUCKETS,
    "How long making the next segment ahead of time took; recycled if from a purged one.",
);
