//! `log_records`: logs that no member ever wrote: true headers and checksums around whatever records.
//!
//! The input is decisions. Segments are made from the description in `docs/log-format.md`, not by the code under test.
//! Promises: such a log opens or is refused with a reason; what opens can be read without a panic, says no entry
//! twice, takes another entry, and opens again with the same in it.

use bytes::Bytes;
use prost::Message;
use quorate_server::storage::log::Log;
use quorate_server::storage::record::{
    Blank, COUNT_MAX, Checkpoint, Entry, EntryId, Membership, Node, Payload, Pointer, Vote,
    VoterSet,
};

use super::log_damage::{CLUSTER, open};
use super::scratch::dir;
use crate::choices::Choices;

const RECORDS_START: usize = 4096;
/// A segment as small as the log makes them.
const SEGMENT_BYTES: usize = 9216;
const SEGMENTS_MAX: usize = 4;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let dir = dir();
    for number in 1..=SEGMENTS_MAX as u64 {
        if choices.is_done() {
            break;
        }
        let sequence = if choices.byte() < 250 { number } else { choices.number() };
        if sequence == COUNT_MAX {
            // The segment behind it, which the log makes ahead of time, would be refused.
            continue;
        }
        let bytes = segment(sequence, &mut choices);
        std::fs::write(dir.path().join(format!("{sequence:016x}.wal")), bytes).expect("room");
    }
    let may_be_new = choices.flag();
    let log = match open(dir.path(), may_be_new) {
        Ok(log) => log,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let (state, entries) = (log.state(), read(&log));
    append(&log);
    log.close();
    drop(log);
    let again = open(dir.path(), false).expect("what opened opens again");
    assert_eq!(again.state().vote, state.vote);
    let found = read(&again);
    assert!(found.starts_with(&entries), "{found:?} after {entries:?}");
}

/// The entries up to the first that cannot be read, which ends raft's replay with an error.
fn read(log: &Log) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = log.state().purged.map_or(0, |purged| purged.index.saturating_add(1));
    while let Ok(some) = log.read(next..u64::MAX, 1 << 20) {
        let Some(last) = some.last() else { break };
        // A log may begin anywhere; from there on it has no gaps.
        let begin = entries.first().or(some.first()).map_or(next, |first| first.index.max(next));
        assert!(some.iter().zip(begin..).all(|(entry, index)| entry.index == index));
        next = last.index.saturating_add(1);
        entries.extend(some);
    }
    entries
}

/// Adds the entry that follows, if one can.
fn append(log: &Log) {
    let last = log.state().last;
    let id = last.map_or(EntryId::new(1, 0), |last| EntryId::new(last.term, last.index + 1));
    if !id.is_possible() {
        return;
    }
    let entry = Entry::new(id, Payload::Blank(Blank {}));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let appended = runtime.expect("a runtime needs nothing").block_on(async {
        let (done, result) = tokio::sync::oneshot::channel();
        log.append(vec![entry], Box::new(move |result| drop(done.send(result)))).await?;
        result.await.expect("every append is reported")
    });
    appended.expect("the entry that follows is taken");
}

fn segment(sequence: u64, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = vec![0; SEGMENT_BYTES];
    let salt = 7_u64;
    bytes[..8].copy_from_slice(b"QUORWAL\n");
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let numbers = [CLUSTER, sequence, salt, SEGMENT_BYTES as u64];
    for (at, number) in numbers.into_iter().enumerate() {
        bytes[16 + 8 * at..24 + 8 * at].copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[..48]);
    bytes[48..52].copy_from_slice(&crc.to_le_bytes());
    let (mut at, mut batch) = (RECORDS_START, RECORDS_START);
    while !choices.is_done() {
        let control = choices.byte();
        if control == 255 {
            break;
        }
        // Most records begin a batch of their own; a few go on, or claim another place.
        match control % 8 {
            0 => {}
            1 => batch = RECORDS_START + 8 * choices.below(64),
            _ => batch = at,
        }
        let (kind, payload) = record(choices);
        let frame = frame(sequence, salt, at, batch, kind, &payload);
        let end = at + frame.len();
        if end > SEGMENT_BYTES {
            break;
        }
        bytes[at..end].copy_from_slice(&frame);
        at = end;
    }
    bytes
}

fn frame(sequence: u64, salt: u64, at: usize, batch: usize, kind: u8, payload: &[u8]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut frame = vec![0; (24 + payload.len()).next_multiple_of(8)];
    frame[..4].copy_from_slice(&word(payload.len()));
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..20].copy_from_slice(&word(batch));
    frame[20] = kind;
    frame[24..24 + payload.len()].copy_from_slice(payload);
    let mut crc = crc32c::crc32c(&salt.to_le_bytes());
    let parts = [&(at as u64).to_le_bytes()[..], &word(payload.len()), &frame[8..24], payload];
    for part in parts {
        crc = crc32c::crc32c_append(crc, part);
    }
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn record(choices: &mut Choices<'_>) -> (u8, Vec<u8>) {
    let kind = choices.byte() % 10;
    let payload = match kind {
        1 => Checkpoint {
            vote: choices.flag().then(|| vote(choices)),
            purged: pointer(choices),
            committed: pointer(choices),
            last: pointer(choices),
        }
        .encode_to_vec(),
        2 => Entry { term: choices.number(), index: choices.number(), payload: payload(choices) }
            .encode_to_vec(),
        3 => vote(choices).encode_to_vec(),
        4..=6 => Pointer { entry: pointer(choices) }.encode_to_vec(),
        9 => choices.bytes().to_vec(),
        _ => Vec::new(),
    };
    // Sometimes a record of one kind stands under the number of another.
    let kind = if kind == 9 { choices.byte() % 10 } else { kind };
    (kind, payload)
}

fn vote(choices: &mut Choices<'_>) -> Vote {
    Vote { term: choices.number(), candidate: choices.number(), committed: choices.flag() }
}

fn pointer(choices: &mut Choices<'_>) -> Option<EntryId> {
    choices.flag().then(|| EntryId::new(choices.number(), choices.number()))
}

fn payload(choices: &mut Choices<'_>) -> Option<Payload> {
    match choices.byte() % 4 {
        0 => None,
        1 => Some(Payload::Blank(Blank {})),
        2 => Some(Payload::Normal(Bytes::copy_from_slice(choices.bytes()))),
        _ => {
            let members = vec![choices.number(), choices.number()];
            let nodes = members.iter().map(|&member| Node { member, peer_urls: Vec::new() });
            let (nodes, configs) = (nodes.collect(), vec![VoterSet { members }]);
            Some(Payload::Membership(Membership { configs, nodes }))
        }
    }
}
