//! A member that fell behind the kept log comes back through a snapshot, and the others do not notice.

use std::time::{Duration, Instant};

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Member, Request, wait_until};

use crate::{SOON, others, quorate};

/// More than the 2,000 entries that are kept behind a snapshot: one client makes an entry of each write.
const WRITES: usize = 2_800;
/// Makes the snapshot large enough that sending it takes a while.
const LARGE_VALUES: usize = 100;
const LARGE_BYTES: usize = 100_000;
/// No write may wait longer while a snapshot is sent; an election would take longer.
const WRITE_MAX: Duration = Duration::from_millis(1500);
/// The leader's count of snapshots that did not arrive.
const FAILURES: &str = "etcd_network_snapshot_send_failures{";
/// The second to fourth attempt after the first come after pauses of 0.1, 0.2 and 0.4 s.
const FOUR_ATTEMPTS_MIN: Duration = Duration::from_millis(700);

fn term(member: &Member) -> u64 {
    let answer = member.http().send(&Request::get("/v2/keys/")).expect("answers");
    answer.header("X-Raft-Term").and_then(|term| term.parse().ok()).expect("a term")
}

fn fill(cluster: &Cluster, through: &Member) {
    for n in 0..LARGE_VALUES {
        assert!(
            through
                .keys()
                .put(&format!("/large/{n}"), &"x".repeat(LARGE_BYTES))
                .expect("answers")
                .is_ok()
        );
    }
    agreed_store(&cluster.members(), SOON);
}

/// How often `leader` has failed to send a snapshot.
fn failures(leader: &Member) -> usize {
    let metrics = leader.http().send(&Request::get("/metrics")).expect("it answers").text();
    let series = metrics.lines().filter(|line| line.starts_with(FAILURES));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

/// While nobody is there to take a snapshot, the pauses between attempts double.
fn assert_attempts_grow_rare(leader: &Member) {
    wait_until("a snapshot was not taken", SOON, || failures(leader) > 0);
    let begun = Instant::now();
    let before = failures(leader);
    wait_until("further attempts failed", SOON, || failures(leader) >= before + 4);
    // The first of the four may have been due at once.
    let took = begun.elapsed();
    assert!(took >= FOUR_ATTEMPTS_MIN, "four attempts took {took:?} only");
}

#[test]
fn a_member_comes_back_through_a_snapshot_and_nobody_waits() {
    let _turn = turn::alone();
    let cluster = quorate(3)
        .flag("--snapshot-count=500")
        .flag("--heartbeat-interval=100")
        .flag("--election-timeout=1000")
        .start();
    let leader = cluster.wait_leader(SOON);
    fill(&cluster, &leader);
    let behind = others(&cluster, &leader).remove(0);
    behind.kill9();
    let survivors = others(&cluster, &behind);
    let load = Load::through(std::slice::from_ref(&leader), 1, Retry::Never, Duration::ZERO);
    load.wait_more(WRITES, SOON * 4);
    let term_before = term(&leader);
    assert_attempts_grow_rare(&leader);
    let begun = Instant::now();
    behind.start();
    behind.wait_ready(SOON);
    wait_until("a snapshot was installed", SOON, || {
        survivors
            .iter()
            .any(|member| member.log_text().contains("the member has installed the snapshot"))
    });
    let took = begun.elapsed();
    load.wait_more(200, SOON);
    let account = load.stop();
    let during = account
        .acks
        .iter()
        .filter(|ack| ack.at >= begun && ack.at < begun + took + Duration::from_secs(1));
    let slowest = during.map(|ack| ack.took).max().unwrap_or_default();
    eprintln!("caught up in {took:?}; slowest write meanwhile {slowest:?}; {}", account.summary());
    let store = agreed_store(&cluster.members(), SOON);
    account.assert_kept(&store);
    assert_eq!(store.nodes[&format!("/large/{}", LARGE_VALUES - 1)].0.len(), LARGE_BYTES);
    assert_eq!(term(&leader), term_before, "there was an election");
    assert!(slowest < WRITE_MAX, "a write took {slowest:?} while the snapshot was sent");
    // The history came with the snapshot: what happened lately can be watched there, too.
    let index = store.index - 500;
    let target = format!("/v2/keys/?wait=true&recursive=true&waitIndex={index}");
    let ask = |member: &Member| {
        member.http().send(&Request::get(&target)).expect("the event is there").json()
    };
    assert_eq!(ask(&behind), ask(&leader));
    // Its log now begins behind the snapshot; it must do without what it never had.
    behind.kill9();
    behind.start();
    behind.wait_ready(SOON);
    let again = agreed_store(&cluster.members(), SOON);
    account.assert_kept(&again);
    assert_eq!(ask(&behind), ask(&leader));
}
