//! An etcd node is killed at each step of its dialogue with the service, and the service at each of them, too.

use std::sync::Arc;

use quorate_discovery_tests::{
    FORMED_WITHIN, Gateway, READY_WITHIN, Service, When, assert_one_cluster, nodes,
};
use quorate_harness::{Member, skip_without_etcd, wait_until};

/// Size, list, registration, its own entry, size, list, the wait for the others.
const STEPS: usize = 7;

#[test]
fn a_node_dies_before_a_step() {
    at_each_step(When::Before);
}

#[test]
fn a_node_dies_after_a_step_it_does_not_know_was_taken() {
    at_each_step(When::After);
}

fn at_each_step(when: When) {
    if skip_without_etcd() {
        return;
    }
    let service = Service::start(&["--poll-timeout=1"]);
    let gateway = Gateway::open(service.process().client_address());
    for step in 1..=STEPS {
        let token = service.token(2);
        let cluster = nodes(&gateway.url(&token.path), 2);
        let members = cluster.members();
        let victim = Arc::clone(&members[0]);
        gateway.plan(step, when, move || victim.kill9());
        members[0].start();
        wait_until(&format!("it dies at step {step}"), FORMED_WITHIN, || gateway.is_done());
        assert!(!members[0].is_running());
        assert!(service.registered(&token) <= 1);
        members.iter().for_each(|member| member.start());
        assert_one_cluster(&cluster);
        assert_eq!(service.registered(&token), 2, "step {step}");
    }
}

#[test]
fn the_service_dies_at_each_step() {
    if skip_without_etcd() {
        return;
    }
    let service = Arc::new(Service::start(&[]));
    let gateway = Gateway::open(service.process().client_address());
    for step in 1..=STEPS {
        let token = service.token(2);
        let cluster = nodes(&gateway.url(&token.path), 2);
        let members = cluster.members();
        let killed = Arc::clone(&service);
        gateway.plan(step, When::After, move || {
            killed.process().kill9();
            killed.process().start();
        });
        members[0].start();
        wait_until(&format!("the service dies at step {step}"), FORMED_WITHIN, || {
            gateway.is_done()
        });
        service.process().wait_ready(READY_WITHIN);
        supervise(&members, &|| service.registered(&token) == 2);
        assert_one_cluster(&cluster);
    }
}

/// Starts whoever is not running, as a supervisor does: some of etcd's steps do not survive a broken connection.
fn supervise(members: &[Arc<Member>], is_over: &dyn Fn() -> bool) {
    wait_until("all have registered", FORMED_WITHIN, || {
        members.iter().filter(|member| !member.is_running()).for_each(|member| member.start());
        is_over()
    });
    // The last one may have ended with the answer on its way.
    wait_until("all run", FORMED_WITHIN, || {
        members.iter().filter(|member| !member.is_running()).for_each(|member| member.start());
        members.iter().all(|member| member.is_ready())
    });
}
