//! A cluster all of whose founders are replaced, one at a time: those who come later know nothing of the discovery service, and still the
//! feed and the DNS answers name exactly who is in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate_discovery_tests::{
    Service, Token, ZONE, assert_one_cluster, bearer, dig_short, nodes_of, skip_without_dig,
};
use quorate_harness::{Cluster, Member, Program, Request, wait_until};

/// A member asks its peers for the service within seconds of its start, and DNS answers are read anew after a few more.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(90);

/// What the feed names: each member's target, by its name.
fn feed(service: &Service, token: &Token) -> BTreeSet<String> {
    let request = Request::get(format!("/v1/tokens/{}/http_sd", token.id));
    let answer = service.send(&bearer(request, &token.read));
    assert_eq!(answer.status, 200, "{answer}");
    let groups = answer.json();
    let shown = |group: &serde_json::Value| {
        let name = group["labels"]["quorate_member"].as_str().unwrap_or_default();
        let target = group["targets"][0].as_str().unwrap_or_default();
        format!("{name} {target}")
    };
    groups.as_array().into_iter().flatten().map(shown).collect()
}

fn clients(members: &[Arc<Member>]) -> BTreeSet<String> {
    members.iter().map(|it| format!("{} {}", it.name(), it.client_address())).collect()
}

/// The ports of a service's SRV records.
fn ports(service: &Service, token: &Token, kind: &str) -> BTreeSet<String> {
    let name = format!("_etcd-{kind}._tcp.{}.{ZONE}", token.id);
    let lines = dig_short(service.dns(), &name, "SRV");
    lines.iter().filter_map(|line| line.split(' ').nth(2).map(str::to_owned)).collect()
}

fn id_of(through: &Member, name: &str) -> String {
    let answer = through.http().send(&Request::get("/v2/members"));
    let members = answer.unwrap_or_else(|error| panic!("{error}")).json();
    let members = members["members"].as_array().cloned().unwrap_or_default();
    let found = members.iter().find(|it| it["name"] == name);
    found
        .and_then(|it| it["id"].as_str().map(str::to_owned))
        .unwrap_or_else(|| panic!("no member is named {name}: {members:?}"))
}

/// Asks for a change of the members until it is made: another may be under way still.
fn change(through: &Member, request: &Request) {
    let mut said = String::new();
    wait_until("the members change", FOLLOWED_WITHIN, || {
        let answer = through.http().send(request);
        said = answer.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        answer.is_ok_and(|it| it.status < 300)
    });
}

/// Adds a member that is told nothing of the service, and removes the oldest.
fn replace_one(cluster: &Cluster) -> Arc<Member> {
    let oldest = cluster.member(0);
    let joiner = cluster.prepare_joiner(&[]);
    let body = serde_json::json!({ "peerURLs": [joiner.peer_url()] }).to_string();
    change(&oldest, &Request::new("POST", "/v2/members").body("application/json", body));
    joiner.start();
    joiner.wait_ready(FOLLOWED_WITHIN);
    let removed = Request::delete(format!("/v2/members/{}", id_of(&joiner, oldest.name())));
    change(&joiner, &removed);
    cluster.retire(&oldest);
    joiner
}

#[test]
fn a_cluster_is_followed_when_all_its_founders_have_been_replaced() {
    if skip_without_dig() {
        return;
    }
    let service = Service::with_dns(&[]);
    let token = service.token(3);
    let cluster = nodes_of(Program::Quorate, &token.url, 3);
    cluster.start();
    assert_one_cluster(&cluster);
    wait_until("the founders are told", FOLLOWED_WITHIN, || {
        feed(&service, &token) == clients(&cluster.members())
    });
    for _ in 0..3 {
        let joiner = replace_one(&cluster);
        assert!(!joiner.flags().iter().any(|flag| flag.starts_with("--discovery=")));
        wait_until("the feed names who is in the cluster now", FOLLOWED_WITHIN, || {
            feed(&service, &token) == clients(&cluster.members())
        });
    }
    let members = cluster.members();
    let of =
        |port: &dyn Fn(&Member) -> u16| members.iter().map(|it| port(it).to_string()).collect();
    let expected: [BTreeSet<String>; 2] =
        [of(&|it| it.peer_address().port()), of(&|it| it.client_address().port())];
    wait_until("the records name them, too", FOLLOWED_WITHIN, || {
        [ports(&service, &token, "server"), ports(&service, &token, "client")] == expected
    });
    // It goes on: what happens now is told by members that the service has never had registered.
    let leaving = members[0].clone();
    change(
        &members[1],
        &Request::delete(format!("/v2/members/{}", id_of(&members[1], leaving.name()))),
    );
    cluster.retire(&leaving);
    wait_until("the feed names the two", FOLLOWED_WITHIN, || {
        feed(&service, &token) == clients(&cluster.members())
    });
    let secret = token.join.as_str();
    for member in &members {
        assert!(!member.log_text().contains(secret), "{} logs the secret", member.name());
    }
}
