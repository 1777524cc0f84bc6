//! What the v2 API answers, read from its JSON; and the ways in which it does not answer.
//!
//! Invariant: an answer is taken for what its error code says, never for its status alone, so that a proxy's page is no key.

use serde::Deserialize;

/// A key or a directory.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Its absolute path; empty for the root.
    pub key: String,
    /// Its value; `None` for a directory and for what was deleted.
    pub value: Option<String>,
    /// Whether it is a directory.
    pub dir: bool,
    /// Its children, as far as they were asked for.
    pub nodes: Vec<Self>,
    /// The store index of its last change.
    pub modified_index: u64,
    /// The store index of its creation.
    pub created_index: u64,
}

impl Node {
    /// The last segment of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }
}

/// A change that a watch was told of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Event {
    /// What happened: `set`, `create`, `compareAndSwap`, `delete`, `expire`, ...
    pub action: String,
    /// The key as the change left it.
    pub node: Node,
}

/// What a watch brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Watched {
    /// A change.
    Event(Event),
    /// Nothing within the time given.
    Quiet,
    /// The history no longer reaches back that far: read everything again and watch from the index after this one.
    Cleared {
        /// The store's index now.
        index: u64,
    },
}

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key does not exist.
    #[error("there is no such key: {0}")]
    NotFound(String),
    /// A key that was to be created exists.
    #[error("the key exists already: {0}")]
    Exists(String),
    /// The key is not as expected.
    #[error("the key has changed: {0}")]
    Changed(String),
    /// The cluster refused the request for another reason.
    #[error("the store refused the request: {code}: {message} ({cause})")]
    Refused {
        /// The v2 error code; 0 when the answer was not the v2 API's.
        code: u16,
        /// Its message.
        message: String,
        /// What it is about.
        cause: String,
    },
    /// No endpoint answered usefully. The last failure is named.
    #[error(
        "no endpoint of the store answered: {last}. Check that it runs, has a leader, and is reached from here"
    )]
    Unavailable {
        /// What the last endpoint tried did.
        last: String,
        /// Whether the request may have been carried out all the same.
        is_uncertain: bool,
    },
}

impl ClientError {
    /// Whether a write that failed so may have happened: read before it is tried again.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Unavailable { is_uncertain: true, .. })
    }
}

/// The body of any answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Body {
    pub(crate) action: String,
    pub(crate) node: Option<Node>,
    pub(crate) error_code: u16,
    pub(crate) message: String,
    pub(crate) cause: String,
    pub(crate) index: u64,
}

impl Body {
    /// Reads a body; `None` when it is not the v2 API's.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let body: Self = serde_json::from_slice(bytes).ok()?;
        (body.node.is_some() || body.error_code != 0).then_some(body)
    }

    /// The node, or the error that the body tells of.
    pub(crate) fn into_node(self) -> Result<Node, ClientError> {
        match (self.error_code, self.node) {
            (0, Some(node)) => Ok(node),
            (100, _) => Err(ClientError::NotFound(self.cause)),
            (101, _) => Err(ClientError::Changed(self.cause)),
            (105, _) => Err(ClientError::Exists(self.cause)),
            (code, _) => {
                Err(ClientError::Refused { code, message: self.message, cause: self.cause })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_what_they_say() {
        let body = br#"{"action":"get","node":{"key":"/a/b","value":"1","modifiedIndex":7,"createdIndex":5}}"#;
        let node = Body::read(body).unwrap().into_node().unwrap();
        assert_eq!((node.name(), node.value.as_deref(), node.modified_index), ("b", Some("1"), 7));
        for (code, expected) in
            [(100, "no such key"), (101, "has changed"), (105, "exists"), (300, "300: Raft")]
        {
            let body = format!(r#"{{"errorCode":{code},"message":"Raft","cause":"x","index":1}}"#);
            let error = Body::read(body.as_bytes()).unwrap().into_node().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(Body::read(b"<html>").is_none());
        assert!(Body::read(b"{}").is_none());
    }
}
