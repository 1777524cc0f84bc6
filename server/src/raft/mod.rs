//! The only place that names the raft library: its type configuration and the adapters that let it
//! use this member's own storage.
//!
//! Invariant: no type of the raft library is ever serialised. What goes to disk is owned by
//! [`crate::storage::record`], what goes to peers by the peer protocol; conversions live in
//! `convert.rs`.

mod convert;
pub mod types;

pub use convert::{entry_id, log_id, membership_from_record, membership_to_record};
pub use types::{BatchBytes, EntryOf, LogId, Membership, NodeId, PeerNode, TypeConfig, VoteOf};
