//! The machine as bytes, in bounded chunks, and back.
//!
//! A snapshot is complete: a restored machine does with every later command what the original would have done. It is a
//! magic number with the format version, then records, each after its length (8 bytes, little-endian): one header, the
//! users and roles, the members, the nodes (parents first), the history (oldest first), one trailer with the counts. Chunks cut this stream
//! anywhere. Checksums are left to whoever stores or sends it.

mod restore;
mod wire;

pub use restore::{Restore, RestoreError};

use crate::event::Event;
use crate::machine::Machine;
use crate::node::Node;
use crate::path::Key;
use bytes::{Bytes, BytesMut};
use prost::Message;
use std::sync::Arc;
use wire::Record;

/// The most bytes in one chunk: small enough to share a link with other traffic, big enough that framing costs nothing.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Begins every snapshot; the last byte is the format version.
const MAGIC: [u8; 8] = *b"quorate\x01";

/// Bytes that the length takes before a record.
const LENGTH_BYTES: usize = size_of::<u64>();

/// The chunks of one snapshot, made one at a time from a frozen view.
#[derive(Debug)]
pub struct Chunks {
    machine: Machine,
    /// Encoded and not yet handed out.
    pending: BytesMut,
    next: Next,
    nodes: u64,
}

/// What is encoded next.
#[derive(Debug)]
enum Next {
    Start,
    /// The nodes after this key, or all of them.
    Nodes(Option<Key>),
    /// The event at this place of the history.
    Event(usize),
    Nothing,
}

impl Machine {
    /// The state as chunks of at most [`CHUNK_BYTES_MAX`] bytes. Holds a frozen view, so that writing may take its
    /// time.
    #[must_use]
    pub fn snapshot(&self) -> Chunks {
        Chunks { machine: self.clone(), pending: BytesMut::new(), next: Next::Start, nodes: 0 }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.pending.len() < CHUNK_BYTES_MAX && !matches!(self.next, Next::Nothing) {
            self.next = match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Start => self.push_start(),
                Next::Nodes(after) => self.push_nodes(after),
                Next::Event(at) => self.push_event(at),
                Next::Nothing => Next::Nothing,
            };
        }
        let length = self.pending.len().min(CHUNK_BYTES_MAX);
        (length > 0).then(|| self.pending.split_to(length).freeze())
    }
}

impl Chunks {
    fn push_start(&mut self) -> Next {
        self.pending.extend_from_slice(&MAGIC);
        let members = self.machine.members().clone();
        push_record(
            &mut self.pending,
            Record::Header(wire::Header {
                index: self.machine.index().0,
                last_stamp: self.machine.last_stamp().0,
                cluster_version: members.cluster_version().map(str::to_owned),
                removed: members.removed().map(|id| id.0).collect(),
            }),
        );
        // Without it a snapshot is the same as before there were users.
        if self.machine.auth().revision() > 0 {
            let auth = wire::Auth::from(&**self.machine.auth());
            push_record(&mut self.pending, Record::Auth(auth));
        }
        for member in members.iter() {
            push_record(&mut self.pending, Record::Member(member.into()));
        }
        Next::Nodes(None)
    }

    /// Encodes about a chunk's worth of nodes.
    fn push_nodes(&mut self, after: Option<Key>) -> Next {
        let mut last: Option<&Arc<Node>> = None;
        for node in self.machine.store.tree.iter_from(after.as_ref()) {
            push_record(&mut self.pending, Record::Node(wire::Node::from(&**node)));
            self.nodes += 1;
            last = Some(node);
            if self.pending.len() >= CHUNK_BYTES_MAX {
                break;
            }
        }
        last.map_or(Next::Event(0), |node| Next::Nodes(Some(node.key.clone())))
    }

    fn push_event(&mut self, at: usize) -> Next {
        let events = self.machine.store.history.events();
        if let Some(event) = events.get(at) {
            push_record(&mut self.pending, Record::Event(wire::Event::from(&**event as &Event)));
            return Next::Event(at + 1);
        }
        let trailer = wire::Trailer { nodes: self.nodes, events: events.len() as u64 };
        push_record(&mut self.pending, Record::Trailer(trailer));
        Next::Nothing
    }
}

fn push_record(pending: &mut BytesMut, record: Record) {
    let framed = wire::Framed { record: Some(record) };
    pending.extend_from_slice(&(framed.encoded_len() as u64).to_le_bytes());
    framed.encode_raw(pending);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Stamp, Ttl, Value};

    fn machine_with(values: &[usize]) -> Machine {
        let mut machine = Machine::new();
        for (at, &length) in values.iter().enumerate() {
            let key = Key::parse(format!("/k/{at}").as_bytes()).unwrap();
            let value = Value::from(vec![b'v'; length]);
            machine.apply(
                Stamp(1),
                &Command::Set { key, value, dir: false, ttl: Ttl::Seconds(9), refresh: false },
            );
        }
        machine
    }

    fn restore(chunks: &[Bytes]) -> Result<Machine, RestoreError> {
        let mut restore = Restore::new();
        chunks.iter().try_for_each(|chunk| restore.feed(chunk))?;
        restore.finish()
    }

    #[test]
    fn chunks_are_bounded_even_for_huge_values() {
        let machine = machine_with(&[10, 3 * CHUNK_BYTES_MAX, 0, CHUNK_BYTES_MAX, 7]);
        let chunks: Vec<Bytes> = machine.snapshot().collect();
        assert!(chunks.len() >= 8, "values and events: {}", chunks.len());
        assert!(chunks.iter().all(|chunk| (1..=CHUNK_BYTES_MAX).contains(&chunk.len())));
        let restored = restore(&chunks).unwrap();
        assert_eq!(restored.snapshot().collect::<Vec<_>>(), chunks);
    }

    #[test]
    fn a_view_is_frozen_when_taken() {
        let mut machine = machine_with(&[1, 2]);
        let before: Vec<Bytes> = machine.snapshot().collect();
        let frozen = machine.snapshot();
        machine.apply(Stamp(10_000_000_000), &Command::Expire);
        assert_eq!(frozen.collect::<Vec<_>>(), before);
        assert_ne!(machine.snapshot().collect::<Vec<_>>(), before);
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused() {
        let bytes: Vec<u8> = machine_with(&[5, 6]).snapshot().flatten().collect();
        for length in 0..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..length]);
            assert!(restore(&[cut]).is_err(), "cut at {length}");
        }
        let whole = Bytes::from(bytes);
        assert!(restore(std::slice::from_ref(&whole)).is_ok());
        assert!(restore(&[whole.clone(), Bytes::from_static(&[0])]).is_err());
        assert!(restore(&[whole.clone(), whole]).is_err());
    }

    fn node(key: &str, kind: u32) -> Record {
        let key = Bytes::copy_from_slice(key.as_bytes());
        Record::Node(wire::Node { key, kind, modified: 1, created: 1, ..wire::Node::default() })
    }

    /// What comes of a header with index 1, these nodes, one event and a trailer that counts them.
    fn restore_nodes(nodes: &[Record]) -> Result<Machine, RestoreError> {
        let mut bytes = BytesMut::from(&MAGIC[..]);
        push_record(
            &mut bytes,
            Record::Header(wire::Header { index: 1, ..wire::Header::default() }),
        );
        nodes.iter().for_each(|node| push_record(&mut bytes, node.clone()));
        let event = Event::internal(crate::StoreIndex(1), Stamp(1));
        push_record(&mut bytes, Record::Event(wire::Event::from(&event)));
        push_record(
            &mut bytes,
            Record::Trailer(wire::Trailer { nodes: nodes.len() as u64, events: 1 }),
        );
        restore(&[bytes.freeze()])
    }

    #[test]
    fn nodes_that_cannot_be_are_refused() {
        let (file, directory, gone, unknown) = (0, 1, 2, 3);
        assert!(restore_nodes(&[node("/a", directory), node("/a/b", file)]).is_ok());
        let cases: [&[Record]; 8] = [
            &[node("/a/b", file)],
            &[node("/a/b", file), node("/a", directory)],
            &[node("/a", file), node("/a/b", file)],
            &[node("/a", file), node("/a", file)],
            &[node("/", directory)],
            &[node("/a", gone)],
            &[node("/a", unknown)],
            &[node("/a//b", file)],
        ];
        for nodes in cases {
            assert!(
                matches!(restore_nodes(nodes), Err(RestoreError::Inconsistent(_))),
                "{nodes:?}"
            );
        }
    }

    #[test]
    fn a_newer_format_is_told_from_garbage() {
        let error = restore(&[Bytes::from_static(b"quorate\x02rest")]).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        let error = restore(&[Bytes::from_static(b"something else")]).unwrap_err().to_string();
        assert!(error.contains("not a snapshot"), "{error}");
    }

    #[test]
    fn a_huge_length_allocates_nothing() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        bytes.extend_from_slice(b"little");
        assert!(restore(&[bytes.into()]).is_err());
    }
}
