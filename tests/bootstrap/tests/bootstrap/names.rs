//! Members and clients that follow a cluster by the DNS of our own discovery service: asked directly, and by a resolver that sends
//! questions about its zone there.

use quorate_bootstrap_tests::{DnsServer, skip_without_dnsmasq};
use quorate_client::client_services;
use quorate_discovery_tests::{Service, Token, ZONE};
use quorate_harness::{Cluster, Member, Request, wait_until};
use quorate_transport::dns::Dns;
use serde_json::{Value, json};

use crate::{SOON, assert_one_cluster, finding, set_flag};

/// What a member reports of the cluster's members.
fn report(cluster: &Cluster, index: u64) -> Value {
    let answer = cluster.http().send(&Request::get("/v2/members")).expect("an answer");
    let listed = answer.json()["members"].as_array().cloned().unwrap_or_default();
    let member = |it: &Value| {
        json!({
            "id": it["id"],
            "name": it["name"],
            "peer_urls": it["peerURLs"],
            "client_urls": it["clientURLs"],
        })
    };
    let members: Vec<Value> = listed.iter().map(member).collect();
    json!({"progress": "started", "membership": {"index": index, "members": members}})
}

/// Reports the present members under the ID of the first that registered. `times` says the how-manieth report it is.
fn tell(service: &Service, token: &Token, cluster: &Cluster, times: u64) {
    let members = service.status(token)["members"].clone();
    let first = members[0]["id"].as_str().expect("an ID");
    // Larger than what the members themselves report.
    let report = report(cluster, 1_000_000_000 + times);
    assert_eq!(service.report(token, first, &report).status, 204);
}

/// Lets a member advertise a host name to its peers, as the resolver knows it.
fn named(member: &Member, name: &str) -> String {
    let url = format!("http://{name}.example.test:{}", member.peer_address().port());
    set_flag(member, "initial-advertise-peer-urls", &url);
    url
}

/// Where clients find the cluster of a token.
fn endpoints(dns: &Dns, token: &Token) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let domain = format!("{}.{ZONE}", token.id);
    let found = runtime.block_on(client_services(dns, &domain, None)).expect("an answer");
    found.endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn a_member_joins_by_the_records_and_clients_follow() {
    if skip_without_dnsmasq() {
        return;
    }
    let service = Service::with_dns(&[]);
    let token = service.token(3);
    let own = service.dns();
    let mut lines: Vec<String> =
        (1..=4).map(|n| format!("host-record=m{n}.example.test,127.0.0.1")).collect();
    lines.push(format!("server=/{ZONE}/{}#{}", own.ip(), own.port()));
    // What it keeps for half a minute it does not ask for again.
    lines.extend(["cache-size=0".to_owned(), "no-negcache".to_owned()]);
    let resolver = DnsServer::start(&lines);
    let dns_server = format!("--dns-server={}", resolver.address());
    let cluster = finding(3, &[format!("--discovery={}", token.url), dns_server.clone()]);
    for member in cluster.members() {
        named(&member, member.name());
    }
    cluster.start();
    assert_one_cluster(&cluster);
    tell(&service, &token, &cluster, 1);
    for dns in [Dns::Server(own), Dns::Server(resolver.address())] {
        wait_until("clients find three", SOON, || endpoints(&dns, &token).len() == 3);
        let found = endpoints(&dns, &token);
        assert!(found.iter().all(|url| url.starts_with("http://")), "{found:?}");
    }
    // One more is added; the others tell of it, so it finds them, and itself, by the same name.
    let joining = finding(1, &[format!("--discovery-srv={}.{ZONE}", token.id), dns_server]);
    let fourth = joining.member(0);
    let url = named(&fourth, "m4");
    let request = Request::new("POST", "/v2/members")
        .body("application/json", json!({"peerURLs": [url]}).to_string());
    let answer = cluster.http().send(&request).expect("an answer");
    assert_eq!(answer.status, 201, "{answer}");
    tell(&service, &token, &cluster, 2);
    set_flag(&fourth, "name", "m4");
    set_flag(&fourth, "initial-cluster-state", "existing");
    set_flag(&fourth, "discovery-srv-expect", "4");
    fourth.start();
    fourth.wait_ready(SOON);
    wait_until("it has told the others where clients reach it", SOON, || {
        let told = report(&cluster, 0)["membership"]["members"].clone();
        told.as_array().is_some_and(|all| all.iter().all(|it| it["client_urls"][0].is_string()))
    });
    tell(&service, &token, &cluster, 3);
    wait_until("clients find four", SOON, || endpoints(&Dns::Server(own), &token).len() == 4);
    // Nothing of this is needed once they run.
    service.process().kill9();
    for member in cluster.members() {
        member.restart();
        member.wait_ready(SOON);
    }
    assert!(cluster.keys().put("/without", "it").expect("answers").is_ok());
}
