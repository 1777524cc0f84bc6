//! A cluster all of whose founders are replaced, one at a time: those who come later know nothing of the discovery service, and still the
//! feed and the DNS answers name exactly who is in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate_discovery_tests::{
    Service, Token, ZONE, assert_one_cluster, bearer, dig_short, nodes_of, skip_without_dig,
};
use quorate_harness::{Cluster, Member, Program, Request, wait_until};
use serde_json::{Value, json};

/// A member asks its peers for the service within seconds of its start, and DNS answers are read anew after a few more.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(90);

/// What the feed names: each member's target, by its name.
fn feed(service: &Service, token: &Token) -> BTreeSet<String> {
    let request = Request::get(format!("/v1/tokens/{}/http_sd", token.id));
    let answer = service.send(&bearer(request, &token.read));
    assert_eq!(answer.status, 200, "{answer}");
    let groups = answer.json();
    let shown = |group: &Value| {
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
    let body = json!({ "peerURLs": [joiner.peer_url()] }).to_string();
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

/// What is in the store, as the service reads it.
fn edit(store: &Cluster, key: &str, change: impl FnOnce(&mut Value)) {
    let http = store.member(0).http();
    let target = format!("/v2/keys/_quorate/discovery/{key}");
    let found = http.send(&Request::get(&target)).unwrap_or_else(|error| panic!("{error}"));
    let text = found.json()["node"]["value"].as_str().unwrap_or_default().to_owned();
    let mut value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{found}: {error}"));
    change(&mut value);
    let put = store.member(0).keys().put(&format!("/_quorate/discovery/{key}"), &value.to_string());
    put.unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn a_cluster_that_nobody_reports_of_any_more_is_called_old() {
    let store = Cluster::builder(Program::Quorate).start();
    let service = Service::start(&[&format!("--store={}", store.member(0).client_url())]);
    let token = service.token(1);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    assert_eq!(service.status(&token)["news"], "none");
    let listed = |id: &str| json!({"id": id, "name": id, "peer_urls": [format!("http://h{id}.example:2380")]});
    let report = |members: &[&str]| {
        let members: Vec<Value> = members.iter().map(|id| listed(id)).collect();
        json!({"progress": "started", "membership": {"index": 9, "members": members}})
    };
    // Who is no member by anybody's word is none by its own, with whatever secret.
    let stranger = service.report(&token, "22", &report(&["22"]));
    assert_eq!((stranger.status, &stranger.json()["code"]), (404, &json!("no_such_member")));
    assert_eq!(service.report(&token, "a1", &report(&["a1", "22"])).status, 204);
    assert_eq!(service.report(&token, "22", &report(&["a1", "22"])).status, 204);
    assert_eq!(service.report(&token, "33", &report(&["33"])).status, 404);
    let status = service.status(&token);
    assert_eq!((&status["news"], &status["joined"][0]["id"]), (&json!("fresh"), &json!("22")));
    let sweeps = |news: &str| {
        service.process().restart();
        service.process().wait_ready(FOLLOWED_WITHIN);
        let line = format!("quorate_discovery_clusters{{news=\"{news}\"}} 1");
        wait_until(&line, FOLLOWED_WITHIN, || {
            service.send(&Request::get("/metrics")).text().contains(&line)
        });
    };
    sweeps("fresh");
    // Half an hour passes.
    let earlier = |moment: &mut Value| {
        *moment = json!(moment.as_u64().unwrap_or_default() - 30 * 60 * 1000);
    };
    for member in ["a1", "22"] {
        edit(&store, &format!("reports/{}/{member}", token.id), |report| {
            earlier(&mut report["at"]);
        });
    }
    edit(&store, &format!("tokens/{}", token.id), |record| {
        earlier(&mut record["entries"][0]["at"]);
        earlier(&mut record["joined"][0]["at"]);
    });
    assert_eq!(service.status(&token)["news"], "stale");
    sweeps("stale");
    let page = service.send(&Request::get(format!("/t/{}/{}", token.id, token.read))).text();
    assert!(page.contains("No member has reported since"), "{page}");
    assert!(page.contains("2 of 2 have started"), "{page}");
}

#[test]
fn a_member_joins_by_the_names_of_a_cluster_that_knows_itself_by_addresses() {
    if skip_without_dig() {
        return;
    }
    let service = Service::with_dns(&[]);
    let token = service.token(2);
    let cluster = nodes_of(Program::Quorate, &token.url, 2);
    cluster.start();
    assert_one_cluster(&cluster);
    let joiner = cluster.prepare_joiner(&[]);
    let mut flags = joiner.flags();
    flags.retain(|flag| !flag.starts_with("--initial-cluster="));
    flags.push(format!("--discovery-srv={}.{ZONE}", token.id));
    flags.push(format!("--dns-server={}", service.dns()));
    joiner.set_flags(flags);
    let body = json!({ "peerURLs": [joiner.peer_url()] }).to_string();
    let through = cluster.member(0);
    change(&through, &Request::new("POST", "/v2/members").body("application/json", body));
    joiner.start();
    joiner.wait_ready(FOLLOWED_WITHIN);
    assert!(joiner.peer_url().starts_with("http://127.0.0.1:"), "{}", joiner.peer_url());
    assert_one_cluster(&cluster);
    wait_until("the feed names it", FOLLOWED_WITHIN, || {
        feed(&service, &token) == clients(&cluster.members())
    });
}
