//! Edits as prost sees them, in the log and in snapshots.
//!
//! Tags are a contract of disk and wire: append-only. An edit that this version does not know makes the whole unreadable:
//! skipping it would let members differ in who may do what.

use super::{Edit, PasswordHash, Role, User};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChangeAuth {
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(message, repeated, tag = "2")]
    edits: Vec<WireEdit>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEdit {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    PutUser(WireUser),
    #[prost(string, tag = "2")]
    DeleteUser(String),
    #[prost(message, tag = "3")]
    PutRole(WireRole),
    #[prost(string, tag = "4")]
    DeleteRole(String),
    #[prost(bool, tag = "5")]
    SetEnabled(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct WireUser {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    password_hash: String,
    #[prost(message, optional, tag = "3")]
    roles: Option<Names>,
}

impl std::fmt::Debug for WireUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireUser").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireRole {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    read: Option<Names>,
    #[prost(message, optional, tag = "3")]
    write: Option<Names>,
}

/// A list that can be told from none.
#[derive(Clone, PartialEq, prost::Message)]
struct Names {
    #[prost(string, repeated, tag = "1")]
    names: Vec<String>,
}

impl ChangeAuth {
    pub(crate) fn new(revision: u64, edits: &[Edit]) -> Self {
        Self { revision, edits: edits.iter().map(WireEdit::from).collect() }
    }

    /// The edits, if this version knows all of them.
    pub(crate) fn into_edits(self) -> Option<Vec<Edit>> {
        self.edits.into_iter().map(|edit| edit.kind.map(Edit::from)).collect()
    }
}

fn wire_names(names: Option<&Vec<String>>) -> Option<Names> {
    names.map(|names| Names { names: names.clone() })
}

fn plain_names(names: Option<Names>) -> Option<Vec<String>> {
    names.map(|names| names.names)
}

impl From<&Edit> for WireEdit {
    fn from(edit: &Edit) -> Self {
        let kind = match edit {
            Edit::PutUser(name, user) => Kind::PutUser(WireUser {
                name: name.clone(),
                password_hash: user.password_hash.0.clone(),
                roles: wire_names(user.roles.as_ref()),
            }),
            Edit::DeleteUser(name) => Kind::DeleteUser(name.clone()),
            Edit::PutRole(name, role) => Kind::PutRole(WireRole {
                name: name.clone(),
                read: wire_names(role.read.as_ref()),
                write: wire_names(role.write.as_ref()),
            }),
            Edit::DeleteRole(name) => Kind::DeleteRole(name.clone()),
            Edit::SetEnabled(enabled) => Kind::SetEnabled(*enabled),
        };
        Self { kind: Some(kind) }
    }
}

impl From<Kind> for Edit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::PutUser(user) => {
                let password_hash = PasswordHash(user.password_hash);
                Self::PutUser(user.name, User { password_hash, roles: plain_names(user.roles) })
            }
            Kind::DeleteUser(name) => Self::DeleteUser(name),
            Kind::PutRole(role) => {
                let (read, write) = (plain_names(role.read), plain_names(role.write));
                Self::PutRole(role.name, Role { read, write })
            }
            Kind::DeleteRole(name) => Self::DeleteRole(name),
            Kind::SetEnabled(enabled) => Self::SetEnabled(enabled),
        }
    }
}
