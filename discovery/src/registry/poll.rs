//! What a long poll is answered: the first registration from an index on, as etcd's watch has it.
//!
//! Invariant: every registration can be replayed for as long as its token lives, so that no poll is ever told that history is
//! gone; and a poll that began before a set was taken back is ended with an error instead of mixing two sets.

use super::claim::MemberKey;
use super::moment::Moment;
use super::refusal::Refusal;
use super::token::{Entry, Token};

/// What a poll is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Every registration.
    All,
    /// That of one member.
    Member(MemberKey),
}

/// A poll: whose registrations, from which index on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waits {
    /// Whose.
    pub scope: Scope,
    /// The first index of interest.
    pub since: u64,
}

impl Token {
    /// The answer to a poll; `None` when it has to wait.
    ///
    /// # Errors
    /// The token is over, or the poll has seen a set that was taken back.
    pub fn poll(&self, waits: &Waits, now: Moment) -> Result<Option<&Entry>, Refusal> {
        self.alive(now)?;
        if waits.scope == Scope::All && waits.since <= self.floor {
            return Err(Refusal::StartOver);
        }
        let concerns = |entry: &&Entry| match &waits.scope {
            Scope::All => true,
            Scope::Member(member) => entry.member == *member,
        };
        let from = self.entries.iter().filter(|entry| entry.index >= waits.since);
        Ok(from.filter(concerns).min_by_key(|entry| entry.index))
    }
}
