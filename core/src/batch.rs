//! What one raft entry carries: commands under one stamp, and their encoding.
//!
//! The prost tags here are a contract of disk and wire: append-only, never re-used. Tags 3 to 9 of a proposal are free
//! for what a later version must know about every command. Unknown fields are skipped; an unknown command is an error,
//! since a member that skipped it would diverge.

use crate::auth;
use crate::command::{Command, Ttl};
use crate::ids::{MemberId, Stamp};
use crate::node::Value;
use crate::path::{Key, KeyTooDeep};
use bytes::Bytes;
use prost::Message;

/// One command and who waits for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposal {
    /// The member whose client asked.
    pub origin: MemberId,
    /// That member's number for the request.
    pub request: u64,
    /// What to do.
    pub command: Command,
}

/// The payload of one raft entry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch {
    /// The leader's clock when it made the entry.
    pub stamp: Stamp,
    /// The commands, applied in this order.
    pub proposals: Vec<Proposal>,
}

/// An entry cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a batch.
    #[error(
        "the log entry is malformed ({0}); the log is damaged or was written by something else"
    )]
    Malformed(#[from] prost::DecodeError),
    /// The command is of a kind this program does not know.
    #[error(
        "the log entry holds a command that this version does not know; run the version that wrote it, or a newer one"
    )]
    UnknownCommand,
    /// A key breaks the rules that the proposer should have checked.
    #[error("the log entry holds an impossible key: {0}")]
    Key(#[from] KeyTooDeep),
}

impl Batch {
    /// The bytes for the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let proposals = self.proposals.iter().map(wire::Proposal::from).collect();
        wire::Batch { stamp: self.stamp.0, proposals }.encode_to_vec().into()
    }

    /// The bytes of a batch without a stamp that carries only this proposal. Encoded batches merge by concatenation: proposals
    /// accumulate in order, and the last stamp counts. So a leader joins what it gathered without decoding it.
    #[must_use]
    pub fn encode_proposal(proposal: &Proposal) -> Bytes {
        wire::Batch { stamp: 0, proposals: vec![wire::Proposal::from(proposal)] }
            .encode_to_vec()
            .into()
    }

    /// Reads what [`Batch::encode`] wrote, by this version or a newer one.
    ///
    /// # Errors
    /// See [`DecodeError`]. No input makes it panic, and what it allocates is in proportion to the input's size,
    /// whatever lengths that claims.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let batch = wire::Batch::decode(bytes)?;
        let proposals =
            batch.proposals.into_iter().map(Proposal::try_from).collect::<Result<_, _>>()?;
        Ok(Self { stamp: Stamp(batch.stamp), proposals })
    }
}

/// The messages as prost sees them.
mod wire {
    use bytes::Bytes;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Batch {
        #[prost(fixed64, tag = "1")]
        pub(super) stamp: u64,
        #[prost(message, repeated, tag = "2")]
        pub(super) proposals: Vec<Proposal>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Proposal {
        #[prost(fixed64, tag = "1")]
        pub(super) origin: u64,
        #[prost(uint64, tag = "2")]
        pub(super) request: u64,
        #[prost(oneof = "Command", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20")]
        pub(super) command: Option<Command>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Command {
        #[prost(message, tag = "10")]
        Set(Write),
        #[prost(message, tag = "11")]
        Create(Write),
        #[prost(message, tag = "12")]
        CreateInOrder(Write),
        #[prost(message, tag = "13")]
        Update(Write),
        #[prost(message, tag = "14")]
        CompareAndSwap(Write),
        #[prost(message, tag = "15")]
        Delete(Removal),
        #[prost(message, tag = "16")]
        CompareAndDelete(Removal),
        #[prost(message, tag = "17")]
        Expire(Expire),
        #[prost(message, tag = "18")]
        Publish(Publish),
        #[prost(message, tag = "19")]
        ClusterVersion(ClusterVersion),
        #[prost(message, tag = "20")]
        ChangeAuth(crate::auth::wire::ChangeAuth),
    }

    /// Every way to write a key; each uses the fields it needs.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Write {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) value: Bytes,
        #[prost(bool, tag = "3")]
        pub(super) dir: bool,
        #[prost(uint64, optional, tag = "4")]
        pub(super) ttl_seconds: Option<u64>,
        #[prost(bool, tag = "5")]
        pub(super) refresh: bool,
        #[prost(bytes = "bytes", optional, tag = "6")]
        pub(super) prev_value: Option<Bytes>,
        #[prost(uint64, tag = "7")]
        pub(super) prev_index: u64,
    }

    /// Every way to delete a key.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Removal {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(bool, tag = "2")]
        pub(super) dir: bool,
        #[prost(bool, tag = "3")]
        pub(super) recursive: bool,
        #[prost(bytes = "bytes", optional, tag = "4")]
        pub(super) prev_value: Option<Bytes>,
        #[prost(uint64, tag = "5")]
        pub(super) prev_index: u64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Expire {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Publish {
        #[prost(fixed64, tag = "1")]
        pub(super) member: u64,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(string, repeated, tag = "3")]
        pub(super) client_urls: Vec<String>,
        #[prost(uint64, tag = "4")]
        pub(super) incarnation: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ClusterVersion {
        #[prost(string, tag = "1")]
        pub(super) version: String,
    }
}

impl From<&Proposal> for wire::Proposal {
    fn from(proposal: &Proposal) -> Self {
        let command = Some(wire_command(&proposal.command));
        Self { origin: proposal.origin.0, request: proposal.request, command }
    }
}

impl TryFrom<wire::Proposal> for Proposal {
    type Error = DecodeError;

    fn try_from(proposal: wire::Proposal) -> Result<Self, DecodeError> {
        let command = plain_command(proposal.command.ok_or(DecodeError::UnknownCommand)?)?;
        Ok(Self { origin: MemberId(proposal.origin), request: proposal.request, command })
    }
}

fn wire_command(command: &Command) -> wire::Command {
    match command {
        Command::Set { key, value, dir, ttl, refresh } => wire::Command::Set(wire::Write {
            dir: *dir,
            refresh: *refresh,
            ..wire_write(key, value, *ttl)
        }),
        Command::Create { key, value, dir, ttl } => {
            wire::Command::Create(wire::Write { dir: *dir, ..wire_write(key, value, *ttl) })
        }
        Command::CreateInOrder { key, value, dir, ttl } => {
            wire::Command::CreateInOrder(wire::Write { dir: *dir, ..wire_write(key, value, *ttl) })
        }
        Command::Update { key, value, ttl, refresh } => {
            wire::Command::Update(wire::Write { refresh: *refresh, ..wire_write(key, value, *ttl) })
        }
        Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh } => {
            let prev_value = prev_value.as_ref().map(wire_bytes);
            wire::Command::CompareAndSwap(wire::Write {
                prev_value,
                prev_index: *prev_index,
                refresh: *refresh,
                ..wire_write(key, value, *ttl)
            })
        }
        Command::Delete { key, dir, recursive } => wire::Command::Delete(wire::Removal {
            dir: *dir,
            recursive: *recursive,
            ..wire_removal(key)
        }),
        Command::CompareAndDelete { key, prev_value, prev_index } => {
            let prev_value = prev_value.as_ref().map(wire_bytes);
            wire::Command::CompareAndDelete(wire::Removal {
                prev_value,
                prev_index: *prev_index,
                ..wire_removal(key)
            })
        }
        Command::Expire => wire::Command::Expire(wire::Expire {}),
        Command::Publish { member, name, client_urls, incarnation } => {
            wire::Command::Publish(wire::Publish {
                member: member.0,
                name: name.clone(),
                client_urls: client_urls.clone(),
                incarnation: *incarnation,
            })
        }
        Command::ClusterVersion { version } => {
            wire::Command::ClusterVersion(wire::ClusterVersion { version: version.clone() })
        }
        Command::ChangeAuth { revision, edits } => {
            wire::Command::ChangeAuth(auth::wire::ChangeAuth::new(*revision, edits))
        }
    }
}

fn plain_command(command: wire::Command) -> Result<Command, DecodeError> {
    Ok(match command {
        wire::Command::Set(write) => {
            let (key, value, ttl) = plain_write(&write)?;
            Command::Set { key, value, dir: write.dir, ttl, refresh: write.refresh }
        }
        wire::Command::Create(write) => {
            let (key, value, ttl) = plain_write(&write)?;
            Command::Create { key, value, dir: write.dir, ttl }
        }
        wire::Command::CreateInOrder(write) => {
            let (key, value, ttl) = plain_write(&write)?;
            Command::CreateInOrder { key, value, dir: write.dir, ttl }
        }
        wire::Command::Update(write) => {
            let (key, value, ttl) = plain_write(&write)?;
            Command::Update { key, value, ttl, refresh: write.refresh }
        }
        wire::Command::CompareAndSwap(write) => {
            let (key, value, ttl) = plain_write(&write)?;
            let prev_value = write.prev_value.map(Value::new);
            Command::CompareAndSwap {
                key,
                prev_value,
                prev_index: write.prev_index,
                value,
                ttl,
                refresh: write.refresh,
            }
        }
        wire::Command::Delete(removal) => {
            let key = Key::parse(&removal.key)?;
            Command::Delete { key, dir: removal.dir, recursive: removal.recursive }
        }
        wire::Command::CompareAndDelete(removal) => {
            let key = Key::parse(&removal.key)?;
            let prev_value = removal.prev_value.map(Value::new);
            Command::CompareAndDelete { key, prev_value, prev_index: removal.prev_index }
        }
        wire::Command::Expire(_) => Command::Expire,
        wire::Command::Publish(publish) => Command::Publish {
            member: MemberId(publish.member),
            name: publish.name,
            client_urls: publish.client_urls,
            incarnation: publish.incarnation,
        },
        wire::Command::ClusterVersion(version) => {
            Command::ClusterVersion { version: version.version }
        }
        wire::Command::ChangeAuth(change) => {
            let revision = change.revision;
            let edits = change.into_edits().ok_or(DecodeError::UnknownCommand)?;
            Command::ChangeAuth { revision, edits }
        }
    })
}

fn wire_write(key: &Key, value: &Value, ttl: Ttl) -> wire::Write {
    let ttl_seconds = match ttl {
        Ttl::Permanent => None,
        Ttl::Seconds(seconds) => Some(seconds),
    };
    let key = Bytes::copy_from_slice(key.as_bytes());
    wire::Write { key, value: wire_bytes(value), ttl_seconds, ..wire::Write::default() }
}

fn wire_removal(key: &Key) -> wire::Removal {
    wire::Removal { key: Bytes::copy_from_slice(key.as_bytes()), ..wire::Removal::default() }
}

/// Shares the value instead of copying it: it may be megabytes.
fn wire_bytes(value: &Value) -> Bytes {
    Bytes::from_owner(value.clone())
}

fn plain_write(write: &wire::Write) -> Result<(Key, Value, Ttl), KeyTooDeep> {
    let ttl = write.ttl_seconds.map_or(Ttl::Permanent, Ttl::Seconds);
    Ok((Key::parse(&write.key)?, Value::new(&write.value), ttl))
}
