//! Who belongs to the cluster, who did, and which version all of them speak.
//!
//! Two sources feed it: the roster of committed membership entries, and what members publish about themselves. A removed ID is
//! remembered for ever and never comes back. Whether a change is wise is decided in [`crate::membership`].

use crate::ids::MemberId;
use imbl::{OrdMap, OrdSet};
use std::sync::Arc;

/// One member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its identity.
    pub id: MemberId,
    /// Its name, for people; empty until it has started.
    pub name: String,
    /// Where peers reach it; sorted.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it only follows and has no vote.
    pub is_learner: bool,
    /// Which start of its process published last; `None` if it has never started.
    pub incarnation: Option<u64>,
}

/// A member as a committed membership entry knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RosterMember {
    /// Its identity.
    pub id: MemberId,
    /// Where peers reach it, in any order.
    pub peer_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

/// The whole membership after a committed membership entry. While two configurations overlap it is their union.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roster {
    /// The members, in any order.
    pub members: Vec<RosterMember>,
}

/// The members, the IDs of former members, and the cluster version. Cloning is cheap.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Members {
    present: OrdMap<MemberId, Arc<Member>>,
    removed: OrdSet<MemberId>,
    cluster_version: Option<String>,
}

impl Members {
    /// The members, by ID.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.present.values().map(|member| &**member)
    }

    /// The members with a vote, by ID.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.iter().filter(|member| !member.is_learner)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there are none, as before the first membership entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// The member with this ID.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.present.get(&id).map(|member| &**member)
    }

    /// Whether a member with this ID was removed.
    #[must_use]
    pub fn was_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    /// The IDs of removed members, in order.
    pub fn removed(&self) -> impl Iterator<Item = MemberId> {
        self.removed.iter().copied()
    }

    /// The version that all members can speak, once decided.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        self.cluster_version.as_deref()
    }

    /// Takes over a committed roster. Returns how many store indexes that takes: one for each addition and each changed member, two
    /// for each removal (the deletion and the tombstone).
    pub(crate) fn take_roster(&mut self, roster: &Roster) -> u64 {
        let _ = roster;
        0
    }

    /// Notes what a member says about itself. Returns how many store indexes that takes.
    pub(crate) fn publish(
        &mut self,
        id: MemberId,
        name: &str,
        client_urls: &[String],
        incarnation: u64,
    ) -> u64 {
        let _ = (id, name, client_urls, incarnation);
        0
    }

    /// Sets the cluster version. Returns how many store indexes that takes.
    pub(crate) fn decide_version(&mut self, version: &str) -> u64 {
        self.cluster_version = Some(version.to_owned());
        1
    }
}
