//! A member: a raft-replicated key-value store that speaks etcd's v2 API.
//!
//! | module | owns |
//! |---|---|
//! | [`config`], [`logging`] | what a member is told at its start; what it tells people |
//! | [`bootstrap`] | the facts for `quorate_core::bootstrap`'s decision: form, join, restart or refuse |
//! | [`run`], [`runtimes`], [`duties`] | a member's life from flags to exit, on which threads; what it does unasked |
//! | [`embedded`] | a member of one inside of another program, without a port |
//! | [`node`], [`member`] | the running member, and what a client's request may ask of it |
//! | [`client_api`], [`credentials`] | etcd's v2 HTTP API; whether a password is the right one |
//! | [`proxy`] | serving clients without being a member |
//! | [`reports`] | what a member tells the discovery service of itself |
//! | [`peer_api`] | messages between members, the links they travel on, the peer port |
//! | [`raft`] | the only place that names the raft library: proposals, reads, apply, membership, takeover |
//! | [`replica`], [`watch`], [`clock`] | the applied state, who waits for its events, the cluster's time |
//! | [`metrics`] | what it counts |
//! | [`storage`] | log, snapshots and identity on the disk |

pub mod bootstrap;
pub mod client_api;
pub mod client_tasks;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod duties;
pub mod embedded;
pub mod logging;
pub mod member;
pub mod metrics;
pub mod node;
mod pauses;
pub mod peer_api;
pub mod proxy;
pub mod raft;
pub mod replica;
pub mod reports;
pub mod run;
pub mod runtimes;
pub mod storage;
pub mod watch;
