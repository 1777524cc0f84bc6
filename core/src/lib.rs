//! The pure heart of Quorate: commands go in, events come out.
//!
//! Nothing here reads a clock, a file, a socket or chance, so that every member that applies the same log holds the
//! same state.
//!
//! | module | owns |
//! |---|---|
//! | [`ids`], [`identity`] | the numbers with a meaning, and how member and cluster IDs are derived |
//! | [`path`], [`node`] | keys, and what is stored under one |
//! | [`command`], [`batch`] | what the log carries, and its encoding |
//! | [`machine`] | the replicated state and its only door, `Machine::apply` |
//! | `store`, `tree`, `history` | behind that door: the operations, the keys, the last events |
//! | [`event`], [`watch`] | what a change did, and who is told |
//! | [`members`], [`membership`], [`peer_urls`] | who belongs to the cluster, and whether that may change |
//! | [`auth`] | users, roles and what they may do |
//! | [`snapshot`] | the state as bytes and back |
//! | [`bootstrap`], [`discovery`] | how a process starts, and with whom |
//! | [`error`], [`json`], [`stats`] | what clients are told: errors, Go's JSON, counters |
//!
//! To follow a write, read `command`, then `machine`, then `event`.

pub mod auth;
pub mod batch;
pub mod bootstrap;
pub mod command;
pub mod discovery;
pub mod error;
pub mod event;
mod history;
pub mod identity;
pub mod ids;
pub mod json;
pub mod machine;
pub mod members;
pub mod membership;
pub mod node;
pub mod path;
pub mod peer_urls;
pub mod snapshot;
pub mod stats;
mod store;
mod tree;
pub mod watch;

pub use auth::Auth;
pub use batch::{Batch, DecodeError, Proposal};
pub use command::{Command, Ttl};
pub use error::{ErrorCode, StoreError};
pub use event::{Action, Event};
pub use ids::{ClusterId, MemberId, Stamp, StoreIndex};
pub use machine::{Applied, Machine};
pub use members::{Member, Members, Roster, RosterMember};
pub use node::{Body, Node, Value};
pub use path::{Key, KeyTooDeep};
pub use stats::StoreStats;
pub use watch::WatchSpec;
