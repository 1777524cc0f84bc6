//! Commands: what one client operation, or the cluster itself, puts in the log.
//!
//! They are plain values; what they do is the machine's business and how they are written is [`crate::batch`]'s.

use crate::auth::Edit;
use crate::ids::{MemberId, Stamp};
use crate::node::Value;
use crate::path::Key;

/// How long a key lives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ttl {
    /// For ever.
    #[default]
    Permanent,
    /// This many seconds from the entry's stamp; 0 is legal and expires at once.
    Seconds(u64),
}

impl Ttl {
    /// When a key written at `now` with this TTL expires.
    #[must_use]
    pub fn expiration(self, now: Stamp) -> Option<Stamp> {
        match self {
            Self::Permanent => None,
            Self::Seconds(seconds) => Some(now.after_seconds(seconds)),
        }
    }
}

/// One operation on the state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Writes a file, or creates a directory, replacing a file that is there (plain `PUT`).
    Set {
        /// The key to write.
        key: Key,
        /// Its value; unused for a directory.
        value: Value,
        /// Whether to make a directory.
        dir: bool,
        /// How long it lives.
        ttl: Ttl,
        /// Whether to keep the value and tell no watcher.
        refresh: bool,
    },
    /// Creates a key that must not exist (`prevExist=false`).
    Create {
        /// The key to create.
        key: Key,
        /// Its value; unused for a directory.
        value: Value,
        /// Whether to make a directory.
        dir: bool,
        /// How long it lives.
        ttl: Ttl,
    },
    /// Creates a key in a directory, named after the store index (`POST`).
    CreateInOrder {
        /// The directory.
        key: Key,
        /// The value; unused for a directory.
        value: Value,
        /// Whether to make a directory.
        dir: bool,
        /// How long it lives.
        ttl: Ttl,
    },
    /// Writes a key that must exist (`prevExist=true`).
    Update {
        /// The key to write.
        key: Key,
        /// Its value; must be empty for a directory.
        value: Value,
        /// How long it lives from now on.
        ttl: Ttl,
        /// Whether to keep the value and tell no watcher.
        refresh: bool,
    },
    /// Writes a file if its value and index are the expected ones.
    CompareAndSwap {
        /// The key to write.
        key: Key,
        /// The value it must have, if any is demanded.
        prev_value: Option<Value>,
        /// The modified index it must have; 0 if none is demanded.
        prev_index: u64,
        /// Its new value.
        value: Value,
        /// How long it lives from now on.
        ttl: Ttl,
        /// Whether to keep the value and tell no watcher.
        refresh: bool,
    },
    /// Deletes a key.
    Delete {
        /// The key to delete.
        key: Key,
        /// Whether an empty directory may go.
        dir: bool,
        /// Whether a directory may go with all below it.
        recursive: bool,
    },
    /// Deletes a file if its value and index are the expected ones.
    CompareAndDelete {
        /// The key to delete.
        key: Key,
        /// The value it must have, if any is demanded.
        prev_value: Option<Value>,
        /// The modified index it must have; 0 if none is demanded.
        prev_index: u64,
    },
    /// Removes every key whose expiration the entry's stamp has reached.
    Expire,
    /// Makes known a member's name and client URLs, once for each start of its process.
    Publish {
        /// Whose they are.
        member: MemberId,
        /// Its name, for people.
        name: String,
        /// Where clients reach it.
        client_urls: Vec<String>,
        /// Which start of the process this is; the same start published twice changes nothing.
        incarnation: u64,
    },
    /// Changes users, roles or whether they count, if nobody else has since it was decided.
    ChangeAuth {
        /// The revision of the state that the edits were decided on.
        revision: u64,
        /// The changes, in order.
        edits: Vec<Edit>,
    },
    /// Sets the version that all members can speak.
    ClusterVersion {
        /// For example `3.4.0`.
        version: String,
    },
}
