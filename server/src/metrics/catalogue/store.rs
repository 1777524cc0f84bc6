//! The store of this member.

use super::Section;
use crate::metrics::definition::Metric;

/// See the module.
pub const SECTION: Section = Section {
    title: "Store and watchers",
    metrics: &[
        &INDEX,
        &READS,
        &READS_FAILED,
        &WRITES,
        &WRITES_FAILED,
        &EXPIRES,
        &WATCH_REQUESTS,
        &WATCHERS,
    ],
};

/// The store's index.
pub const INDEX: Metric =
    Metric::gauge("quorate_store_index", &[], "The store index (X-Etcd-Index) of this member.");
/// Reads.
pub const READS: Metric = Metric::counter(
    "etcd_debugging_store_reads_total",
    &["action"],
    "Reads of this member's store.",
)
.noted("`action` is always `get`: recursive reads are not told apart.");
/// Reads of what is not there.
pub const READS_FAILED: Metric = Metric::counter(
    "etcd_debugging_store_reads_failed_total",
    &["action"],
    "Reads of this member's store that failed, mostly for want of the key.",
)
.noted("etcd defines it and never shows it.");
/// Writes.
pub const WRITES: Metric = Metric::counter(
    "etcd_debugging_store_writes_total",
    &["action"],
    "Writes applied to this member's store, by action.",
)
.noted("`action`: `set`, `create`, `update`, `delete`, `compareAndSwap`, `compareAndDelete`. All members count the same writes.");
/// Refused writes.
pub const WRITES_FAILED: Metric = Metric::counter(
    "etcd_debugging_store_writes_failed_total",
    &["action"],
    "Writes that this member's store refused, by action.",
)
.noted("etcd defines it and never shows it.");
/// Keys whose time was over.
pub const EXPIRES: Metric =
    Metric::counter("etcd_debugging_store_expires_total", &[], "Keys that expired.");
/// Watches begun.
pub const WATCH_REQUESTS: Metric = Metric::counter(
    "etcd_debugging_store_watch_requests_total",
    &[],
    "Watches that clients began at this member.",
);
/// Watches under way.
pub const WATCHERS: Metric =
    Metric::gauge("etcd_debugging_store_watchers", &[], "Watchers that wait at this member now.");
