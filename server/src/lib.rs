//! A member: a raft-replicated key-value store that speaks etcd's v2 API.

pub mod client_api;
pub mod config;
pub mod logging;
pub mod raft;
pub mod storage;
