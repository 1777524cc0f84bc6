//! Certificates, and the handshakes that failed.

use super::Section;
use crate::metrics::definition::Metric;

/// See the module.
pub const SECTION: Section =
    Section { title: "TLS", metrics: &[&EXPIRY, &RELOADS, &RELOAD_FAILURES, &HANDSHAKE_FAILURES] };

/// When it all ends.
pub const EXPIRY: Metric = Metric::gauge(
    "quorate_tls_expiry_timestamp_seconds",
    &["side", "what"],
    "When the first certificate, authority or revocation list of a kind expires, in seconds since 1970.",
)
.noted(
    "`side` is `client` or `peer`; `what` is `certificate` (the member's own), `authority` (of those in the trusted file that \
     are still valid) or `revocations` (when the next list is due: from then on nobody is let in). Absent without TLS.",
);
/// New files.
pub const RELOADS: Metric = Metric::counter(
    "quorate_tls_reloads_total",
    &["side"],
    "How often changed files were taken into use.",
);
/// Bad files.
pub const RELOAD_FAILURES: Metric = Metric::counter(
    "quorate_tls_reload_failures_total",
    &["side"],
    "How often changed files could not be used, so that the old ones stayed. They are tried again once a minute.",
);
/// Who was not let in.
pub const HANDSHAKE_FAILURES: Metric = Metric::counter(
    "quorate_tls_handshake_failures_total",
    &["side", "reason"],
    "TLS handshakes that failed, by reason.",
)
.noted(
    "Of side `peer` both those of who connects to this member and those this member begins. The log says with whom, at most \
     ten times in ten seconds.",
);
