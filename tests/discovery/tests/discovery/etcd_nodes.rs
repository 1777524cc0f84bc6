//! Unmodified etcd 3.4 nodes form through the service, whatever is killed at whatever moment.

use std::time::Duration;

use quorate_discovery_tests::{FORMED_WITHIN, READY_WITHIN, Service, assert_one_cluster, nodes};
use quorate_harness::{Cluster, Program, Request, Seeded, skip_without_etcd, wait_until};

#[test]
fn three_nodes_form() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = nodes(&token.url, 3);
    cluster.members().iter().for_each(|member| member.start());
    assert_one_cluster(&cluster);
    let status = service.status(&token);
    assert_eq!(status["state"], "sealed", "{status}");
    assert_eq!(status["missing"], 0);
}

#[test]
fn a_url_below_the_keys_works_as_well() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let answer = service.send(&Request::get("/new?size=2"));
    let join = answer.text().rsplit('/').next().unwrap_or_default().to_owned();
    let url = format!("{}/v2/keys/_etcd/registry/{join}", service.process().client_url());
    let cluster = nodes(&url, 2);
    cluster.members().iter().for_each(|member| member.start());
    assert_one_cluster(&cluster);
}

#[test]
fn each_node_is_killed_and_started_again_while_it_waits() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = nodes(&token.url, 3);
    let members = cluster.members();
    for (position, member) in members.iter().take(2).enumerate() {
        member.start();
        wait_until("it has registered", FORMED_WITHIN, || {
            service.registered(&token) == position + 1
        });
        for _ in 0..2 {
            member.restart();
            // It is waiting again once its poll is open.
            wait_until("it waits", FORMED_WITHIN, || open_polls(&service) > position);
            assert!(member.is_running(), "{}", member.log_tail());
            assert_eq!(service.registered(&token), position + 1, "the same entry");
        }
    }
    members[0].restart();
    members[2].start();
    assert_one_cluster(&cluster);
}

#[test]
fn nodes_that_are_killed_at_any_moment_end_in_the_cluster() {
    if skip_without_etcd() {
        return;
    }
    let mut chance = Seeded::from_environment("nodes_that_are_killed_at_any_moment");
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = nodes(&token.url, 3);
    let members = cluster.members();
    members[0].start();
    members[1].start();
    for _ in 0..8 {
        let member = &members[usize::try_from(chance.below(2)).unwrap()];
        std::thread::sleep(Duration::from_millis(chance.below(150)));
        member.restart();
    }
    members[2].start();
    // The last moment: all have registered, and nobody has data yet.
    wait_until("all have registered", FORMED_WITHIN, || service.registered(&token) == 3);
    members[2].restart();
    assert_one_cluster(&cluster);
}

#[test]
fn the_service_is_killed_while_nodes_wait() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = nodes(&token.url, 3);
    let members = cluster.members();
    members[0].start();
    members[1].start();
    // A node that has registered and not yet asked what it registered does not survive a refused connection.
    wait_until("two wait", FORMED_WITHIN, || open_polls(&service) == 2);
    service.process().restart();
    service.process().wait_ready(READY_WITHIN);
    assert_eq!(service.registered(&token), 2, "nothing acknowledged is lost");
    members[2].start();
    assert_one_cluster(&cluster);
}

#[test]
fn one_node_more_is_told_that_the_cluster_is_full() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(1);
    let cluster = nodes(&token.url, 1);
    cluster.members()[0].start();
    assert_one_cluster(&cluster);
    let extra = nodes(&token.url, 1);
    extra.members()[0].start();
    extra.members()[0].wait_exit(FORMED_WITHIN);
    let log = extra.members()[0].log_text();
    assert!(log.contains("cluster is full"), "{log}");
    assert_eq!(service.registered(&token), 1);
}

#[test]
fn a_wiped_node_does_not_come_back_under_its_old_id() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&["--seal-grace=0"]);
    let token = service.token(1);
    let cluster = nodes(&token.url, 1);
    let member = &cluster.members()[0];
    member.start();
    assert_one_cluster(&cluster);
    // With its data it does not even ask.
    member.restart();
    assert_one_cluster(&cluster);
    member.kill9();
    member.wipe();
    member.start();
    member.wait_exit(FORMED_WITHIN);
    assert!(member.log_text().contains("add it as a new member"), "{}", member.log_tail());
}

#[test]
fn two_replicas_share_a_cluster_of_etcd() {
    if skip_without_etcd() {
        return;
    }
    replicas_share(Program::Etcd);
}

#[test]
fn two_replicas_share_a_cluster_of_ours() {
    if skip_without_etcd() {
        return;
    }
    replicas_share(Program::Quorate);
}

/// Two replicas; the one that the nodes were given dies in the middle and a new one, without any state, takes its place.
fn replicas_share(program: Program) {
    let store = Cluster::builder(program).members(3).start();
    let urls: Vec<String> = store.members().iter().map(|it| it.client_url()).collect();
    let flag = format!("--store={}", urls.join(","));
    let (one, other) = (Service::start(&[&flag]), Service::start(&[&flag]));
    let token = one.token(3);
    let cluster = nodes(&token.url, 3);
    let members = cluster.members();
    members[0].start();
    members[1].start();
    wait_until("two wait", FORMED_WITHIN, || open_polls(&one) == 2);
    assert_eq!(other.registered(&token), 2);
    one.process().kill9();
    assert!(!one.process().data_dir().exists(), "it keeps nothing");
    one.process().start();
    // A member of the store goes as well; a majority of it is enough.
    store.members()[0].kill9();
    wait_until("the store goes on", READY_WITHIN, || one.process().is_ready());
    members[2].start();
    assert_one_cluster(&cluster);
    assert_eq!(other.status(&token)["state"], "sealed");
}

#[test]
fn a_node_with_a_name_that_is_taken_is_refused_and_the_others_form() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(2);
    let cluster = nodes(&token.url, 2);
    let members = cluster.members();
    members[0].start();
    wait_until("one has registered", FORMED_WITHIN, || service.registered(&token) == 1);
    // Another machine whose administrator has copied the first one's flags, and one whose name was forgotten.
    let twin = nodes(&token.url, 1);
    let twin = &twin.members()[0];
    assert_eq!(twin.name(), members[0].name());
    twin.start();
    twin.wait_exit(FORMED_WITHIN);
    assert!(twin.log_text().contains("previously registered"), "{}", twin.log_tail());
    members[1].start();
    assert_one_cluster(&cluster);
}

#[test]
fn a_node_too_many_serves_as_a_proxy_if_it_may() {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(1);
    let cluster = nodes(&token.url, 1);
    cluster.members()[0].start();
    assert_one_cluster(&cluster);
    let extra = nodes(&token.url, 1);
    let extra = &extra.members()[0];
    let mut flags = extra.flags();
    flags.push("--discovery-fallback=proxy".to_owned());
    extra.set_flags(flags);
    extra.start();
    wait_until("it passes requests on", FORMED_WITHIN, || {
        extra.keys().get("/formed").is_ok_and(|answer| answer.value() == Some("yes"))
    });
}

fn open_polls(service: &Service) -> usize {
    let text = service.send(&Request::get("/metrics")).text();
    let line = text.lines().find(|line| line.starts_with("quorate_discovery_open_polls "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}
