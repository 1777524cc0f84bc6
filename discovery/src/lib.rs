//! The hosted discovery service: machines that boot at the same time find each other by a token.
//!
//! | module | owns |
//! |---|---|
//! | [`registry`] | pure: what a token is, and every decision about it |
//! | [`store`] | where tokens are kept: a store of its own, or a cluster of ours or of etcd's |
//! | [`service`], [`changes`], [`sweeper`] | carries out decisions, wakes who waits, forgets what is over |
//! | [`http`] | the routes of etcd's discovery protocol, the native API, the status page, health, metrics |
//! | [`dns`] | answers DNS for the clusters of sealed tokens |
//! | [`limits`], [`metrics`] | what one address may ask for; what is counted |
//! | [`settings`], [`protection`], [`run`] | flags; TLS; the life of the process |
//!
//! No state lives outside of the store, so that any number of replicas serve the same tokens.

pub mod changes;
pub mod dns;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod protection;
pub mod registry;
pub mod run;
pub mod service;
pub mod settings;
pub mod store;
pub mod sweeper;
