//! Who this member is, who leads, and how elections went.

use super::Section;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Membership, leadership and elections",
    metrics: &[
        &SERVER_ID,
        &SERVER_VERSION,
        &BUILD_INFO,
        &CLUSTER_VERSION,
        &MEMBERS,
        &HAS_LEADER,
        &IS_LEADER,
        &IS_LEARNER,
        &TERM,
        &LEADER_CHANGES,
        &LEADERLESS_SECONDS,
        &ELECTION_DURATION,
        &ELECTION_PHASE,
        &FAILURE_TOLERANCE,
        &QUORUM_ACK_AGE,
        &HEALTH_SUCCESS,
        &HEALTH_FAILURES,
    ],
};

/// From 1 ms to 33 s: a hand-over takes milliseconds, an election with a long timeout many seconds.
const ELECTION_BUCKETS: Buckets = Buckets::doubling(0.001, 16);

/// Who this is.
pub const SERVER_ID: Metric =
    Metric::gauge("etcd_server_id", &["server_id"], "The member's ID as a label; always 1.");
/// What clients are told.
pub const SERVER_VERSION: Metric = Metric::gauge(
    "etcd_server_version",
    &["server_version"],
    "The etcd version whose v2 API is served, as a label; always 1.",
)
.noted("The version of this program is in `quorate_build_info`.");
/// What it really is.
pub const BUILD_INFO: Metric =
    Metric::gauge("quorate_build_info", &["version"], "The version of this program; always 1.");
/// What all members agreed on.
pub const CLUSTER_VERSION: Metric = Metric::gauge(
    "etcd_cluster_version",
    &["cluster_version"],
    "The version the members agreed on, as a label; always 1.",
)
.noted("Absent until the first leader has decided it.");
/// How many.
pub const MEMBERS: Metric =
    Metric::gauge("quorate_members", &["role"], "Members this member knows of, by role.").noted(
        "`role` is `voter` or `learner`. A learner is promoted by itself, usually within seconds.",
    );
/// Somebody leads.
pub const HAS_LEADER: Metric =
    Metric::gauge("etcd_server_has_leader", &[], "Whether this member knows a leader.");
/// This member leads.
pub const IS_LEADER: Metric =
    Metric::gauge("etcd_server_is_leader", &[], "Whether this member leads.");
/// This member has no vote.
pub const IS_LEARNER: Metric =
    Metric::gauge("etcd_server_is_learner", &[], "Whether this member has no vote yet.");
/// The term.
pub const TERM: Metric = Metric::gauge("quorate_term", &[], "The term this member is in.");
/// Changes of leader.
pub const LEADER_CHANGES: Metric = Metric::counter(
    "etcd_server_leader_changes_seen_total",
    &[],
    "Leaders this member has seen begin since it started.",
)
.noted("The first one counts, and so does the same leader in a later term.");
/// Time without a leader.
pub const LEADERLESS_SECONDS: Metric = Metric::counter(
    "quorate_leaderless_seconds_total",
    &[],
    "Seconds this member has known no leader since it started, the present spell included.",
)
.noted("Exact however rarely it is scraped: a gap of 200 ms adds 0.2. The time from the start to the first leader counts.");
/// The whole of an election.
pub const ELECTION_DURATION: Metric = Metric::histogram(
    "quorate_election_duration_seconds",
    &["cause"],
    ELECTION_BUCKETS,
    "From the last sign of the old leader to the first entry applied under this member, by cause.",
)
.noted(
    "Observed by the winner alone, so the sum over all members counts each election once. This is the gap in which no write \
     could be acknowledged. `cause`: `timeout`, nothing was heard of the old leader for an election timeout; \
     `leader_process_ended`, its port refused connections; `transfer`, it handed over; `formation`, the first election of a \
     new cluster; `unknown`, this member has seen no leader since it started. The last two begin when the member stands. Absent \
     until this member wins an election.",
);
/// The parts of an election.
pub const ELECTION_PHASE: Metric = Metric::histogram(
    "quorate_election_phase_duration_seconds",
    &["cause", "phase"],
    ELECTION_BUCKETS,
    "The phases of the elections that this member won, by cause.",
)
.noted(
    "`phase`: `detection`, from the last sign of the old leader until this member stands for election; `vote`, until it is \
     elected, failed attempts included; `first_commit`, until an entry of its term is applied here.",
);
/// How many may still fail.
pub const FAILURE_TOLERANCE: Metric = Metric::gauge(
    "quorate_failure_tolerance",
    &[],
    "How many more voters may fail before the cluster stops, as the leader sees it.",
)
.noted(
    "Leader only. 0 means that the next failure stops the cluster; a single member always has 0.",
);
/// Age of the lease.
pub const QUORUM_ACK_AGE: Metric = Metric::gauge(
    "quorate_quorum_ack_age_seconds",
    &[],
    "How long ago a quorum last confirmed this leader.",
)
.noted("Leader only, and only where there are other voters.");
/// `/health` said yes.
pub const HEALTH_SUCCESS: Metric =
    Metric::counter("etcd_server_health_success", &[], "Times that /health answered well.");
/// `/health` said no.
pub const HEALTH_FAILURES: Metric =
    Metric::counter("etcd_server_health_failures", &[], "Times that /health answered badly.");
