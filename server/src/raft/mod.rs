//! The only place that names the raft library.
//!
//! | file | owns |
//! |---|---|
//! | [`types`], `convert`, [`wire`] | the library's types, and their form on disk and between members |
//! | [`log_store`] | the library's log, kept by `storage::log` |
//! | [`apply`], [`snapshots`] | the library's state machine: entries into the store, the store into files |
//! | [`network`], [`snapshot_transfer`], [`inbound`] | the library's messages over the peer links, out and in |
//! | [`proposals`], [`gatherer`], [`waiters`] | from client operations to log entries, and their outcomes back |
//! | [`reads`] | linearizable reads |
//! | [`membership`], `promote` | adding, removing and updating members |
//! | [`leadership`], [`takeover`], [`handover`] | who leads, and how that changes quickly |
//! | [`elections`], [`figures`] | what is measured |
//! | [`settings`] | the library's configuration, each value with its reason |
//!
//! Invariant: no type of the raft library is ever serialised. What goes to disk is owned by
//! [`crate::storage::record`], what goes to peers by [`crate::peer_api::messages`].

pub mod apply;
mod convert;
pub mod elections;
pub mod figures;
pub mod gatherer;
pub mod handover;
pub mod inbound;
pub mod leadership;
pub mod log_store;
pub mod membership;
pub mod network;
mod promote;
pub mod proposals;
pub mod reads;
pub mod settings;
pub mod snapshot_transfer;
pub mod snapshots;
pub mod takeover;
pub mod types;
pub mod waiters;
pub mod wire;

pub use convert::{entry_id, log_id, membership_from_record, membership_to_record};
pub use log_store::LogStore;
pub use types::{BatchBytes, EntryOf, LogId, Membership, NodeId, PeerNode, TypeConfig, VoteOf};

/// The raft library at work.
pub type Raft = openraft::Raft<TypeConfig, apply::StateMachine>;
