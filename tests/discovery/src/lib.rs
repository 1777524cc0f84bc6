//! The discovery service under test: real processes, real etcd nodes that form through it, and a store that may be a cluster.
//!
//! - [`Service`]: one process of the service, with tokens made through it.
//! - [`Token`]: the URLs and secrets of one token.
//! - [`nodes`], [`nodes_of`]: nodes, etcd's or ours, that are told a discovery URL and nothing of each other.
//! - [`Gateway`]: stands between machines and the service, and does something at a chosen request.
//! - [`dig`]: asks the service's DNS.
//! - [`Browser`]: Chromium without a window, for the status page.

mod browser;
mod dig;
mod gateway;
mod nodes;
mod service;

pub use browser::{Browser, skip_without_browser};
pub use dig::{dig, dig_short, dig_status, skip_without, skip_without_dig};
pub use gateway::{Gateway, When};
pub use nodes::{assert_one_cluster, nodes, nodes_of};
pub use service::{FORMED_WITHIN, READY_WITHIN, Service, Token, ZONE, bearer, register};
