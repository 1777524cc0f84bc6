//! A peer link: a long-lived connection over which one member calls another. Calls are multiplexed and pipelined; frames are
//! checksummed. Each pair of members has one link per [`Class`] and direction, so that a snapshot never delays a heartbeat.
//!
//! | file | owns |
//! |---|---|
//! | [`hello`] | who is calling whom: the handshake, and why it is refused |
//! | [`frame`] | the bytes of a frame |
//! | [`outbound`] | the calling side: connecting, pipelining, reconnecting |
//! | [`inbound`] | the called side: admission, reading calls, writing replies |
//!
//! A link opens with an HTTP/1.1 upgrade (RFC 9110, section 7.8) on the peer port, so that one port serves people, programs
//! and peers. What the frames mean is `peer_api::messages`' business.

pub mod frame;
pub mod hello;
pub mod inbound;
pub mod outbound;
mod writer;

pub use frame::Frame;
pub use hello::{Class, Gate, Hello, Refusal, RefusalCode};
pub use inbound::{Acceptor, FrameReader, FrameWriter, Inbound, PeerService};
pub use outbound::{LinkError, LinkObserver, PeerLink, Target};

/// The path that is upgraded.
pub const PATH: &str = "/quorate/peer";
