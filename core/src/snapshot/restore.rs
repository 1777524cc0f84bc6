//! Rebuilds a machine from a snapshot, trusting nothing.
//!
//! Memory grows with the bytes fed and never with what a length field claims. Every invariant of the tree, the history
//! and the counts is checked, so that damage shows here and not in a member that quietly diverges.

use super::wire::{Framed, Header, Node, Record, Trailer};
use super::{LENGTH_BYTES, MAGIC};
use crate::auth::Auth;
use crate::event::Event;
use crate::history::HISTORY_EVENTS_MAX;
use crate::ids::{MemberId, Stamp, StoreIndex};
use crate::machine::Machine;
use crate::members::{Member, Members};
use crate::node::{self, Body};
use crate::store::Store;
use bytes::{Buf, BytesMut};
use prost::Message;
use std::sync::Arc;

/// A snapshot cannot be taken over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// The first bytes are those of something else.
    #[error("this is not a snapshot of a Quorate member; check where it came from")]
    NotASnapshot,
    /// A version of the format that this program does not know.
    #[error(
        "the snapshot has the format version {0}, which this version cannot read; run the version that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    /// A record is not what the format says.
    #[error("the snapshot is damaged ({0}); fetch it again from another member")]
    Malformed(#[from] prost::DecodeError),
    /// The records contradict one another.
    #[error("the snapshot is damaged ({0}); fetch it again from another member")]
    Inconsistent(String),
    /// The end is missing.
    #[error("the snapshot is not complete; fetch it again")]
    Incomplete,
}

/// Rebuilds a machine from the chunks of a snapshot.
#[derive(Debug, Default)]
pub struct Restore {
    /// Fed and not yet decoded.
    pending: BytesMut,
    has_magic: bool,
    header: Option<Header>,
    auth: Option<Auth>,
    members: Vec<Member>,
    store: Option<Store>,
    nodes: u64,
    trailer: Option<Trailer>,
}

impl Restore {
    /// Ready for the first chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; they may be cut anywhere.
    ///
    /// # Errors
    /// The bytes are no snapshot, one of an unknown version, or a damaged one. Nothing more can be fed then.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), RestoreError> {
        self.pending.extend_from_slice(chunk);
        if !self.has_magic {
            let Some(magic) = self.pending.first_chunk() else { return Ok(()) };
            check_magic(*magic)?;
            self.pending.advance(MAGIC.len());
            self.has_magic = true;
        }
        while let Some(record) = self.take_record() {
            let framed = Framed::decode(record)?;
            // A record of a later version that this one may skip.
            let Some(record) = framed.record else { continue };
            self.take(record)?;
        }
        Ok(())
    }

    /// The machine, once all chunks were fed.
    ///
    /// # Errors
    /// The snapshot is not complete, or its parts do not fit together.
    pub fn finish(self) -> Result<Machine, RestoreError> {
        let (Some(header), Some(trailer), true) =
            (self.header, self.trailer, self.pending.is_empty())
        else {
            return Err(RestoreError::Incomplete);
        };
        let store = self.store.unwrap_or_else(Store::new);
        let events = store.history.events().len() as u64;
        let history_max = HISTORY_EVENTS_MAX as u64;
        if trailer != (Trailer { nodes: self.nodes, events })
            || events != header.index.min(history_max)
        {
            return Err(inconsistent("records are missing"));
        }
        if store.index.0 != header.index {
            return Err(inconsistent("the history does not end at the index"));
        }
        let removed = header.removed.into_iter().map(MemberId).collect();
        let members = Members::restore(self.members, removed, header.cluster_version);
        let auth = self.auth.unwrap_or_default();
        Ok(Machine::assemble(store, members, auth, Stamp(header.last_stamp)))
    }

    /// Cuts the next record off the pending bytes, if it is there as a whole.
    fn take_record(&mut self) -> Option<BytesMut> {
        let length = u64::from_le_bytes(*self.pending.first_chunk::<LENGTH_BYTES>()?);
        let end = usize::try_from(length).ok()?.checked_add(LENGTH_BYTES)?;
        if self.pending.len() < end {
            return None;
        }
        self.pending.advance(LENGTH_BYTES);
        Some(self.pending.split_to(end - LENGTH_BYTES))
    }

    fn take(&mut self, record: Record) -> Result<(), RestoreError> {
        if self.trailer.is_some() {
            return Err(inconsistent("it goes on after its end"));
        }
        if self.header.is_some() == matches!(record, Record::Header(_)) {
            return Err(inconsistent("the header is not where it belongs"));
        }
        match record {
            Record::Header(header) => self.header = Some(header),
            Record::Auth(auth) if self.auth.is_none() => self.auth = Some(auth.try_into()?),
            Record::Auth(_) => return Err(inconsistent("users and roles come twice")),
            Record::Member(member) => self.members.push(member.into()),
            Record::Node(node) => self.take_node(node)?,
            Record::Event(event) => self.take_event(event.try_into()?)?,
            Record::Trailer(trailer) => self.trailer = Some(trailer),
        }
        Ok(())
    }

    fn take_node(&mut self, node: Node) -> Result<(), RestoreError> {
        let node = node::Node::try_from(node)?;
        let tree = &mut self.store.get_or_insert_with(Store::new).tree;
        let has_parent = node
            .key
            .parent()
            .is_some_and(|parent| tree.node(&parent).is_some_and(|node| node.is_dir()));
        if !has_parent || tree.node(&node.key).is_some() || node.body == Body::Gone {
            return Err(inconsistent("a node is where it cannot be"));
        }
        tree.insert(Arc::new(node));
        self.nodes += 1;
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> Result<(), RestoreError> {
        let store = self.store.get_or_insert_with(Store::new);
        let is_first = store.history.events().is_empty();
        if event.index == StoreIndex(0) || (!is_first && event.index != store.index.next()) {
            return Err(inconsistent("the history has a gap"));
        }
        store.index = event.index;
        store.history.push(Arc::new(event));
        Ok(())
    }
}

fn check_magic(magic: [u8; MAGIC.len()]) -> Result<(), RestoreError> {
    let ([name @ .., version], [expected_name @ .., expected_version]) = (magic, MAGIC);
    match (name == expected_name, version == expected_version) {
        (false, _) => Err(RestoreError::NotASnapshot),
        (true, false) => Err(RestoreError::UnknownVersion(version)),
        (true, true) => Ok(()),
    }
}

fn inconsistent(what: &str) -> RestoreError {
    RestoreError::Inconsistent(what.to_owned())
}
