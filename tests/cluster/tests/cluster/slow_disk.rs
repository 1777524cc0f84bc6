//! A disk that takes its time: whoever has it holds nobody up, and keeps its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Member, Request, SlowDisk, skip_without_strace};

use crate::{SOON, others, quorate};

/// What each sync takes: longer than an election timeout.
const SYNC: Duration = Duration::from_millis(700);

/// Patient enough that a busy machine alone causes no election, and less so than the disk is slow.
fn cluster() -> Cluster {
    quorate(3).flag("--heartbeat-interval=50").flag("--election-timeout=500").start()
}

/// The term that `member` is in.
fn term(member: &Member) -> u64 {
    let answer = member.http().send(&Request::get("/v2/keys/")).expect("it answers");
    answer.header("X-Raft-Term").and_then(|term| term.parse().ok()).expect("it tells its term")
}

/// Lets writes go through for so long, without a pause longer than [`SOON`].
fn load_for(load: &Load, span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        load.wait_more(1, SOON);
    }
}

/// Proves that the fault was there: the member's syncs took as long as they were to.
fn assert_was_slow(member: &Member) {
    let metrics = member.http().send(&Request::get("/metrics")).expect("it answers").text();
    let sum = metrics
        .lines()
        .find_map(|line| line.strip_prefix("etcd_disk_wal_fsync_duration_seconds_sum "))
        .and_then(|sum| sum.parse::<f64>().ok())
        .expect("it measures its syncs");
    assert!(sum >= SYNC.as_secs_f64() * 2.0, "its syncs took {sum} s in all: strace did nothing");
}

/// Has `clients` write through `through` for so long while `member`'s disk is slow, `writes` of them at least. Nothing is lost, and
/// nobody stands for election.
fn write_while_slow(
    cluster: &Cluster,
    member: &Member,
    (through, clients): (&[Arc<Member>], usize),
    (writes, span): (usize, Duration),
) {
    let before = term(member);
    let mut slow = SlowDisk::of(member, SYNC);
    let load = Load::through(through, clients, Retry::Never, Duration::ZERO);
    load.wait_more(writes, SOON);
    load_for(&load, span);
    let account = load.stop();
    assert!(slow.is_slow(), "strace ended early");
    drop(slow);
    assert_was_slow(member);
    eprintln!("{} was slow: {}", member.name(), account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    assert_eq!(term(member), before, "an election for no reason");
}

#[test]
fn a_slow_disk_at_the_leader_moves_no_leadership_and_holds_up_no_heartbeat() {
    if skip_without_strace() {
        return;
    }
    let _turn = turn::alone();
    let cluster = cluster();
    let leader = cluster.wait_leader(SOON);
    write_while_slow(&cluster, &leader, (&cluster.members(), 4), (20, SYNC * 5));
    assert_eq!(cluster.wait_leader(SOON).name(), leader.name());
}

#[test]
fn a_slow_disk_at_a_follower_holds_up_nobody() {
    if skip_without_strace() {
        return;
    }
    let _turn = turn::alone();
    let cluster = cluster();
    let leader = cluster.wait_leader(SOON);
    let follower = others(&cluster, &leader).remove(0);
    // One after the other: if each of them waited for the slow disk, they would take two minutes.
    let others = others(&cluster, &follower);
    write_while_slow(&cluster, &follower, (&others, 1), (170, SYNC * 4));
}
