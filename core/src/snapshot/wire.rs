//! The records of a snapshot as prost sees them, and how they become plain values again.
//!
//! Tags are a contract of disk and wire: append-only. What is read back is checked here as far as one record can be.

use super::restore::RestoreError;
use crate::auth::Edit;
use crate::event::Action;
use crate::ids::{MemberId, Stamp, StoreIndex};
use crate::node::{Body, Value};
use crate::path::Key;
use crate::{auth, event, members, node};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Framed {
    #[prost(oneof = "Record", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) record: Option<Record>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Record {
    #[prost(message, tag = "1")]
    Header(Header),
    #[prost(message, tag = "2")]
    Member(Member),
    #[prost(message, tag = "3")]
    Node(Node),
    #[prost(message, tag = "4")]
    Event(Event),
    #[prost(message, tag = "5")]
    Trailer(Trailer),
    #[prost(message, tag = "6")]
    Auth(Auth),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(uint64, tag = "1")]
    pub(super) index: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) last_stamp: u64,
    #[prost(string, optional, tag = "3")]
    pub(super) cluster_version: Option<String>,
    #[prost(fixed64, repeated, tag = "4")]
    pub(super) removed: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Member {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(super) is_learner: bool,
    #[prost(uint64, optional, tag = "6")]
    pub(super) incarnation: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    /// See `KIND_FILE` and its neighbours.
    #[prost(uint32, tag = "2")]
    pub(super) kind: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) value: Bytes,
    #[prost(fixed64, optional, tag = "4")]
    pub(super) expiration: Option<u64>,
    #[prost(uint64, tag = "5")]
    pub(super) modified: u64,
    #[prost(uint64, tag = "6")]
    pub(super) created: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    /// The place in `ACTIONS`.
    #[prost(uint32, tag = "1")]
    pub(super) action: u32,
    #[prost(uint64, tag = "2")]
    pub(super) index: u64,
    #[prost(fixed64, tag = "3")]
    pub(super) stamp: u64,
    #[prost(message, optional, tag = "4")]
    pub(super) node: Option<Node>,
    #[prost(message, optional, tag = "5")]
    pub(super) prev_node: Option<Node>,
    #[prost(bool, tag = "6")]
    pub(super) is_refresh: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Trailer {
    #[prost(uint64, tag = "1")]
    pub(super) nodes: u64,
    #[prost(uint64, tag = "2")]
    pub(super) events: u64,
}

/// Users and roles as the edits that make them.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Auth {
    #[prost(bool, tag = "1")]
    pub(super) enabled: bool,
    #[prost(message, optional, tag = "2")]
    pub(super) all: Option<auth::wire::ChangeAuth>,
}

const KIND_FILE: u32 = 0;
const KIND_DIRECTORY: u32 = 1;
const KIND_GONE: u32 = 2;

/// Actions by their number in a snapshot; append-only.
const ACTIONS: [Action; 8] = [
    Action::Internal,
    Action::Set,
    Action::Create,
    Action::Update,
    Action::CompareAndSwap,
    Action::Delete,
    Action::CompareAndDelete,
    Action::Expire,
];

impl From<&members::Member> for Member {
    fn from(member: &members::Member) -> Self {
        Self {
            id: member.id.0,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            is_learner: member.is_learner,
            incarnation: member.incarnation,
        }
    }
}

impl From<Member> for members::Member {
    fn from(member: Member) -> Self {
        Self {
            id: MemberId(member.id),
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: member.is_learner,
            incarnation: member.incarnation,
        }
    }
}

impl From<&auth::Auth> for Auth {
    fn from(auth: &auth::Auth) -> Self {
        let users =
            auth.users().iter().map(|(name, user)| Edit::PutUser(name.clone(), user.clone()));
        let roles =
            auth.roles().iter().map(|(name, role)| Edit::PutRole(name.clone(), role.clone()));
        let edits: Vec<Edit> = users.chain(roles).collect();
        let all = auth::wire::ChangeAuth::new(auth.revision(), &edits);
        Self { enabled: auth.is_enabled(), all: Some(all) }
    }
}

impl TryFrom<Auth> for auth::Auth {
    type Error = RestoreError;

    fn try_from(auth: Auth) -> Result<Self, RestoreError> {
        let unknown =
            || RestoreError::Inconsistent("users or roles cannot be understood".to_owned());
        let all = auth.all.ok_or_else(unknown)?;
        let revision = all.revision;
        let (mut users, mut roles) = (BTreeMap::new(), BTreeMap::new());
        for edit in all.into_edits().ok_or_else(unknown)? {
            match edit {
                Edit::PutUser(name, user) => drop(users.insert(name, user)),
                Edit::PutRole(name, role) => drop(roles.insert(name, role)),
                Edit::DeleteUser(_) | Edit::DeleteRole(_) | Edit::SetEnabled(_) => {
                    return Err(unknown());
                }
            }
        }
        Ok(Self::restore(auth.enabled, revision, users, roles))
    }
}

impl From<&node::Node> for Node {
    fn from(node: &node::Node) -> Self {
        let (kind, value) = match &node.body {
            // Shared and not copied: it may be megabytes.
            Body::File(value) => (KIND_FILE, Bytes::from_owner(value.clone())),
            Body::Directory => (KIND_DIRECTORY, Bytes::new()),
            Body::Gone => (KIND_GONE, Bytes::new()),
        };
        Self {
            key: Bytes::copy_from_slice(node.key.as_bytes()),
            kind,
            value,
            expiration: node.expiration.map(|stamp| stamp.0),
            modified: node.modified.0,
            created: node.created.0,
        }
    }
}

impl TryFrom<Node> for node::Node {
    type Error = RestoreError;

    fn try_from(node: Node) -> Result<Self, RestoreError> {
        let key = Key::parse(&node.key).ok().filter(|key| key.as_bytes() == node.key);
        let body = match node.kind {
            KIND_FILE => Body::File(Value::new(&node.value)),
            KIND_DIRECTORY => Body::Directory,
            KIND_GONE => Body::Gone,
            kind => {
                return Err(RestoreError::Inconsistent(format!(
                    "a node is of the unknown kind {kind}"
                )));
            }
        };
        Ok(Self {
            key: key.ok_or_else(|| {
                RestoreError::Inconsistent("a node has an impossible key".to_owned())
            })?,
            body,
            expiration: node.expiration.map(Stamp),
            modified: StoreIndex(node.modified),
            created: StoreIndex(node.created),
        })
    }
}

impl From<&event::Event> for Event {
    fn from(event: &event::Event) -> Self {
        let action = ACTIONS.iter().zip(0..).find(|(action, _)| **action == event.action);
        Self {
            action: action.map_or(0, |(_, number)| number),
            index: event.index.0,
            stamp: event.stamp.0,
            node: Some(Node::from(&*event.node)),
            prev_node: event.prev_node.as_deref().map(Node::from),
            is_refresh: event.is_refresh,
        }
    }
}

impl TryFrom<Event> for event::Event {
    type Error = RestoreError;

    fn try_from(event: Event) -> Result<Self, RestoreError> {
        let unknown = || {
            RestoreError::Inconsistent("an event is of an unknown kind or has no node".to_owned())
        };
        let action = usize::try_from(event.action)
            .ok()
            .and_then(|at| ACTIONS.get(at))
            .ok_or_else(unknown)?;
        let node = Arc::new(node::Node::try_from(event.node.ok_or_else(unknown)?)?);
        let prev_node = event.prev_node.map(node::Node::try_from).transpose()?.map(Arc::new);
        let (index, stamp) = (StoreIndex(event.index), Stamp(event.stamp));
        Ok(Self::new(*action, index, stamp, node, prev_node).refreshing(event.is_refresh))
    }
}
