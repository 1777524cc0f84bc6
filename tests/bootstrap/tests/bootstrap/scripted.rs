//! The ways in which discovery services fail: what ends an etcd node at once is waited out here, unless no waiting helps.

use quorate_bootstrap_tests::{Fault, Scripted, Step};
use quorate_harness::{Cluster, wait_until};

use crate::{SOON, assert_one_cluster, finding, refusal, set_flag, wait_for_log};

/// A member of one in a registry of one, whose service follows `script`.
fn alone(
    size: &str,
    script: impl Fn(Step, usize) -> Option<Fault> + Send + Sync + 'static,
) -> (Scripted, Cluster) {
    let service = Scripted::start(size, script);
    let cluster = finding(1, &[format!("--discovery={}", service.url())]);
    (service, cluster)
}

/// Another member that registers and is never there.
fn register_other(service: &Scripted) {
    service.register("aaaa", "other=http://127.0.0.1:1");
}

#[test]
fn errors_that_may_pass_are_waited_out_at_every_step() {
    for step in [Step::Size, Step::List, Step::Register] {
        let faults = [
            Fault::Answer(503, "overloaded"),
            Fault::Drop,
            Fault::Answer(500, r#"{"errorCode":300,"message":"Raft Internal Error","cause":"x"}"#),
            Fault::Answer(429, ""),
        ];
        let (service, cluster) =
            alone("1", move |at, nth| faults.get(nth - 1).filter(|_| at == step).cloned());
        cluster.start();
        assert_one_cluster(&cluster);
        assert!(service.count(step) > 4, "{step:?} was asked for {} times", service.count(step));
    }
}

#[test]
fn a_stall_is_waited_out_at_every_step() {
    let stalls = [Step::Size, Step::List, Step::Register];
    let (_service, cluster) =
        alone("1", move |at, nth| (nth == 1 && stalls.contains(&at)).then_some(Fault::Stall));
    cluster.start();
    assert_one_cluster(&cluster);
}

#[test]
fn a_registration_that_arrived_although_its_answer_did_not_is_its_own() {
    for fault in [Fault::AfterDoing(500, "oops"), Fault::AfterDoing(201, "")] {
        let (service, cluster) =
            alone("1", move |at, nth| (at == Step::Register && nth == 1).then(|| fault.clone()));
        cluster.start();
        let member = cluster.member(0);
        wait_until("it has formed or ended", SOON, || member.is_ready() || !member.is_running());
        assert_one_cluster(&cluster);
        assert_eq!(service.entries().len(), 1);
    }
}

#[test]
fn polls_may_end_in_any_way() {
    let ends = [
        Fault::Answer(200, ""),
        Fault::Answer(503, "later"),
        Fault::Drop,
        Fault::Answer(
            400,
            r#"{"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"x"}"#,
        ),
        Fault::Answer(200, "<html>"),
    ];
    let (service, cluster) =
        alone("2", move |at, nth| ends.get(nth - 1).filter(|_| at == Step::Watch).cloned());
    cluster.start();
    wait_until("all polls have ended", SOON, || service.count(Step::Watch) >= 6);
    // Polls that end at once are not repeated at once.
    assert!(service.count(Step::List) < 40, "{} listings", service.count(Step::List));
    register_other(&service);
    wait_for_log(&cluster.member(0), "the members are known");
}

#[test]
fn redirects_are_followed_but_not_in_a_circle() {
    let (target, _unused) = alone("1", |_, _| None);
    let url = target.url();
    let (_service, cluster) = alone("1", move |at, _| {
        let path = match at {
            Step::Size => "/_config/size",
            Step::List => "",
            _ => return None,
        };
        Some(Fault::Redirect(format!("{url}{path}")))
    });
    cluster.start();
    // Listing and size come from the other service, where nobody ever registers.
    wait_until("the other service is asked", SOON, || target.count(Step::List) > 1);
    cluster.member(0).kill9();

    let (_service, cluster) = alone("1", |_, _| Some(Fault::Redirect("/v2/keys/x".to_owned())));
    cluster.start();
    let said = refusal(&cluster.member(0));
    assert!(said.contains("redirects in a circle"), "{said}");
}

#[test]
fn what_no_waiting_helps_ends_the_start_with_a_reason() {
    let cases: &[(Step, u16, &str, &str)] = &[
        (
            Step::Size,
            404,
            r#"{"errorCode":100,"message":"Key not found","cause":"/x","index":1}"#,
            "size key not found",
        ),
        (Step::Size, 404, "404 page not found", "bad discovery endpoint"),
        (Step::Size, 200, "<html>", "bad discovery endpoint"),
        (Step::Size, 200, r#"{"node":{"value":"0"}}"#, "size key is bad"),
        (Step::Size, 200, r#"{"node":{"value":"-1"}}"#, "size key is bad"),
        (Step::Size, 200, r#"{"node":{"value":"3.0"}}"#, "size key is bad"),
        (Step::Size, 200, r#"{"node":{"value":"abc"}}"#, "size key is bad"),
        (Step::List, 200, r#"{"action":"get"}"#, "bad discovery endpoint"),
        (
            Step::Register,
            403,
            r#"{"errorCode":110,"message":"The request requires user authentication","cause":"sealed"}"#,
            "refuses with status 403: 110: The request requires user authentication [sealed]",
        ),
        (Step::Register, 400, "unable to PUT", "bad discovery endpoint"),
    ];
    for (step, status, body, text) in cases.iter().copied() {
        let (_service, cluster) =
            alone("1", move |at, _| (at == step).then_some(Fault::Answer(status, body)));
        cluster.start();
        let said = refusal(&cluster.member(0));
        assert!(said.contains(text), "{step:?} {status} {body}: {said}");
        assert!(!said.contains("/registry/token"), "the token is told: {said}");
    }
}

#[test]
fn contradictions_in_the_registry_end_the_start_with_both_sides() {
    let (service, cluster) = alone("3", |_, _| None);
    service.register("aaaa", "m1=http://127.0.0.1:1");
    cluster.start();
    let said = refusal(&cluster.member(0));
    assert!(said.contains("found duplicate name \"m1\""), "{said}");

    // The own ID, under another value: learned from a first start.
    let (service, cluster) = alone("3", |_, _| None);
    let member = cluster.member(0);
    member.start();
    wait_until("it is registered", SOON, || service.entries().len() == 1);
    member.kill9();
    member.wipe();
    let (key, value) = service.entries().remove(0);
    service.remove(&key);
    service.register(&key, &value.replace("m1=", "twin="));
    member.start();
    let said = refusal(&member);
    assert!(said.contains("found duplicate id") && said.contains("twin="), "{said}");
}

#[test]
fn flags_that_change_while_it_waits_do_not_take_a_second_place() {
    let (service, cluster) = alone("3", |_, _| None);
    let member = cluster.member(0);
    member.start();
    wait_until("it is registered", SOON, || service.entries().len() == 1);
    member.kill9();
    set_flag(&member, "name", "renamed");
    member.start();
    let said = refusal(&member);
    assert!(said.contains("Registering again would take up two places"), "{said}");
    set_flag(&member, "name", "m1");
    member.start();
    wait_for_log(&member, "still looking for the members: 2 of the 3 members");
    assert_eq!(service.entries().len(), 1);
}

#[test]
fn who_loses_the_last_place_takes_its_registration_back() {
    // When it looked first, there was room.
    let empty = Fault::Answer(200, r#"{"action":"get","node":{"key":"/x","dir":true}}"#);
    let (service, cluster) =
        alone("1", move |at, nth| (at == Step::List && nth == 1).then(|| empty.clone()));
    register_other(&service);
    cluster.start();
    let said = refusal(&cluster.member(0));
    assert!(said.contains("cluster is full") && said.contains("other"), "{said}");
    assert_eq!((service.count(Step::Register), service.count(Step::Leave)), (1, 1));
    let keys: Vec<String> = service.entries().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["aaaa"]);
}

#[test]
fn the_deadline_names_what_was_missing() {
    let (service, cluster) = alone("2", |_, _| None);
    let member = cluster.member(0);
    set_flag(&member, "discovery-timeout", "2s");
    member.start();
    let said = refusal(&member);
    assert!(said.contains("gave up after") && said.contains("1 of the 2 members"), "{said}");
    // And its place is still its own.
    set_flag(&member, "discovery-timeout", "1m");
    member.start();
    register_other(&service);
    wait_for_log(&member, "the members are known members=\"m1, other\"");
}

#[test]
fn the_service_may_die_once_all_are_known() {
    let (service, cluster) = alone("2", |_, _| None);
    let member = cluster.member(0);
    member.start();
    register_other(&service);
    wait_for_log(&member, "not heard from yet: other");
    service.stop();
    member.restart();
    wait_until("it waits for the other again", SOON, || {
        member.log_text().matches("not heard from yet: other").count() > 1
    });
}

#[test]
fn a_replacement_for_a_member_that_never_came_is_taken_up() {
    let (service, cluster) = alone("2", |_, _| None);
    let member = cluster.member(0);
    member.start();
    register_other(&service);
    wait_for_log(&member, "not heard from yet: other");
    service.remove("aaaa");
    service.register("bbbb", "another=http://127.0.0.1:2");
    wait_for_log(&member, "the list of members has changed");
    wait_for_log(&member, "the members are known members=\"another, m1\"");
}
