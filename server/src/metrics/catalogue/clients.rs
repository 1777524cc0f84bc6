//! What clients ask, over HTTP.

use super::Section;
use crate::metrics::definition::{Buckets, Metric};

/// See the module.
pub const SECTION: Section = Section {
    title: "Clients",
    metrics: &[
        &HTTP_RECEIVED,
        &HTTP_FAILED,
        &HTTP_DURATION,
        &CONNECTIONS,
        &RECEIVED_BYTES,
        &SENT_BYTES,
    ],
};

/// Asked.
pub const HTTP_RECEIVED: Metric = Metric::counter(
    "etcd_http_received_total",
    &["method"],
    "Requests for keys that were understood, without watches, by method.",
)
.noted("`method`: `GET`, `QGET` (a linearizable read), `HEAD`, `PUT`, `POST`, `DELETE`.");
/// Refused or failed.
pub const HTTP_FAILED: Metric = Metric::counter(
    "etcd_http_failed_total",
    &["method", "code"],
    "Requests for keys that failed, by method and HTTP status.",
)
.noted("404 and 412 are answers that clients expect. A refused watch counts here, though not as received.");
/// Answered.
pub const HTTP_DURATION: Metric = Metric::histogram(
    "etcd_http_successful_duration_seconds",
    &["method"],
    Buckets::doubling(0.0005, 13),
    "How long successful requests for keys took, without watches, by method.",
);
/// Open.
pub const CONNECTIONS: Metric = Metric::gauge(
    "quorate_client_connections",
    &[],
    "Open connections on the client and metrics listeners.",
);
/// In.
pub const RECEIVED_BYTES: Metric = Metric::counter(
    "etcd_network_client_grpc_received_bytes_total",
    &[],
    "Bytes received on the client and metrics listeners.",
)
.noted("Over HTTP: the name is etcd's, so that its dashboards show the traffic.");
/// Out.
pub const SENT_BYTES: Metric = Metric::counter(
    "etcd_network_client_grpc_sent_bytes_total",
    &[],
    "Bytes sent on the client and metrics listeners.",
)
.noted("Over HTTP: the name is etcd's, so that its dashboards show the traffic.");
