//! The running member: its parts put together, and the one handle through which requests reach them.
//!
//! A part that is asked for here decides nothing here; `client_api` sees this through the `Member` trait only.

use std::sync::Arc;
use std::time::Duration;

use quorate_core::bootstrap::{Incarnation, Known};
use quorate_core::{ClusterId, Command, MemberId, Stamp};

use crate::clock::ClusterClock;
use crate::member::{Committed, Member, MembershipError, ProposeError, Role, Status};
use crate::raft::leadership::Leadership;
use crate::raft::membership::Membership;
use crate::raft::proposals::Proposals;
use crate::raft::reads::Reads;
use crate::replica::Replica;
use crate::watch::{Subscription, WatchError, WatchMode};

/// A write is given up after five seconds and two election timeouts, as in etcd.
const REQUEST_TIMEOUT_BASE: Duration = Duration::from_secs(5);

/// How long a request may take, all in all.
#[must_use]
pub fn request_timeout(election_timeout: Duration) -> Duration {
    REQUEST_TIMEOUT_BASE + 2 * election_timeout
}
