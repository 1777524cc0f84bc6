//! Who belongs to the cluster, who did, and which version all of them speak.
//!
//! Two sources feed it: the roster of committed membership entries, and what members publish about themselves. A
//! removed ID is remembered for ever and never comes back. Whether a change is wise is decided in
//! [`crate::membership`].

use crate::ids::MemberId;
use imbl::{OrdMap, OrdSet};
use std::collections::BTreeMap;
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

    /// Takes over a committed roster. Returns how many store indexes that takes: one for each addition and each changed
    /// member, two for each removal (the deletion and the tombstone).
    pub(crate) fn take_roster(&mut self, roster: &Roster) -> u64 {
        let wanted: BTreeMap<MemberId, &RosterMember> = roster
            .members
            .iter()
            .filter(|member| !self.was_removed(member.id))
            .map(|member| (member.id, member))
            .collect();
        let gone: Vec<MemberId> =
            self.present.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        let mut changes = 0;
        for member in wanted.into_values() {
            changes += self.take_member(member);
        }
        for id in gone {
            self.present.remove(&id);
            self.removed.insert(id);
            changes += 2;
        }
        changes
    }

    /// Notes what a member says about itself. Returns how many store indexes that takes: one, as in etcd, where each start
    /// writes these attributes anew; none if it is not a member.
    pub(crate) fn publish(
        &mut self,
        id: MemberId,
        name: &str,
        client_urls: &[String],
        incarnation: u64,
    ) -> u64 {
        let Some(member) = self.present.get(&id) else { return 0 };
        let published = Member {
            name: name.to_owned(),
            client_urls: client_urls.to_vec(),
            incarnation: Some(incarnation),
            ..Member::clone(member)
        };
        self.put(published);
        1
    }

    /// Sets the cluster version. Returns how many store indexes that takes: none if it is the version already.
    pub(crate) fn decide_version(&mut self, version: &str) -> u64 {
        if self.cluster_version() == Some(version) {
            return 0;
        }
        self.cluster_version = Some(version.to_owned());
        1
    }

    /// Puts back what a snapshot held.
    pub(crate) fn restore(
        members: Vec<Member>,
        removed: Vec<MemberId>,
        cluster_version: Option<String>,
    ) -> Self {
        let present = members.into_iter().map(|member| (member.id, Arc::new(member))).collect();
        Self { present, removed: removed.into_iter().collect(), cluster_version }
    }

    fn take_member(&mut self, wanted: &RosterMember) -> u64 {
        let mut peer_urls = wanted.peer_urls.clone();
        peer_urls.sort();
        let is_learner = wanted.is_learner;
        let Some(known) = self.present.get(&wanted.id) else {
            let (name, client_urls) = (String::new(), Vec::new());
            return self.put(Member {
                id: wanted.id,
                name,
                peer_urls,
                client_urls,
                is_learner,
                incarnation: None,
            });
        };
        let mut changes = 0;
        let (with_urls, with_vote) =
            (Member { peer_urls, ..Member::clone(known) }, known.is_learner != is_learner);
        changes += self.put(with_urls.clone());
        if with_vote {
            changes += self.put(Member { is_learner, ..with_urls });
        }
        changes
    }

    /// Stores a member; 1 if that changed anything.
    fn put(&mut self, member: Member) -> u64 {
        if self.member(member.id) == Some(&member) {
            return 0;
        }
        self.present.insert(member.id, Arc::new(member));
        1
    }
}
