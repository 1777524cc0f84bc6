//! Where tokens are kept: a directory of a v2 store, behind one small trait.
//!
//! ```text
//! <prefix>/tokens/<token id>                  the record, JSON
//! <prefix>/reports/<token id>/<member id>     the last report of a member, JSON
//! ```
//!
//! Invariant: a record is only ever created, swapped against the version it was read in, or deleted; so decisions of several
//! replicas never overwrite each other. What an unanswered write did is unknown ([`StoreError`]): read, then decide again.

pub mod embedded;
pub mod remote;

use std::collections::BTreeMap;
use std::future::Future;

use quorate_core::Key;

use crate::registry::{MemberKey, TokenId};

/// A value and the version to swap it against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// The value.
    pub value: String,
    /// Changes with each write.
    pub version: u64,
}

/// What a write found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// It is done.
    Done,
    /// Somebody else was quicker: nothing was written.
    Outrun,
}

/// The store cannot be asked at the moment; a write may have been carried out all the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// What a feed tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    /// This token, or a report of one of its members.
    Token(TokenId),
    /// Perhaps any: the feed has a gap.
    Everything,
}

/// Tells of changes, by whichever replica.
pub trait Feed: Send + 'static {
    /// Waits for the next change. Keeps trying when the store does not answer.
    fn next(&mut self) -> impl Future<Output = Changed> + Send;
}

/// A store of tokens. Each call takes at most a few seconds, with or without an answer.
pub trait Store: Clone + Send + Sync + 'static {
    /// Its feed.
    type Feed: Feed;

    /// Reads a value, as new as any acknowledged write.
    fn read(&self, key: &Key)
    -> impl Future<Output = Result<Option<Versioned>, StoreError>> + Send;

    /// Writes a value that must not be there.
    fn create(
        &self,
        key: &Key,
        value: String,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// Replaces a value that must be of `version`.
    fn swap(
        &self,
        key: &Key,
        value: String,
        version: u64,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// Deletes a value that must be of `version`.
    fn delete(
        &self,
        key: &Key,
        version: u64,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// Writes a value, whatever was there.
    fn put(&self, key: &Key, value: String) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes a directory with all below it; that there is none is no error.
    fn delete_tree(&self, key: &Key) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The values right below a directory, by name; none when there is no directory.
    fn list(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<BTreeMap<String, Versioned>, StoreError>> + Send;

    /// Tells of changes from now on. The first thing it tells may be [`Changed::Everything`].
    fn feed(&self) -> Self::Feed;
}

/// The keys below one prefix.
#[derive(Clone, Debug)]
pub struct Layout {
    prefix: Key,
    tokens: Key,
    reports: Key,
}

impl Layout {
    /// The keys below `prefix`; `None` when it is too deep or the root.
    #[must_use]
    pub fn new(prefix: &str) -> Option<Self> {
        let prefix = Key::parse(prefix.as_bytes()).ok().filter(|key| !key.is_root())?;
        let (tokens, reports) = (prefix.child(b"tokens").ok()?, prefix.child(b"reports").ok()?);
        // Two levels more must fit.
        reports.child(b"t").ok()?.child(b"m").ok()?;
        Some(Self { prefix, tokens, reports })
    }

    /// Everything.
    #[must_use]
    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// All records.
    #[must_use]
    pub fn tokens(&self) -> &Key {
        &self.tokens
    }

    /// The record of a token.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> Key {
        below(&self.tokens, id.as_str())
    }

    /// All reports.
    #[must_use]
    pub fn all_reports(&self) -> &Key {
        &self.reports
    }

    /// The reports of a token's members.
    #[must_use]
    pub fn reports(&self, id: &TokenId) -> Key {
        below(&self.reports, id.as_str())
    }

    /// The report of one member.
    #[must_use]
    pub fn report(&self, id: &TokenId, member: &MemberKey) -> Key {
        below(&self.reports(id), member.as_str())
    }

    /// Which token a change of `key` is about.
    #[must_use]
    pub fn changed(&self, key: &Key) -> Changed {
        let rest = self.tokens.below(key).or_else(|| self.reports.below(key)).unwrap_or_default();
        let name = rest.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
        let id = std::str::from_utf8(name).ok().and_then(TokenId::parse);
        id.map_or(Changed::Everything, Changed::Token)
    }
}

/// A key below a directory that has room for it.
fn below(dir: &Key, name: &str) -> Key {
    // `Layout::new` has made sure of the depth; a directory is read and refused by every caller in any case.
    dir.child(name.as_bytes()).unwrap_or_else(|_| dir.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_their_tokens() {
        let layout = Layout::new("/_q/d").unwrap();
        let id = TokenId::parse("00112233445566778899aabb").unwrap();
        let member = MemberKey::parse("1f").unwrap();
        for key in [layout.token(&id), layout.report(&id, &member), layout.reports(&id)] {
            assert_eq!(layout.changed(&key), Changed::Token(id.clone()), "{key}");
        }
        for key in ["/_q/d", "/_q/d/tokens", "/_q", "/x", "/_q/d/tokens/nonsense"] {
            assert_eq!(layout.changed(&Key::parse(key.as_bytes()).unwrap()), Changed::Everything);
        }
        assert!(Layout::new("/").is_none());
    }
}
