//! What is told to the discovery service.

use super::Section;
use crate::metrics::definition::Metric;

/// See the module.
pub const SECTION: Section =
    Section { title: "Reports to the discovery service", metrics: &[&REPORTS, &FAILING] };

/// Sent.
pub const REPORTS: Metric = Metric::counter(
    "quorate_reports_total",
    &["result"],
    "Reports to the discovery service, by result.",
)
.noted("`result`: `taken`, `failed`. Absent until there is a service to report to.");
/// Not taken.
pub const FAILING: Metric = Metric::gauge(
    "quorate_reports_failing_seconds",
    &[],
    "For how long the discovery service has taken no report of this member; 0 if it took the last one.",
)
.noted(
    "Nothing in the cluster depends on reports. But who follows its members by the service's DNS or its feed for Prometheus is told \
     old news if no member's reports are taken for long. Absent until there is a service to report to.",
);
