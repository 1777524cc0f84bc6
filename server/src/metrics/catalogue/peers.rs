//! The traffic between members, and how followers keep up.

use super::Section;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Peers and followers",
    metrics: &[
        &SENT_BYTES,
        &RECEIVED_BYTES,
        &SENT_FAILURES,
        &ROUND_TRIP,
        &LINKS,
        &HEARTBEAT_FAILURES,
        &HEARTBEAT_ACK_AGE,
        &FOLLOWER_LAG,
        &APPEND_DURATION,
    ],
};

/// etcd's: from 0.1 ms to 3.3 s.
const ROUND_TRIP_BUCKETS: Buckets = Buckets::doubling(0.0001, 16);

/// Out.
pub const SENT_BYTES: Metric =
    Metric::counter("etcd_network_peer_sent_bytes_total", &["To"], "Bytes sent to a peer.");
/// In.
pub const RECEIVED_BYTES: Metric = Metric::counter(
    "etcd_network_peer_received_bytes_total",
    &["From"],
    "Bytes received from a peer.",
);
/// Not out.
pub const SENT_FAILURES: Metric = Metric::counter(
    "etcd_network_peer_sent_failures_total",
    &["To"],
    "Calls to a peer that its connection failed, and failed attempts to connect.",
)
.noted(
    "An unreachable peer is tried several times a second as long as there is something to tell it.",
);
/// The network, mostly.
pub const ROUND_TRIP: Metric = Metric::histogram(
    "etcd_network_peer_round_trip_time_seconds",
    &["To"],
    ROUND_TRIP_BUCKETS,
    "How long a peer took to answer heartbeats.",
)
.noted("Measured by the leader with each heartbeat; etcd probes every 30 s from every member.");
/// What is connected.
pub const LINKS: Metric = Metric::gauge(
    "quorate_peer_links",
    &["To", "class"],
    "Whether this member's link of a class to a peer is up.",
)
.noted(
    "`class`: `heartbeat` (heartbeats, votes, read indexes), `log` (entries, forwarded operations), `snapshot`. Links are \
     opened when needed: only the leader has all of them.",
);
/// Heartbeats that got lost.
pub const HEARTBEAT_FAILURES: Metric = Metric::counter(
    "etcd_server_heartbeat_send_failures_total",
    &[],
    "Heartbeats that could not be sent or were not answered.",
)
.noted("etcd counts heartbeats that it sent late; here an unreachable follower counts, too.");
/// The leader's view of a follower's life.
pub const HEARTBEAT_ACK_AGE: Metric = Metric::gauge(
    "quorate_follower_heartbeat_ack_age_seconds",
    &["To"],
    "How long ago a follower last acknowledged a heartbeat.",
)
.noted("Leader only. For a follower that has acknowledged none yet: since when this member leads.");
/// The leader's view of a follower's log.
pub const FOLLOWER_LAG: Metric = Metric::gauge(
    "quorate_follower_lag_entries",
    &["To", "role"],
    "How many entries of the leader's log a follower is not known to have.",
)
.noted("Leader only. `role` is `voter` or `learner`.");
/// The network and the follower's disk.
pub const APPEND_DURATION: Metric = Metric::histogram(
    "quorate_follower_append_duration_seconds",
    &["To"],
    ROUND_TRIP_BUCKETS,
    "How long a follower took to have entries on its disk.",
)
.noted("Leader only. Minus the round trip of heartbeats it is the follower's disk.");
