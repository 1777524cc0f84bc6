//! A real etcd 3.4 as the discovery service: forming, crashing at every step, coming too late, and living on without it.

use std::thread;
use std::time::Duration;

use quorate_harness::{Cluster, Program, Seeded, skip_without_etcd, wait_until};

use crate::{SOON, assert_one_cluster, finding, refusal, set_flag, wait_for_log};

const REGISTRY: &str = "/_etcd/registry/token";

struct Service {
    etcd: Cluster,
}

impl Service {
    fn start(size: usize) -> Self {
        let etcd = Cluster::builder(Program::Etcd).start();
        let made = etcd.keys().put(&format!("{REGISTRY}/_config/size"), &size.to_string());
        assert!(made.expect("an answer").is_ok());
        Self { etcd }
    }

    fn flag(&self) -> String {
        format!("--discovery={}/v2/keys{REGISTRY}", self.etcd.member(0).client_url())
    }

    /// The values that are registered.
    fn registered(&self) -> Vec<String> {
        let listing = self.etcd.keys().get(REGISTRY).expect("an answer").json;
        let nodes = listing["node"]["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().filter_map(|node| node["value"].as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn three_members_form_and_live_on_without_the_service() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(3);
    let cluster = finding(3, &[service.flag()]);
    let (first, last) = (cluster.member(0), cluster.member(2));
    first.start();
    wait_for_log(&first, "2 of the 3 members have not registered");
    cluster.member(1).start();
    last.start();
    assert_one_cluster(&cluster);
    let mut values = service.registered();
    values.sort();
    let expected: Vec<String> = cluster
        .members()
        .iter()
        .map(|member| format!("{}={}", member.name(), member.peer_url()))
        .collect();
    assert_eq!(values, expected);

    service.etcd.member(0).kill9();
    for member in cluster.members() {
        member.restart();
    }
    assert_one_cluster(&cluster);
}

#[test]
fn crashes_at_any_step_only_delay_it() {
    if skip_without_etcd() {
        return;
    }
    let mut rng = Seeded::from_environment("crashes while discovering");
    for _ in 0..2 {
        let service = Service::start(3);
        let cluster = finding(3, &[service.flag()]);
        cluster.start();
        for _ in 0..6 {
            // Not a wait for anything: when the crash comes is what is tested.
            thread::sleep(Duration::from_millis(rng.below(400)));
            rng.pick(&cluster.members()).kill9();
            cluster.start();
        }
        assert_one_cluster(&cluster);
        assert_eq!(service.registered().len(), 3, "{:?}", service.registered());
    }
}

#[test]
fn a_member_too_many_is_refused_and_leaves_no_trace() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(1);
    let cluster = finding(1, &[service.flag()]);
    cluster.start();
    assert_one_cluster(&cluster);
    let late = finding(1, &[service.flag()]);
    set_flag(&late.member(0), "name", "late");
    late.start();
    let said = refusal(&late.member(0));
    assert!(said.contains("discovery: cluster is full: all 1 places"), "{said}");
    assert!(said.contains(&format!("m1 ({})", cluster.member(0).peer_url())), "{said}");
    assert_eq!(service.registered().len(), 1);
}

#[test]
fn a_wiped_member_of_the_formed_cluster_is_told_to_come_back_as_a_new_one() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(3);
    let cluster = finding(3, &[service.flag()]);
    cluster.start();
    assert_one_cluster(&cluster);
    let wiped = cluster.member(1);
    wiped.kill9();
    wiped.wipe();
    wiped.start();
    let said = refusal(&wiped);
    assert!(said.contains("has already been bootstrapped"), "{said}");
}

#[test]
fn a_member_whose_disk_was_lost_while_it_waited_takes_its_place_again() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(2);
    let cluster = finding(2, &[service.flag()]);
    let first = cluster.member(0);
    first.start();
    wait_until("it is registered", SOON, || service.registered().len() == 1);
    first.kill9();
    first.wipe();
    cluster.start();
    assert_one_cluster(&cluster);
}
