//! `/v2/members`: listing and changing who belongs to the cluster.

use std::time::Duration;

use quorate_harness::{Answer, Builder, Request, wait_until};
use quorate_interop_tests::{Pair, Side, compare, compare_with, script};

fn three(builder: Builder) -> Builder {
    builder.members(3).flag("--heartbeat-interval=50").flag("--election-timeout=500")
}

fn json(method: &str, target: &str, body: &str) -> Request {
    Request::new(method, target).body("application/json", body)
}

/// For its first five seconds a cluster refuses every addition, until the peers have been connected for that long.
/// Adding what is there already says when that is over, without changing anything.
fn wait_changeable(pair: &Pair) {
    for side in [&pair.reference, &pair.subject] {
        let own = side.cluster().member(1).peer_url();
        let again = json("POST", "/v2/members", &format!("{{\"peerURLs\":[\"{own}\"]}}"));
        wait_until("the cluster would take in a member", Duration::from_secs(30), || {
            side.http().send(&again).is_ok_and(|it| it.status == 409)
        });
    }
}

#[test]
fn one_member_is_listed_and_leads() {
    compare(|pair| {
        script::run(
            pair,
            "
            200 GET  /v2/members
            200 GET  /v2/members/
            200 GET  /v2/members/leader
            404 GET  /v2/members/1
            404 GET  /v2/members/nothing
            405 HEAD /v2/members
            405 PATCH /v2/members
            405 PUT  /v2/members {\"peerURLs\":[\"http://127.0.0.1:1\"]}
            405 PUT  /v2/members/ {\"peerURLs\":[\"http://127.0.0.1:1\"]}
            405 DELETE /v2/members
            404 GET  /v2/membersfoo
            ",
        );
    });
}

#[test]
fn ids_are_unpadded_hex_in_ascending_order() {
    compare_with(three, |pair| {
        script::run(pair, "200 GET /v2/members");
        pair.ask("order and spelling of the ids", |side| {
            let answer = side.http().send(&Request::get("/v2/members")).expect("an answer").json();
            let ids: Vec<&str> = answer["members"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|it| it["id"].as_str())
                .collect();
            let numbers: Vec<u64> =
                ids.iter().map(|id| u64::from_str_radix(id, 16).expect("hex")).collect();
            let spelled =
                numbers.iter().zip(&ids).all(|(number, id)| format!("{number:x}") == **id);
            format!("{} ids, sorted {}, spelled {spelled}", ids.len(), numbers.is_sorted())
        });
        for position in 0..3 {
            pair.ask("every member lists the same members", |side| {
                let list = |it: usize| {
                    side.cluster()
                        .member(it)
                        .http()
                        .send(&Request::get("/v2/members"))
                        .expect("an answer")
                        .text()
                };
                (list(position) == list(0)).to_string()
            });
        }
        pair.ask("the peer port lists members, too", peer_members);
    });
}

/// The field names of `GET /members` on the peer port; its ids are numbers.
fn peer_members(side: &Side) -> String {
    let peer = quorate_harness::Http::new(side.cluster().member(0).peer_address());
    let answer = peer.send(&Request::get("/members")).expect("an answer");
    let json = answer.json();
    let members = json.as_array().expect("a list");
    let shapes: Vec<String> = members
        .iter()
        .map(|it| format!("{} {}", it["id"].is_u64(), it["peerURLs"].is_array()))
        .collect();
    format!("{} {:?} {:?}", answer.status_line, answer.header("Content-Type"), shapes)
}

#[test]
fn changes_are_refused_or_made_for_good() {
    compare_with(three, |pair| {
        wait_changeable(pair);
        refused_changes(pair);
        a_member_is_added_changed_and_removed(pair);
    });
}

fn refused_changes(pair: &mut Pair) {
    let post = |body: &str| json("POST", "/v2/members", body);
    for body in [
        r#"{"peerURLs":[]}"#,
        r#"{}"#,
        r#"{"peerURLs":["ftp://127.0.0.1:1"]}"#,
        r#"{"peerURLs":["http://127.0.0.1"]}"#,
        r#"{"peerURLs":["http://127.0.0.1:1/path"]}"#,
        r#"{"peerURLs":["nonsense"]}"#,
        r#"{"peerURLs":[""]}"#,
        r#"{"peerURLs":["<peer m1>"]}"#,
        r#"{"peerURLs":["http://127.0.0.1:1","<peer m2>"]}"#,
    ] {
        let both = pair.send(&post(body));
        assert!(matches!(both.reference.status, 400 | 409), "{body}: {}", both.reference);
        pair.send(&json("PUT", "/v2/members/<member m3>", body));
    }
    for content_type in ["text/plain", "application/json; charset=utf-8", ""] {
        pair.send(&Request::new("POST", "/v2/members").body(content_type, r#"{"peerURLs":[]}"#));
    }
    for body in ["", "{", "[]", "{\"peerURLs\":\"x\"}", "nonsense"] {
        pair.ask("bad JSON", |side| {
            let answer = side.http().send(&post(body)).expect("an answer");
            let said = answer.json()["message"].as_str().is_some_and(|it| !it.is_empty());
            format!("{} {:?} {said}", answer.status_line, answer.header("Content-Type"))
        });
    }
    let fine = r#"{"peerURLs":["http://127.0.0.1:1"]}"#;
    for id in ["1", "abcdef", "zzz", "ffffffffffffffffff", "0abc"] {
        pair.send(&json("PUT", &format!("/v2/members/{id}"), fine));
        pair.send(&Request::delete(format!("/v2/members/{id}")));
    }
}

fn a_member_is_added_changed_and_removed(pair: &mut Pair) {
    let start =
        |side: &Side| side.cluster().keys().get("/").expect("an answer").index().expect("an index");
    let before = (start(&pair.reference), start(&pair.subject));
    for side in [&pair.reference, &pair.subject] {
        side.cluster().prepare_joiner(&[]);
    }
    let body = r#"{"peerURLs":["<peer m4>"],"name":"ignored","id":"1","clientURLs":["http://127.0.0.1:9"]}"#;
    let added = pair.send_and_learn(&json("POST", "/v2/members", body));
    assert_eq!(added.reference.status, 201, "{}", added.reference);
    script::run(pair, "200 GET /v2/members");
    let two = r#"{"peerURLs":["http://127.0.0.1:9","http://127.0.0.1:10"]}"#;
    assert_eq!(pair.send(&json("PUT", "/v2/members/<member m4>", two)).reference.status, 204);
    script::run(pair, "200 GET /v2/members");
    let remove = Request::delete("/v2/members/<member m4>");
    assert_eq!(pair.send(&remove).reference.status, 204);
    assert_eq!(pair.send(&remove).reference.status, 410);
    refused_with_500(pair, &json("PUT", "/v2/members/<member m4>", two));
    script::run(pair, "200 GET /v2/members");
    pair.ask("index steps of add, change and remove", |side| {
        let before = if side.label() == "reference" { before.0 } else { before.1 };
        (start(side) - before).to_string()
    });
}

/// The message differs on purpose; see the departures.
fn refused_with_500(pair: &mut Pair, request: &Request) {
    let both = pair.send_unjudged(request);
    let gist = |answer: &Answer| {
        let said = answer.json()["message"].as_str().is_some_and(|it| !it.is_empty());
        format!("{} {:?} {said}", answer.status_line, answer.header("Content-Type"))
    };
    assert_eq!(both.reference.status, 500, "{}", both.reference);
    pair.same(&request.to_string(), &gist(&both.reference), &gist(&both.subject));
}

#[test]
fn a_joined_member_serves_and_a_removed_one_ends() {
    compare_with(three, |pair| {
        wait_changeable(pair);
        script::run(pair, "201 PUT ~/a value=1");
        for side in [&pair.reference, &pair.subject] {
            side.cluster().prepare_joiner(&["--heartbeat-interval=50", "--election-timeout=500"]);
        }
        let added =
            pair.send_and_learn(&json("POST", "/v2/members", r#"{"peerURLs":["<peer m4>"]}"#));
        assert_eq!(added.reference.status, 201, "{}", added.reference);
        for side in [&pair.reference, &pair.subject] {
            side.cluster().member(3).start();
            side.cluster().wait_ready();
        }
        script::run(pair, "200 GET /v2/members");
        pair.ask("the new member has the data", |side| {
            let answer = side.cluster().member(3).keys().get("/a").expect("an answer");
            format!("{} {:?} {:?}", answer.status, answer.value(), answer.modified_index())
        });
        assert_eq!(pair.send(&Request::delete("/v2/members/<member m4>")).reference.status, 204);
        pair.ask("the removed member ends by itself", |side| {
            format!("{:?}", side.cluster().member(3).wait_exit(Duration::from_secs(30)))
        });
    });
}
