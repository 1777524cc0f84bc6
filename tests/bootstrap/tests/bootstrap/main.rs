//! Members that find each other: through our own discovery service, through a real etcd in its place, through one that
//! misbehaves by a script, and through a real DNS server, etcd's nodes too.

mod discovery;
mod names;
mod protected;
mod proxy;
mod registry;
mod reports;
mod scripted;
mod srv;
mod srv_etcd;
mod srv_tls;
mod through_proxy;

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_harness::{Cluster, Exit, Member, Program, Request, wait_until};

/// Long enough for anything that should happen soon, on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(60);

/// Members that are laid out and told to find each other by `flags`, in place of a list.
fn finding(members: usize, flags: &[String]) -> Cluster {
    let cluster = Cluster::builder(Program::Quorate).members(members).prepare();
    for member in cluster.members() {
        let mut own = member.flags();
        own.retain(|flag| !flag.starts_with("--initial-cluster"));
        own.extend_from_slice(flags);
        member.set_flags(own);
    }
    cluster
}

/// Adds a flag, or replaces it.
fn set_flag(member: &Member, name: &str, value: &str) {
    let mut flags = member.flags();
    flags.retain(|flag| !flag.starts_with(&format!("--{name}=")));
    flags.push(format!("--{name}={value}"));
    member.set_flags(flags);
}

#[track_caller]
fn assert_one_cluster(cluster: &Cluster) {
    cluster.wait_ready();
    let members = cluster.members();
    let ids: BTreeSet<Option<String>> = members
        .iter()
        .map(|member| {
            let answer = member.http().send(&Request::get("/v2/members")).expect("an answer");
            let list = answer.json();
            assert_eq!(list["members"].as_array().map(Vec::len), Some(members.len()), "{list}");
            answer.header("X-Etcd-Cluster-Id").map(str::to_owned)
        })
        .collect();
    assert_eq!(ids.len(), 1, "clusters: {ids:?}");
    assert!(cluster.keys().put("/formed", "yes").expect("answers").is_ok());
    for member in members {
        let read = || {
            member.keys().get("/formed").ok().and_then(|answer| answer.value().map(str::to_owned))
        };
        wait_until("every member has the key", SOON, || read().as_deref() == Some("yes"));
    }
}

/// Waits until the member has ended with exit code 1, and returns what it said.
#[track_caller]
fn refusal(member: &Member) -> String {
    assert_eq!(member.wait_exit(SOON), Exit::Code(1), "{}", member.log_tail());
    member.log_text()
}

#[track_caller]
fn wait_for_log(member: &Member, text: &str) {
    wait_until(&format!("{} says {text:?}", member.name()), SOON, || {
        member.log_text().contains(text)
    });
}
