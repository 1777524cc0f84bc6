//! Conversions between the raft library's types and our own records.
//!
//! Invariant: lossless both ways for everything the library can hand us; a record that cannot be a
//! valid library value is an error, never a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::EntryPayload;
use openraft::vote::RaftLeaderId;

use super::types::{BatchBytes, EntryOf, LogId, Membership, PeerNode, VoteOf};
use crate::storage::record;

type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;

/// The library's log id for an entry id of ours.
#[must_use]
pub fn log_id(id: record::EntryId) -> LogId {
    // The committed form of a leader id keeps the term only, so any node id will do.
    LogId { leader_id: LeaderId::new(id.term, 0).to_committed(), index: id.index }
}

/// Our entry id for the library's log id.
#[must_use]
pub fn entry_id(id: &LogId) -> record::EntryId {
    record::EntryId::new(id.leader_id.term, id.index)
}

/// The library's vote for a recorded one.
pub(super) fn vote_from_record(vote: record::Vote) -> VoteOf {
    VoteOf { leader_id: LeaderId::new(vote.term, vote.candidate), committed: vote.committed }
}

/// The record of a vote.
pub(super) fn vote_to_record(vote: &VoteOf) -> record::Vote {
    record::Vote {
        term: vote.leader_id.term,
        candidate: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

/// The library's entry for a recorded one.
pub(super) fn entry_from_record(entry: record::Entry) -> io::Result<EntryOf> {
    let id = entry.id();
    let payload = match entry.payload {
        Some(record::Payload::Blank(_)) => EntryPayload::Blank,
        Some(record::Payload::Normal(bytes)) => EntryPayload::Normal(BatchBytes(bytes)),
        Some(record::Payload::Membership(m)) => {
            EntryPayload::Membership(membership_from_record(m)?)
        }
        None => {
            let text = format!("the entry at {id} has no payload this version understands");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    };
    Ok(EntryOf { log_id: log_id(id), payload })
}

/// The record of an entry. Takes the payload's bytes over without copying them.
pub(super) fn entry_to_record(entry: EntryOf) -> record::Entry {
    let payload = match entry.payload {
        EntryPayload::Blank => record::Payload::Blank(record::Blank {}),
        EntryPayload::Normal(batch) => record::Payload::Normal(batch.0),
        EntryPayload::Membership(m) => record::Payload::Membership(membership_to_record(&m)),
    };
    record::Entry::new(entry_id(&entry.log_id), payload)
}

/// The library's membership for a recorded one.
///
/// # Errors
/// `InvalidData` when a voter is not among the nodes.
pub fn membership_from_record(recorded: record::Membership) -> io::Result<Membership> {
    if recorded.configs.is_empty() && recorded.nodes.is_empty() {
        return Ok(Membership::default());
    }
    let configs: Vec<BTreeSet<u64>> =
        recorded.configs.into_iter().map(|set| set.members.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, PeerNode> = recorded
        .nodes
        .into_iter()
        .map(|node| (node.member, PeerNode { peer_urls: node.peer_urls }))
        .collect();
    Membership::new(configs, nodes).map_err(|error| {
        let text = format!("a recorded membership is not a valid one: {error}");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// The record of a membership.
#[must_use]
pub fn membership_to_record(membership: &Membership) -> record::Membership {
    record::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|set| record::VoterSet { members: set.iter().copied().collect() })
            .collect(),
        nodes: membership
            .nodes()
            .map(|(&member, node)| record::Node { member, peer_urls: node.peer_urls.clone() })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_round_trip() {
        let nodes: BTreeMap<u64, PeerNode> = (1..=4)
            .map(|id| (id, PeerNode { peer_urls: vec![format!("http://10.0.0.{id}:2380")] }))
            .collect();
        let joint = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])];
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(BatchBytes(bytes::Bytes::from_static(b"batch"))),
            EntryPayload::Membership(Membership::new(joint, nodes).expect("valid")),
            EntryPayload::Membership(Membership::default()),
        ];
        for payload in payloads {
            let entry = EntryOf { log_id: log_id(record::EntryId::new(7, 9)), payload };
            let back = entry_from_record(entry_to_record(entry.clone())).expect("valid");
            assert_eq!(back, entry);
        }
    }

    #[test]
    fn votes_survive_the_round_trip() {
        for committed in [false, true] {
            let vote = record::Vote { term: 5, candidate: 6, committed };
            assert_eq!(vote_to_record(&vote_from_record(vote)), vote);
        }
    }

    #[test]
    fn a_voter_without_a_node_is_refused() {
        let recorded = record::Membership {
            configs: vec![record::VoterSet { members: vec![1] }],
            nodes: vec![],
        };
        assert!(membership_from_record(recorded).is_err());
    }
}
