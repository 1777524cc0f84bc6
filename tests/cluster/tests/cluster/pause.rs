//! Paused processes (SIGSTOP): a deposed leader that wakes up serves no stale quorum read, and the others go on meanwhile.

use std::time::Duration;

use quorate_cluster_tests::{Load, Register, Retry, agreed_store, turn};
use quorate_harness::wait_until;

use crate::{SOON, others, quorate};

/// An election after the default timeout and the patience with the former leader, with room for a busy machine.
const GOES_ON_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn quorum_reads_never_go_back_when_the_leader_is_paused() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let register = Register::start(&cluster.members());
    for _ in 0..3 {
        register.wait_more(20, SOON);
        let leader = cluster.wait_leader(SOON);
        leader.pause();
        wait_until("the others have another leader", SOON, || {
            cluster.leader().is_some_and(|now| now.name() != leader.name())
        });
        register.wait_more(20, SOON);
        leader.resume();
    }
    register.wait_more(20, SOON);
    let reads = register.stop();
    eprintln!("{reads} quorum reads checked");
    cluster.wait_ready();
    agreed_store(&cluster.members(), SOON);
}

#[test]
fn writes_through_the_others_go_on_while_the_leader_is_paused() {
    let _turn = turn::alone();
    let cluster = quorate(3).start();
    let leader = cluster.wait_leader(SOON);
    let load = Load::through(&others(&cluster, &leader), 4, Retry::Never, Duration::ZERO);
    load.wait_more(50, SOON);
    leader.pause();
    load.wait_more(50, SOON);
    let paused = load.stop();
    let outage = paused.longest_outage();
    eprintln!("leader paused: {}", paused.summary());
    leader.resume();
    cluster.wait_ready();
    let store = agreed_store(&cluster.members(), SOON);
    paused.assert_kept(&store);
    assert!(
        outage < GOES_ON_WITHIN,
        "no write went through for {outage:?} after the leader was paused"
    );
    wait_until("the paused leader follows", SOON, || {
        cluster.leader().is_some_and(|now| now.name() != leader.name())
    });
}

#[test]
fn a_paused_follower_disturbs_nobody_and_catches_up() {
    let _turn = turn::alone();
    // Patient enough that a busy machine causes no election; what is looked for is one that the follower causes.
    let cluster =
        quorate(3).flag("--heartbeat-interval=100").flag("--election-timeout=2000").start();
    let leader = cluster.wait_leader(SOON);
    let follower = others(&cluster, &leader).remove(0);
    let load = Load::through(&others(&cluster, &follower), 4, Retry::Never, Duration::ZERO);
    load.wait_more(50, SOON);
    follower.pause();
    load.wait_more(400, SOON);
    follower.resume();
    load.wait_more(100, SOON);
    let account = load.stop();
    eprintln!("follower paused: {}", account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    assert_eq!(
        cluster.wait_leader(SOON).name(),
        leader.name(),
        "the leadership moved for no reason"
    );
    let outage = account.longest_outage();
    assert!(
        outage < Duration::from_secs(1),
        "no write went through for {outage:?} while a follower was paused"
    );
}
