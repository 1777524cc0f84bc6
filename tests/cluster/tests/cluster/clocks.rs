//! Members whose clocks are hours apart: TTLs follow the cluster's time, whoever leads and whatever its own clock says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_cluster_tests::{agreed_store, turn};
use quorate_harness::{Cluster, Member, wait_until};

use crate::{SOON, others, quorate};

/// What `faketime` adds to the clock of each member.
const OFFSETS: [&str; 3] = ["+0", "+5h", "-5h"];
/// Less than the clocks are apart, more than the test takes.
const LONG: u64 = 3600;
/// Of the TTL that is shown, on a machine that is busy: the time between an entry and the next sign of the leader.
const SLACK: u64 = 30;

/// The library that gives a process another clock; none, after a line, where it is not installed.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut paths = folders.map(|it| it.path().join("faketime/libfaketime.so.1"));
    let found = paths.find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("QUORATE_REQUIRE_INTEROP").is_none(),
            "QUORATE_REQUIRE_INTEROP is set, but libfaketime is not installed"
        );
        eprintln!("skipped: libfaketime is not installed (Debian: libfaketime)");
    }
    found
}

fn hours_apart() -> Option<Cluster> {
    let library = faketime()?.display().to_string();
    let cluster = quorate(3).prepare();
    for (member, offset) in cluster.members().iter().zip(OFFSETS) {
        let variables =
            [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("DONT_FAKE_MONOTONIC", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        member.set_environment(variables.into());
    }
    cluster.start();
    cluster.wait_ready();
    Some(cluster)
}

/// Makes `chosen` lead: the leader ends when the third member lacks an entry that `chosen` has.
#[track_caller]
fn make_lead(cluster: &Cluster, chosen: &Member) {
    let leader = cluster.wait_leader(SOON);
    if leader.name() == chosen.name() {
        return;
    }
    let third = others(cluster, &leader).into_iter().find(|it| it.name() != chosen.name());
    let third = third.expect("there are three");
    third.kill9();
    assert!(leader.keys().put("/lead", chosen.name()).expect("answers").is_ok());
    wait_until("the chosen one has the entry", SOON, || {
        chosen.keys().get("/lead").is_ok_and(|answer| answer.value() == Some(chosen.name()))
    });
    leader.kill9();
    third.start();
    wait_until("the chosen one leads", SOON, || {
        cluster.leader().is_some_and(|now| now.name() == chosen.name())
    });
    leader.start();
    cluster.wait_ready();
}

/// The TTL of a key as a member shows it.
fn ttl(member: &Member, key: &str) -> Option<u64> {
    member.keys().get(key).expect("answers").json["node"]["ttl"].as_u64()
}

#[test]
fn ttls_go_on_whoever_leads_and_whatever_its_clock() {
    let _turn = turn::shared();
    let Some(cluster) = hours_apart() else { return };
    let created = cluster.keys().put_with("/long", &format!("value=v&ttl={LONG}"));
    assert!(created.is_ok_and(|answer| answer.is_ok()));
    let begun = Instant::now();
    let mut shown_before = LONG;
    let members: Vec<Arc<Member>> = cluster.members();
    for position in [1, 2, 0] {
        make_lead(&cluster, &members[position]);
        // A write brings the new leader's time to everybody.
        assert!(cluster.keys().put("/time", "v").expect("answers").is_ok());
        agreed_store(&members, SOON);
        let passed = begun.elapsed().as_secs();
        for member in &members {
            let shown = ttl(member, "/long");
            let sound = |shown| (LONG - passed - SLACK..=LONG).contains(&shown);
            assert!(
                shown.is_some_and(sound),
                "{} shows {shown:?} of {LONG} s after {passed} s, led by {} ({})",
                member.name(),
                members[position].name(),
                OFFSETS[position]
            );
        }
        let shown = ttl(&members[position], "/long").unwrap_or_default();
        assert!(shown <= shown_before + 1, "it went back from {shown_before} to {shown}");
        shown_before = shown;
        expires_in_time(&cluster);
    }
}

/// A short TTL ends after its time, not before, under the present leader.
#[track_caller]
fn expires_in_time(cluster: &Cluster) {
    let begun = Instant::now();
    assert!(cluster.keys().put_with("/short", "value=v&ttl=2").expect("answers").is_ok());
    wait_until("the short key is gone everywhere", SOON, || {
        cluster.members().iter().all(|it| it.keys().get("/short").is_ok_and(|it| it.status == 404))
    });
    // Its life began when the leader stamped it, after the request left.
    assert!(begun.elapsed() >= Duration::from_secs(2), "gone after {:?}", begun.elapsed());
}
