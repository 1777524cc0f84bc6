//! What there is to show about TLS: looked up when somebody asks, since the parts that know it are the transport's.

use std::sync::Arc;

use quorate_transport::tls::{Credentials, FailureKind, Failures};

use super::catalogue::tls;
use super::page::Page;

/// One side's certificates, and its failed handshakes.
#[derive(Clone)]
pub struct TlsSide {
    /// What is shown and who is trusted.
    pub credentials: Arc<Credentials>,
    /// Who was not let in.
    pub failures: Arc<Failures>,
}

impl TlsSide {
    pub(super) fn write(&self, page: &mut Page) {
        let side = self.credentials.side();
        let figures = self.credentials.figures();
        for expiry in figures.expiries {
            // Dates stay far below 2^53.
            page.number(&tls::EXPIRY, &[side, expiry.what], expiry.at as f64);
        }
        page.count(&tls::RELOADS, &[side], figures.reloads);
        page.count(&tls::RELOAD_FAILURES, &[side], figures.reload_failures);
        for kind in FailureKind::ALL {
            page.count(&tls::HANDSHAKE_FAILURES, &[side, kind.name()], self.failures.count(kind));
        }
    }
}
