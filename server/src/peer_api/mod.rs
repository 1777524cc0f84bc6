//! Between members: what they say ([`messages`]), how it travels ([`link`], [`links`]), and the peer port's HTTP ([`http`]),
//! on which starting members also find out about each other ([`formation`]).
//!
//! Nothing here knows the raft library; `raft::wire` translates.

pub mod formation;
pub mod http;
pub mod link;
pub mod links;
pub mod messages;
