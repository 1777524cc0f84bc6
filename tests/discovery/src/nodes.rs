//! Nodes that know a discovery URL and nothing of each other: unmodified etcd, or ours.

use std::collections::BTreeSet;

use quorate_harness::{Cluster, Member, Program, Request, wait_until};

use crate::FORMED_WITHIN;

/// Lays out `count` nodes that find each other through `url`, without starting them.
#[track_caller]
#[must_use]
pub fn nodes(url: &str, count: usize) -> Cluster {
    nodes_of(Program::Etcd, url, count)
}

/// The same for either program: that both take the same flags is part of what is tested.
#[track_caller]
#[must_use]
pub fn nodes_of(program: Program, url: &str, count: usize) -> Cluster {
    let cluster = Cluster::builder(program).members(count).prepare();
    for member in cluster.members() {
        let mut flags = member.flags();
        flags.retain(|flag| !flag.starts_with("--initial-cluster"));
        flags.push(format!("--discovery={url}"));
        flags.push("--discovery-fallback=exit".to_owned());
        member.set_flags(flags);
    }
    cluster
}

/// Waits until all members are healthy and each knows exactly the others.
#[track_caller]
pub fn assert_one_cluster(cluster: &Cluster) {
    let members = cluster.members();
    let expected: BTreeSet<String> = members.iter().map(|it| it.peer_url()).collect();
    for member in &members {
        member.wait_ready(FORMED_WITHIN);
        wait_until(&format!("{} knows all members", member.name()), FORMED_WITHIN, || {
            peers_of(member) == expected
        });
    }
    // What one takes, all have.
    members[0].keys().put("/formed", "yes").unwrap_or_else(|error| panic!("a write: {error:?}"));
}

fn peers_of(member: &Member) -> BTreeSet<String> {
    let answer = member.http().send(&Request::get("/v2/members"));
    let json = answer.map(|it| it.json()).unwrap_or_default();
    let listed = json["members"].as_array().cloned().unwrap_or_default();
    listed.iter().filter_map(|it| it["peerURLs"][0].as_str().map(str::to_owned)).collect()
}
