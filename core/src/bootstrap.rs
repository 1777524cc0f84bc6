//! How does this process start? A pure decision from facts: what the disk holds, what the flags say, what the listed peers
//! answered. It is asked again whenever a fact changes, until the answer is no longer [`Start::Wait`].
//!
//! Invariants. A cluster forms only when every listed member is present, agrees on the member list (compared by hash) and
//! holds the same set of incarnations, so a silent survivor of an older cluster can't be overlooked. An empty disk never
//! takes up the ID of a member that has lived: it may have acknowledged entries and given votes that are gone.
//! Asking the peers, writing the disk and waiting are the caller's business.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity;
use crate::ids::{ClusterId, MemberId};
pub use formation_hash::FormationHash;
use places::Found;
pub use places::Places;

mod formation_hash;
pub mod places;

/// A number drawn when a data directory is made. It tells a member that came back from one whose disk was wiped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation(pub u64);

/// What `--initial-cluster-state` asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Intent {
    /// Form a new cluster.
    Form,
    /// Join a cluster that runs.
    Join,
    /// Find out which of the two is right.
    Auto,
}

/// What the data directory holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disk {
    /// An identity, but no log yet: this start, or one that was interrupted before the cluster was formed.
    Fresh,
    /// A log.
    Log,
    /// The mark that this member was removed from its cluster.
    Removed,
}

/// A member as the flags list it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its ID, derived from its peer URLs and the token.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// Where its peers reach it, sorted.
    pub peer_urls: Vec<String>,
}

/// A member as a running cluster knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// Its ID.
    pub id: MemberId,
    /// Its name; empty before its first start.
    pub name: String,
    /// Where its peers reach it, sorted.
    pub peer_urls: Vec<String>,
    /// The incarnation it has lived in, or none if it never started.
    pub incarnation: Option<Incarnation>,
}

/// What a listed peer answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Nothing yet.
    Silent,
    /// It is forming a cluster, too.
    Forming {
        /// The hash of its member list.
        formation: FormationHash,
        /// Its own incarnation.
        incarnation: Incarnation,
        /// The incarnations it has bound itself to, if it has heard of all members.
        bound: Option<BTreeMap<MemberId, Incarnation>>,
    },
    /// It is a member of a cluster.
    Formed {
        /// The cluster.
        cluster: ClusterId,
        /// The cluster's members.
        members: Vec<Known>,
        /// IDs that were members once.
        removed: Vec<MemberId>,
        /// The index up to which it had applied the cluster's log when it said so.
        applied: u64,
    },
}

/// Everything the decision rests on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the flags ask for.
    pub intent: Intent,
    /// What the disk holds.
    pub disk: Disk,
    /// This member's place in `listed`.
    pub own: Listed,
    /// This data directory's incarnation.
    pub incarnation: Incarnation,
    /// The incarnations this member has bound itself to and written to its disk, if it has.
    pub bound: Option<BTreeMap<MemberId, Incarnation>>,
    /// All members the flags list, this one too.
    pub listed: Vec<Listed>,
    /// The salt of the IDs, `--initial-cluster-token`.
    pub token: String,
    /// The answers of the others.
    pub answers: BTreeMap<MemberId, Answer>,
    /// Where host names in peer URLs lead, as far as that was looked up.
    pub places: Places,
}

/// What to do now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Start {
    /// Go on from the log on the disk.
    Restart,
    /// All are present and agree: write this down, announce it, and ask again.
    Bind(BTreeMap<MemberId, Incarnation>),
    /// All are bound to the same set: write the first entry.
    Form,
    /// Become the member that was added to the running cluster.
    Join {
        /// The cluster.
        cluster: ClusterId,
        /// The ID it was given when it was added.
        member: MemberId,
        /// All members, this one too.
        members: Vec<Known>,
    },
    /// Not yet; `reason` says for whom.
    Wait {
        /// Whom or what it waits for, for people.
        reason: String,
    },
    /// Never with these facts.
    Refuse {
        /// What happened, why, and what to do, for people.
        reason: String,
    },
}

/// Decides how to start. See the module for the invariants.
#[must_use]
pub fn decide(facts: &Facts) -> Start {
    match facts.disk {
        Disk::Log => return Start::Restart,
        Disk::Removed => {
            return refuse(format!(
                "member {} has been permanently removed from its cluster; its IDs and data are never used again. To bring \
                 this machine back, add it as a new member and start it with an empty data directory",
                facts.own.id
            ));
        }
        Disk::Fresh => {}
    }
    match (facts.intent, newest(&facts.answers)) {
        (_, Some((cluster, members, removed))) => {
            meet_running_cluster(facts, cluster, members, removed)
        }
        (Intent::Join, None) => wait_for_cluster(facts),
        (Intent::Form | Intent::Auto, None) => form(facts),
    }
}

/// What is said of a running cluster by the listed peer that knows most of it: one that lags may not have heard of this member's
/// addition, or that it has lived.
fn newest(answers: &BTreeMap<MemberId, Answer>) -> Option<(ClusterId, &[Known], &[MemberId])> {
    let formed = answers.values().filter_map(|answer| match answer {
        // A member that has joined and heard nothing from its cluster yet cannot tell who belongs to it.
        Answer::Formed { members, .. } if members.is_empty() => None,
        Answer::Formed { cluster, members, removed, applied } => {
            Some((applied, (*cluster, &members[..], &removed[..])))
        }
        Answer::Silent | Answer::Forming { .. } => None,
    });
    formed.max_by_key(|(applied, _)| **applied).map(|(_, said)| said)
}

/// A listed peer belongs to a running cluster: this member is one of it, or has no business with it.
fn meet_running_cluster(
    facts: &Facts,
    cluster: ClusterId,
    members: &[Known],
    removed: &[MemberId],
) -> Start {
    let found = facts.places.find(&facts.own, members);
    let Found::Member(own) = found else {
        if removed.contains(&facts.own.id) {
            return refuse(format!(
                "member {} has been permanently removed from cluster {cluster}. Add this machine as a new member \
                 (POST /v2/members on a running member), then start it with --initial-cluster-state=existing",
                facts.own.id
            ));
        }
        if let Some(start) = unclear(facts, found) {
            return start;
        }
        return refuse(format!(
            "the listed peers already run cluster {cluster}, which has no member with the peer URLs {}: it has {}. Add it first \
             (POST /v2/members on a running member), then start with --initial-cluster-state=existing",
            facts.places.show_all(&facts.own.peer_urls),
            facts.places.show_members(members)
        ));
    };
    match own.incarnation {
        // The cluster was formed together with this very data directory: finish what was begun.
        Some(incarnation)
            if incarnation == facts.incarnation && is_own_founding(facts, cluster) =>
        {
            Start::Form
        }
        // It joined before, and stopped before its first entry arrived; or the list it learned has changed since the others
        // formed the cluster, whose log tells all the rest.
        Some(incarnation) if incarnation == facts.incarnation => join(cluster, own, members),
        Some(_) => refuse(format!(
            "member {} has already been bootstrapped in cluster {cluster}, and this data directory is not the one it lived \
             in: its disk was lost or the directory is wrong. A member that forgot its entries and votes could lose \
             acknowledged writes, so it must not come back under its old ID. Start it with its old data directory, or remove \
             member {} and add it again (DELETE, then POST /v2/members on a running member), and start it with an empty \
             directory and --initial-cluster-state=existing",
            own.id, own.id
        )),
        None if facts.intent == Intent::Form => refuse(format!(
            "cluster {cluster} already runs and expects this member as an added one, but --initial-cluster-state=new asks \
             for a new cluster. Start it with --initial-cluster-state=existing"
        )),
        None => check_listing(facts, cluster, own, members),
    }
}

/// Whether the cluster is the one that this member has bound itself to form.
fn is_own_founding(facts: &Facts, cluster: ClusterId) -> bool {
    let listed: Vec<MemberId> = facts.listed.iter().map(|listed| listed.id).collect();
    facts.bound.is_some() && identity::cluster_id(&listed) == cluster
}

/// The flags of a joining member must list the cluster as it is, or somebody means another one.
fn check_listing(facts: &Facts, cluster: ClusterId, own: &Known, members: &[Known]) -> Start {
    let mut named = BTreeSet::new();
    for listed in &facts.listed {
        match facts.places.find(listed, members) {
            Found::Member(known) => {
                named.insert(known.id);
            }
            found => return unclear(facts, found).unwrap_or_else(|| unlisted(cluster, listed)),
        }
    }
    if facts.listed.len() != members.len() || named.len() != members.len() {
        return refuse(format!(
            "error validating peerURLs: member count is unequal: --initial-cluster lists {} members, cluster {cluster} has \
             {}. List the members as GET /v2/members shows them, this one too",
            facts.listed.len(),
            members.len()
        ));
    }
    // Whether it has lived is in the log of a quorum, so of as many others as make one, at least one knows. Fewer may all lag, and
    // would let an empty disk take up the ID of a member that has voted.
    let heard = facts.answers.values().filter(
        |answer| matches!(answer, Answer::Formed { cluster: theirs, members, .. } if *theirs == cluster && !members.is_empty()),
    );
    let (heard, needed) = (heard.count(), members.len().div_ceil(2));
    if heard < needed {
        return Start::Wait {
            reason: format!(
                "only {heard} of the {} other members of cluster {cluster} answer; a quorum of them, {needed}, has to say that \
                 this member is new",
                members.len() - 1
            ),
        };
    }
    join(cluster, own, members)
}

/// What to do when it cannot be said which member is meant; nothing if it is none of them.
fn unclear(facts: &Facts, found: Found<'_>) -> Option<Start> {
    match found {
        Found::Member(_) | Found::Nobody => None,
        // Names get addresses: who is to join is waited for, and who asks for a new cluster has no business here in any case.
        Found::Unknown(reason) if facts.intent != Intent::Form => Some(Start::Wait { reason }),
        Found::Unknown(reason) | Found::Several(reason) => Some(refuse(format!(
            "error validating peerURLs: {reason}. Give each member a peer URL that leads to it alone, or list the members as \
             GET /v2/members shows them"
        ))),
    }
}

fn unlisted(cluster: ClusterId, listed: &Listed) -> Start {
    refuse(format!(
        "--initial-cluster lists {}={}, which is no member of the running cluster {cluster}. List the members as \
         GET /v2/members shows them",
        listed.name,
        listed.peer_urls.join(",")
    ))
}

fn join(cluster: ClusterId, own: &Known, members: &[Known]) -> Start {
    Start::Join { cluster, member: own.id, members: members.to_vec() }
}

fn wait_for_cluster(facts: &Facts) -> Start {
    let others = facts.listed.iter().filter(|listed| listed.id != facts.own.id);
    let urls: Vec<String> = others.flat_map(|listed| listed.peer_urls.clone()).collect();
    if urls.is_empty() {
        return refuse(
            "--initial-cluster-state=existing asks to join a running cluster, but --initial-cluster lists no other member. \
             List the members as GET /v2/members shows them"
                .to_owned(),
        );
    }
    Start::Wait {
        reason: format!(
            "cannot fetch cluster info from peer urls: no member of a running cluster answers at {}",
            urls.join(", ")
        ),
    }
}

/// No listed peer belongs to a cluster yet.
fn form(facts: &Facts) -> Start {
    let own_hash = FormationHash::of(&facts.listed, &facts.token);
    let mut present = BTreeMap::from([(facts.own.id, facts.incarnation)]);
    let mut missing = Vec::new();
    for listed in facts.listed.iter().filter(|listed| listed.id != facts.own.id) {
        match facts.answers.get(&listed.id) {
            Some(Answer::Forming { formation, incarnation, .. }) => {
                if *formation != own_hash {
                    return Start::Wait { reason: disagreement(listed, own_hash, *formation) };
                }
                present.insert(listed.id, *incarnation);
            }
            _ => missing.push(format!("{} ({})", listed.name, listed.peer_urls.join(", "))),
        }
    }
    if !missing.is_empty() {
        return Start::Wait {
            reason: format!(
                "a new cluster forms once all of its {} members are present; not heard from yet: {}",
                facts.listed.len(),
                missing.join("; ")
            ),
        };
    }
    bind_or_form(facts, present)
}

fn bind_or_form(facts: &Facts, present: BTreeMap<MemberId, Incarnation>) -> Start {
    if facts.bound.as_ref() != Some(&present) {
        return Start::Bind(present);
    }
    let unbound = facts.listed.iter().filter(|listed| listed.id != facts.own.id).find(|listed| {
        let answer = facts.answers.get(&listed.id);
        !matches!(answer, Some(Answer::Forming { bound: Some(bound), .. }) if *bound == present)
    });
    match unbound {
        None => Start::Form,
        Some(listed) => {
            Start::Wait { reason: format!("{} has not yet heard of all members", listed.name) }
        }
    }
}

fn disagreement(listed: &Listed, own: FormationHash, theirs: FormationHash) -> String {
    format!(
        "{} was started with another member list or token (hash {theirs}, here {own}). --initial-cluster and \
         --initial-cluster-token, or the spelling of --discovery, or what DNS answers for --discovery-srv must be the same on \
         all members; correct the one that is wrong and start it again",
        listed.name
    )
}

fn refuse(reason: String) -> Start {
    Start::Refuse { reason }
}

#[cfg(test)]
mod tests;
