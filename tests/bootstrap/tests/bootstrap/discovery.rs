//! Members that meet through our own discovery service, by its etcd URL and by its native API.

use std::thread;
use std::time::Duration;

use quorate_discovery_tests::{Service, Token};
use quorate_harness::{Cluster, Seeded};

use crate::{assert_one_cluster, finding, refusal, set_flag, wait_for_log};

pub(crate) fn by_url(members: usize, token: &Token) -> Cluster {
    finding(members, &[format!("--discovery={}", token.url)])
}

/// By the native API; the first endpoint is dead.
pub(crate) fn by_token(members: usize, service: &Service, token: &Token) -> Cluster {
    let endpoints = format!("http://127.0.0.1:1,{}", service.process().client_url());
    finding(
        members,
        &[
            format!("--discovery-token={}", token.join),
            format!("--discovery-endpoints={endpoints}"),
        ],
    )
}

#[test]
fn three_members_form_by_either_way() {
    let service = Service::start(&[]);
    for native in [false, true] {
        let token = service.token(3);
        let cluster = if native { by_token(3, &service, &token) } else { by_url(3, &token) };
        let first = cluster.member(0);
        first.start();
        wait_for_log(&first, "2 of the 3 members have not registered");
        cluster.start();
        assert_one_cluster(&cluster);
        assert_eq!(service.status(&token)["state"], "sealed");
        assert!(!first.log_text().contains(&token.join), "the secret is in the log");
        for member in cluster.members() {
            member.restart();
        }
        assert_one_cluster(&cluster);

        let late = if native { by_token(1, &service, &token) } else { by_url(1, &token) };
        set_flag(&late.member(0), "name", "late");
        late.start();
        let said = refusal(&late.member(0));
        assert!(said.contains("discovery: cluster is full: all 3 places"), "{said}");
    }
}

#[test]
fn crashes_of_members_and_of_the_service_only_delay_it() {
    let mut rng = Seeded::from_environment("crashes with our own service");
    let service = Service::start(&[]);
    for native in [false, true] {
        let token = service.token(3);
        let cluster = if native { by_token(3, &service, &token) } else { by_url(3, &token) };
        cluster.start();
        for round in 0..5 {
            // Not a wait for anything: when the crash comes is what is tested.
            thread::sleep(Duration::from_millis(rng.below(300)));
            rng.pick(&cluster.members()).kill9();
            if round == 2 {
                service.process().restart();
            }
            cluster.start();
        }
        assert_one_cluster(&cluster);
        assert_eq!(service.registered(&token), 3);
    }
}

#[test]
fn what_the_service_refuses_is_told_in_its_words() {
    let service = Service::start(&[]);
    let token = service.token(3);
    let cases =
        [(by_url(1, &token), "discovery: "), (by_token(1, &service, &token), "refuses (revoked)")];
    assert_eq!(service.administer(&token, "DELETE", "", "").status, 200);
    for (cluster, text) in cases {
        cluster.start();
        let said = refusal(&cluster.member(0));
        assert!(said.contains(text) && said.contains("revoked"), "{said}");
        assert!(!said.contains(&token.join), "the secret is told: {said}");
    }
    // Flags without which the secret is of no use, and one that says where to ask about nothing.
    for (flag, text) in [
        ("--discovery-token=x", "--discovery-endpoints does not say"),
        ("--discovery-endpoints=http://127.0.0.1:1", "--discovery-token is not given"),
    ] {
        let cluster = finding(1, &[flag.to_owned()]);
        cluster.start();
        let said = refusal(&cluster.member(0));
        assert!(said.contains(text), "{said}");
    }
}
