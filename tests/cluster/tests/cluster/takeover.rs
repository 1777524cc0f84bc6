//! How long a cluster does not write after its leader's process was killed.

use std::time::{Duration, Instant};

use quorate_cluster_tests::{agreed_store, turn};
use quorate_harness::{Http, Keys};

use crate::{SOON, others, quorate};

const ROUNDS: usize = 7;
/// The goal is half of this at most; the machine may be busy.
const MEDIAN_MAX: Duration = Duration::from_millis(1500);

fn measure(flags: &[&str]) -> Vec<Duration> {
    let mut builder = quorate(3);
    for flag in flags {
        builder = builder.flag(*flag);
    }
    let cluster = builder.start();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let leader = cluster.wait_leader(SOON);
        agreed_store(&cluster.members(), SOON);
        let survivors = others(&cluster, &leader);
        let keys = survivors
            .iter()
            .map(|it| Keys::new(Http::new(it.client_address()).timeout(Duration::from_secs(10))));
        let keys: Vec<Keys> = keys.collect();
        let begun = Instant::now();
        leader.kill9();
        let mut attempt = 0;
        while !keys[attempt % 2]
            .put("/takeover", &round.to_string())
            .is_ok_and(|answer| answer.is_ok())
        {
            attempt += 1;
            assert!(
                begun.elapsed() < SOON,
                "no write went through for {SOON:?} after the leader was killed"
            );
        }
        times.push(begun.elapsed());
        leader.start();
        leader.wait_ready(SOON);
    }
    times.sort_unstable();
    times
}

fn check(label: &str, flags: &[&str]) {
    let times = measure(flags);
    let median = times[times.len() / 2];
    eprintln!("takeover {label}: median {median:?}, all {times:?}");
    assert!(median < MEDIAN_MAX, "median of {times:?}");
}

#[test]
fn the_survivors_write_soon_after_the_leader_was_killed() {
    let _turn = turn::alone();
    check("with default timings", &[]);
}

#[test]
fn evidence_of_the_leaders_end_replaces_a_longer_election_timeout() {
    let _turn = turn::alone();
    check("with etcd's timings", &["--heartbeat-interval=100", "--election-timeout=1000"]);
}
