//! How much goes over a server's connections, for whoever shows it. What is left out: anything about single connections.

use std::sync::Arc;

use crate::connections::Connections;

/// The traffic of one server, TLS and HTTP framing apart: bytes as the HTTP parser reads and writes them. Outlives the server.
#[derive(Clone, Debug)]
pub struct Traffic(Arc<Connections>);

impl Traffic {
    pub(crate) fn of(connections: &Arc<Connections>) -> Self {
        Self(Arc::clone(connections))
    }

    /// Bytes received since the server began.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.bytes().received
    }

    /// Bytes sent since the server began.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.bytes().sent
    }

    /// Open connections, upgraded ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.open()
    }
}
