//! Members become one cluster, in any order, through crashes; and never become two.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cluster_tests::{agreed_store, roster, turn};
use quorate_harness::{Cluster, Exit, Member, Request, Seeded, eventually, wait_until};

use crate::{SOON, flag, quorate, set_flag};

#[track_caller]
fn assert_one_cluster(cluster: &Cluster) {
    cluster.wait_ready();
    let members = cluster.members();
    assert!(cluster.keys().put("/formed", "yes").expect("answers").is_ok());
    agreed_store(&members, SOON);
    let ids: BTreeSet<String> = members.iter().filter_map(|member| cluster_id(member)).collect();
    assert_eq!(ids.len(), 1, "clusters: {ids:?}");
    assert_eq!(roster::list(&members[0]).len(), members.len());
}

fn cluster_id(member: &Member) -> Option<String> {
    let answer = member.http().send(&Request::get("/v2/members")).ok()?;
    answer.header("X-Etcd-Cluster-Id").map(str::to_owned)
}

fn shuffled(cluster: &Cluster, rng: &mut Seeded) -> Vec<Arc<Member>> {
    let mut members = cluster.members();
    for at in (1..members.len()).rev() {
        members.swap(at, rng.below(at as u64 + 1) as usize);
    }
    members
}

#[test]
fn members_form_in_any_order_and_with_any_delay() {
    let _turn = turn::shared();
    let mut rng = Seeded::from_environment("order");
    for size in [1, 3, 3, 5, 7] {
        let cluster = quorate(size).prepare();
        for member in shuffled(&cluster, &mut rng) {
            member.start();
            // Not a wait for anything: the delay is what is tested.
            thread::sleep(Duration::from_millis(rng.below(3) * rng.below(200)));
        }
        let begun = Instant::now();
        assert_one_cluster(&cluster);
        eprintln!("{size} members: formed {:?} after the last start", begun.elapsed());
    }
}

#[test]
fn a_member_that_is_slow_between_two_steps_is_waited_for() {
    let _turn = turn::shared();
    let mut rng = Seeded::from_environment("slow member");
    for _ in 0..6 {
        let cluster = quorate(3).prepare();
        cluster.start();
        let slow = rng.pick(&cluster.members()).clone();
        thread::sleep(Duration::from_millis(rng.below(250)));
        slow.pause();
        thread::sleep(Duration::from_millis(rng.below(1500)));
        slow.resume();
        assert_one_cluster(&cluster);
    }
}

#[test]
fn crashes_while_forming_only_delay_it() {
    let _turn = turn::shared();
    let mut rng = Seeded::from_environment("crashes while forming");
    for size in [1, 1, 1, 1, 3, 3, 3, 3] {
        let cluster = quorate(size).prepare();
        cluster.start();
        for _ in 0..size + 2 {
            thread::sleep(Duration::from_millis(rng.below(if size == 1 { 60 } else { 250 })));
            if rng.one_in(4) {
                thread::scope(|scope| {
                    for member in cluster.members() {
                        scope.spawn(move || member.kill9());
                    }
                });
            } else {
                rng.pick(&cluster.members()).kill9();
            }
            cluster.start();
        }
        assert_one_cluster(&cluster);
    }
}

#[test]
fn different_lists_or_tokens_never_form_and_say_why() {
    let _turn = turn::shared();
    for name in ["initial-cluster-token", "initial-cluster"] {
        let cluster = quorate(3).prepare();
        let odd = cluster.member(1);
        if name == "initial-cluster" {
            // One member less: the third.
            let list = flag(&odd, name);
            let shorter =
                list.rsplit_once(',').map(|(rest, _)| rest.to_owned()).unwrap_or_default();
            set_flag(&odd, name, &shorter);
        } else {
            set_flag(&odd, name, "another");
        }
        cluster.start();
        let members = cluster.members();
        wait_until("a member says why it waits", SOON, || {
            members.iter().any(|member| member.log_text().contains("another member list or token"))
                || members.iter().any(|member| !member.is_running())
        });
        let formed =
            eventually(Duration::from_secs(3), || members.iter().any(|member| member.is_ready()));
        assert!(!formed, "--{name} differs on one member, and a cluster formed");
        let said = members
            .iter()
            .filter(|member| member.log_text().contains("another member list or token"))
            .count();
        assert!(said > 0, "nobody says why");
    }
}

#[test]
fn a_list_corrected_after_the_fact_forms() {
    let _turn = turn::shared();
    let cluster = quorate(3).prepare();
    let odd = cluster.member(1);
    set_flag(&odd, "initial-cluster-token", "another");
    cluster.start();
    wait_until("a member says why it waits", SOON, || {
        cluster
            .members()
            .iter()
            .any(|member| member.log_text().contains("another member list or token"))
    });
    assert_eq!(odd.terminate(SOON), Exit::Code(0), "a waiting member can be stopped");
    set_flag(&odd, "initial-cluster-token", "test");
    odd.start();
    assert_one_cluster(&cluster);
}
