//! May this membership change happen? A pure decision over the roster and the observed health.
//!
//! The rule behind all rules: no allowed change leaves fewer healthy voters than the quorum, before or after. Proposing
//! the change, and finding out who is healthy, is the server's business.

use crate::ids::MemberId;
use crate::members::{Member, Members};
use crate::peer_urls::{self, BadPeerUrls};
use std::collections::BTreeSet;

/// A wished membership change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A new member.
    Add {
        /// Its identity.
        id: MemberId,
        /// Where peers reach it.
        peer_urls: Vec<String>,
        /// Whether it comes without a vote.
        is_learner: bool,
    },
    /// A member leaves for ever.
    Remove {
        /// Who.
        id: MemberId,
    },
    /// A member's peer URLs change.
    Update {
        /// Whose.
        id: MemberId,
        /// Where peers reach it from now on.
        peer_urls: Vec<String>,
    },
    /// A learner gets a vote.
    Promote {
        /// Who.
        id: MemberId,
    },
}

/// What the leader observes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Health {
    /// The members that answer now, the leader included.
    pub reachable: BTreeSet<MemberId>,
    /// Whether an earlier change is not finished.
    pub change_in_progress: bool,
}

/// Why a change may not happen, for people: what, why, what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// An earlier change is not finished.
    #[error(
        "another membership change is in progress and only one may be at a time; try again when it is done"
    )]
    InProgress,
    /// There is no such member.
    #[error("no member has the ID {0}; list the members and check the ID")]
    NotFound(MemberId),
    /// The member was removed; its ID is spent.
    #[error(
        "member {0} has been removed for good and its ID cannot be used again; add it as a new member"
    )]
    Removed(MemberId),
    /// The ID belongs to a member.
    #[error("the ID {0} belongs to a member already; try again to get another ID")]
    IdExists(MemberId),
    /// A peer URL belongs to another member.
    #[error(
        "the peer URL {url} belongs to member {owner}; use another URL, or remove that member first"
    )]
    PeerUrlExists {
        /// The URL.
        url: String,
        /// Whose it is.
        owner: MemberId,
    },
    /// The peer URLs cannot be used.
    #[error(transparent)]
    BadPeerUrls(#[from] BadPeerUrls),
    /// An added member has not started.
    #[error(
        "member {0} was added and has not started, and until it has, another addition could cost the quorum; start it, or remove it"
    )]
    NotStarted(MemberId),
    /// Too few voters are healthy now, so that nothing can be decided.
    #[error(
        "{healthy} of {voters} voters are healthy and {quorum} are needed to decide anything; bring back a voter first"
    )]
    NoQuorum {
        /// Healthy voters.
        healthy: usize,
        /// All voters.
        voters: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// Too few voters would be healthy after the change.
    #[error("the changed cluster would have {healthy} healthy voters and needs {quorum}; {remedy}")]
    QuorumAtRisk {
        /// Healthy voters after the change.
        healthy: usize,
        /// How many would be needed.
        quorum: usize,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Without a voter there is no cluster.
    #[error(
        "member {0} is the last voter and without one there is no cluster; stop the member instead"
    )]
    LastVoter(MemberId),
    /// The member has a vote already.
    #[error("member {0} has a vote already; there is nothing to do")]
    NotLearner(MemberId),
    /// The learner does not answer.
    #[error(
        "learner {0} does not answer and a vote it cannot cast would weaken the cluster; start it and let it catch up"
    )]
    LearnerUnreachable(MemberId),
}

/// Whether `change` is safe for the cluster `roster` in the state `health`.
///
/// # Errors
/// The reason why not.
pub fn check(change: &Change, roster: &Members, health: &Health) -> Result<(), Refused> {
    if health.change_in_progress {
        return Err(Refused::InProgress);
    }
    match change {
        Change::Add { id, peer_urls, is_learner } => {
            check_urls(*id, peer_urls, roster)?;
            check_new_id(*id, roster)?;
            check_quorum(roster, health)?;
            check_addition(*is_learner, roster, health)
        }
        Change::Remove { id } => {
            let member = find(*id, roster)?;
            check_quorum(roster, health)?;
            check_removal(member, roster, health)
        }
        Change::Update { id, peer_urls } => {
            find(*id, roster)?;
            check_urls(*id, peer_urls, roster)?;
            check_quorum(roster, health)
        }
        Change::Promote { id } => {
            let member = find(*id, roster)?;
            check_quorum(roster, health)?;
            check_promotion(member, roster, health)
        }
    }
}

/// How many of `voters` make a decision.
#[must_use]
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

fn find(id: MemberId, roster: &Members) -> Result<&Member, Refused> {
    let unknown = if roster.was_removed(id) { Refused::Removed(id) } else { Refused::NotFound(id) };
    roster.member(id).ok_or(unknown)
}

fn check_new_id(id: MemberId, roster: &Members) -> Result<(), Refused> {
    match find(id, roster) {
        Ok(_) => Err(Refused::IdExists(id)),
        Err(Refused::NotFound(_)) => Ok(()),
        Err(removed) => Err(removed),
    }
}

fn check_urls(id: MemberId, peer_urls: &[String], roster: &Members) -> Result<(), Refused> {
    for url in peer_urls::clean(peer_urls)? {
        if let Some(other) =
            roster.iter().find(|other| other.id != id && other.peer_urls.contains(&url))
        {
            return Err(Refused::PeerUrlExists { url, owner: other.id });
        }
    }
    Ok(())
}

/// A change must itself be decided, by the voters of now.
fn check_quorum(roster: &Members, health: &Health) -> Result<(), Refused> {
    let (healthy, voters) = (healthy_voters(roster, health), roster.voters().count());
    let quorum = quorum(voters);
    if healthy < quorum { Err(Refused::NoQuorum { healthy, voters, quorum }) } else { Ok(()) }
}

fn check_addition(is_learner: bool, roster: &Members, health: &Health) -> Result<(), Refused> {
    if let Some(member) = roster.iter().find(|member| member.incarnation.is_none()) {
        return Err(Refused::NotStarted(member.id));
    }
    let (healthy, voters) = (healthy_voters(roster, health), roster.voters().count());
    let needed = quorum(voters + 1);
    // A learner risks nothing by itself, but it is there to get a vote: with a voter down, that voter has to be dealt
    // with first.
    if healthy >= needed || (is_learner && healthy == voters) {
        return Ok(());
    }
    let remedy = if healthy < voters {
        "bring back the voters that do not answer, or remove them before adding"
    } else {
        "add the member as a learner, and promote it when it has caught up"
    };
    Err(Refused::QuorumAtRisk { healthy, quorum: needed, remedy })
}

fn check_removal(member: &Member, roster: &Members, health: &Health) -> Result<(), Refused> {
    if member.is_learner {
        return Ok(());
    }
    let left = roster.voters().count() - 1;
    if left == 0 {
        return Err(Refused::LastVoter(member.id));
    }
    let leaving = usize::from(is_healthy(member, health));
    let (healthy, needed) = (healthy_voters(roster, health) - leaving, quorum(left));
    if healthy < needed {
        let remedy = "bring back or remove the voters that do not answer first";
        return Err(Refused::QuorumAtRisk { healthy, quorum: needed, remedy });
    }
    Ok(())
}

fn check_promotion(member: &Member, roster: &Members, health: &Health) -> Result<(), Refused> {
    if !member.is_learner {
        return Err(Refused::NotLearner(member.id));
    }
    if !is_healthy(member, health) {
        return Err(Refused::LearnerUnreachable(member.id));
    }
    let (healthy, needed) =
        (healthy_voters(roster, health) + 1, quorum(roster.voters().count() + 1));
    if healthy < needed {
        let remedy = "bring back or remove the voters that do not answer first";
        return Err(Refused::QuorumAtRisk { healthy, quorum: needed, remedy });
    }
    Ok(())
}

fn healthy_voters(roster: &Members, health: &Health) -> usize {
    roster.voters().filter(|member| is_healthy(member, health)).count()
}

/// A member counts if it has started and answers.
fn is_healthy(member: &Member, health: &Health) -> bool {
    member.incarnation.is_some() && health.reachable.contains(&member.id)
}
