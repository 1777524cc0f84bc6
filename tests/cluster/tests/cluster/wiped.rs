//! A member that lost its disk must not come back under its old ID, whatever its flags say; the way back is remove and add.

use std::sync::Arc;
use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, roster, turn};
use quorate_harness::{Cluster, Exit, Member};

use crate::{SOON, others, quorate, set_flag};

#[track_caller]
fn assert_refused(member: &Member, expected: &str) {
    assert_eq!(member.wait_exit(SOON), Exit::Code(1), "{}", member.log_tail());
    let tail = member.log_tail();
    assert!(tail.contains(expected), "`{expected}` is not in the log:\n{tail}");
}

fn with_data(members: usize) -> Cluster {
    let cluster = quorate(members).start();
    for n in 0..10 {
        assert!(cluster.keys().put(&format!("/k{n}"), "v").expect("answers").is_ok());
    }
    agreed_store(&cluster.members(), SOON);
    cluster
}

#[test]
fn a_wiped_member_is_refused_while_its_cluster_lives() {
    let _turn = turn::shared();
    let cluster = with_data(3);
    let wiped = cluster.member(2);
    wiped.kill9();
    for state in ["new", "existing", "auto"] {
        wiped.wipe();
        set_flag(&wiped, "initial-cluster-state", state);
        wiped.start();
        assert_refused(&wiped, "has already been bootstrapped");
    }
    assert!(cluster.keys().put("/after", "v").expect("answers").is_ok());
}

#[test]
fn a_wiped_majority_is_refused_by_the_one_survivor_whose_data_stay() {
    let _turn = turn::shared();
    let cluster = with_data(3);
    let wiped: Vec<Arc<Member>> = vec![cluster.member(1), cluster.member(2)];
    for member in &wiped {
        member.kill9();
    }
    for member in &wiped {
        member.wipe();
        member.start();
    }
    for member in &wiped {
        assert_refused(member, "has already been bootstrapped");
    }
    let survivor = cluster.member(0);
    assert_eq!(survivor.keys().get("/k3").expect("answers").value(), Some("v"));
    // The survivor restarts while the others wait: it must be recognised from its first moment on.
    survivor.kill9();
    for member in &wiped {
        member.wipe();
        member.start();
    }
    survivor.start();
    for member in &wiped {
        assert_refused(member, "has already been bootstrapped");
    }
    survivor.kill9();
}

#[test]
fn a_replaced_member_joins_with_an_empty_directory_and_gets_the_data_and_a_vote() {
    let _turn = turn::shared();
    let cluster = with_data(3);
    let (leader, wiped) = (cluster.wait_leader(SOON), cluster.wait_leader(SOON));
    let helper = others(&cluster, &leader).remove(0);
    let id = roster::id_of(&helper, wiped.name());
    wiped.kill9();
    wiped.wipe();
    let load = Load::through(&others(&cluster, &wiped), 2, Retry::Never, Duration::from_millis(2));
    load.wait_more(20, SOON);
    assert_eq!(roster::remove(&helper, &id).status, 204);
    let added = roster::add(&helper, &wiped.peer_url());
    assert_eq!(added.status, 201, "{added}");
    let new_id = added.json()["id"].as_str().unwrap_or_default().to_owned();
    assert_ne!(new_id, id, "IDs are never used again");
    set_flag(&wiped, "initial-cluster-state", "existing");
    wiped.start();
    wiped.wait_ready(SOON);
    roster::wait_vote(&helper, &new_id, SOON);
    load.wait_more(20, SOON);
    let account = load.stop();
    let store = agreed_store(&cluster.members(), SOON);
    account.assert_kept(&store);
    assert!(store.nodes.contains_key("/k9"));
    // With the vote it carries a quorum.
    others(&cluster, &wiped)[0].kill9();
    let other = others(&cluster, &wiped)
        .into_iter()
        .find(|member| member.pid().is_some())
        .expect("one is left");
    cluster.wait_leader(SOON);
    assert!(other.keys().put("/with-two", "v").expect("answers").is_ok());
}

#[test]
fn auto_forms_restarts_joins_and_refuses() {
    let _turn = turn::shared();
    let cluster = quorate(3).flag("--initial-cluster-state=auto").start();
    assert!(cluster.keys().put("/k", "v").expect("answers").is_ok());
    for member in cluster.members() {
        member.restart();
    }
    cluster.wait_ready();
    let joiner = cluster.prepare_joiner(&["--initial-cluster-state=auto"]);
    let added = roster::add(&cluster.member(0), &joiner.peer_url());
    assert_eq!(added.status, 201, "{added}");
    joiner.start();
    joiner.wait_ready(SOON);
    roster::wait_vote(&cluster.member(0), added.json()["id"].as_str().unwrap_or_default(), SOON);
    assert_eq!(agreed_store(&cluster.members(), SOON).nodes["/k"].0, "v");
    joiner.kill9();
    joiner.wipe();
    joiner.start();
    assert_refused(&joiner, "has already been bootstrapped");
}
