//! No acknowledged write is lost, whoever is killed, and no write is carried out twice.

use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Seeded, is_in_memory};

use crate::{SOON, quorate};

/// Writes that must go through between two kills, so that every term does some work.
const WRITES_BETWEEN_KILLS: usize = 40;

fn assert_on_disk(cluster: &Cluster) {
    let in_memory = is_in_memory(cluster.folder()).expect("the folder can be examined");
    assert!(
        !in_memory,
        "{} is in memory, where nothing is durable: set TMPDIR",
        cluster.folder().display()
    );
}

fn kill_and_restart(members: usize, rounds: usize) {
    let cluster = quorate(members).start();
    assert_on_disk(&cluster);
    let mut rng = Seeded::from_environment("kills");
    let load = Load::start(&cluster, 6, Retry::Never);
    for _ in 0..rounds {
        load.wait_more(WRITES_BETWEEN_KILLS, SOON);
        let leader = cluster.leader().filter(|_| !rng.one_in(3));
        let victim = leader.unwrap_or_else(|| rng.pick(&cluster.members()).clone());
        victim.kill9();
        load.wait_more(WRITES_BETWEEN_KILLS, SOON);
        if members > 3 {
            // A second one of five may be missing at the same time.
            rng.pick(&cluster.members()).kill9();
            load.wait_more(WRITES_BETWEEN_KILLS, SOON);
        }
        cluster.start();
    }
    load.wait_more(WRITES_BETWEEN_KILLS, SOON);
    let account = load.stop();
    cluster.wait_ready();
    let store = agreed_store(&cluster.members(), SOON);
    eprintln!("{members} members, {rounds} rounds: {}", account.summary());
    account.assert_kept(&store);
}

#[test]
fn three_members_lose_nothing_when_killed_in_turn() {
    let _turn = turn::shared();
    kill_and_restart(3, 8);
}

#[test]
fn five_members_lose_nothing_when_two_are_killed() {
    let _turn = turn::shared();
    kill_and_restart(5, 4);
}

#[test]
fn nothing_is_lost_when_all_members_are_killed_at_once() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    assert_on_disk(&cluster);
    let load = Load::start(&cluster, 6, Retry::Never);
    for _ in 0..4 {
        load.wait_more(WRITES_BETWEEN_KILLS, SOON);
        std::thread::scope(|scope| {
            for member in cluster.members() {
                scope.spawn(move || member.kill9());
            }
        });
        cluster.start();
        cluster.wait_leader(Duration::from_secs(20));
    }
    load.wait_more(WRITES_BETWEEN_KILLS, SOON);
    let account = load.stop();
    cluster.wait_ready();
    let store = agreed_store(&cluster.members(), SOON);
    eprintln!("all killed 4 times: {}", account.summary());
    account.assert_kept(&store);
}

fn term(cluster: &Cluster) -> u64 {
    let answer = cluster.wait_leader(SOON).keys().get("/").expect("the leader answers");
    let term = answer.answer.header("X-Raft-Term").expect("the answer names the term");
    term.parse().expect("the term is a number")
}

/// A follower may hold entries that the leader's own disk had not taken before it was killed. If the leader went on in its
/// term, it would write others in their place, and the two would differ for ever.
#[test]
fn a_killed_leader_never_leads_on_in_its_old_term() {
    let _turn = turn::shared();
    for members in [1, 3] {
        let cluster = quorate(members).start();
        let before = term(&cluster);
        std::thread::scope(|scope| {
            for member in cluster.members() {
                scope.spawn(move || member.kill9());
            }
        });
        cluster.start();
        let after = term(&cluster);
        assert!(after > before, "{members} members lead in term {before} again");
    }
}
