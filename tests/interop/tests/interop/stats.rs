//! `/v2/stats`: what it counts and in which form.

use quorate_harness::{Program, Request, wait_until};
use quorate_interop_tests::json::Json;
use quorate_interop_tests::{Side, compare, compare_with, normal, script};
use std::time::Duration;

/// The body with all times, durations and counts replaced by what they are.
fn shape(side: &Side, target: &str) -> String {
    let answer = side.http().send(&Request::get(target)).expect("an answer");
    let json = Json::parse(&side.anonymous(&answer.text())).expect("JSON");
    let lines = json.lines().into_iter().map(|line| match line.split_once(" = ") {
        Some((path, value)) => format!("{path} = {}", kind(value)),
        None => line,
    });
    format!(
        "{}\n{:?}\n{}",
        answer.status_line,
        answer.header("Content-Type"),
        lines.collect::<Vec<_>>().join("\n")
    )
}

fn kind(value: &str) -> String {
    let text = value.trim_matches('"');
    if normal::nanoseconds(text).is_some() {
        "<time>".to_owned()
    } else if text.starts_with(|it: char| it.is_ascii_digit()) && text.ends_with('s') {
        "<duration>".to_owned()
    } else if value.parse::<f64>().is_ok() {
        "<number>".to_owned()
    } else {
        value.to_owned()
    }
}

#[test]
fn methods_and_paths() {
    compare(|pair| {
        for path in ["self", "leader", "store"] {
            for method in ["HEAD", "PUT", "POST", "DELETE"] {
                pair.send(&Request::new(method, format!("/v2/stats/{path}")));
            }
        }
        script::run(
            pair,
            "404 GET /v2/stats\n 404 GET /v2/stats/\n 404 GET /v2/stats/other\n 200 GET /v2/stats/leader",
        );
    });
}

#[test]
fn self_of_a_single_member() {
    compare(|pair| {
        let shape = pair.ask("/v2/stats/self", |side| shape(side, "/v2/stats/self"));
        assert!(shape.contains("StateLeader") && shape.contains("<duration>"), "{shape}");
    });
}

#[test]
fn leader_and_follower_of_three() {
    compare_with(
        |builder| builder.members(3),
        |pair| {
            let roles = pair.ask("leader stats", |side| {
                let leader = side.cluster().wait_leader(Duration::from_secs(20));
                let follower = side
                    .cluster()
                    .members()
                    .into_iter()
                    .find(|it| it.name() != leader.name())
                    .expect("a follower");
                wait_until(
                    "both followers have answered the leader",
                    Duration::from_secs(20),
                    || {
                        let stats = leader
                            .http()
                            .send(&Request::get("/v2/stats/leader"))
                            .expect("an answer")
                            .json();
                        stats["followers"].as_object().is_some_and(|it| it.len() == 2)
                    },
                );
                let stats =
                    leader.http().send(&Request::get("/v2/stats/leader")).expect("an answer");
                let fields = Json::parse(&stats.text()).expect("JSON").lines();
                let mut fields: Vec<String> = fields.iter().map(|it| after_id(it)).collect();
                fields.dedup();
                let refused =
                    follower.http().send(&Request::get("/v2/stats/leader")).expect("an answer");
                let own = follower
                    .http()
                    .send(&Request::get("/v2/stats/self"))
                    .expect("an answer")
                    .json();
                let names = own["leaderInfo"]["leader"] == stats.json()["leader"];
                format!(
                    "{fields:?}\n{} {}\n{} {names}",
                    refused.status_line,
                    refused.text(),
                    own["state"]
                )
            });
            assert!(
                roles.contains("StateFollower") && roles.contains("not current leader"),
                "{roles}"
            );
        },
    );
}

/// `.followers.<id>.counts.fail = 0` without id and value.
fn after_id(line: &str) -> String {
    let path = line.split(" = ").next().unwrap_or_default();
    match path.strip_prefix(".followers.") {
        Some(rest) => rest.split_once('.').map_or(rest, |(_, field)| field).to_owned(),
        None => path.to_owned(),
    }
}

#[test]
fn the_store_counts_every_operation() {
    compare(|pair| {
        let steps = [
            "201 PUT ~/a value=1",
            "200 PUT ~/a value=2",
            "200 GET ~/a",
            "200 GET ~/a?quorum=true",
            "404 GET ~/nope",
            "200 PUT ~/a?prevExist=true value=3",
            "404 PUT ~/nope?prevExist=true value=3",
            "201 PUT ~/c?prevExist=false value=1",
            "412 PUT ~/c?prevExist=false value=1",
            "201 POST ~/q value=1",
            "200 PUT ~/a?prevValue=3 value=4",
            "412 PUT ~/a?prevValue=3 value=4",
            "200 DELETE ~/a?prevValue=4",
            "404 DELETE ~/a",
            "200 DELETE ~/c",
            "403 PUT ~/q value=1",
            "400 PUT ~/ value=1",
            "400 GET ~/a?recursive=x",
            "200 HEAD ~/q",
        ];
        for step in steps {
            let before = [counts(&pair.reference), counts(&pair.subject)];
            script::run(pair, step);
            pair.ask(&format!("what `{step}` counts"), |side| {
                let before = &before[usize::from(side.label() == "subject")];
                let mut after = counts(side);
                forget_auth_check(side, &mut after, before);
                let moved = after.iter().zip(before).filter(|(now, then)| now.1 != then.1);
                moved.map(|(now, then)| format!("{} +{}\n", now.0, now.1 - then.1)).collect()
            });
        }
        let watch = pair.watch("/v2/keys/w?wait=true");
        pair.ask("watchers", |side| format!("{:?}", counts(side).last()));
        drop(watch);
    });
}

/// etcd looks up in its own store whether authentication is on, once per request that could be parsed, and counts that as
/// a failed read.
fn forget_auth_check(side: &Side, after: &mut [(String, u64)], before: &[(String, u64)]) {
    for (now, then) in after.iter_mut().zip(before) {
        if side.cluster().program() == Program::Etcd && now.0 == "getsFail" && now.1 > then.1 {
            now.1 -= 1;
        }
    }
}

fn counts(side: &Side) -> Vec<(String, u64)> {
    let answer = side.http().send(&Request::get("/v2/stats/store")).expect("an answer");
    let Some(Json::Object(fields)) = Json::parse(&answer.text()) else { panic!("{answer}") };
    fields
        .into_iter()
        .map(|(name, value)| (name, value.compact().parse().expect("a number")))
        .collect()
}
