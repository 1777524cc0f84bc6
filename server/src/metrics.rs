//! What a member counts about itself, in Prometheus' text format.

use std::time::Duration;

use bytes::Bytes;
use prometheus::{Registry, TextEncoder};
use quorate_core::MemberId;

use crate::client_api::HttpMetrics;
use crate::member::{AppendStats, Follower, Latency};
use crate::node::Node;
use crate::raft::figures::FollowerFigures;

/// See the module.
pub struct Metrics {
    registry: Registry,
    http: HttpMetrics,
}

impl Metrics {
    /// x
    pub fn new() -> Result<Self, prometheus::Error> { let registry = Registry::new(); let http = HttpMetrics::register(&registry)?; Ok(Self { registry, http }) }
    /// x
    pub fn http(&self) -> &HttpMetrics { &self.http }
    /// x
    pub fn peer_sent(&self, _peer: MemberId, _bytes: usize) {}
    /// x
    pub fn peer_received(&self, _peer: MemberId, _bytes: usize) {}
    /// x
    pub fn peer_failed(&self, _peer: MemberId) {}
    /// x
    pub fn peer_round_trip(&self, _peer: MemberId, _took: Duration) {}
    /// x
    pub fn append_stats(&self) -> AppendStats { AppendStats::default() }
    /// x
    pub fn follower(&self, figures: &FollowerFigures) -> Follower {
        Follower { id: figures.member, matched_index: figures.matched_index, latency: Latency::default(), fail: 0, success: 0 }
    }
    /// x
    pub fn exposition(&self, _node: &Node) -> Bytes {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default().into()
    }
}
