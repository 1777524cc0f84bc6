//! Each departure from etcd, shown on both programs: etcd must still do the one thing, Quorate the other.

use std::time::Duration;

use quorate_harness::{Cluster, Line, Program, Request, Stream, skip_without_etcd};
use quorate_interop_tests::departures::{DEPARTURES, Departure};
use quorate_interop_tests::subject_program;

const SOON: Duration = Duration::from_secs(10);

/// Runs `observe` on a fresh member of each program; it returns whether the program departs from etcd, and what was seen.
fn observe(name: &str, observe: impl Fn(&Cluster) -> (bool, String)) {
    let departure = Departure::named(name);
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let cluster = Cluster::builder(program).start();
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
        (seen.iter().all(|expiration| expiration.starts_with("9999-12-31T")), seen.join(" "))
    });
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
