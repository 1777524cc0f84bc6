//! A full disk: writes are refused and say why, reads go on, and it recovers by itself. Needs the right to mount a tmpfs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Member, wait_until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::{SOON, others, quorate, set_flag};

/// Room for the first segments of a log, and not for many.
const DISK: &str = "size=200m";
/// Values that fill a segment with few writes.
const VALUE_BYTES: usize = 200_000;
/// Writes that fill any segment that was made ahead of time.
const WRITES_MAX: usize = 600;

/// A small disk of its own; unmounted on drop.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// None, with a line that says so, when mounting is not permitted.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = std::ffi::CString::new(DISK).expect("no zeros");
        match mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                eprintln!("skipped: a tmpfs cannot be mounted here ({error})");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        for piece in [1 << 20, 4096, 1] {
            let bytes = vec![1; piece];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.folder.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.folder.path().display());
        }
    }
}

/// Writes through `member` until it refuses for want of room; returns the refusal.
#[track_caller]
fn write_until_refused(member: &Member) -> String {
    let value = "x".repeat(VALUE_BYTES);
    for n in 0..WRITES_MAX {
        let answer = member.keys().put(&format!("/large/{}", n % 20), &value).expect("an answer");
        if !answer.is_ok() {
            return answer.answer.to_string();
        }
    }
    panic!("{} took {WRITES_MAX} writes on a full disk", member.name());
}

fn on_small_disk(cluster: &Cluster, disk: &SmallDisk, position: usize) {
    let data = disk.path().join("data");
    set_flag(&cluster.member(position), "data-dir", &data.display().to_string());
}

#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let _turn = turn::shared();
    let Some(disk) = SmallDisk::new() else { return };
    let cluster = quorate(1).flag("--snapshot-count=50").prepare();
    on_small_disk(&cluster, &disk, 0);
    cluster.start();
    cluster.wait_ready();
    let member = cluster.member(0);
    assert!(member.keys().put("/k", "v").expect("answers").is_ok());
    disk.fill();
    let refusal = write_until_refused(&member);
    assert!(
        refusal.contains("space") || refusal.contains("room") || refusal.contains("full"),
        "unclear: {refusal}"
    );
    eprintln!("{refusal}");
    for _ in 0..50 {
        assert!(!member.keys().put("/k", "no").expect("an answer").is_ok());
    }
    assert_eq!(member.keys().get("/k").expect("answers").value(), Some("v"));
    assert_eq!(member.keys().get_with("/k", "quorum=true").expect("answers").value(), Some("v"));
    disk.free();
    wait_until("writes go through again", SOON, || {
        member.keys().put("/k", "again").is_ok_and(|answer| answer.is_ok())
    });
    member.kill9();
    member.start();
    member.wait_ready(SOON);
    assert_eq!(member.keys().get("/k").expect("answers").value(), Some("again"));
    drop(cluster);
}

#[test]
fn a_member_that_crashes_on_a_full_disk_starts_again() {
    let _turn = turn::shared();
    let Some(disk) = SmallDisk::new() else { return };
    let cluster = quorate(1).prepare();
    on_small_disk(&cluster, &disk, 0);
    cluster.start();
    cluster.wait_ready();
    let member = cluster.member(0);
    assert!(member.keys().put("/k", "v").expect("answers").is_ok());
    disk.fill();
    write_until_refused(&member);
    member.kill9();
    member.start();
    wait_until("it serves reads", SOON, || {
        assert!(member.is_running(), "it does not start: {}", member.log_tail());
        member.keys().get("/k").is_ok_and(|answer| answer.value() == Some("v"))
    });
    disk.free();
    wait_until("writes go through again", SOON, || {
        member.keys().put("/k", "again").is_ok_and(|answer| answer.is_ok())
    });
    drop(cluster);
}

#[test]
fn a_cluster_goes_on_with_one_full_member() {
    let _turn = turn::shared();
    for full_leads in [false, true] {
        let Some(disk) = SmallDisk::new() else { return };
        let cluster = quorate(3).prepare();
        on_small_disk(&cluster, &disk, 0);
        cluster.start();
        cluster.wait_ready();
        let full = cluster.member(0);
        make_lead(&cluster, &full, full_leads);
        disk.fill();
        let value = "x".repeat(VALUE_BYTES);
        let through = others(&cluster, &full).remove(0);
        // Whoever leads: the two with room are a quorum and must get on with it within an election or so.
        for n in 0..110 {
            let mut answer = None;
            wait_until("a write goes through the members with room", SOON, || {
                answer = through.keys().put(&format!("/large/{}", n % 20), &value).ok();
                answer.as_ref().is_some_and(quorate_harness::KeyAnswer::is_ok)
            });
        }
        let load =
            Load::through(&others(&cluster, &full), 2, Retry::Never, Duration::from_millis(2));
        load.wait_more(50, SOON);
        assert!(full.is_running(), "the full member stopped: {}", full.log_tail());
        disk.free();
        load.wait_more(50, SOON);
        let account = load.stop();
        let store = agreed_store(&cluster.members(), SOON * 2);
        account.assert_kept(&store);
        wait_until("writes through it go through again", SOON, || {
            full.keys().put("/k", "v").is_ok_and(|it| it.is_ok())
        });
        drop(cluster);
    }
}

/// Restarts leaders until `member` leads, or does not, as wanted.
fn make_lead(cluster: &Cluster, member: &Member, wanted: bool) {
    wait_until("the leadership is where the test wants it", SOON * 2, || {
        let leader = cluster.wait_leader(SOON);
        if (leader.name() == member.name()) == wanted {
            return true;
        }
        leader.restart();
        leader.wait_ready(SOON);
        false
    });
}
