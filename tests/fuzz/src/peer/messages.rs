//! `peer_messages`: the bodies of frames, as this member reads requests and replies.
//!
//! The input's first byte says which message it is. Promises: it is understood or refused with a reason; what is
//! understood, encoded and read again, is encoded the same; a forwarded batch that is let through can be applied.

use bytes::Bytes;
use prost::Message;
use quorate_core::{Batch, Machine};
use quorate_server::peer_api::messages::{
    Change, ChangeReply, Forward, ForwardReply, Kind, LeaderLost, LeaderLostReply, ReadIndexReply,
    SnapshotBegin, SnapshotEnd,
};
use quorate_server::raft::wire;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let Some((&which, body)) = input.split_first() else { return };
    if let Some(kind) = Kind::from_byte(which) {
        assert_eq!(kind as u8, which);
        assert!(kind.class().name().parse() == Ok(kind.class()));
    }
    let body = Bytes::copy_from_slice(body);
    match which {
        1 | 12 => stable(body, |body| {
            let (request, stamp) = wire::decode_append(body)?;
            Ok(wire::encode_append(&request, stamp))
        }),
        2 | 3 => stable(body, |body| {
            let (request, leader_lost) = wire::decode_vote(body)?;
            Ok(wire::encode_vote(&request, leader_lost))
        }),
        4 => stable(body, |body| Ok(wire::encode_transfer(&wire::decode_transfer(body)?))),
        5 => message::<SnapshotBegin>(&body),
        7 => message::<SnapshotEnd>(&body),
        8 => forward(&body),
        10 => message::<LeaderLost>(&body),
        11 => message::<Change>(&body),
        32 => {
            stable(body, |body| Ok(wire::encode_append_reply(&wire::decode_append_reply(body)?)));
        }
        33 => stable(body, |body| Ok(wire::encode_vote_reply(&wire::decode_vote_reply(body)?))),
        34 => transfer_reply(body),
        35 => message::<ForwardReply>(&body),
        36 => message::<ReadIndexReply>(&body),
        37 => message::<LeaderLostReply>(&body),
        38 => message::<ChangeReply>(&body),
        _ => {}
    }
}

/// Reads and encodes; what that gives must stay the same from then on.
fn stable(body: Bytes, convert: impl Fn(Bytes) -> Result<Vec<u8>, wire::WireError>) {
    match convert(body) {
        Ok(encoded) => {
            let again = convert(encoded.clone().into()).expect("our own encoding is understood");
            assert_eq!(again, encoded);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn message<M: Message + Default>(body: &Bytes) {
    stable(body.clone(), |body| Ok(M::decode(body)?.encode_to_vec()));
}

fn forward(body: &Bytes) {
    message::<Forward>(body);
    let Ok(forward) = Forward::decode(body.clone()) else { return };
    let Ok(batch) = Batch::decode(forward.batch) else { return };
    let mut machine = Machine::new();
    for proposal in &batch.proposals {
        machine.apply(batch.stamp, &proposal.command);
    }
}

fn transfer_reply(body: Bytes) {
    // A request with a vote and nothing else.
    let request = wire::decode_transfer(Bytes::from_static(&[10, 0])).expect("a vote is enough");
    stable(body, |body| {
        Ok(wire::encode_transfer_reply(&wire::decode_transfer_reply(body, &request)?))
    });
}
