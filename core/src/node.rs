//! One key of the store as it is stored, shown and kept in events, and how it is written as JSON.
//!
//! A [`Node`] never changes: a write puts a new one in the tree, so that tree, events and history share it.

use crate::ids::{Stamp, StoreIndex};
use crate::json;
use crate::path::Key;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes stored under a key. Cheap to clone; any bytes are legal.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Value(Arc<[u8]>);

impl Value {
    /// Copies the bytes into an allocation of their own, so that a small value never pins a large buffer.
    #[must_use]
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(Arc::from(bytes.as_ref()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::from(bytes))
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

/// What a key holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// A value.
    File(Value),
    /// Other keys.
    Directory,
    /// Nothing any more: the file of a delete or expire event. Never in the tree.
    Gone,
}

/// One key with what it holds and when it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Where it is.
    pub key: Key,
    /// What it holds.
    pub body: Body,
    /// When it vanishes; `None` if never.
    pub expiration: Option<Stamp>,
    /// The store index of the last write; 0 for the root.
    pub modified: StoreIndex,
    /// The store index of the creation; 0 for the root.
    pub created: StoreIndex,
}

impl Node {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.body == Body::Directory
    }

    /// Its value; `None` for a directory.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match &self.body {
            Body::File(value) => Some(value),
            Body::Directory | Body::Gone => None,
        }
    }

    /// Appends the whole node without children. `now` is what the remaining TTL counts from.
    pub(crate) fn write_json(&self, now: Stamp, out: &mut Vec<u8>) {
        self.write_head(now, out);
        self.write_tail(out);
    }

    /// Appends what comes before the children, opening brace included.
    pub(crate) fn write_head(&self, now: Stamp, out: &mut Vec<u8>) {
        out.push(b'{');
        if !self.key.is_root() {
            out.extend_from_slice(b"\"key\":");
            json::write_string(out, self.key.as_bytes());
        }
        match &self.body {
            Body::File(value) => {
                out.extend_from_slice(b",\"value\":");
                json::write_string(out, value);
            }
            Body::Directory if self.key.is_root() => out.extend_from_slice(b"\"dir\":true"),
            Body::Directory => out.extend_from_slice(b",\"dir\":true"),
            Body::Gone => {}
        }
        if let Some(expiration) = self.expiration {
            out.extend_from_slice(b",\"expiration\":\"");
            out.extend_from_slice(expiration.rfc3339().as_bytes());
            out.push(b'"');
            let left = expiration.seconds_left(now);
            if left != 0 {
                out.extend_from_slice(b",\"ttl\":");
                json::write_i64(out, left);
            }
        }
    }

    /// Appends what comes after the children, closing brace included.
    pub(crate) fn write_tail(&self, out: &mut Vec<u8>) {
        for (field, index) in
            [(&b",\"modifiedIndex\":"[..], self.modified), (b",\"createdIndex\":", self.created)]
        {
            if index.0 > 0 {
                out.extend_from_slice(field);
                json::write_u64(out, index.0);
            }
        }
        out.push(b'}');
    }
}
