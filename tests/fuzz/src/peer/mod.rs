//! What other members, or whoever reaches the peer port, send.

pub mod announcement;
pub mod frames;
pub mod handshake;
pub mod messages;
