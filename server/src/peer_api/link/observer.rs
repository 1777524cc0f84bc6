//! What happens on the links, told to whoever counts it. Every call is made from a link's own task and must be quick.

use std::time::Duration;

use quorate_core::MemberId;

use super::{Class, Refusal};

/// Hears of the traffic with other members. Every method does nothing by default.
pub trait LinkObserver: Send + Sync + 'static {
    /// `bytes` went out to `peer`.
    fn sent(&self, _peer: MemberId, _class: Class, _bytes: usize) {}
    /// `bytes` came in from `peer`.
    fn received(&self, _peer: MemberId, _class: Class, _bytes: usize) {}
    /// A call was answered this long after it was written to the connection.
    fn round_trip(&self, _peer: MemberId, _class: Class, _took: Duration) {}
    /// `calls` calls failed because the connection did; 0 when only an attempt to connect failed.
    fn failed(&self, _peer: MemberId, _class: Class, _calls: usize) {}
    /// The link to `peer` came up or went down.
    fn linked(&self, _peer: MemberId, _class: Class, _is_up: bool) {}
    /// `peer` refuses this member. One that was removed must stop.
    fn refused(&self, _peer: MemberId, _refusal: &Refusal) {}
}

/// Nobody counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl LinkObserver for Unobserved {}
