//! A rolling restart: members stop with SIGTERM one after the other and come back, and no client notices.

use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::Exit;

use crate::{SOON, quorate};

/// A clean stop hands over, ends the watches and lets open requests finish.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn not_one_write_fails_while_all_members_are_restarted_in_turn() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let load = Load::start(&cluster, 6, Retry::Unsent);
    for _ in 0..2 {
        for member in cluster.members() {
            load.wait_more(30, SOON);
            assert_eq!(member.terminate(STOPS_WITHIN), Exit::Code(0), "{}", member.log_tail());
            load.wait_more(30, SOON);
            member.start();
            member.wait_ready(SOON);
        }
    }
    // The leader once more, since it may have been elsewhere each time.
    let leader = cluster.wait_leader(SOON);
    assert_eq!(leader.terminate(STOPS_WITHIN), Exit::Code(0));
    load.wait_more(30, SOON);
    leader.start();
    leader.wait_ready(SOON);
    load.wait_more(30, SOON);
    let account = load.stop();
    eprintln!("rolling restart: {}", account.summary());
    assert!(account.failures.is_empty() && account.open.is_empty(), "{:#?}", account.failures);
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    // A write is retried when its connection was closed before an answer: it must not have been carried out before.
    let slowest = account.acks.iter().map(|ack| ack.took).max().unwrap_or_default();
    eprintln!("slowest write {slowest:?}");
}

#[test]
fn a_member_alone_stops_with_exit_code_0() {
    let _turn = turn::shared();
    let cluster = quorate(1).start();
    assert!(cluster.keys().put("/k", "v").expect("answers").is_ok());
    assert_eq!(cluster.member(0).terminate(STOPS_WITHIN), Exit::Code(0));
    cluster.start();
    cluster.wait_ready();
    assert_eq!(cluster.keys().get("/k").expect("answers").value(), Some("v"));
}
