//! Each departure from etcd, shown on both programs: etcd must still do the one thing, Quorate the other.

use std::time::Duration;

use quorate_harness::{
    Answer, Builder, Cluster, Exit, Line, Program, Request, Stream, skip_without_etcd, wait_until,
};
use quorate_interop_tests::departures::{DEPARTURES, Departure};
use quorate_interop_tests::subject_program;

const SOON: Duration = Duration::from_secs(10);

/// Runs `observe` on a fresh member of each program; it returns whether the program departs from etcd, and what was seen.
fn observe(name: &str, observe: impl Fn(&Cluster) -> (bool, String)) {
    observe_cluster(name, 1, observe);
}

fn observe_cluster(name: &str, members: usize, observe: impl Fn(&Cluster) -> (bool, String)) {
    let departure = Departure::named(name);
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let cluster = Cluster::builder(program).members(members).start();
        let (departed, seen) = observe(&cluster);
        departure.assert(program, departed, &seen);
    }
}

fn put(cluster: &Cluster, key: &str, form: &str) -> u64 {
    let answer = cluster.keys().put_with(key, form).expect("an answer");
    assert!(answer.is_ok(), "{}", answer.answer);
    answer.modified_index().expect("an index")
}

fn remove(cluster: &Cluster, key: &str) -> u64 {
    let answer = cluster.keys().delete_with(key, "recursive=true").expect("an answer");
    answer.modified_index().expect("an index")
}

fn watch(cluster: &Cluster, target: &str) -> Stream {
    cluster.http().stream(&Request::get(format!("/v2/keys{target}"))).expect("a watch")
}

fn event(stream: &mut Stream) -> String {
    match stream.next_line(SOON).expect("a stream") {
        Line::Text(text) => text,
        other => panic!("{other:?} in place of an event"),
    }
}

#[test]
fn history_hides_hidden_keys() {
    observe("history_hides_hidden_keys", |cluster| {
        let since = put(cluster, "/d/_hidden", "value=1");
        put(cluster, "/d/shown", "value=1");
        let seen =
            event(&mut watch(cluster, &format!("/d?wait=true&recursive=true&waitIndex={since}")));
        (seen.contains("/d/shown"), seen)
    });
}

#[test]
fn history_matches_whole_segments() {
    observe("history_matches_whole_segments", |cluster| {
        put(cluster, "/pd/x", "value=1");
        let since = remove(cluster, "/pd");
        put(cluster, "/pdother", "value=1");
        let seen = event(&mut watch(cluster, &format!("/pdother?wait=true&waitIndex={since}")));
        (seen.contains(r#""action":"set""#), seen)
    });
}

#[test]
fn removal_is_told_to_absent_keys_below() {
    observe("removal_is_told_to_absent_keys_below", |cluster| {
        put(cluster, "/pd/x", "value=1");
        let mut absent = watch(cluster, "/pd/nope?wait=true");
        remove(cluster, "/pd");
        put(cluster, "/pd/nope", "value=1");
        let seen = event(&mut absent);
        (seen.contains(r#""action":"delete""#), seen)
    });
}

#[test]
fn a_stream_goes_on_after_history() {
    observe("a_stream_goes_on_after_history", |cluster| {
        let since = put(cluster, "/s", "value=1");
        put(cluster, "/s", "value=2");
        let mut stream = watch(cluster, &format!("/s?wait=true&stream=true&waitIndex={since}"));
        let first = event(&mut stream);
        assert!(first.contains(r#""value":"1""#), "{first}");
        put(cluster, "/s", "value=3");
        // Once this live watch has been served, the silent stream had its chance.
        let mut live = watch(cluster, "/s?wait=true");
        put(cluster, "/s", "value=4");
        event(&mut live);
        match stream.next_line(Duration::from_millis(300)).expect("a stream") {
            Line::Text(second) => {
                let rest = [second, event(&mut stream), event(&mut stream)];
                let in_order = ["2", "3", "4"]
                    .iter()
                    .zip(&rest)
                    .all(|(it, line)| line.contains(&format!("\"value\":\"{it}\"")));
                assert!(in_order, "{rest:?}");
                (true, rest.join("\n"))
            }
            other => (false, format!("{other:?}")),
        }
    });
}

#[test]
fn a_removal_is_streamed_once() {
    observe("a_removal_is_streamed_once", |cluster| {
        put(cluster, "/k", "value=1");
        let mut stream = watch(cluster, "/k?wait=true&stream=true");
        remove(cluster, "/k");
        put(cluster, "/k", "value=2");
        let first = event(&mut stream);
        assert!(first.contains(r#""action":"delete""#), "{first}");
        let second = event(&mut stream);
        (second.contains(r#""action":"set""#), second)
    });
}

#[test]
fn a_huge_ttl_is_not_forever() {
    observe("a_huge_ttl_is_not_forever", |cluster| {
        let huge = ["9223372036", "99999999999", "9223372036854775807", "18446744073709551615"];
        let seen = huge.map(|ttl| {
            let answer = cluster
                .keys()
                .put_with(&format!("/ttl{ttl}"), &format!("value=1&ttl={ttl}"))
                .expect("an answer");
            answer.json["node"]["expiration"].as_str().unwrap_or("none").to_owned()
        });
        let departs =
            seen[0].starts_with("23") && seen[1..].iter().all(|it| it == "2500-01-01T00:00:00Z");
        (departs, seen.join(" "))
    });
}

#[test]
fn a_requested_end_is_a_success() {
    observe("a_requested_end_is_a_success", |cluster| {
        let exit = cluster.member(0).terminate(SOON);
        assert!(matches!(exit, Exit::Code(0) | Exit::Signal(15)), "{exit:?}");
        (exit == Exit::Code(0), format!("{exit:?}"))
    });
}

#[test]
fn a_failed_compare_and_delete_counts_as_failed() {
    observe("a_failed_compare_and_delete_counts_as_failed", |cluster| {
        put(cluster, "/k", "value=1");
        let refused = cluster.keys().delete_with("/k", "prevValue=2").expect("an answer");
        assert_eq!(refused.error_code(), Some(101));
        let stats =
            cluster.http().send(&Request::get("/v2/stats/store")).expect("an answer").json();
        let counts =
            ["compareAndDeleteSuccess", "compareAndDeleteFail"].map(|it| stats[it].as_u64());
        assert!(matches!(counts, [Some(1), Some(0)] | [Some(0), Some(1)]), "{counts:?}");
        (counts[1] == Some(1), format!("{counts:?}"))
    });
}

#[test]
fn a_guest_reads_no_more_than_is_permitted() {
    observe("a_guest_reads_no_more_than_is_permitted", |cluster| {
        put(cluster, "/d/secret", "value=1");
        let asked = |path: &str, body: &str| {
            let request = Request::new("PUT", path).body("application/json", body);
            cluster.http().send(&request).expect("an answer").status
        };
        let root = r#"{"user":"root","password":"rp"}"#;
        let guest = r#"{"role":"guest","permissions":{"kv":{"read":["/d"]}}}"#;
        assert_eq!(asked("/v2/auth/users/root", root), 201);
        assert_eq!(asked("/v2/auth/roles/guest", guest), 201);
        assert_eq!(asked("/v2/auth/enable", ""), 200);
        let read = |query| cluster.keys().get_with("/d", query).expect("an answer").status;
        assert_eq!(read(""), 200);
        let below = read("recursive=true");
        (below == 401, format!("status {below}"))
    });
}

#[test]
fn a_watch_ends_with_the_right_to_read() {
    observe("a_watch_ends_with_the_right_to_read", |cluster| {
        let asked = |method: &str, path: &str, body: &str| {
            let request = Request::new(method, path).body("application/json", body);
            let request = request.header("Authorization", "Basic cm9vdDpycA==");
            let answer = cluster.http().send(&request).expect("an answer");
            assert!(matches!(answer.status, 200 | 201), "{method} {path}: {answer}");
        };
        asked("PUT", "/v2/auth/users/root", r#"{"user":"root","password":"rp"}"#);
        asked("PUT", "/v2/auth/roles/r", r#"{"role":"r","permissions":{"kv":{"read":["/k"]}}}"#);
        // alice:pw
        asked("PUT", "/v2/auth/users/alice", r#"{"user":"alice","password":"pw","roles":["r"]}"#);
        let mut nobody = watch(cluster, "/k?wait=true&stream=true");
        asked("PUT", "/v2/auth/enable", "");
        asked("PUT", "/v2/auth/roles/guest", r#"{"role":"guest","revoke":{"kv":{"read":["/*"]}}}"#);
        let request = Request::get("/v2/keys/k?wait=true&stream=true");
        let request = request.header("Authorization", "Basic YWxpY2U6cHc=");
        let mut alice = cluster.http().stream(&request).expect("a watch");
        asked("PUT", "/v2/keys/k", "");
        let told = event(&mut alice);
        assert!(told.contains("\"action\":\"set\""), "she may: {told}");
        asked("PUT", "/v2/auth/users/alice", r#"{"user":"alice","revoke":["r"]}"#);
        asked("PUT", "/v2/keys/k", "");
        let heard = [nobody.next_line(SOON), alice.next_line(SOON)].map(|it| it.expect("a stream"));
        let is_over = heard.iter().all(|it| !matches!(it, Line::Text(_)));
        (is_over, format!("{heard:?}"))
    });
}

#[test]
fn a_refused_membership_change_says_why() {
    observe_cluster("a_refused_membership_change_says_why", 3, |cluster| {
        let members = cluster.http().send(&Request::get("/v2/members")).expect("an answer").json();
        let own = cluster.member(2).peer_url();
        let removed = members["members"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|it| it["peerURLs"][0] == *own);
        let path =
            format!("/v2/members/{}", removed.and_then(|it| it["id"].as_str()).expect("an id"));
        wait_until("a member is removed", Duration::from_secs(30), || {
            cluster
                .http()
                .send(&Request::delete(&path))
                .is_ok_and(|it| matches!(it.status, 204 | 410))
        });
        let body = format!("{{\"peerURLs\":[\"{own}\"]}}");
        let answer = send_json(cluster, "PUT", &path, &body);
        assert_eq!(answer.status, 500, "{answer}");
        let message = answer.json()["message"].as_str().expect("a message").to_owned();
        (message != "Internal Server Error", message)
    });
}

fn send_json(cluster: &Cluster, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::new(method, path).body("application/json", body);
    cluster.http().send(&request).expect("an answer")
}

/// Adds a member that is prepared and not started; returns its ID.
fn add_joiner(cluster: &Cluster) -> String {
    let url = cluster.prepare_joiner(&[]).peer_url();
    let body = format!("{{\"peerURLs\":[\"{url}\"]}}");
    let mut added = None;
    // etcd refuses until its members have been connected for a while.
    wait_until("a member is added", Duration::from_secs(30), || {
        let answer = send_json(cluster, "POST", "/v2/members", &body);
        added = (answer.status == 201).then(|| answer.json());
        added.is_some()
    });
    added.and_then(|it| it["id"].as_str().map(str::to_owned)).expect("an id")
}

#[test]
fn an_addition_repeated_is_a_conflict() {
    observe_cluster("an_addition_repeated_is_a_conflict", 3, |cluster| {
        add_joiner(cluster);
        let url = cluster.member(3).peer_url();
        let body = format!("{{\"peerURLs\":[\"{url}\"]}}");
        let again = send_json(cluster, "POST", "/v2/members", &body);
        assert!(matches!(again.status, 409 | 500), "{again}");
        let told = again.json()["message"] == "membership: peerURL exists";
        assert_eq!(told, again.status == 409, "{again}");
        (told, again.to_string())
    });
}

#[test]
fn a_removed_member_does_not_start_again() {
    observe_cluster("a_removed_member_does_not_start_again", 3, |cluster| {
        let id = add_joiner(cluster);
        let member = cluster.member(3);
        member.start();
        cluster.wait_ready();
        let remove = Request::delete(format!("/v2/members/{id}"));
        wait_until("the member is removed", Duration::from_secs(30), || {
            cluster.http().send(&remove).is_ok_and(|it| matches!(it.status, 204 | 410))
        });
        let within = Duration::from_secs(30);
        assert_eq!(member.wait_exit(within), Exit::Code(0), "{}", member.log_tail());
        member.start();
        let exit = member.wait_exit(within);
        assert!(matches!(exit, Exit::Code(0 | 1)), "{exit:?}");
        assert!(member.log_text().contains("removed"), "{}", member.log_tail());
        (exit == Exit::Code(1), format!("{exit:?}"))
    });
}

#[test]
fn bytes_survive_a_snapshot() {
    let departure = Departure::named("bytes_survive_a_snapshot");
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let cluster = Cluster::builder(program).flag("--snapshot-count=10").start();
        put(&cluster, "/k", "value=%ff");
        // Once the second snapshot is begun, the first one is complete and has the key.
        for _ in 0..30 {
            put(&cluster, "/other", "value=1");
        }
        let snapshots = Duration::from_secs(20);
        wait_until("a snapshot is written", snapshots, || has_snapshot(&cluster));
        cluster.member(0).restart();
        cluster.wait_ready();
        let compared = cluster.keys().put_with("/k", "prevValue=%ff&value=2").expect("an answer");
        assert!(matches!(compared.answer.status, 200 | 412), "{}", compared.answer);
        departure.assert(program, compared.is_ok(), &compared.answer.to_string());
    }
}

fn has_snapshot(cluster: &Cluster) -> bool {
    let data = cluster.member(0).data_dir().to_owned();
    let folders = [data.join("member/snap"), data.join("snap")];
    let mut files = folders.iter().filter_map(|it| std::fs::read_dir(it).ok()).flatten().flatten();
    files.any(|it| it.path().extension().is_some_and(|ending| ending == "snap"))
}

#[test]
fn a_coded_request_ends_its_connection() {
    observe("a_coded_request_ends_its_connection", |cluster| {
        let request = "PUT /v2/keys/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n7\r\nvalue=1\r\n0\r\n\r\n";
        let answer = cluster.http().send_raw(request.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 201, "{answer}");
        let connection = answer.header("Connection");
        assert!(matches!(connection, None | Some("close")), "{answer}");
        (connection.is_some(), answer.to_string())
    });
}

/// Starts a member that was set up by `setup`; returns whether it serves, or how it ended.
fn starts(program: Program, setup: impl Fn(Builder) -> Builder) -> (Cluster, Option<Exit>) {
    let cluster = setup(Cluster::builder(program)).prepare();
    let member = cluster.member(0);
    member.start();
    let within = Duration::from_secs(30);
    wait_until("the member serves or has ended", within, || {
        !member.is_running() || member.is_ready()
    });
    let exit = member.last_exit();
    (cluster, exit)
}

#[test]
fn a_flag_beats_its_variable() {
    let departure = Departure::named("a_flag_beats_its_variable");
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let (cluster, exit) = starts(program, |builder| builder.environment("ETCD_NAME", "other"));
        let log = cluster.member(0).log_text();
        assert!(log.contains("ETCD_NAME"), "{program}: {log}");
        assert!(matches!(exit, None | Some(Exit::Code(1))), "{program}: {exit:?}");
        if exit.is_none() {
            let list = cluster.http().send(&Request::get("/v2/members")).expect("an answer").json();
            assert_eq!(list["members"][0]["name"], "m1", "{program}: {list}");
        }
        departure.assert(program, exit.is_none(), &format!("{exit:?}"));
    }
}

#[test]
fn one_timing_makes_the_other_fit() {
    let departure = Departure::named("one_timing_makes_the_other_fit");
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let (_cluster, exit) = starts(program, |builder| builder.flag("--election-timeout=400"));
        assert!(matches!(exit, None | Some(Exit::Code(1))), "{program}: {exit:?}");
        departure.assert(program, exit.is_none(), &format!("{exit:?}"));
    }
}

#[test]
fn every_departure_has_its_test() {
    let tests = include_str!("departures.rs");
    for departure in DEPARTURES {
        assert!(
            tests.contains(&format!("\nfn {}()", departure.name)),
            "{} has no test",
            departure.name
        );
    }
}
