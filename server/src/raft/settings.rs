//! The raft library's configuration, each value with its reason.

use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};
use quorate_core::ClusterId;

/// How long a snapshot may take to reach a follower.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);
/// Entries kept behind a snapshot, so that a follower that is a little behind needs no snapshot.
const ENTRIES_KEPT: u64 = 2_000;
/// Entries in one append. Each may carry a thousand operations; the log reader bounds the bytes.
const ENTRIES_PER_APPEND: u64 = 64;

/// The library's configuration for these timings.
///
/// # Errors
/// When the library refuses the timings.
pub fn settings(
    cluster: ClusterId,
    heartbeat_interval: Duration,
    election_timeout: Duration,
) -> Result<Config, Box<ConfigError>> {
    let heartbeat_ms = millis(heartbeat_interval);
    // Where the library says "election timeout", two of them pass before an election: a follower refuses votes until the
    // longest has passed since the leader's last sign, and only then begins to count its own. Two thirds of what the operator
    // gave make the whole one to one and a half times that, as people who know etcd expect.
    let election_min_ms = (millis(election_timeout) * 2 / 3).max(heartbeat_ms + 1);
    // A wide spread only delays elections; a fifth is enough to keep candidates apart.
    let election_max_ms = election_min_ms + (election_min_ms / 5).max(20);
    let config = Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_min_ms,
        election_timeout_max: election_max_ms,
        install_snapshot_timeout: millis(SNAPSHOT_TIMEOUT),
        max_payload_entries: ENTRIES_PER_APPEND,
        // Snapshots are made by operations and bytes, see `raft::snapshots`; entries say little about either.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        // A follower is sent a snapshot only when the log no longer reaches back to it.
        replication_lag_threshold: u64::MAX,
        // A member that was cut off must not depose a healthy leader when it comes back.
        enable_pre_vote: Some(true),
        // Entries may reach followers before this member's own disk. After a crash it may not have them any more, and would
        // write others under the same terms and indexes if it went on leading in its old term; so it stands in a new one.
        enable_leader_restore: Some(false),
        // A leader that lost its quorum in one direction only would otherwise keep others from electing.
        quorum_loss_probe_interval: Some(2 * election_max_ms + 1),
        ..Config::default()
    };
    config.validate().map_err(Box::new)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
