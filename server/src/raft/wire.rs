//! Translates between the peer messages (`peer_api::messages`, our contract) and the raft library's types.
//! A message that lacks a required part is an error of the peer, never a panic. Sockets are `peer_api::link`'s business.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use prost::Message as _;
use quorate_core::Stamp;

use super::convert::{entry_from_record, entry_to_record, vote_from_record, vote_to_record};
use super::types::{EntryOf, LogId, TypeConfig, VoteOf};
use super::{entry_id, log_id};
use crate::peer_api::messages as wire;
use crate::storage::record;

/// Why a peer's message could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are no message of the expected kind.
    #[error("the peer sent a message that cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// An entry or a membership is not a valid one.
    #[error("{0}")]
    Record(#[from] std::io::Error),
    /// A part that every version sends is missing.
    #[error("the peer sent a message without its {0}")]
    Missing(&'static str),
    /// A value outside of its range.
    #[error("the peer sent a message with a bad {0}")]
    Invalid(&'static str),
}

/// An append request as bytes, with the cluster's time at the leader.
#[must_use]
pub fn encode_append(request: &AppendEntriesRequest<TypeConfig>, stamp: Stamp) -> Vec<u8> {
    wire::Append {
        vote: Some(vote_to_record(&request.vote)),
        previous: request.prev_log_id.as_ref().map(entry_id),
        entries: request.entries.iter().cloned().map(entry_to_record).collect(),
        commit: request.leader_commit.as_ref().map(entry_id),
        stamp: stamp.0,
    }
    .encode_to_vec()
}

/// An append request from bytes, and the cluster's time at the leader; zero if it did not say.
///
/// # Errors
/// When the bytes are no such request.
pub fn decode_append(body: Bytes) -> Result<(AppendEntriesRequest<TypeConfig>, Stamp), WireError> {
    let message = wire::Append::decode(body)?;
    let stamp = Stamp(message.stamp);
    let request = AppendEntriesRequest {
        vote: vote(message.vote)?,
        prev_log_id: place(message.previous)?,
        entries: message.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
        leader_commit: place(message.commit)?,
    };
    Ok((request, stamp))
}

/// The answer to an append request, as bytes.
#[must_use]
pub fn encode_append_reply(response: &AppendEntriesResponse<TypeConfig>) -> Vec<u8> {
    let reply = match response {
        AppendEntriesResponse::Success => {
            wire::AppendReply { outcome: 0, matched: None, vote: None }
        }
        AppendEntriesResponse::PartialSuccess(matched) => {
            wire::AppendReply { outcome: 1, matched: matched.as_ref().map(entry_id), vote: None }
        }
        AppendEntriesResponse::Conflict => {
            wire::AppendReply { outcome: 2, matched: None, vote: None }
        }
        AppendEntriesResponse::HigherVote(higher) => {
            wire::AppendReply { outcome: 3, matched: None, vote: Some(vote_to_record(higher)) }
        }
    };
    reply.encode_to_vec()
}

/// The answer to an append request, from bytes.
///
/// # Errors
/// When the bytes are no such answer.
pub fn decode_append_reply(body: Bytes) -> Result<AppendEntriesResponse<TypeConfig>, WireError> {
    let reply = wire::AppendReply::decode(body)?;
    Ok(match reply.outcome {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(place(reply.matched)?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(vote(reply.vote)?),
        _ => return Err(WireError::Invalid("outcome")),
    })
}

/// A vote request; `leader_lost` says that the sender saw the leader's process end.
#[must_use]
pub fn encode_vote(request: &VoteRequest<TypeConfig>, leader_lost: bool) -> Vec<u8> {
    wire::Vote {
        vote: Some(vote_to_record(&request.vote)),
        last: request.last_log_id.as_ref().map(entry_id),
        transfer: request.leadership_transfer,
        leader_lost,
    }
    .encode_to_vec()
}

/// A vote request and whether its sender saw the leader's process end.
///
/// # Errors
/// When the bytes are no vote request.
pub fn decode_vote(body: Bytes) -> Result<(VoteRequest<TypeConfig>, bool), WireError> {
    let message = wire::Vote::decode(body)?;
    let mut request = VoteRequest::new(vote(message.vote)?, place(message.last)?);
    request.leadership_transfer = message.transfer;
    Ok((request, message.leader_lost))
}

/// The answer to a vote request, as bytes.
#[must_use]
pub fn encode_vote_reply(response: &VoteResponse<TypeConfig>) -> Vec<u8> {
    wire::VoteReply {
        vote: Some(vote_to_record(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(entry_id),
    }
    .encode_to_vec()
}

/// The answer to a vote request, from bytes.
///
/// # Errors
/// When the bytes are no such answer.
pub fn decode_vote_reply(body: Bytes) -> Result<VoteResponse<TypeConfig>, WireError> {
    let reply = wire::VoteReply::decode(body)?;
    Ok(VoteResponse::new(vote(reply.vote)?, place(reply.last)?, reply.granted))
}

/// A request to take over the leadership, as bytes.
#[must_use]
pub fn encode_transfer(request: &TransferLeaderRequest<TypeConfig>) -> Vec<u8> {
    wire::Transfer {
        from: Some(vote_to_record(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(entry_id),
    }
    .encode_to_vec()
}

/// A request to take over the leadership, from bytes.
///
/// # Errors
/// When the bytes are no such request.
pub fn decode_transfer(body: Bytes) -> Result<TransferLeaderRequest<TypeConfig>, WireError> {
    let message = wire::Transfer::decode(body)?;
    Ok(TransferLeaderRequest::new(vote(message.from)?, message.to, place(message.last)?))
}

/// The answer to a request to take over, as bytes.
#[must_use]
pub fn encode_transfer_reply(response: &TransferLeaderResponse<TypeConfig>) -> Vec<u8> {
    let accepted = wire::TransferReply { outcome: 0, vote: None, last: None };
    match response {
        Ok(()) => accepted,
        Err(TransferLeaderError::VoteChanged { actual, .. }) => {
            wire::TransferReply { outcome: 1, vote: Some(vote_to_record(actual)), ..accepted }
        }
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            wire::TransferReply { outcome: 2, last: actual.as_ref().map(entry_id), ..accepted }
        }
    }
    .encode_to_vec()
}

/// The answer to `request`, from bytes.
///
/// # Errors
/// When the bytes are no such answer.
pub fn decode_transfer_reply(
    body: Bytes,
    request: &TransferLeaderRequest<TypeConfig>,
) -> Result<TransferLeaderResponse<TypeConfig>, WireError> {
    let reply = wire::TransferReply::decode(body)?;
    Ok(match reply.outcome {
        0 => Ok(()),
        1 => {
            let actual = vote(reply.vote)?;
            Err(TransferLeaderError::VoteChanged { expected: *request.from_leader(), actual })
        }
        2 => {
            let expected = request.last_log_id().copied();
            Err(TransferLeaderError::LogNotFlushed { expected, actual: place(reply.last)? })
        }
        _ => return Err(WireError::Invalid("outcome")),
    })
}

/// A vote from the wire.
///
/// # Errors
/// When the message came without one, or its term is impossible.
pub fn vote(vote: Option<record::Vote>) -> Result<VoteOf, WireError> {
    let vote = vote.ok_or(WireError::Missing("vote"))?;
    // The library counts on from whatever term it is told.
    if vote.term > record::COUNT_MAX {
        return Err(WireError::Invalid("term"));
    }
    Ok(vote_from_record(vote))
}

/// A vote for the wire.
#[must_use]
pub fn vote_record(vote: &VoteOf) -> record::Vote {
    vote_to_record(vote)
}

/// A place in the log, from the wire; the library counts on from it.
fn place(id: Option<record::EntryId>) -> Result<Option<LogId>, WireError> {
    match id {
        Some(id) if !id.is_possible() => Err(WireError::Invalid("place in the log")),
        id => Ok(id.map(log_id)),
    }
}

fn entry(entry: record::Entry) -> Result<EntryOf, WireError> {
    place(Some(entry.id()))?;
    Ok(entry_from_record(entry)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(term: u64, index: u64) -> Result<(), WireError> {
        let vote = record::Vote { term, candidate: 1, committed: true };
        let blank = record::Payload::Blank(record::Blank {});
        let entries = vec![record::Entry::new(record::EntryId::new(1, index), blank)];
        let message =
            wire::Append { vote: Some(vote), entries, previous: None, commit: None, stamp: 0 };
        decode_append(message.encode_to_vec().into()).map(drop)
    }

    #[test]
    fn numbers_that_counting_never_reaches_are_refused() {
        assert!(append(record::COUNT_MAX, record::COUNT_MAX).is_ok());
        assert!(matches!(append(record::COUNT_MAX + 1, 1), Err(WireError::Invalid("term"))));
        assert!(matches!(append(1, u64::MAX), Err(WireError::Invalid("place in the log"))));
        let last = Some(record::EntryId::new(u64::MAX, 1));
        let message =
            wire::Vote { vote: Some(record::Vote::default()), last, ..Default::default() };
        let refused = decode_vote(message.encode_to_vec().into());
        assert!(matches!(refused, Err(WireError::Invalid("place in the log"))));
    }
}
