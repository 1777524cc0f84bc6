//! `log_damage`: logs that were written well and then damaged: cut, flipped, overwritten, moved, doubled, lost.
//!
//! The input is decisions: which log, which damages. Promises: what a damaged log still serves was written, entry by
//! entry; one flipped byte of a cleanly closed log is refused or changes nothing; what opens, opens again and holds the
//! same; what is refused as damaged is left as it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use prost::Message;
use quorate_server::storage::log::{Log, LogOptions, OpenError};
use quorate_server::storage::record::{Checkpoint, Entry, EntryId, Payload, Vote};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::scratch::{Image, Unsynced, dir};
use crate::choices::Choices;

/// The cluster of every log here.
pub const CLUSTER: u64 = 0xc1;
/// Where records begin in a segment.
const RECORDS_START: usize = 4096;
/// Damages done to one log.
const DAMAGES_MAX: usize = 6;
/// Bytes of entries asked for at once.
const READ_BYTES: usize = 4096;

/// A log on disk and what is known of it.
struct Sample {
    image: Image,
    held: (Checkpoint, Vec<Entry>),
    /// Every entry that was ever appended, as bytes.
    written: BTreeSet<Vec<u8>>,
    votes: Vec<Option<Vote>>,
    /// The closing mark is missing, as after a kill.
    killed: bool,
}

/// Made once: logs take longer to write than to damage.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime needs nothing");
    vec![
        sample(&runtime, false, false),
        sample(&runtime, true, false),
        sample(&runtime, false, true),
    ]
});

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let sample = choices.pick(&SAMPLES);
    let mut image = sample.image.clone();
    let only_a_flip = damage_all(&mut image, &mut choices) && !sample.killed;
    let dir = dir();
    image.write(dir.path());
    let log = match open(dir.path(), false) {
        Ok(log) => log,
        Err(error) => {
            let text = error.to_string();
            assert!(
                matches!(error, OpenError::Damaged { .. } | OpenError::LogGone { .. }),
                "{text}"
            );
            assert_eq!(Image::of(dir.path()), image, "changed, although: {text}");
            return;
        }
    };
    let found = contents(&log);
    log.close();
    drop(log);
    for entry in &found.1 {
        assert!(sample.written.contains(&entry.encode_to_vec()), "never written: {entry:?}");
    }
    assert!(found.1.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
    assert!(sample.votes.contains(&found.0.vote), "never voted: {:?}", found.0.vote);
    assert!(!only_a_flip || found == sample.held, "one flipped byte changed {:?}", found.0);
    let again = open(dir.path(), false).expect("what opened opens again");
    assert_eq!(contents(&again), found);
}

/// Opens a log with segments as small as they get and nothing in memory.
///
/// # Errors
/// As the log says.
pub fn open(dir: &Path, create: bool) -> Result<Log, OpenError> {
    let options = LogOptions {
        create,
        first_segment_bytes: 0,
        segment_bytes: 0,
        cache_bytes: 0,
        disk: Arc::new(Unsynced),
        ..LogOptions::new(CLUSTER)
    };
    Log::open(dir, options)
}

fn contents(log: &Log) -> (Checkpoint, Vec<Entry>) {
    let state = log.state();
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = state.purged.map_or(0, |purged| purged.index + 1);
    loop {
        let some = log.read(next..u64::MAX, READ_BYTES).expect("what was accepted is readable");
        let Some(last) = some.last() else { return (state, entries) };
        next = last.index + 1;
        entries.extend(some);
    }
}

/// A log of several segments with every kind of record. `purged`: its first entries are given up. `killed`: the closing
/// mark is missing.
fn sample(runtime: &Runtime, purged: bool, killed: bool) -> Sample {
    let dir = dir();
    let log = open(dir.path(), true).expect("a new log");
    let mut written = BTreeSet::new();
    let votes = [None, vote(1, 9, false), vote(2, 8, true)];
    let mut append = |term, indexes: std::ops::Range<u64>, bytes| {
        let entries: Vec<Entry> = indexes.map(|index| entry(term, index, bytes)).collect();
        written.extend(entries.iter().map(Message::encode_to_vec));
        let (done, result) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        runtime.block_on(async {
            log.append(entries, done).await.expect("accepted");
            result.await.expect("reported").expect("written");
        });
    };
    runtime.block_on(log.save_vote(votes[1].expect("given"))).expect("voted");
    (0..12).for_each(|index| append(1, index..index + 1, 500));
    log.truncate_after(Some(EntryId::new(1, 9))).expect("truncated");
    runtime.block_on(log.save_vote(votes[2].expect("given"))).expect("voted");
    append(2, 10..12, 60);
    if purged {
        log.purge(EntryId::new(1, 3)).expect("purged");
    }
    log.save_committed(Some(EntryId::new(2, 10)));
    append(2, 12..20, 300);
    append(2, 20..21, 60);
    let held = contents(&log);
    log.close();
    let mut image = Image::of(dir.path());
    if killed {
        unmark(&mut image);
    }
    Sample { image, held, written, votes: votes.into(), killed }
}

fn vote(term: u64, candidate: u64, committed: bool) -> Option<Vote> {
    Some(Vote { term, candidate, committed })
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let fill = u8::try_from(index % 250 + 1).unwrap_or(1);
    Entry::new(EntryId::new(term, index), Payload::Normal(Bytes::from(vec![fill; bytes])))
}

/// Takes the last record away, which is the closing mark.
fn unmark(image: &mut Image) {
    const MARK_BYTES: usize = 24;
    let used = |bytes: &&mut Vec<u8>| bytes.iter().skip(RECORDS_START).any(|&byte| byte != 0);
    let last = image.0.values_mut().rfind(used).expect("some segment has records");
    let end = last.iter().rposition(|&byte| byte != 0).map_or(0, |at| (at + 1).next_multiple_of(8));
    last[end - MARK_BYTES..end].fill(0);
}

/// Damages the files; whether all of it was one flipped byte.
fn damage_all(image: &mut Image, choices: &mut Choices<'_>) -> bool {
    let mut kinds = Vec::new();
    while !choices.is_done() && kinds.len() < DAMAGES_MAX {
        kinds.push(choices.byte() % 8);
        damage(image, *kinds.last().unwrap_or(&0), choices);
    }
    kinds == [0]
}

fn damage(image: &mut Image, kind: u8, choices: &mut Choices<'_>) {
    let names: Vec<String> = image.0.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = choices.pick(&names).clone();
    let Some(bytes) = image.0.get_mut(&name).filter(|bytes| bytes.len() > RECORDS_START) else {
        return;
    };
    let at = place(bytes.len(), choices);
    let length = (1 + choices.below(1024)).min(bytes.len() - at);
    match kind {
        0 => bytes[at] ^= choices.byte().max(1),
        1 => bytes.truncate(at),
        2 => bytes[at..].fill(0),
        3 => bytes[at..at + length].fill(choices.byte()),
        4 => {
            let to = place(bytes.len() - length, choices) & !7;
            bytes.copy_within(at..at + length, to);
        }
        5 => drop(image.0.remove(&name)),
        6 => {
            let copy = bytes.clone();
            image.0.insert(choices.pick(&names).clone(), copy);
        }
        _ => {
            let from = choices.bytes();
            let length = from.len().min(bytes.len() - at);
            bytes[at..at + length].copy_from_slice(&from[..length]);
        }
    }
}

/// A place in a file of `length` bytes: among the records, mostly.
fn place(length: usize, choices: &mut Choices<'_>) -> usize {
    let start = if choices.byte() < 16 { 0 } else { RECORDS_START.min(length.saturating_sub(1)) };
    start + choices.below((length - start).max(1))
}
