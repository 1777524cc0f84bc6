//! The configuration of a member: flags, environment and file, in that order of precedence, made one typed value.

pub mod cluster;
pub mod model;
pub mod urls;

pub use cluster::InitialCluster;
pub use model::{Allowed, Config, InitialClusterState, MetricsDetail, Retention};
pub use urls::{AdvertiseUrl, BindTarget, ListenUrl, Scheme, UrlError};
