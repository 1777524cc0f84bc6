//! Snapshot files: what was written comes back chunk by chunk, anything else is refused or replaced
//! by an older one.

use std::path::Path;

use quorate_server::storage::record::{EntryId, Membership, Node, VoterSet};
use quorate_server::storage::snapshot::{SnapshotDir, SnapshotError, SnapshotMeta, SnapshotReader};

const CLUSTER: u64 = 0xc1;

fn meta(index: u64) -> SnapshotMeta {
    let membership = Membership {
        configs: vec![VoterSet { members: vec![1] }],
        nodes: vec![Node { member: 1, peer_urls: vec!["http://a:1".into()] }],
    };
    SnapshotMeta {
        last: Some(EntryId::new(2, index)),
        membership: Some(membership),
        membership_at: Some(EntryId::new(1, 0)),
        cluster: CLUSTER,
    }
}

fn write(dir: &SnapshotDir, index: u64) -> SnapshotReader {
    let mut writer = dir.create(meta(index)).expect("create");
    for chunk in chunks(index) {
        writer.chunk(&chunk).expect("chunk");
    }
    writer.finish().expect("finish")
}

fn chunks(index: u64) -> Vec<Vec<u8>> {
    (1..6).map(|n| format!("chunk {n} of {index} ").repeat(n).into_bytes()).collect()
}

fn read(reader: &mut SnapshotReader) -> Result<Vec<Vec<u8>>, SnapshotError> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        all.push(chunk.to_vec());
    }
    Ok(all)
}

fn open(dir: &Path) -> SnapshotDir {
    SnapshotDir::open(dir, CLUSTER, 2).expect("open")
}

#[test]
fn a_snapshot_comes_back() {
    let dir = tempfile::tempdir().expect("dir");
    let snapshots = open(dir.path());
    assert!(snapshots.newest(None).expect("none yet").is_none());
    let mut reader = write(&snapshots, 7);
    assert_eq!(read(&mut reader).expect("whole"), chunks(7));
    reader.rewind().expect("again");
    assert_eq!(read(&mut reader).expect("whole"), chunks(7));
    assert_eq!(reader.meta(), &meta(7));
}

#[test]
fn the_newest_wins_and_old_ones_go() {
    let dir = tempfile::tempdir().expect("dir");
    let snapshots = open(dir.path());
    for index in [300, 20, 1000] {
        write(&snapshots, index);
    }
    assert_eq!(snapshots.prune().expect("prune"), 1);
    assert_eq!(snapshots.list().expect("list").len(), 2);
    let newest = snapshots.newest(Some(EntryId::new(2, 300))).expect("there").expect("one");
    assert_eq!(newest.meta().last, Some(EntryId::new(2, 1000)));
}

#[test]
fn every_damaged_byte_and_every_cut_is_noticed() {
    let dir = tempfile::tempdir().expect("dir");
    let reader = write(&open(dir.path()), 7);
    let path = reader.path().to_path_buf();
    let bytes = std::fs::read(&path).expect("read");
    let refused = |damaged: &[u8]| {
        std::fs::write(&path, damaged).expect("write");
        let result = SnapshotReader::open(&path, CLUSTER).and_then(|mut reader| read(&mut reader));
        result.err().map(|error| matches!(error, SnapshotError::Damaged { .. }))
    };
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert_eq!(refused(&damaged), Some(true), "byte {at}");
        assert_eq!(refused(&bytes[..at]), Some(true), "cut at {at}");
    }
    assert_eq!(refused(&[bytes.as_slice(), b"x"].concat()), Some(true), "longer");
    assert_eq!(refused(&bytes), None, "the original passes");
}

#[test]
fn a_damaged_newest_gives_way_only_if_the_log_reaches_back() {
    let dir = tempfile::tempdir().expect("dir");
    let snapshots = open(dir.path());
    write(&snapshots, 10);
    let newest = write(&snapshots, 20).path().to_path_buf();
    let mut bytes = std::fs::read(&newest).expect("read");
    let last = bytes.len() - 30;
    bytes[last] ^= 1;
    std::fs::write(&newest, &bytes).expect("damage");
    let error = snapshots.newest(Some(EntryId::new(2, 15))).expect_err("out of reach");
    let text = error.to_string();
    assert!(text.contains("after index 15") && text.contains("remove this member"), "{text}");
    assert!(newest.with_extension("snap.damaged").exists(), "kept for inspection");
    std::fs::rename(newest.with_extension("snap.damaged"), &newest).expect("back");
    let older = snapshots.newest(Some(EntryId::new(2, 10))).expect("reaches").expect("one");
    assert_eq!(older.meta().last, Some(EntryId::new(2, 10)));
}

#[test]
fn all_damaged_and_the_log_whole_means_starting_from_the_log() {
    let dir = tempfile::tempdir().expect("dir");
    let snapshots = open(dir.path());
    let path = write(&snapshots, 10).path().to_path_buf();
    std::fs::write(&path, b"rubbish").expect("damage");
    assert!(snapshots.newest(None).expect("the log has it all").is_none());
}

#[test]
fn a_received_snapshot_counts_only_when_verified() {
    let (from, to) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let source = write(&open(from.path()), 7);
    let into = open(to.path());
    for damage in [true, false] {
        let mut receiver = into.receive().expect("receive");
        let mut piece = [0; 37];
        while let Ok(count @ 1..) = source.raw(receiver.received(), &mut piece) {
            if damage && receiver.received() > 100 {
                piece[0] ^= 1;
            }
            receiver.bytes(&piece[..count]).expect("bytes");
        }
        assert_eq!(receiver.received(), source.size());
        assert!(into.newest(None).expect("nothing yet").is_none());
        match receiver.finish() {
            Err(SnapshotError::Damaged { .. }) => assert!(damage),
            Err(error) => panic!("{error}"),
            Ok(mut reader) => {
                assert!(!damage);
                assert_eq!(read(&mut reader).expect("whole"), chunks(7));
            }
        }
    }
    assert_eq!(std::fs::read_dir(to.path()).expect("list").count(), 1, "nothing left over");
}

#[test]
fn unfinished_and_foreign_snapshots_do_not_count() {
    let dir = tempfile::tempdir().expect("dir");
    let snapshots = open(dir.path());
    let mut unfinished = snapshots.create(meta(5)).expect("create");
    unfinished.chunk(b"half").expect("chunk");
    std::fs::write(dir.path().join("9.tmp"), b"a crash's").expect("write");
    assert!(snapshots.newest(None).expect("none").is_none());
    drop(unfinished);
    let snapshots = open(dir.path());
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0);
    write(&snapshots, 7);
    let other = SnapshotDir::open(dir.path(), CLUSTER + 1, 2).expect("open");
    assert!(matches!(other.newest(None), Err(SnapshotError::OtherCluster { .. })));
}
