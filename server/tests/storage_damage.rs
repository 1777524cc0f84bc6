//! Every way a small log can be damaged, tried one after the other: whatever happens to the files,
//! opening gives back exactly what was acknowledged, or refuses.
//!
//! The one exception is part of the contract: damage to the very last batch, before the mark behind it
//! was written, looks like a torn write and is cut.

mod storage;

use std::path::Path;

use quorate_server::storage::log::OpenError;
use quorate_server::storage::record::{Checkpoint, Entry, EntryId, Vote};
use storage::{FRAME_HEADER, Image, RECORDS_START, Random, append, contents, entry, open};

type Contents = (Checkpoint, Vec<Entry>);

/// Bytes of a segment's header that its checksum covers, and the checksum.
const HEADER_BYTES: usize = 52;

/// A log of two segments with every kind of record, cleanly closed, and what it holds.
async fn sample() -> (Image, Contents) {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    log.save_vote(Vote { term: 1, candidate: 9, committed: false }).await.expect("vote");
    for index in 0..12 {
        append(&log, vec![entry(1, index, 400)]).await.expect("append");
    }
    log.truncate_after(Some(EntryId::new(1, 9))).expect("truncate");
    log.save_vote(Vote { term: 2, candidate: 8, committed: true }).await.expect("vote");
    append(&log, vec![entry(2, 10, 60), entry(2, 11, 60)]).await.expect("append");
    log.save_committed(Some(EntryId::new(2, 10)));
    append(&log, vec![entry(2, 12, 60)]).await.expect("append");
    let held = contents(&log);
    assert_eq!(held.1.len(), 13);
    log.close();
    let image = Image::of(dir.path());
    assert!(
        image.last_used().0.starts_with("0000000000000002"),
        "the log reaches a second segment"
    );
    (image, held)
}

fn reopened(image: &Image, dir: &Path) -> Result<Contents, OpenError> {
    image.write(dir);
    let log = open(dir, false).inspect_err(|_| {
        assert!(Image::of(dir).0 == image.0, "a refused log is left as it was");
    })?;
    let held = contents(&log);
    log.close();
    // What recovery left behind must open again, and hold the same.
    let again = open(dir, false).expect("opens again");
    assert_eq!(contents(&again), held, "recovery is stable");
    Ok(held)
}

#[tokio::test]
async fn every_flipped_byte_of_a_closed_log_is_refused_or_harmless() {
    let (image, held) = sample().await;
    let dir = tempfile::tempdir().expect("dir");
    let (newest, _) = image.last_used();
    let (mut refused, mut harmless) = (0, 0);
    for (name, bytes) in &image.0 {
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let records_end = end.max(RECORDS_START).next_multiple_of(8);
        for at in (0..64).chain(RECORDS_START..(records_end + 16).min(bytes.len())) {
            let mut damaged = image.clone();
            damaged.0.get_mut(name).expect("there")[at] ^= 1 << (at % 8);
            match reopened(&damaged, dir.path()) {
                Ok(found) => {
                    assert_eq!(found, held, "byte {at} of {name}");
                    // The last record is the closing mark of the newest segment in use, on which nothing depends.
                    let mark = records_end - FRAME_HEADER;
                    let says_nothing = (HEADER_BYTES..RECORDS_START).contains(&at)
                        || at >= if *name == newest { mark } else { records_end };
                    assert!(says_nothing, "byte {at} of {name} is not verified");
                    harmless += 1;
                }
                Err(OpenError::Damaged { file, .. }) => {
                    assert!(file.starts_with(dir.path()));
                    refused += 1;
                }
                Err(other) => panic!("byte {at} of {name}: {other}"),
            }
        }
    }
    assert!(refused > 5000 && harmless < 120, "{refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn padding_that_is_not_zero_is_told_by_its_place_or_wiped_behind_the_last_record() {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    for index in 0..8 {
        append(&log, vec![entry(1, index, 100 + index as usize)]).await.expect("append");
    }
    let held = contents(&log);
    log.close();
    let mut image = Image::of(dir.path());
    image.unmark();
    let (name, end) = image.last_used();
    let padding = padding(&image.0[&name], end);
    assert!(padding.len() >= 8, "{padding:?}");
    for &(record_end, at) in &padding {
        let mut damaged = image.clone();
        damaged.0.get_mut(&name).expect("there")[at] = 1;
        match reopened(&damaged, dir.path()) {
            Err(OpenError::Damaged { file, offset, found }) => {
                assert!(record_end < end, "byte {at}: {found}");
                assert_eq!((file, offset), (dir.path().join(&name), at as u64), "{found}");
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok(found) => {
                assert_eq!((record_end, &found), (end, &held), "byte {at}");
                assert_eq!(Image::of(dir.path()).0[&name][at], 0, "byte {at} is wiped");
            }
        }
    }
    assert!(padding.iter().any(|&(record_end, _)| record_end == end), "the last one has some, too");
}

/// Each padding byte among the records before `end`, after the place where its record ends.
fn padding(bytes: &[u8], end: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = RECORDS_START;
    while at < end {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let payload_end = at + FRAME_HEADER + length;
        at = payload_end.next_multiple_of(8);
        found.extend((payload_end..at).map(|byte| (at, byte)));
    }
    found
}

#[tokio::test]
async fn after_a_kill_only_the_last_batch_is_open_to_doubt() {
    let (mut image, held) = sample().await;
    image.unmark();
    let (name, end) = image.last_used();
    // The last record is a commit pointer of 32 bytes; its header tells where its batch began.
    let batch = &image.0[&name][end - 32 + 16..end - 32 + 20];
    let last_batch = u32::from_le_bytes(batch.try_into().expect("four bytes")) as usize;
    assert!((end - 200..end - 96).contains(&last_batch), "an entry and a commit pointer");
    let dir = tempfile::tempdir().expect("dir");
    for at in RECORDS_START..end {
        let mut damaged = image.clone();
        damaged.0.get_mut(&name).expect("there")[at] ^= 0x80;
        let Ok(found) = reopened(&damaged, dir.path()) else {
            assert!(at < end, "byte {at}");
            continue;
        };
        if found != held {
            assert!(at >= last_batch, "byte {at}: lost an entry that others follow");
            let count = found.1.len();
            assert!(count >= 12 && found.1 == held.1[..count], "byte {at}: {count} entries");
        }
    }
}

#[tokio::test]
async fn a_tail_lost_at_any_byte_leaves_the_entries_before_it() {
    let (mut image, held) = sample().await;
    image.unmark();
    let (name, end) = image.last_used();
    let dir = tempfile::tempdir().expect("dir");
    let mut random = Random(storage::seed());
    let mut counts = std::collections::BTreeSet::new();
    for at in RECORDS_START..end {
        for garbage in [false, true] {
            let mut torn = image.clone();
            for byte in &mut torn.0.get_mut(&name).expect("there")[at..] {
                *byte = if garbage { random.below(256) as u8 } else { 0 };
            }
            let found = reopened(&torn, dir.path()).unwrap_or_else(|e| panic!("byte {at}: {e}"));
            let count = found.1.len();
            // Entries 10 and 11 of the first segment come back if their truncation is what was lost.
            let same = found.1.iter().zip(&held.1).all(|(a, b)| a == b || a.term < b.term);
            assert!(same, "byte {at}: not what was written");
            counts.insert(count);
        }
    }
    assert!(counts.contains(&12) && counts.len() >= 3, "{counts:?}");
}

#[tokio::test]
async fn a_batch_whose_sectors_arrived_in_any_order_is_cut() {
    const SECTOR: usize = 512;
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    append(&log, vec![entry(1, 0, 100)]).await.expect("append");
    let before = Image::of(dir.path()).last_used().1;
    append(&log, (1..8).map(|index| entry(1, index, 400)).collect()).await.expect("append");
    log.close();
    let mut image = Image::of(dir.path());
    image.unmark();
    let (name, end) = image.last_used();
    let sectors = (end - before).div_ceil(SECTOR);
    let held: Vec<Entry> = (0..8).map(|i| entry(1, i, if i == 0 { 100 } else { 400 })).collect();
    for lost in 1..1u32 << sectors {
        let mut torn = image.clone();
        let bytes = torn.0.get_mut(&name).expect("there");
        for sector in (0..sectors).filter(|sector| lost & (1 << sector) != 0) {
            let from = before + sector * SECTOR;
            bytes[from..(from + SECTOR).min(end)].fill(0);
        }
        let found = reopened(&torn, dir.path()).unwrap_or_else(|e| panic!("{lost:b}: {e}")).1;
        assert!(!found.is_empty() && found[..] == held[..found.len()], "{lost:b}");
        assert!(found.len() < held.len(), "{lost:b}: a lost sector came back");
    }
}

#[tokio::test]
async fn pieces_of_a_torn_batch_do_not_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    append(&log, vec![entry(1, 0, 100)]).await.expect("append");
    log.close();
    let mut image = Image::of(dir.path());
    image.unmark();
    let (name, before) = image.last_used();
    image.write(dir.path());
    let log = open(dir.path(), false).expect("opens");
    append(&log, (1..6).map(|index| entry(1, index, 100)).collect()).await.expect("append");
    log.close();
    let mut image = Image::of(dir.path());
    image.unmark();
    image.0.get_mut(&name).expect("there")[before..before + 24].fill(0);
    image.write(dir.path());
    let log = open(dir.path(), false).expect("a torn batch is cut");
    assert_eq!(contents(&log).1, [entry(1, 0, 100)]);
    // Exactly as long as the lost record: what follows it on disk is a record of the torn batch.
    append(&log, vec![entry(2, 1, 100)]).await.expect("append");
    log.close();
    let mut image = Image::of(dir.path());
    image.unmark();
    image.write(dir.path());
    let log = open(dir.path(), false).expect("opens");
    assert_eq!(contents(&log).1, [entry(1, 0, 100), entry(2, 1, 100)]);
}

#[tokio::test]
async fn moved_and_doubled_blocks_are_refused() {
    let (image, held) = sample().await;
    let dir = tempfile::tempdir().expect("dir");
    let first = image.0.keys().next().expect("a segment").clone();
    let end = image.0[&first].iter().rposition(|&byte| byte != 0).expect("used");
    for block in [64, 512, 1024] {
        let starts: Vec<usize> = (RECORDS_START..end - block).step_by(block).collect();
        for pair in starts.windows(2) {
            let mut doubled = image.clone();
            let bytes = doubled.0.get_mut(&first).expect("there");
            bytes.copy_within(pair[0]..pair[0] + block, pair[1]);
            let changed = doubled.0 != image.0;
            match reopened(&doubled, dir.path()) {
                Ok(found) => assert!(!changed || found == held, "block {pair:?} of {block}"),
                Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn missing_and_shortened_files_are_refused() {
    let (image, _) = sample().await;
    let dir = tempfile::tempdir().expect("dir");
    let names: Vec<String> = image.0.keys().cloned().collect();
    for name in names.iter().take(2) {
        let mut without = image.clone();
        without.0.remove(name);
        let error = reopened(&without, dir.path()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("damaged")), "without {name}");
        let mut shorter = image.clone();
        shorter.0.get_mut(name).expect("there").truncate(9000);
        let error = reopened(&shorter, dir.path()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("bytes long")), "short {name}");
    }
    Image(std::collections::BTreeMap::new()).write(dir.path());
    assert!(matches!(open(dir.path(), false), Err(OpenError::LogGone { .. })));
}

#[tokio::test]
async fn another_clusters_and_a_newer_versions_log_are_refused() {
    let (image, _) = sample().await;
    let dir = tempfile::tempdir().expect("dir");
    image.write(dir.path());
    let mut other = storage::options(false);
    other.cluster += 1;
    let error = quorate_server::storage::log::Log::open(dir.path(), other).err().expect("refused");
    assert!(matches!(error, OpenError::OtherCluster { found: storage::CLUSTER, .. }), "{error}");
    let mut newer = image.clone();
    for bytes in newer.0.values_mut() {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..48]).to_le_bytes();
        bytes[48..52].copy_from_slice(&crc);
    }
    newer.write(dir.path());
    let error = open(dir.path(), false).err().expect("refused");
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
}
