//! The dialogue of etcd's discovery protocol, byte by byte: what a node sends, and what it needs to read.

use std::time::Duration;

use quorate_discovery_tests::{READY_WITHIN, Service, Token, bearer, register};
use quorate_harness::{Answer, Cluster, Ending, Framing, Line, Program, Request};
use serde_json::json;

/// A node's plain reads carry this.
const PLAIN: &str = "quorum=false&recursive=false&sorted=false";
/// Long enough for a loaded machine, short of what a node waits.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn the_sequence_of_an_unmodified_node() {
    let service = Service::start(&[]);
    let token = service.token(3);
    let path = &token.path;
    let key = format!("/_etcd/registry/{}", token.join);

    let size = get(&service, &format!("{path}/_config/size?{PLAIN}"));
    assert_eq!(size.status, 200);
    assert_eq!(size.header("Content-Type"), Some("application/json"));
    assert_eq!(size.json()["node"]["value"], "3");
    let empty = get(&service, &format!("{path}?{PLAIN}"));
    assert_eq!(empty.json()["node"]["dir"], true);
    assert_eq!(empty.etcd_index(), Some(1));
    assert!(empty.json()["node"].get("nodes").is_none());

    let first = service.register(&token, "a1", "d1=http://127.0.0.1:21512");
    assert_eq!(first.status, 201, "{first}");
    let node = json!({"key": format!("{key}/a1"), "value": "d1=http://127.0.0.1:21512", "modifiedIndex": 2, "createdIndex": 2});
    assert_eq!(first.json(), json!({"action": "create", "node": node}));
    // The watch of itself is answered from the past.
    let own = get(&service, &format!("{path}/a1?recursive=false&wait=true&waitIndex=2"));
    assert_eq!(own.json(), json!({"action": "create", "node": node}));
    let list = get(&service, &format!("{path}?{PLAIN}"));
    assert_eq!((list.etcd_index(), &list.json()["node"]["nodes"]), (Some(2), &json!([node])));

    // The watch of the others: its head comes at once, its event when there is one.
    let request = Request::get(format!("{path}?recursive=true&wait=true&waitIndex=3"));
    let mut watch = service.http().stream(&request).unwrap();
    assert_eq!((watch.head().status, watch.head().framing), (200, Framing::Chunked));
    assert_eq!(watch.head().etcd_index(), Some(2));
    assert_eq!(watch.next_line(Duration::from_millis(100)).unwrap(), Line::Quiet);
    let second =
        service.register(&token, "b2", "d2=http://127.0.0.1:21522,d2=http://127.0.0.1:21523");
    let event = watch.next_line(SOON).unwrap().text().expect("an event");
    assert_eq!(event, second.text().trim_end());
    assert_eq!(watch.next_line(SOON).unwrap(), Line::End(Ending::Complete));
    // A watch that begins in the past gets the first of what it missed, however long ago.
    let third = service.register(&token, "c3", "d3=http://127.0.0.1:21532");
    let replay = |since: u64| {
        get(&service, &format!("{path}?recursive=true&wait=true&waitIndex={since}")).json()
    };
    assert_eq!(replay(1), first.json());
    assert_eq!(replay(3), second.json());
    assert_eq!(replay(4), third.json());
    // The set is complete and does not move; each may still ask for the answer it got.
    let again = service.register(&token, "a1", "d1=http://127.0.0.1:21512");
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(get(&service, &format!("{path}?{PLAIN}")).etcd_index(), Some(4));
}

#[test]
fn a_poll_ends_with_an_empty_answer() {
    let service = Service::start(&["--poll-timeout=1"]);
    let token = service.token(3);
    let target = format!("{}?recursive=true&wait=true&waitIndex=2", token.path);
    let answer = get(&service, &target);
    assert_eq!(
        (answer.status, answer.body.len(), answer.ending),
        (200, 0, Ending::Complete),
        "{answer}"
    );
    // The same when the service is told to stop.
    let watch = service.http().stream(&Request::get(target)).unwrap();
    service.process().terminate(READY_WITHIN);
    let answer = watch.finish(SOON).unwrap();
    assert_eq!(
        (answer.status, answer.body.len(), answer.ending),
        (200, 0, Ending::Complete),
        "{answer}"
    );
}

#[test]
fn refusals_are_json_that_says_who_when_and_what_to_do() {
    let service = Service::start(&[]);
    let token = service.token(2);
    assert_eq!(service.register(&token, "a1", "one=http://10.0.0.1:2380").status, 201);
    let cases = [
        ("a1", "one=http://10.0.0.9:2380", 412, 105, "10.0.0.1"),
        ("a1", "two=http://10.0.0.1:2380", 412, 105, "registered at 20"),
        ("b2", "one=http://10.0.0.2:2380", 412, 105, "taken by member a1"),
        ("b2", "two=http://10.0.0.1:2380", 412, 105, "taken by member a1"),
        ("b2", "two=http://127.0.0.1:2380", 400, 209, "loopback"),
        ("b2", "two=ftp://10.0.0.2:2380", 400, 209, "http or https"),
        ("b2", "two=http://0.0.0.0:2380", 400, 209, "initial-advertise-peer-urls"),
        ("b2", "nonsense", 400, 209, "NAME=PEERURL"),
        ("b2", "", 400, 209, "NAME=PEERURL"),
        ("B2", "two=http://10.0.0.2:2380", 400, 209, "hex"),
    ];
    for (member, value, status, code, cause) in cases {
        assert_refused(&service.register(&token, member, value), status, code, cause);
    }
    assert_eq!(service.register(&token, "b2", "two=http://10.0.0.2:2380").status, 201);
    let full = service.register(&token, "c3", "three=http://10.0.0.3:2380");
    assert_refused(&full, 403, 103, "new member");
    assert_eq!(service.registered(&token), 2);
}

#[test]
fn unknown_tokens_create_nothing_and_say_so() {
    let service = Service::start(&[]);
    let stranger = Token { path: format!("/{}", "0".repeat(32)), ..service.token(1) };
    assert_refused(
        &service.register(&stranger, "a1", "one=http://10.0.0.1:2380"),
        404,
        100,
        "/new?size=N",
    );
    for target in ["/", "/_config/size", "?wait=true&recursive=true&waitIndex=1"] {
        assert_refused(
            &get(&service, &format!("{}{target}", stranger.path)),
            404,
            100,
            "no such token",
        );
    }
    for target in ["/nonsense", "/v2/keys/x", "/new/x", "/0123/_config/size"] {
        assert_refused(&get(&service, target), 404, 100, "nothing at this path");
    }
    let size = Request::put(format!("{}/_config/size", stranger.path), "value=3");
    assert_refused(&service.send(&size), 404, 100, "/new?size=N");
}

#[test]
fn sizes_are_validated_when_the_token_is_made() {
    let service = Service::start(&[]);
    for size in ["0", "-1", "10", "abc", "3.0", "%203", "", "99999999999999999999"] {
        assert_refused(&get(&service, &format!("/new?size={size}")), 400, 209, "1 to 9");
    }
    for (query, size) in [("", "3"), ("?size=1", "1"), ("?size=4", "4"), ("?size=9", "9")] {
        let made = get(&service, &format!("/new{query}"));
        assert_eq!(made.status, 200, "{made}");
        let url = made.text();
        let path = url.strip_prefix(&service.process().client_url()).expect("this service's URL");
        assert!(path.len() == 33 && path[1..].bytes().all(|it| it.is_ascii_hexdigit()), "{path}");
        assert_eq!(get(&service, &format!("{path}/_config/size")).json()["node"]["value"], size);
    }
}

#[test]
fn join_urls_do_not_delete() {
    let service = Service::start(&[]);
    let token = service.token(3);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    for below in ["/a1", "/_config", ""] {
        let answer =
            service.send(&Request::delete(format!("{}{below}?recursive=true", token.path)));
        assert!(answer.status >= 400 && answer.json()["errorCode"].is_u64(), "{answer}");
    }
    assert_eq!(service.registered(&token), 1);
}

#[test]
fn a_store_that_is_away_is_a_fast_503() {
    let store = Cluster::builder(Program::Quorate).members(1).start();
    let service = Service::start(&[&format!("--store={}", store.members()[0].client_url())]);
    let token = service.token(3);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    let request = Request::get(format!("{}?recursive=true&wait=true&waitIndex=3", token.path));
    let watch = service.http().stream(&request).unwrap();
    for is_hanging in [false, true] {
        if is_hanging {
            // Nothing is refused, and nothing is answered.
            store.members()[0].start();
            store.wait_ready();
            store.members()[0].pause();
        } else {
            store.members()[0].kill9();
        }
        let requests = [
            Request::get(format!("{}/_config/size?{PLAIN}", token.path)),
            Request::get(format!("{}?{PLAIN}", token.path)),
            register(&token, "a1", "one=http://10.0.0.1:2380"),
            Request::get("/new"),
        ];
        for request in requests {
            // A node gives up after five seconds.
            let answer = service.http().timeout(Duration::from_secs(5)).send(&request);
            let answer =
                answer.unwrap_or_else(|error| panic!("{request} (hanging: {is_hanging}): {error}"));
            assert_refused(&answer, 503, 300, "Try again");
        }
        assert_eq!(get(&service, "/livez").status, 200);
        assert_eq!(get(&service, "/readyz").status, 503);
    }
    store.members()[0].resume();
    service.process().wait_ready(READY_WITHIN);
    assert_eq!(service.registered(&token), 1);
    let _ = watch;
}

#[test]
fn polls_hear_of_what_another_replica_does() {
    let store = Cluster::builder(Program::Quorate).members(1).start();
    let flag = format!("--store={}", store.members()[0].client_url());
    let (one, other) = (Service::start(&[&flag]), Service::start(&[&flag]));
    let token = one.token(3);
    let request = Request::get(format!("{}?recursive=true&wait=true&waitIndex=2", token.path));
    let mut watch = other.http().stream(&request).unwrap();
    let made = one.register(&token, "a1", "one=http://10.0.0.1:2380");
    let event = watch.next_line(Duration::from_secs(20)).unwrap().text().expect("an event");
    assert_eq!(event, made.text().trim_end());
    // The same place claimed at both at once: one gets it.
    let answers = std::thread::scope(|scope| {
        let claims: Vec<_> = (0..8)
            .map(|n| {
                let (service, token) = (if n % 2 == 0 { &one } else { &other }, &token);
                scope.spawn(move || {
                    service.register(token, &format!("b{n}"), "two=http://10.0.0.2:2380").status
                })
            })
            .collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 412).count(), 7, "{answers:?}");
    assert_eq!(other.registered(&token), 2);
}

#[test]
fn whoever_saw_a_set_that_was_taken_back_starts_over() {
    let service = Service::start(&[]);
    let token = service.token(3);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    service.register(&token, "b2", "two=http://10.0.0.2:2380");
    let waiting = format!("{}?recursive=true&wait=true&waitIndex=4", token.path);
    let mut watch = service.http().stream(&Request::get(&waiting)).unwrap();
    let removed = service.administer(&token, "DELETE", "/members/b2", "");
    assert_eq!(removed.status, 200, "{removed}");
    // Its poll ends empty, the next one tells it.
    assert_eq!(watch.next_line(SOON).unwrap(), Line::End(Ending::Complete));
    assert_refused(&get(&service, &waiting), 403, 101, "Start it again");
    // When it has started again, it sees the present.
    assert_eq!(service.register(&token, "a1", "one=http://10.0.0.1:2380").status, 200);
    let list = get(&service, &format!("{}?{PLAIN}", token.path));
    assert_eq!(list.json()["node"]["nodes"].as_array().map(Vec::len), Some(1));
    let next = list.etcd_index().unwrap() + 1;
    let later = Request::get(format!("{}?recursive=true&wait=true&waitIndex={next}", token.path));
    let mut watch = service.http().stream(&later).unwrap();
    service.register(&token, "c3", "three=http://10.0.0.3:2380");
    assert!(watch.next_line(SOON).unwrap().text().is_some_and(|event| event.contains("three=")));
    let request = bearer(Request::delete(format!("/v1/tokens/{}", token.id)), &token.join);
    assert_eq!(service.send(&request).status, 403, "the join secret revokes nothing");
    assert_eq!(service.administer(&token, "DELETE", "", "").status, 200);
    assert_refused(&get(&service, &waiting), 404, 100, "revoked");
}

#[track_caller]
fn get(service: &Service, target: &str) -> Answer {
    service.send(&Request::get(target))
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: u64, cause: &str) {
    let json = answer.json();
    assert_eq!((answer.status, json["errorCode"].as_u64()), (status, Some(code)), "{answer}");
    assert!(
        json["cause"].as_str().is_some_and(|it| it.contains(cause)),
        "{cause:?} is not in {answer}"
    );
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
}
