//! The native API, and what nobody gets by it: what its description promises, limits, secrets.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use quorate_discovery_tests::{Service, Token, bearer};
use quorate_harness::{Answer, Line, Request, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_life_in_the_native_api() {
    let service = Service::start(&[]);
    let token = service.token(2);
    assert_eq!(service.status(&token)["state"], "open");
    let claim = |id: &str, name: &str, port: u16| json!({"id": id, "name": name, "peer_urls": [format!("http://10.0.0.1:{port}")]});
    // By the secret alone, as a machine that has nothing but its discovery URL.
    let first = join(&service, &token, &claim("a1", "one", 1));
    assert_eq!(
        (first.status, &first.json()["token"]["state"]),
        (201, &json!("forming")),
        "{first}"
    );
    assert_eq!(join(&service, &token, &claim("a1", "one", 1)).status, 200);
    for (claim, code) in [
        (claim("a1", "one", 2), "member_id_taken"),
        (claim("b2", "one", 2), "name_taken"),
        (claim("b2", "two", 1), "peer_url_taken"),
    ] {
        assert_problem(&join(&service, &token, &claim), 409, code);
    }
    // A poll past the present waits for the next.
    let index = service.status(&token)["index"].as_u64().unwrap();
    let poll = bearer(Request::get(format!("/v1/tokens/-?after={index}")), &token.join);
    let mut waiting = service.http().stream(&poll).unwrap();
    assert_eq!(join(&service, &token, &claim("b2", "two", 2)).status, 201);
    let told: Value =
        serde_json::from_str(&waiting.next_line(SOON).unwrap().text().unwrap()).unwrap();
    assert_eq!((&told["state"], &told["missing"]), (&json!("sealed"), &json!(0)));
    assert_eq!(told["initial_cluster"], "one=http://10.0.0.1:1,two=http://10.0.0.1:2");
    assert_problem(&join(&service, &token, &claim("c3", "three", 3)), 409, "full");
    // Who says that it has started is not taken for a new one.
    let report = Request::new("PUT", "/v1/tokens/-/members/a1/report")
        .body("application/json", r#"{"progress":"started"}"#);
    assert_eq!(service.send(&bearer(report, &token.join)).status, 204);
    assert_problem(&join(&service, &token, &claim("a1", "one", 1)), 409, "rejoin_as_new_member");
    assert_eq!(join(&service, &token, &claim("b2", "two", 2)).status, 200);
    assert_problem(&service.administer(&token, "POST", "/reopen", ""), 409, "members_may_run");
    assert_problem(&service.administer(&token, "DELETE", "/members/a1", ""), 409, "sealed");
    let reopened = service.administer(&token, "POST", "/reopen", r#"{"force":true}"#);
    assert_eq!(
        (reopened.status, &reopened.json()["state"]),
        (200, &json!("reopened")),
        "{reopened}"
    );
    assert_eq!(service.administer(&token, "DELETE", "", "").json()["state"], "revoked");
    assert_problem(&join(&service, &token, &claim("a1", "one", 1)), 410, "revoked");
    assert_problem(&service.administer(&token, "POST", "/reopen", ""), 410, "revoked");
}

#[test]
fn strangers_who_know_the_id_do_not_use_up_what_members_may_report() {
    let service = Service::start(&["--max-requests-per-second=0"]);
    let token = service.token(1);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    let path = format!("/v1/tokens/{}/members/a1/report", token.id);
    let report = Request::new("PUT", &path).body("application/json", "{}");
    // More than a token may be changed at once.
    for _ in 0..300 {
        assert_eq!(service.send(&bearer(report.clone(), &"0".repeat(32))).status, 404);
    }
    assert_eq!(service.report(&token, "a1", &json!({"progress": "started"})).status, 204);
    assert_problem(&service.report(&token, "a1", &json!({"mood": "good"})), 400, "bad_request");
    let feed = format!("/t/{}/{}/http_sd", token.id, token.read);
    assert_eq!(service.send(&Request::get(&feed)).status, 200);
    assert_eq!(service.send(&Request::new("POST", &feed)).status, 404);
}

#[test]
fn members_of_a_formed_cluster_report_who_is_in_it() {
    let service = Service::start(&[]);
    let token = service.token(1);
    service.register(&token, "a1", "one=http://10.0.0.1:2380");
    let report = |body: &Value| service.report(&token, "a1", body);
    let listed =
        json!({"id": "b2", "name": "", "peer_urls": ["http://10.0.0.2:2380"], "client_urls": []});
    let body = json!({
        "progress": "started",
        "client_urls": ["http://10.0.0.1:2379"],
        "membership": {"index": 17, "members": [listed]},
    });
    assert_eq!(report(&body).status, 204);
    let status = service.status(&token);
    assert_eq!(status["membership"], body["membership"], "{status}");
    assert_eq!(status["members"][0]["report"]["client_urls"], body["client_urls"]);
    // What it does not repeat is not kept.
    assert_eq!(report(&json!({"progress": "started"})).status, 204);
    assert_eq!(service.status(&token)["membership"], Value::Null);
    for bad in [
        json!({"client_urls": ["http://user:secret@10.0.0.1:2379"]}),
        json!({"metrics_urls": ["unix:///run/x"]}),
        json!({"membership": {"index": 1, "members": []}}),
        json!({"membership": {"members": [listed]}}),
    ] {
        assert_problem(&report(&bad), 400, "bad_request");
    }
}

#[test]
fn events_tell_the_whole_token_at_once_and_after_each_change() {
    let service = Service::start(&[]);
    let token = service.token(2);
    let request = bearer(Request::get(format!("/v1/tokens/{}/events", token.id)), &token.read);
    let mut events = service.http().stream(&request).unwrap();
    assert_eq!(events.head().header("Content-Type"), Some("text/event-stream"));
    let mut states = Vec::new();
    for (member, url) in [("a1", "one=http://10.0.0.1:1"), ("b2", "two=http://10.0.0.1:2")] {
        states.push(next_status(&mut events)["state"].clone());
        service.register(&token, member, url);
    }
    states.push(next_status(&mut events)["state"].clone());
    assert_eq!(states, ["open", "forming", "sealed"]);
}

#[test]
fn each_secret_does_what_it_is_for_and_no_more() {
    let service = Service::start(&[]);
    let (token, other) = (service.token(3), service.token(3));
    let operations = [
        ("GET", "", "", "read"),
        ("GET", "/events", "", "read"),
        (
            "POST",
            "/members",
            r#"{"id":"a1","name":"one","peer_urls":["http://10.0.0.1:1"]}"#,
            "join",
        ),
        ("PUT", "/members/a1/report", "{}", "join"),
        ("DELETE", "/members/a1", "", "admin"),
        ("POST", "/reopen", "", "admin"),
        ("DELETE", "", "", "admin"),
    ];
    let held = [("read", &token.read), ("join", &token.join), ("admin", &token.admin)];
    let rank = |name: &str| held.iter().position(|(known, _)| *known == name);
    for (method, below, body, needed) in operations {
        for (capability, secret) in held {
            let request = Request::new(method, format!("/v1/tokens/{}{below}", token.id))
                .body("application/json", body);
            let status = first_status(&service, &bearer(request, secret));
            let may = rank(capability) >= rank(needed);
            assert_eq!(status < 400, may, "{capability} {method} {below}: {status}");
            assert!(may || status == 403, "{capability} {method} {below}: {status}");
        }
        // Another token's secrets, parts of secrets, and none at all.
        let guesses = [
            other.admin.as_str(),
            &token.admin[6..],
            &format!("admin-{}", token.join),
            "admin-",
            "x",
        ];
        for guess in guesses.into_iter().filter(|guess| **guess != token.join) {
            let request = Request::new(method, format!("/v1/tokens/{}{below}", token.id))
                .body("application/json", body);
            assert_eq!(
                service.send(&bearer(request, guess)).status,
                404,
                "{method} {below} {guess}"
            );
        }
        let request = Request::new(method, format!("/v1/tokens/{}{below}", token.id))
            .body("application/json", body);
        assert_eq!(service.send(&request).status, 403);
    }
}

#[test]
fn no_secret_is_in_the_log_or_in_the_store() {
    let service = Service::start(&["--log-level=debug"]);
    let token = service.token(1);
    service.send(&Request::get(format!("{}/_config/size", token.path)));
    service.send(&Request::get(format!("{}/nonsense/x", token.path)));
    service.send(&Request::get(format!("/t/{}/{}", token.id, token.read)));
    service.register(&token, "a1", "one=http://10.0.0.1:1");
    service.register(&token, "b2", "two=http://10.0.0.1:2");
    service.administer(&token, "DELETE", "", "");
    service.process().terminate(SOON);
    let mut found = files(service.process().data_dir());
    assert!(
        found.iter().any(|(_, bytes)| contains(bytes, token.id.as_bytes())),
        "the store is looked into"
    );
    found.push(("the log".to_owned(), service.process().log_text().into_bytes()));
    assert!(contains(&found.last().unwrap().1, token.id.as_bytes()));
    for (name, bytes) in found {
        for secret in [&token.join, &token.read[5..], &token.admin[6..]] {
            assert!(!contains(&bytes, secret.as_bytes()), "a secret is in {name}");
        }
    }
}

#[test]
fn limits_are_kept_by_answers_that_nodes_survive() {
    let service = Service::prepare(&[
        "--max-requests-per-second=2",
        "--max-new-per-minute=3",
        "--max-polls-per-address=2",
    ]);
    service.process().start();
    service.process().wait_ready(SOON);
    let tokens: Vec<Token> = (0..3).map(|_| service.token(3)).collect();
    assert_eq!(
        service.send(&Request::get("/new")).status,
        503,
        "a script that uses /new may be a node's"
    );
    assert_problem(&service.send(&Request::new("POST", "/v1/tokens")), 429, "busy");
    let poll = Request::get(format!("{}?wait=true&recursive=true&waitIndex=2", tokens[0].path));
    let held: Vec<_> = (0..2).map(|_| service.http().stream(&poll).unwrap()).collect();
    let refused = service.send(&poll);
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.header("Retry-After").is_some());
    drop(held);
    // The burst is used up: reads wait, a registration does not, for a node would not repeat it.
    let size = Request::get(format!("{}/_config/size", tokens[0].path));
    wait_until("the burst is used up", SOON, || service.send(&size).status == 503);
    assert_eq!(service.register(&tokens[0], "a1", "one=http://10.0.0.1:1").status, 201);
    assert_eq!(service.send(&Request::get("/livez")).status, 200, "probes are not counted");
    wait_until("it flows back", SOON, || service.send(&size).status == 200);
}

#[test]
fn bodies_and_heads_are_bounded() {
    let service = Service::start(&[]);
    let token = service.token(3);
    let large = format!("value=one%3Dhttp://10.0.0.1:1&x={}", "a".repeat(70_000));
    let answer = service.send(&Request::put(format!("{}/a1", token.path), &large));
    assert_eq!((answer.status, answer.json()["errorCode"].as_u64()), (413, Some(210)), "{answer}");
    let answer = service.send(&Request::get(format!("/{}", "a".repeat(40_000))));
    assert_eq!(answer.status, 431);
    // One that begins and goes to sleep is cut.
    let mut slow = TcpStream::connect(service.process().client_address()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut rest = Vec::new();
    let read = slow.read_to_end(&mut rest);
    assert!(
        read.is_ok()
            || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
}

#[test]
fn tokens_that_are_over_are_swept() {
    let service = Service::prepare(&["--memory=0", "--sealed-ttl=1"]);
    service.process().start();
    service.process().wait_ready(SOON);
    let token = service.token(1);
    service.register(&token, "a1", "one=http://10.0.0.1:1");
    let size = Request::get(format!("{}/_config/size", token.path));
    wait_until("it is over", SOON, || service.send(&size).text().contains("served its purpose"));
    // A start begins with a sweep.
    service.process().restart();
    service.process().wait_ready(SOON);
    wait_until("it is forgotten", SOON, || service.send(&size).text().contains("no such token"));
}

#[test]
fn the_description_and_the_metrics_are_served() {
    let service = Service::start(&[]);
    let api = service.send(&Request::get("/v1/openapi.json")).json();
    assert_eq!(api["openapi"], "3.1.0");
    let token = service.token(1);
    // Every operation that is described is there: without a secret it is refused, and not unknown.
    for (path, operations) in api["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|it| *it != "parameters") {
            let target = path.replace("{token}", &token.id).replace("{member}", "a1");
            let answer = service.send(&Request::new(method.to_uppercase(), target));
            assert_ne!(answer.json()["code"], "no_route", "{method} {path}: {answer}");
        }
    }
    // And what is answered is described.
    let described = &api["components"]["schemas"]["Status"]["properties"];
    let known: BTreeSet<&String> = described.as_object().unwrap().keys().collect();
    for field in service.status(&token).as_object().unwrap().keys() {
        assert!(known.contains(field), "`{field}` is not described");
    }
    service.register(&token, "a1", "one=http://10.0.0.1:1");
    service.register(&token, "b2", "two=http://10.0.0.1:2");
    let metrics = service.send(&Request::get("/metrics")).text();
    for line in [
        "quorate_discovery_time_to_form_seconds_count 1",
        "quorate_discovery_refusals_total{reason=\"full\"} 1",
        "quorate_discovery_tokens_created_total 2",
        "quorate_discovery_tokens{state=\"expired\"} 0",
        "quorate_discovery_request_duration_seconds_count{route=\"v1\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let before = service.send(&Request::get("/metrics")).text();
    for target in ["/livez", "/readyz", "/health", "/livez"] {
        assert_eq!(service.send(&Request::get(target)).status, 200);
    }
    let created = |text: &str| {
        text.lines()
            .find(|it| it.starts_with("quorate_discovery_tokens_created"))
            .map(str::to_owned)
    };
    assert_eq!(
        created(&before),
        created(&service.send(&Request::get("/metrics")).text()),
        "probes change nothing"
    );
}

fn join(service: &Service, token: &Token, claim: &Value) -> Answer {
    let request =
        Request::new("POST", "/v1/tokens/-/members").body("application/json", claim.to_string());
    service.send(&bearer(request, &token.join))
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{answer}");
    assert_eq!(answer.header("Content-Type"), Some("application/problem+json"));
    assert!(answer.json()["detail"].as_str().is_some_and(|it| it.len() > 10));
}

/// The status alone: an answer may be a stream.
fn first_status(service: &Service, request: &Request) -> u16 {
    service
        .http()
        .stream(request)
        .unwrap_or_else(|error| panic!("{request}: {error}"))
        .head()
        .status
}

fn next_status(events: &mut quorate_harness::Stream) -> Value {
    loop {
        match events.next_line(SOON).unwrap() {
            Line::Text(text) => {
                if let Some(data) = text.strip_prefix("data: ") {
                    return serde_json::from_str(data).unwrap();
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
