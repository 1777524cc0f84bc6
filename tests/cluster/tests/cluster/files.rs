//! Damaged, torn and missing files: what a crash can do is repaired, what it cannot do is refused by name.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_cluster_tests::{Load, Retry, agreed_store, store_of, turn};
use quorate_harness::{Cluster, Exit, Member, Program, Request, Seeded, wait_until};

use crate::{SOON, quorate, set_flag};

/// Events a watcher can ask for, by the API's promise.
const HISTORY: u64 = 1000;

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    paths.sort();
    paths
}

/// The newest segment in use, and where what was written to it ends.
fn written(member: &Member) -> (PathBuf, u64) {
    let used = files(&member.data_dir().join("wal"), ".wal").into_iter().rev().find_map(|path| {
        let bytes = fs::read(&path).expect("the segment is readable");
        let end = bytes.iter().rposition(|byte| *byte != 0)? as u64 + 1;
        // A segment that was made ahead of time holds its header only.
        (end > 4096).then_some((path, end))
    });
    used.expect("a segment was written to")
}

fn with_keys(count: u32) -> Cluster {
    let cluster = quorate(1).start();
    let keys = cluster.keys();
    for n in 0..count {
        assert!(keys.put(&format!("/k{n}"), "v").expect("answers").is_ok());
    }
    cluster
}

#[test]
fn a_torn_tail_is_cut_off_and_the_member_starts() {
    let _turn = turn::shared();
    let cluster = with_keys(60);
    let member = cluster.member(0);
    let mut rng = Seeded::from_environment("torn tail");
    let mut before = store_of(&member).expect("answers");
    for _ in 0..6 {
        member.kill9();
        let (segment, end) = written(&member);
        let file = OpenOptions::new().write(true).open(&segment).expect("the segment opens");
        let cut = rng.below(90) + 1;
        // Space is taken ahead of time, so a torn write leaves what was there before: zeros, or remains of older use.
        let remains: Vec<u8> = (0..cut).map(|_| rng.bits() as u8).collect();
        let torn = if rng.one_in(2) { remains } else { vec![0; cut as usize] };
        file.write_all_at(&torn, end - cut).expect("torn");
        member.start();
        member.wait_ready(SOON);
        let after = store_of(&member).expect("answers");
        let lost = before.nodes.iter().filter(|(key, node)| after.nodes.get(*key) != Some(node));
        let lost: Vec<u64> = lost.map(|(_, (_, index, _))| *index).collect();
        let kept = after
            .nodes
            .values()
            .filter(|(_, index, _)| before.nodes.values().any(|it| it.1 == *index))
            .map(|it| it.1);
        let newest_kept = kept.max().unwrap_or(0);
        assert!(
            lost.iter().all(|index| *index > newest_kept),
            "not only the newest were lost: {lost:?}, kept up to {newest_kept}"
        );
        assert!(lost.len() <= 4, "{cut} bytes cost {} keys", lost.len());
        assert!(member.keys().put("/after", "v").expect("answers").is_ok());
        before = store_of(&member).expect("answers");
    }
}

#[test]
fn a_flipped_byte_below_the_tail_is_refused_by_file_and_offset() {
    let _turn = turn::shared();
    let cluster = with_keys(120);
    let member = cluster.member(0);
    let intact = store_of(&member).expect("answers");
    member.kill9();
    let mut overlooked = 0;
    let (segment, end) = written(&member);
    let original = fs::read(&segment).expect("the segment is readable");
    let mut rng = Seeded::from_environment("flipped byte");
    for _ in 0..8 {
        let offset = end / 4 + rng.below(end / 4);
        let mut damaged = original.clone();
        damaged[offset as usize] ^= 1 << rng.below(8);
        fs::write(&segment, &damaged).expect("written");
        member.start();
        wait_until("it has refused or started", SOON, || !member.is_running() || member.is_ready());
        if member.is_running() {
            // Records are filled up with zeros to whole words; damage to those hurts nobody.
            assert_eq!(
                original[offset as usize], 0,
                "a flip of byte {offset} of {end} was overlooked"
            );
            assert_eq!(
                store_of(&member).expect("answers").nodes,
                intact.nodes,
                "byte {offset} of {end}"
            );
            overlooked += 1;
            member.kill9();
            continue;
        }
        let tail = member.log_tail();
        let name = segment.file_name().unwrap_or_default().to_string_lossy();
        assert!(tail.contains(&*name) && tail.contains("at byte"), "no file and offset:\n{tail}");
        assert_eq!(
            fs::read(&segment).expect("readable"),
            damaged,
            "a refused segment must not be changed"
        );
    }
    assert!(overlooked <= 3, "{overlooked} of 8 flips were overlooked");
    fs::write(&segment, &original).expect("written");
    member.start();
    member.wait_ready(SOON);
    assert_eq!(member.keys().get("/k119").expect("answers").value(), Some("v"));
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let _turn = turn::shared();
    let cluster = with_keys(1);
    let member = cluster.member(0);
    let binary = Program::Quorate.binary().expect("the server is built");
    let second = Command::new(binary).args(member.flags()).output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let pid = member.pid().expect("it runs").to_string();
    assert!(said.contains("in use by another process") && said.contains(&pid), "{said}");
    assert!(member.keys().put("/k", "v").expect("answers").is_ok());
}

/// A cluster whose first member has made snapshots and purged the log behind them.
fn with_snapshots(members: usize) -> Cluster {
    let cluster = quorate(members).flag("--snapshot-count=200").start();
    let load = Load::start(&cluster, 4, Retry::Never);
    let member = cluster.member(0);
    wait_until("there are two snapshots", SOON * 2, || {
        files(&member.data_dir().join("snap"), ".snap").len() >= 2
    });
    load.wait_more(1200, SOON * 2);
    let account = load.stop();
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    cluster
}

#[test]
fn a_restart_from_a_snapshot_has_all_data_and_the_history() {
    let _turn = turn::shared();
    let cluster = with_snapshots(1);
    let member = cluster.member(0);
    let before = store_of(&member).expect("answers");
    member.kill9();
    member.start();
    member.wait_ready(SOON);
    let mut after = store_of(&member).expect("answers");
    assert_eq!(before.nodes, after.nodes);
    wait_until("the member has told the cluster about its start, which is an event", SOON, || {
        after = store_of(&member).expect("answers");
        after.index > before.index
    });
    assert_eq!(before.nodes, after.nodes);
    let oldest = after.index - HISTORY + 1;
    for index in [oldest, oldest + HISTORY / 2, before.index] {
        let target = format!("/v2/keys/?wait=true&recursive=true&waitIndex={index}");
        let answer = member.http().send(&Request::get(target)).expect("the event is there");
        let found = answer.json()["node"]["modifiedIndex"].as_u64().unwrap_or(0);
        let expected = after.nodes.values().map(|node| node.1).filter(|at| *at >= index).min();
        assert_eq!(Some(found), expected, "the first event from {index} on: {answer}");
    }
}

#[test]
fn a_damaged_snapshot_is_never_loaded() {
    let _turn = turn::shared();
    let cluster = with_snapshots(3);
    let member = cluster.member(0);
    let before = agreed_store(&cluster.members(), SOON);
    member.kill9();
    let mut rng = Seeded::from_environment("damaged snapshot");
    let snapshots = files(&member.data_dir().join("snap"), ".snap");
    for path in &snapshots {
        let mut bytes = fs::read(path).expect("readable");
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 0x10;
        fs::write(path, bytes).expect("written");
    }
    member.start();
    wait_until("it has started or refused", SOON, || member.is_ready() || !member.is_running());
    // With the whole log it may do without any snapshot; it must not serve anything made up.
    if member.is_running() {
        let after = agreed_store(&cluster.members(), SOON);
        assert!(before.nodes.iter().all(|(key, node)| after.nodes.get(key) == Some(node)));
    } else {
        let tail = member.log_tail();
        assert!(tail.contains("snapshot") && tail.contains("damaged"), "{tail}");
    }
}

#[test]
fn a_log_that_is_gone_is_missed() {
    let _turn = turn::shared();
    let cluster = with_keys(5);
    let member = cluster.member(0);
    member.kill9();
    let moved = cluster.folder().join("moved-away");
    fs::rename(member.data_dir().join("wal"), &moved).expect("moved");
    member.start();
    assert_eq!(member.wait_exit(SOON), Exit::Code(1));
    assert!(
        member.log_tail().contains("holds no log although this member has run before"),
        "{}",
        member.log_tail()
    );
    let _ = fs::remove_dir(member.data_dir().join("wal"));
    fs::rename(&moved, member.data_dir().join("wal")).expect("moved back");
    set_flag(&member, "initial-cluster-state", "existing");
    member.start();
    member.wait_ready(SOON);
    assert_eq!(member.keys().get("/k4").expect("answers").value(), Some("v"));
}
