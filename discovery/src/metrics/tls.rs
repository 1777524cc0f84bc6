//! What there is to tell about TLS of the service's listeners: looked up when the page is asked for.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use quorate_transport::tls::FailureKind;

use crate::protection::Protection;

/// See the module.
pub(super) struct TlsSeries {
    protection: Option<Protection>,
    expiry: IntGaugeVec,
    reload_failures: IntGauge,
    handshake_failures: IntGaugeVec,
}

impl TlsSeries {
    /// Its series in `registry`; they stay empty without `protection`.
    pub(super) fn new(
        registry: &Registry,
        protection: Option<Protection>,
    ) -> Result<Self, prometheus::Error> {
        let name = |name: &str| format!("quorate_discovery_tls_{name}");
        let expiry = Opts::new(
            name("expiry_timestamp_seconds"),
            "When what is shown to clients expires, in seconds since 1970.",
        );
        let failures = Opts::new(
            name("handshake_failures"),
            "Handshakes of clients that failed so far, by reason.",
        );
        let series = Self {
            protection,
            expiry: IntGaugeVec::new(expiry, &["what"])?,
            reload_failures: IntGauge::new(
                name("reload_failures"),
                "How often changed certificate files could not be used; the old ones stay in use.",
            )?,
            handshake_failures: IntGaugeVec::new(failures, &["reason"])?,
        };
        registry.register(Box::new(series.expiry.clone()))?;
        registry.register(Box::new(series.reload_failures.clone()))?;
        registry.register(Box::new(series.handshake_failures.clone()))?;
        Ok(series)
    }

    /// Sets them to what is true now.
    pub(super) fn update(&self) {
        let Some(protection) = &self.protection else { return };
        let figures = protection.credentials.figures();
        self.reload_failures.set(i64::try_from(figures.reload_failures).unwrap_or(i64::MAX));
        for expiry in figures.expiries {
            self.expiry.with_label_values(&[expiry.what]).set(expiry.at);
        }
        for kind in FailureKind::ALL {
            let count = i64::try_from(protection.failures.count(kind)).unwrap_or(i64::MAX);
            self.handshake_failures.with_label_values(&[kind.name()]).set(count);
        }
    }
}
