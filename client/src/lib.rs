//! A client of the v2 keys API, for programs of ours that keep their state in a cluster, ours or etcd's.
//!
//! - [`KeysClient`]: get, list, create, set, compare-and-swap, delete, watch; endpoints with failover, every wait bounded.
//! - [`Node`], [`Event`], [`Watched`]: what it answers.
//! - [`ClientError`]: why it did not; [`ClientError::is_uncertain`] says whether a write may have happened all the same.
//! - [`client_services`]: a cluster's endpoints by DNS SRV records.
//!
//! It holds no connection: each request opens one, so that a dead endpoint is noticed at once. Left out: members, auth, stats.

mod answer;
mod keys;
mod services;

pub use answer::{ClientError, Event, Node, Watched};
pub use keys::{Basic, KeysClient, Settings};
pub use services::{ClientServices, client_services};
