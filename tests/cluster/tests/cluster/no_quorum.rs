//! A member without a quorum: writes fail in time and say so, everything local goes on, and it recovers by itself.

use std::time::{Duration, Instant};

use quorate_cluster_tests::{agreed_store, turn};
use quorate_harness::{Ending, Line, Request};

use crate::{SOON, others, quorate};

/// Five seconds and two election timeouts, as in etcd, and as much again for a busy machine.
const FAILS_WITHIN: Duration = Duration::from_secs(9);

#[test]
fn without_a_quorum_writes_fail_in_time_and_reads_and_watches_go_on() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    assert!(cluster.keys().put("/k", "v").expect("answers").is_ok());
    agreed_store(&cluster.members(), SOON);
    // Once a leader is left alone, once a follower.
    for alone_leads in [true, false] {
        let leader = cluster.wait_leader(SOON);
        let alone = if alone_leads { leader.clone() } else { others(&cluster, &leader).remove(0) };
        let mut watch =
            alone.http().stream(&Request::get("/v2/keys/k?wait=true")).expect("a watch");
        assert_eq!(watch.head().status, 200);
        for member in others(&cluster, &alone) {
            member.kill9();
        }
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let begun = Instant::now();
                    let answer =
                        alone.keys().put("/k", "lost?").expect("an answer, if not a success");
                    let took = begun.elapsed();
                    eprintln!(
                        "alone as leader {alone_leads}: write failed after {took:?}: {}",
                        answer.answer.text()
                    );
                    assert_eq!(
                        (answer.status, answer.error_code()),
                        (500, Some(300)),
                        "{}",
                        answer.answer
                    );
                    assert_eq!(answer.json["message"], "Raft Internal Error");
                    assert!(took < FAILS_WITHIN, "it took {took:?}");
                });
            }
            scope.spawn(|| {
                let begun = Instant::now();
                let answer = alone.keys().get_with("/k", "quorum=true").expect("an answer");
                assert_eq!(
                    (answer.status, answer.error_code()),
                    (500, Some(300)),
                    "{}",
                    answer.answer
                );
                assert!(begun.elapsed() < FAILS_WITHIN);
            });
            scope.spawn(|| {
                let begun = Instant::now();
                let answer = alone.keys().get("/k").expect("an answer");
                assert!(
                    answer.is_ok() && begun.elapsed() < Duration::from_secs(2),
                    "{}",
                    answer.answer
                );
                let health = alone.http().send(&Request::get("/health")).expect("an answer");
                assert_eq!(health.status, 503, "{health}");
            });
        });
        assert_eq!(watch.next_line(Duration::ZERO).expect("it is open"), Line::Quiet);
        cluster.start();
        cluster.wait_ready();
        assert!(cluster.member(0).keys().put("/k", "again").expect("answers").is_ok());
        let answer = watch.finish(SOON).expect("the watch lives through it");
        assert_eq!(answer.ending, Ending::Complete);
        assert!(answer.json()["node"]["value"].is_string(), "{answer}");
        agreed_store(&cluster.members(), SOON);
    }
}
