//! The way of a write through the log, and of a linearizable read.

use super::Section;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Proposals and reads",
    metrics: &[
        &COMMITTED,
        &APPLIED,
        &PENDING,
        &FAILED,
        &QUEUED,
        &DURATION,
        &OPERATIONS_APPLIED,
        &OPERATIONS_PER_ENTRY,
        &READS_FAILED,
        &READS_QUEUED,
        &READ_DURATION,
    ],
};

/// From 0.1 ms to 13 s: a memory disk answers in the first, a request is given up within the last.
const LATENCY_BUCKETS: Buckets = Buckets::doubling(0.0001, 18);

/// The commit index.
pub const COMMITTED: Metric = Metric::gauge(
    "etcd_server_proposals_committed_total",
    &[],
    "The index of the last entry known to be committed.",
)
.noted("A gauge, as in etcd. An entry holds as many operations as came together: see `quorate_operations_applied_total`.");
/// The applied index.
pub const APPLIED: Metric = Metric::gauge(
    "etcd_server_proposals_applied_total",
    &[],
    "The index of the last entry applied here.",
)
.noted("A gauge, as in etcd. Steadily far behind the committed one: this machine is too slow.");
/// Awaited outcomes.
pub const PENDING: Metric = Metric::gauge(
    "etcd_server_proposals_pending",
    &[],
    "Operations of this member's clients whose outcome is awaited.",
);
/// Failures other than the store's refusals.
pub const FAILED: Metric = Metric::counter(
    "etcd_server_proposals_failed_total",
    &[],
    "Operations that got no outcome: no quorum in time, no room on the disk, or too many at once.",
)
.noted("What the store refuses (a key that exists, a comparison that fails) is an outcome.");
/// Not yet in an entry.
pub const QUEUED: Metric = Metric::gauge(
    "quorate_proposals_queued",
    &[],
    "Operations that wait to be put into an entry or handed to the leader.",
);
/// From the client's call to the outcome.
pub const DURATION: Metric = Metric::histogram(
    "quorate_proposal_duration_seconds",
    &[],
    LATENCY_BUCKETS,
    "How long operations took from their arrival at this member until it had applied them.",
)
.noted("Failed ones are left out; those the store refuses are in.");
/// Operations, not entries.
pub const OPERATIONS_APPLIED: Metric = Metric::counter(
    "quorate_operations_applied_total",
    &[],
    "Operations applied here, from all members' clients and the cluster's own.",
);
/// How well batching works.
pub const OPERATIONS_PER_ENTRY: Metric = Metric::histogram(
    "quorate_operations_per_entry",
    &[],
    Buckets::doubling(1.0, 14),
    "Operations in each applied entry that holds any.",
);
/// Linearizable reads without a proof.
pub const READS_FAILED: Metric = Metric::counter(
    "etcd_server_read_indexes_failed_total",
    &[],
    "Linearizable reads for which no leader proved itself in time.",
);
/// Readers in the queue.
pub const READS_QUEUED: Metric = Metric::gauge(
    "quorate_reads_queued",
    &[],
    "Linearizable reads that wait for the next proof of leadership.",
);
/// How long the proof takes.
pub const READ_DURATION: Metric = Metric::histogram(
    "quorate_read_barrier_duration_seconds",
    &[],
    LATENCY_BUCKETS,
    "How long linearizable reads waited until this member might answer them.",
)
.noted("`/health` asks for one, too. Failed ones are left out.");
