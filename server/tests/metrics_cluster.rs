//! The metrics of real members: one alone, and three of which the leader is killed and then removed.

mod metrics_process;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use metrics_process::{Process, eventually, start};
use quorate_server::metrics::catalogue::find;

/// Every family of a page is in the catalogue, and Prometheus' own tool can read it.
fn assert_sound(page: &str) {
    for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a name and a kind");
        let metric = find(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(metric.kind.name(), kind, "{name}");
    }
    let lines: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    let series: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(lines.len(), series.len(), "a series is there twice");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => return eprintln!("skipped: promtool cannot be run ({error})"),
    };
    let input = promtool.stdin.take().map(|mut input| input.write_all(page.as_bytes()));
    assert!(matches!(input, Some(Ok(()))));
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // It finds fault with names that are etcd's, and must with nothing else.
    let faults: Vec<&str> = said.lines().filter(|line| !line.starts_with("etcd_")).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_single_member_counts_what_it_does() {
    let member = &start(1)[0];
    member.put("confidential-key", "confidential-value");
    member.put("confidential-key", "confidential-value");
    let missing = member.request("GET", "/v2/keys/no-such-key?quorum=true", "");
    assert_eq!(missing.status, 404);
    let page = member.page();
    assert_sound(&page);
    assert!(!page.contains("confidential") && !page.contains("no-such-key"));
    for (sample, at_least) in [
        ("etcd_server_has_leader", 1.0),
        ("etcd_server_is_leader", 1.0),
        ("etcd_server_proposals_applied_total", 4.0),
        ("etcd_http_received_total{method=\"PUT\"}", 2.0),
        ("etcd_http_failed_total{code=\"404\",method=\"QGET\"}", 1.0),
        ("etcd_debugging_store_writes_total{action=\"set\"}", 2.0),
        ("etcd_disk_wal_fsync_duration_seconds_count", 2.0),
        ("etcd_network_client_grpc_received_bytes_total", 100.0),
        ("etcd_network_client_grpc_sent_bytes_total", 100.0),
        ("quorate_client_connections", 1.0),
        ("quorate_proposal_duration_seconds_count", 4.0),
        ("quorate_read_barrier_duration_seconds_count", 1.0),
        ("quorate_operations_applied_total", 4.0),
        ("quorate_log_disk_bytes", 1024.0),
        ("quorate_election_duration_seconds_count{cause=\"formation\"}", 1.0),
    ] {
        let value = member.sample(sample);
        assert!(value.is_some_and(|value| value >= at_least), "{sample}: {value:?}\n{page}");
    }
    assert_eq!(member.sample("etcd_server_leader_changes_seen_total"), Some(1.0));
    assert_eq!(member.sample("quorate_failure_tolerance"), Some(0.0));
}

fn leader_of<'a>(members: &[&'a Process]) -> &'a Process {
    let leads = |member: &&&Process| member.sample("etcd_server_is_leader") == Some(1.0);
    eventually("a leader", || members.iter().find(leads).copied())
}

fn id_of(member: &Process) -> String {
    let page = member.page();
    let (_, rest) = page.split_once("etcd_server_id{server_id=\"").expect("the ID");
    rest.split('"').next().expect("the ID").to_owned()
}

#[test]
fn three_members_show_the_end_of_their_leader() {
    let members = start(3);
    let all: Vec<&Process> = members.iter().collect();
    let old = leader_of(&all);
    old.put("key", "value");
    let rest: Vec<&Process> =
        all.iter().filter(|member| !std::ptr::eq(**member, old)).copied().collect();
    assert_followers_answer(old, &rest);
    assert_sound(&old.page());

    let old_id = id_of(old);
    let leaderless = |member: &Process| member.sample("quorate_leaderless_seconds_total");
    let before: Vec<Option<f64>> = rest.iter().map(|member| leaderless(member)).collect();
    old.kill();
    let new = leader_of(&rest);
    assert_election_is_told(new);
    for (member, before) in rest.iter().zip(before) {
        eventually("the new leader is known", || {
            member.sample("etcd_server_has_leader").filter(|has| *has == 1.0)
        });
        let after = leaderless(member);
        assert!(after > before, "{before:?} to {after:?}");
    }
    assert_absence_shows(new, &old_id);
    assert_sound(&new.page());

    let removal = new.request("DELETE", &format!("/v2/members/{old_id}"), "");
    assert_eq!(removal.status, 204, "{}", removal.body);
    for member in rest {
        eventually("the removed member has no series", || {
            (!member.page().contains(&format!("=\"{old_id}\""))).then_some(())
        });
    }
}

fn assert_followers_answer(leader: &Process, followers: &[&Process]) {
    eventually("two followers that answer", || {
        leader.sample("quorate_failure_tolerance").filter(|more| *more == 1.0)
    });
    for follower in followers {
        let to = |name: &str| format!("{name}{{To=\"{}\"}}", id_of(follower));
        assert!(leader.sample(&to("quorate_follower_heartbeat_ack_age_seconds")).is_some());
        let count = to("etcd_network_peer_round_trip_time_seconds_count");
        eventually("a round trip", || leader.sample(&count).filter(|count| *count >= 1.0));
    }
    let stats = leader.request("GET", "/v2/stats/leader", "").body;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    let follower = &stats["followers"][id_of(followers[0])];
    assert!(follower["counts"]["success"].as_u64() >= Some(1), "{stats}");
    assert!(follower["latency"]["maximum"].as_f64() > Some(0.0), "{stats}");
    let own = leader.request("GET", "/v2/stats/self", "").body;
    assert!(!own.contains("\"sendAppendRequestCnt\":0"), "{own}");
    let other = followers[0].request("GET", "/v2/stats/self", "").body;
    assert!(!other.contains("\"recvAppendRequestCnt\":0"), "{other}");
}

fn assert_election_is_told(winner: &Process) {
    // On a busy machine the election timeout may be quicker than the evidence.
    let causes = ["leader_process_ended", "timeout"];
    let cause = eventually("a finished election", || {
        causes.into_iter().find(|cause| {
            let count = format!("quorate_election_duration_seconds_count{{cause=\"{cause}\"}}");
            winner.sample(&count) == Some(1.0)
        })
    });
    for phase in ["detection", "vote", "first_commit"] {
        let count = format!(
            "quorate_election_phase_duration_seconds_count{{cause=\"{cause}\",phase=\"{phase}\"}}"
        );
        assert_eq!(winner.sample(&count), Some(1.0), "{count}");
    }
}

fn assert_absence_shows(leader: &Process, absent: &str) {
    let age = format!("quorate_follower_heartbeat_ack_age_seconds{{To=\"{absent}\"}}");
    eventually("the dead member's age grows", || leader.sample(&age).filter(|age| *age > 0.5));
    eventually("no further member may fail", || {
        leader.sample("quorate_failure_tolerance").filter(|more| *more == 0.0)
    });
    let failures = format!("etcd_network_peer_sent_failures_total{{To=\"{absent}\"}}");
    eventually("failures are counted", || leader.sample(&failures).filter(|count| *count >= 1.0));
}
