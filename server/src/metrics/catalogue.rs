//! All metrics, by topic.
//!
//! A name of etcd's is used only where the number means the same to whoever reads it; where it can't, the metric is left out
//! and [`ABSENT`] says why and what to look at instead.

pub mod clients;
pub mod cluster;
pub mod disk;
pub mod peers;
pub mod process;
pub mod proposals;
pub mod reports;
pub mod snapshots;
pub mod store;
pub mod tls;

use super::definition::Metric;

/// Metrics that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [&'static Metric],
}

/// Every metric of a member.
pub const SECTIONS: &[Section] = &[
    cluster::SECTION,
    proposals::SECTION,
    peers::SECTION,
    disk::SECTION,
    snapshots::SECTION,
    clients::SECTION,
    tls::SECTION,
    store::SECTION,
    reports::SECTION,
    process::SECTION,
];

/// What etcd has and this server has not: names, why, and what to look at instead.
pub const ABSENT: &[(&str, &str, &str)] = &[
    (
        "`etcd_disk_backend_commit_duration_seconds`",
        "there is no backend file: the store lives in memory, and the log is the only thing a write waits for. A made-up \
         duration would hide a slow disk or show one that is not there",
        "`etcd_disk_wal_fsync_duration_seconds`",
    ),
    (
        "`etcd_mvcc_*`, `etcd_debugging_mvcc_*`, `etcd_server_quota_backend_bytes`",
        "no v3 store, no quota, nothing to defragment",
        "`quorate_log_disk_bytes`, `quorate_snapshot_bytes`, `process_resident_memory_bytes`, `quorate_log_space`",
    ),
    ("`grpc_server_*`, `etcd_grpc_*`", "no gRPC", "`etcd_http_*`"),
    (
        "`etcd_network_active_peers`, `etcd_network_disconnected_peers_total`",
        "links between members are opened when they are needed: two followers have none, and that is no fault",
        "`quorate_peer_links`, `quorate_follower_heartbeat_ack_age_seconds`",
    ),
    (
        "`etcd_network_peer_received_failures_total`",
        "what cannot be read ends the connection, and the member that sent it counts the failure",
        "`etcd_network_peer_sent_failures_total`",
    ),
    (
        "`etcd_server_slow_apply_total`, `etcd_server_slow_read_indexes_total`",
        "a fixed threshold says less than a distribution",
        "`quorate_proposal_duration_seconds`, `quorate_read_barrier_duration_seconds`",
    ),
    (
        "`etcd_server_learner_promote_successes`, `etcd_server_learner_promote_failures`",
        "nobody asks for a promotion; the leader gives the vote when it is due",
        "`quorate_members`, `quorate_follower_lag_entries`",
    ),
    (
        "`etcd_debugging_snap_save_marshalling_duration_seconds`, `etcd_snap_*`",
        "a snapshot is written piece by piece while it is being made, so the parts have no durations of their own",
        "`etcd_debugging_snap_save_total_duration_seconds`",
    ),
    ("`etcd_server_go_version`, `go_*`", "not written in Go", "`quorate_build_info`"),
];

/// The metric with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics).find(|metric| metric.name == name).copied()
}
