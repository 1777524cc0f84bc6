//! The peer link: long-lived, pipelined, framed connections from each member to each other member.
//!
//! One connection per [`Class`], so that a snapshot never delays a heartbeat. It begins as an HTTP/1.1 upgrade on the
//! peer listener ([`hello`]), and then carries [`frame`]s both ways: requests in the order they were submitted,
//! replies by request ID. [`outbound`] is the calling side, with `session` for one connection of it; [`inbound`] the
//! answering side; `outbox` coalesces writes for both. What the bodies mean is not known here.

pub mod frame;
pub mod hello;
pub mod inbound;
pub mod limits;
pub mod observer;
pub mod outbound;
mod outbox;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use self::frame::ReplyError;
pub use self::hello::{Gate, Hello, Local, PROTOCOL, Refusal, RefusalCode};
pub use self::inbound::{FrameReader, FrameWriter, Inbound, PeerEndpoint, PeerService, Request};
pub use self::limits::LinkLimits;
pub use self::observer::{LinkObserver, Unobserved};
pub use self::outbound::{LinkError, PeerLink, Target};

/// The path on the peer listener that is upgraded.
pub const PEER_PATH: &str = "/quorate/peer";

/// What a connection is for. Each class has connections of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Small and urgent: heartbeats, votes, read indexes.
    Heartbeat,
    /// Log entries and forwarded proposals.
    Log,
    /// Snapshots, in chunks.
    Snapshot,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Heartbeat, Self::Log, Self::Snapshot];

    /// The name on the wire, and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Log => "log",
            Self::Snapshot => "snapshot",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(())
    }
}
