//! Membership changes through the API: safe ones happen, unsafe ones are refused with a reason, and who was removed is gone.

use std::sync::Arc;
use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, roster, turn};
use quorate_harness::{Cluster, Exit, Member, Port, wait_until};

use crate::{SOON, flag, others, quorate, set_flag};

/// A removed member notices within a heartbeat or a new connection.
const NOTICES_WITHIN: Duration = Duration::from_secs(15);

/// Adds a member and starts it; returns it and its ID.
#[track_caller]
fn grow(cluster: &Cluster) -> (Arc<Member>, String) {
    let joiner = cluster.prepare_joiner(&[]);
    let through = cluster.member(0);
    let added = roster::add(&through, &joiner.peer_url());
    assert_eq!(added.status, 201, "{added}");
    let id = added.json()["id"].as_str().unwrap_or_default().to_owned();
    assert!(!roster::votes(&through, &id), "an added member has no vote before it has caught up");
    joiner.start();
    joiner.wait_ready(SOON);
    roster::wait_vote(&through, &id, SOON);
    (joiner, id)
}

/// The removed member stops by itself and says why, which is no failure; and it does not start again, which is one.
#[track_caller]
fn assert_gone(member: &Member) {
    assert_eq!(member.wait_exit(NOTICES_WITHIN), Exit::Code(0), "{}", member.log_tail());
    for _ in 0..2 {
        let tail = member.log_tail();
        assert!(
            tail.contains("permanently removed"),
            "it does not say that it was removed:\n{tail}"
        );
        member.start();
        assert_eq!(member.wait_exit(NOTICES_WITHIN), Exit::Code(1), "{}", member.log_tail());
    }
}

#[test]
fn a_cluster_grows_from_one_member_to_three_under_load() {
    let _turn = turn::shared();
    let cluster = quorate(1).start();
    let load = Load::start(&cluster, 3, Retry::Never);
    load.wait_more(50, SOON);
    grow(&cluster);
    load.wait_more(50, SOON);
    grow(&cluster);
    load.wait_more(50, SOON);
    let account = load.stop();
    assert!(account.failures.is_empty(), "{:#?}", account.failures);
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    cluster.wait_leader(SOON).kill9();
    cluster.wait_leader(SOON);
    let alive =
        cluster.members().into_iter().find(|member| member.is_running()).expect("two are left");
    assert!(alive.keys().put("/with-two", "v").expect("answers").is_ok());
}

#[test]
fn a_follower_a_leader_and_a_dead_member_are_removed() {
    let _turn = turn::shared();
    let cluster = quorate(5).start();
    let leader = cluster.wait_leader(SOON);
    let follower = others(&cluster, &leader).remove(0);
    let through = others(&cluster, &leader).remove(1);
    let load = Load::through(&[Arc::clone(&through)], 2, Retry::Never, Duration::from_millis(2));
    load.wait_more(20, SOON);
    let ids = [&follower, &leader].map(|member| roster::id_of(&through, member.name()));
    for (member, id) in [&follower, &leader].into_iter().zip(&ids) {
        let removed = roster::remove(&through, id);
        assert_eq!(removed.status, 204, "{removed}");
        assert_gone(member);
        cluster.retire(member);
        let again = roster::remove(&through, id);
        assert_eq!(again.status, 410, "{again}");
        load.wait_more(20, SOON);
    }
    let leader = cluster.wait_leader(SOON);
    let dead = others(&cluster, &through)
        .into_iter()
        .find(|member| member.name() != leader.name())
        .expect("three are left");
    let dead_id = roster::id_of(&through, dead.name());
    dead.kill9();
    wait_until("the dead member is removed", SOON, || {
        roster::remove(&through, &dead_id).status == 204
    });
    // It learns of its removal from the first peer it meets.
    dead.start();
    assert_gone(&dead);
    cluster.retire(&dead);
    load.wait_more(20, SOON);
    let account = load.stop();
    assert!(account.failures.is_empty(), "{:#?}", account.failures);
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    assert_eq!(roster::list(&through).len(), 2);
}

/// The word of its removal does not reach it, and its connections outlive that: nobody closes them, and nothing comes of them.
#[test]
fn a_member_that_slept_through_its_removal_learns_of_it() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let leader = cluster.wait_leader(SOON);
    let sleeper = others(&cluster, &leader).remove(0);
    let id = roster::id_of(&leader, sleeper.name());
    sleeper.pause();
    wait_until("the sleeping member is removed", SOON, || {
        roster::remove(&leader, &id).status == 204
    });
    sleeper.resume();
    assert_gone(&sleeper);
    cluster.retire(&sleeper);
}

#[test]
fn a_member_moves_to_another_port() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let leader = cluster.wait_leader(SOON);
    let moved = others(&cluster, &leader).remove(0);
    let id = roster::id_of(&leader, moved.name());
    let port = Port::free().expect("a free port");
    let answer = roster::update(&leader, &id, &port.url());
    assert_eq!(answer.status, 204, "{answer}");
    assert_eq!(moved.terminate(SOON), Exit::Code(0));
    set_flag(&moved, "listen-peer-urls", &port.url());
    set_flag(&moved, "initial-advertise-peer-urls", &port.url());
    let list = flag(&moved, "initial-cluster").replace(&moved.peer_url(), &port.url());
    set_flag(&moved, "initial-cluster", &list);
    moved.start();
    moved.wait_ready(SOON);
    let listed =
        roster::list(&leader).into_iter().find(|member| member.id == id).expect("it is listed");
    assert_eq!(listed.peer_urls, [port.url()]);
    assert!(roster::votes(&leader, &id), "an update leaves the vote");
    assert!(moved.keys().put("/moved", "v").expect("answers").is_ok());
    agreed_store(&cluster.members(), SOON);
    // Its vote counts: without the leader the two others decide.
    leader.kill9();
    cluster.wait_leader(SOON);
    assert!(moved.keys().put("/voted", "v").expect("answers").is_ok());
}

#[test]
fn unsafe_changes_are_refused_with_a_reason() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let leader = cluster.wait_leader(SOON);
    let refused = |answer: quorate_harness::Answer, status: u16, reason: &str| {
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(
            answer.status == status && message.contains(reason),
            "expected {status} `{reason}`, got {answer}"
        );
    };
    refused(roster::add(&leader, &leader.peer_url()), 409, "peerURL exists");
    refused(roster::remove(&leader, "abc"), 404, "No such member: abc");
    // Added and never started: a second one would put the quorum at risk.
    let (one, two) = (Port::free().expect("a port"), Port::free().expect("a port"));
    let added = roster::add(&leader, &one.url());
    assert_eq!(added.status, 201, "{added}");
    refused(roster::add(&leader, &two.url()), 500, "has not started");
    let id = added.json()["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(roster::remove(&leader, &id).status, 204);
    refused(roster::remove(&leader, &id), 410, &format!("Member permanently removed: {id}"));
    // The same URL again, at once: a new ID all the same.
    let again = roster::add(&leader, &one.url());
    assert_eq!(again.status, 201, "{again}");
    let new_id = again.json()["id"].as_str().unwrap_or_default().to_owned();
    assert_ne!(new_id, id);
    assert_eq!(roster::remove(&leader, &new_id).status, 204);
    // With one of three down, removing a healthy one would leave one of two.
    let dead = others(&cluster, &leader).remove(0);
    let healthy = others(&cluster, &leader).remove(1);
    let (dead_id, healthy_id) =
        (roster::id_of(&leader, dead.name()), roster::id_of(&leader, healthy.name()));
    dead.kill9();
    wait_until("the leader knows that a member is down", SOON, || {
        let answer = roster::remove(&leader, &healthy_id);
        assert_ne!(answer.status, 204, "a healthy member was removed while another was down");
        answer.json()["message"].as_str().is_some_and(|message| message.contains("healthy"))
    });
    refused(roster::add(&leader, &two.url()), 500, "voters that do not answer");
    assert_eq!(roster::remove(&leader, &dead_id).status, 204, "the dead one may be removed");
}

#[test]
fn changes_at_the_same_time_happen_one_after_the_other() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let ports: Vec<Port> = (0..6).map(|_| Port::free().expect("a port")).collect();
    let members = cluster.members();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asks = ports.iter().enumerate().map(|(at, port)| {
            let through = &members[at % members.len()];
            scope.spawn(move || roster::add(through, &port.url()).status)
        });
        let asks: Vec<_> = asks.collect();
        asks.into_iter().map(|ask| ask.join().expect("an answer")).collect()
    });
    let added = answers.iter().filter(|status| **status == 201).count();
    assert_eq!(added, 1, "one is added, and until it has started no other: {answers:?}");
    // It may be another one that was asked for the member that was added.
    wait_until("the first one knows, too", SOON, || roster::list(&members[0]).len() == 4);
    assert!(cluster.keys().put("/k", "v").expect("answers").is_ok());
}
