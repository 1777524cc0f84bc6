//! Snapshots: written, sent, received, restored.

use super::Section;
use super::disk::DISK_BUCKETS;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Snapshots",
    metrics: &[
        &SAVE_DURATION,
        &RESTORE_DURATION,
        &BYTES,
        &INDEX,
        &SENT,
        &SEND_FAILURES,
        &SENDING,
        &SEND_DURATION,
        &RECEIVED,
        &RECEIVE_FAILURES,
        &RECEIVING,
        &RECEIVE_DURATION,
    ],
};

/// etcd's: from 0.1 s to 51.2 s.
const TRANSFER_BUCKETS: Buckets = Buckets::doubling(0.1, 10);

/// From the first byte until it is durable.
pub const SAVE_DURATION: Metric = Metric::histogram(
    "etcd_debugging_snap_save_total_duration_seconds",
    &[],
    DISK_BUCKETS,
    "How long writing a snapshot took, the sync included.",
)
.noted("Applying goes on meanwhile.");
/// From file to memory.
pub const RESTORE_DURATION: Metric = Metric::histogram(
    "quorate_snapshot_restore_duration_seconds",
    &[],
    DISK_BUCKETS,
    "How long reading a snapshot into memory took.",
);
/// The newest one.
pub const BYTES: Metric = Metric::gauge(
    "quorate_snapshot_bytes",
    &[],
    "Size of the newest snapshot this process wrote or restored.",
)
.noted("0 until there is one.");
/// What it covers.
pub const INDEX: Metric = Metric::gauge(
    "quorate_snapshot_index",
    &[],
    "The last entry that the newest snapshot includes; 0 without one.",
);
/// Well.
pub const SENT: Metric = Metric::counter(
    "etcd_network_snapshot_send_success",
    &["To"],
    "Snapshots that a peer received and installed.",
);
/// Not well.
pub const SEND_FAILURES: Metric = Metric::counter(
    "etcd_network_snapshot_send_failures",
    &["To"],
    "Snapshots that could not be sent to a peer.",
);
/// Under way.
pub const SENDING: Metric = Metric::gauge(
    "etcd_network_snapshot_send_inflights_total",
    &["To"],
    "Snapshots being sent to a peer now.",
);
/// All of it.
pub const SEND_DURATION: Metric = Metric::histogram(
    "etcd_network_snapshot_send_total_duration_seconds",
    &["To"],
    TRANSFER_BUCKETS,
    "How long sending a snapshot took, until the peer had installed it.",
);
/// Well.
pub const RECEIVED: Metric = Metric::counter(
    "etcd_network_snapshot_receive_success",
    &["From"],
    "Snapshots received from a peer and installed.",
);
/// Not well.
pub const RECEIVE_FAILURES: Metric = Metric::counter(
    "etcd_network_snapshot_receive_failures",
    &["From"],
    "Snapshots from a peer that did not arrive whole or could not be installed.",
);
/// Under way.
pub const RECEIVING: Metric = Metric::gauge(
    "etcd_network_snapshot_receive_inflights_total",
    &["From"],
    "Snapshots being received from a peer now.",
);
/// All of it.
pub const RECEIVE_DURATION: Metric = Metric::histogram(
    "etcd_network_snapshot_receive_total_duration_seconds",
    &["From"],
    TRANSFER_BUCKETS,
    "How long receiving a snapshot took, until it was installed.",
);
