//! How a membership change ends: as a number between members, as an error for whoever asked.
//!
//! The numbers are the outcomes of `messages::ChangeReply`; 0 is success.

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use quorate_core::MemberId;
use quorate_core::membership::Refused;

use super::super::types::TypeConfig;
use crate::member::MembershipError;
use crate::peer_api::messages::ChangeReply;

pub(super) const NOT_LEADER: u32 = 1;
pub(super) const NOT_FOUND: u32 = 2;
pub(super) const REMOVED: u32 = 3;
pub(super) const URL_EXISTS: u32 = 4;
pub(super) const REFUSED: u32 = 5;
pub(super) const TIMED_OUT: u32 = 6;
pub(super) const IN_PROGRESS: u32 = 7;

/// Whether a refusal only guards against a risk, which `--strict-reconfig-check=false` takes.
pub(super) fn is_advice(refusal: &Refused) -> bool {
    matches!(
        refusal,
        Refused::NotStarted(_) | Refused::QuorumAtRisk { .. } | Refused::LearnerUnreachable(_)
    )
}

pub(super) fn refused(reason: String) -> ChangeReply {
    ChangeReply { outcome: REFUSED, reason, ..ChangeReply::default() }
}

pub(super) fn refusal_reply(refusal: &Refused) -> ChangeReply {
    let outcome = match refusal {
        Refused::NotFound(_) => NOT_FOUND,
        Refused::Removed(_) => REMOVED,
        Refused::PeerUrlExists { .. } => URL_EXISTS,
        Refused::InProgress => IN_PROGRESS,
        _ => REFUSED,
    };
    ChangeReply { outcome, reason: refusal.to_string(), ..ChangeReply::default() }
}

pub(super) fn library_refusal(
    error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>,
) -> ChangeReply {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
            ChangeReply { outcome: NOT_LEADER, ..ChangeReply::default() }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_),
        )) => ChangeReply { outcome: IN_PROGRESS, ..ChangeReply::default() },
        RaftError::APIError(ClientWriteError::ChangeMembershipError(other)) => {
            refused(other.to_string())
        }
        RaftError::APIError(_) | RaftError::Fatal(_) => {
            ChangeReply { outcome: TIMED_OUT, ..ChangeReply::default() }
        }
    }
}

pub(super) fn outcome(reply: ChangeReply, id: MemberId) -> Result<ChangeReply, MembershipError> {
    Err(match reply.outcome {
        0 => return Ok(reply),
        NOT_FOUND => MembershipError::NotFound(id),
        REMOVED => MembershipError::Removed(id),
        URL_EXISTS => MembershipError::PeerUrlExists,
        REFUSED => MembershipError::Refused(reply.reason),
        IN_PROGRESS => MembershipError::InProgress,
        _ => MembershipError::TimedOut,
    })
}
