//! A node, etcd's or ours, is killed at each step of its dialogue with the service, and the service at each of them, too.

use std::sync::Arc;

use quorate_discovery_tests::{
    FORMED_WITHIN, Gateway, READY_WITHIN, Service, When, assert_one_cluster, nodes_of,
};
use quorate_harness::{Member, Program, skip_without_etcd, wait_until};

/// Size, list, registration, its own entry, size, list, the wait for the others. Ours asks in another order, and as often.
const STEPS: usize = 7;

#[test]
fn an_etcd_node_dies_before_a_step() {
    if !skip_without_etcd() {
        at_each_step(Program::Etcd, When::Before);
    }
}

#[test]
fn an_etcd_node_dies_after_a_step_it_does_not_know_was_taken() {
    if !skip_without_etcd() {
        at_each_step(Program::Etcd, When::After);
    }
}

#[test]
fn a_member_of_ours_dies_before_a_step() {
    at_each_step(Program::Quorate, When::Before);
}

#[test]
fn a_member_of_ours_dies_after_a_step_it_does_not_know_was_taken() {
    at_each_step(Program::Quorate, When::After);
}

#[test]
fn three_members_of_ours_form() {
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = nodes_of(Program::Quorate, &token.url, 3);
    cluster.members().iter().for_each(|member| member.start());
    assert_one_cluster(&cluster);
    assert_eq!(service.status(&token)["state"], "sealed");
    // Once they have formed, nobody needs the service.
    service.process().kill9();
    cluster.members().iter().for_each(|member| member.restart());
    assert_one_cluster(&cluster);
}

#[test]
fn a_member_of_ours_says_why_it_is_refused_and_starts_with_better_flags() {
    let service = Service::start(&[]);
    let token = service.token(2);
    service.register(&token, "1f", "m1=http://127.0.0.1:1");
    let cluster = nodes_of(Program::Quorate, &token.url, 1);
    let member = &cluster.members()[0];
    member.start();
    member.wait_exit(FORMED_WITHIN);
    let log = member.log_text();
    assert!(log.contains("taken by member 1f") && log.contains("--name"), "{log}");
    assert!(!log.contains(&token.join), "a secret is in the log\n{log}");
    let mut flags = member.flags();
    flags.push("--name=another".to_owned());
    member.set_flags(flags);
    member.start();
    wait_until("it registers", FORMED_WITHIN, || service.registered(&token) == 2);
}

/// All steps at once, each with a cluster of its own: most of the time they only wait.
fn at_each_step(program: Program, when: When) {
    let service = Service::start(&["--poll-timeout=1"]);
    std::thread::scope(|scope| {
        for step in 1..=STEPS {
            let service = &service;
            scope.spawn(move || at_step(service, program, step, when));
        }
    });
}

fn at_step(service: &Service, program: Program, step: usize, when: When) {
    let gateway = Gateway::open(service.process().client_address());
    let token = service.token(2);
    let cluster = nodes_of(program, &gateway.url(&token.path), 2);
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

#[test]
fn the_service_dies_at_each_step_of_an_etcd_node() {
    if !skip_without_etcd() {
        the_service_dies_at_each_step(Program::Etcd);
    }
}

#[test]
fn the_service_dies_at_each_step_of_a_member_of_ours() {
    the_service_dies_at_each_step(Program::Quorate);
}

fn the_service_dies_at_each_step(program: Program) {
    let service = Arc::new(Service::start(&["--poll-timeout=1"]));
    let gateway = Gateway::open(service.process().client_address());
    // The first request, the registration and what follows it, the wait.
    for step in [1, 3, 4, STEPS] {
        let token = service.token(2);
        let cluster = nodes_of(program, &gateway.url(&token.path), 2);
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
