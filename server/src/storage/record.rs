//! What a record of the raft log means: the disk contract, as prost messages with explicit tags.
//!
//! Invariant: tags and [`Kind`] numbers are append-only. A number once used is never given another
//! meaning; a reader skips unknown fields and refuses unknown kinds, so that a newer member's log is
//! never half understood by an older one. Framing and checksums live in [`super::log`].

use std::fmt;

use bytes::Bytes;
use prost::Message;

/// The highest term, index and segment number. Counting never gets there, so a higher one is damage or a lie; refusing it
/// where it comes in lets everything behind that place add to it without a thought of overflow.
pub const COUNT_MAX: u64 = u64::MAX / 2;

/// The identity of a log entry. Ordered by term, then index.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Message)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// The entry's place in the log.
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

impl EntryId {
    /// An id from its two numbers.
    #[must_use]
    pub const fn new(term: u64, index: u64) -> Self {
        Self { term, index }
    }

    /// Whether a log can have got there by counting.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.term <= COUNT_MAX && self.index <= COUNT_MAX
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {}", self.index, self.term)
    }
}

/// Whom this member voted for.
#[derive(Clone, Copy, Eq, Hash, PartialEq, Message)]
pub struct Vote {
    /// The term of the vote.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// The candidate's member id.
    #[prost(uint64, tag = "2")]
    pub candidate: u64,
    /// Whether a quorum is known to have granted it, that is, the candidate is the leader.
    #[prost(bool, tag = "3")]
    pub committed: bool,
}

/// A log entry.
#[derive(Clone, Eq, PartialEq, Message)]
pub struct Entry {
    /// The term of the leader that created the entry.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// The entry's place in the log.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// What it carries. Always present; an entry without one was written by a newer version.
    #[prost(oneof = "Payload", tags = "3, 4, 5")]
    pub payload: Option<Payload>,
}

impl Entry {
    /// An entry from its parts.
    #[must_use]
    pub const fn new(id: EntryId, payload: Payload) -> Self {
        Self { term: id.term, index: id.index, payload: Some(payload) }
    }

    /// The entry's identity.
    #[must_use]
    pub const fn id(&self) -> EntryId {
        EntryId { term: self.term, index: self.index }
    }
}

/// What an entry carries.
#[derive(Clone, Eq, PartialEq, prost::Oneof)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    #[prost(message, tag = "3")]
    Blank(Blank),
    /// An encoded batch of proposals.
    #[prost(bytes = "bytes", tag = "4")]
    Normal(Bytes),
    /// A change of who votes and who learns.
    #[prost(message, tag = "5")]
    Membership(Membership),
}

/// The payload of an entry that carries nothing.
#[derive(Clone, Copy, Eq, PartialEq, Message)]
pub struct Blank {}

/// Who votes and who learns. Several configurations at once mean a change in progress.
#[derive(Clone, Eq, PartialEq, Message)]
pub struct Membership {
    /// The voter sets that each need a majority.
    #[prost(message, repeated, tag = "1")]
    pub configs: Vec<VoterSet>,
    /// Every node, voters and learners, by ascending id.
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<Node>,
}

/// A set of voters that needs a majority.
#[derive(Clone, Eq, PartialEq, Message)]
pub struct VoterSet {
    /// Member ids, ascending.
    #[prost(uint64, repeated, tag = "1")]
    pub members: Vec<u64>,
}

/// A node of a membership.
#[derive(Clone, Eq, PartialEq, Message)]
pub struct Node {
    /// The member id.
    #[prost(uint64, tag = "1")]
    pub member: u64,
    /// Advertised peer URLs.
    #[prost(string, repeated, tag = "2")]
    pub peer_urls: Vec<String>,
}

/// The first record of every segment: all that would otherwise be lost with the segments before it.
#[derive(Clone, Copy, Eq, PartialEq, Message)]
pub struct Checkpoint {
    /// The last vote.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    /// The last entry purged.
    #[prost(message, optional, tag = "2")]
    pub purged: Option<EntryId>,
    /// The last entry known committed. May lag.
    #[prost(message, optional, tag = "3")]
    pub committed: Option<EntryId>,
    /// The last entry before this segment, or `purged` when there is none.
    #[prost(message, optional, tag = "4")]
    pub last: Option<EntryId>,
}

/// A record that holds one optional entry id: committed, truncate-after, purged-up-to.
#[derive(Clone, Copy, Eq, PartialEq, Message)]
pub struct Pointer {
    /// The entry; absent means "none".
    #[prost(message, optional, tag = "1")]
    pub entry: Option<EntryId>,
}

/// What kind of record a frame holds. The numbers are on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// [`Checkpoint`].
    Checkpoint = 1,
    /// [`Entry`].
    Entry = 2,
    /// [`Vote`].
    Vote = 3,
    /// [`Pointer`]: entries up to here are committed.
    Committed = 4,
    /// [`Pointer`]: entries after this one are gone.
    TruncateAfter = 5,
    /// [`Pointer`]: entries up to and including this one are gone.
    PurgedUpTo = 6,
    /// Empty: every batch before this record reached the device.
    Mark = 7,
    /// Empty: the segment ends here and the next one begins.
    Seal = 8,
}

impl Kind {
    /// The kind with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Checkpoint,
            2 => Self::Entry,
            3 => Self::Vote,
            4 => Self::Committed,
            5 => Self::TruncateAfter,
            6 => Self::PurgedUpTo,
            7 => Self::Mark,
            8 => Self::Seal,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact bytes are a promise to every data directory ever written.
    #[test]
    fn encodings_are_fixed() {
        let id = EntryId::new(3, 300);
        assert_eq!(id.encode_to_vec(), [8, 3, 16, 0xac, 2]);
        let vote = Vote { term: 3, candidate: 7, committed: true };
        assert_eq!(vote.encode_to_vec(), [8, 3, 16, 7, 24, 1]);
        let blank = Entry::new(id, Payload::Blank(Blank {}));
        assert_eq!(blank.encode_to_vec(), [8, 3, 16, 0xac, 2, 26, 0]);
        let normal = Entry::new(id, Payload::Normal(Bytes::from_static(b"hi")));
        assert_eq!(normal.encode_to_vec(), [8, 3, 16, 0xac, 2, 34, 2, b'h', b'i']);
        let membership = Membership {
            configs: vec![VoterSet { members: vec![1, 2] }],
            nodes: vec![Node { member: 1, peer_urls: vec!["u".into()] }],
        };
        let entry = Entry::new(EntryId::new(0, 0), Payload::Membership(membership));
        assert_eq!(entry.encode_to_vec(), [42, 13, 10, 4, 10, 2, 1, 2, 18, 5, 8, 1, 18, 1, b'u']);
        assert_eq!(Pointer { entry: None }.encode_to_vec(), [0u8; 0]);
        assert_eq!(Pointer { entry: Some(EntryId::new(0, 0)) }.encode_to_vec(), [10, 0]);
    }

    #[test]
    fn every_kind_survives_its_number() {
        for number in 0..=u8::MAX {
            if let Some(kind) = Kind::from_number(number) {
                assert_eq!(kind as u8, number);
            }
        }
    }
}
