//! The error codes that can be reached, and answers without a quorum.

use std::thread;
use std::time::Duration;

use quorate_harness::{HttpError, Request, wait_until};
use quorate_interop_tests::{Side, compare, compare_with, script};

#[test]
fn every_code_that_can_be_reached() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/f value=1
            201     PUT    ~/d/x value=1
            404/100 GET    ~/none
            412/101 PUT    ~/f?prevValue=2 value=3
            403/102 PUT    ~/d value=1
            400/104 PUT    ~/f/x value=1
            412/105 PUT    ~/f?prevExist=false value=1
            400/107 PUT    ~/ value=1
            403/108 DELETE ~/d?dir=true
            400/201 PUT    ~/f?prevValue= value=1
            400/202 PUT    ~/f?ttl=x value=1
            400/203 PUT    ~/f?prevIndex=x value=1
            400/203 GET    ~/f?waitIndex=x
            400/209 GET    ~/f?recursive=x
            400/209 PUT    ~/f?prevExist=x value=1
            400/209 PUT    ~/f?refresh=x value=1
            400/209 PUT    ~/f?wait=true value=1
            400/210 GET    ~/f?%zz
            400/211 PUT    ~/f?refresh=true&value=1
            400/212 PUT    ~/f?refresh=true
            ",
        );
    });
}

/// What a member without a quorum says. Why it has none differs with who led before, so that part is cut off.
fn without_quorum(side: &Side, request: &Request) -> String {
    let (kept, reason) = (side.cluster().member(0), ", possibly due to");
    let answer = match kept.http().send(request) {
        Ok(answer) => answer,
        Err(error @ HttpError::TimedOut(_)) => return error.to_string(),
        Err(error) => panic!("{}: {error}", side.label()),
    };
    let json = answer.json();
    let cause = json["cause"].as_str().unwrap_or_default().split(reason).next().unwrap_or_default();
    let header = |name: &str| answer.header(name).is_some();
    format!(
        "{} {} {} {cause} index={} raft={} cluster={}",
        answer.status_line,
        json["errorCode"],
        json["message"],
        json["index"],
        header("X-Raft-Index"),
        header("X-Etcd-Cluster-Id")
    )
}

/// All at once, since each takes as long as the server waits for a quorum.
fn all_without_quorum(side: &Side) -> String {
    let requests = [
        Request::put("/v2/keys/a", "value=2"),
        Request::post("/v2/keys/q", "value=2"),
        Request::delete("/v2/keys/a"),
        Request::get("/v2/keys/a?quorum=true"),
    ];
    thread::scope(|scope| {
        let waiting =
            requests.each_ref().map(|request| scope.spawn(move || without_quorum(side, request)));
        waiting.map(|it| it.join().expect("an answer")).join("\n")
    })
}

#[test]
fn writes_fail_and_reads_go_on_without_a_quorum() {
    compare_with(
        |builder| builder.members(3).flag("--heartbeat-interval=20").flag("--election-timeout=200"),
        |pair| {
            script::run(pair, "201 PUT ~/a value=1");
            for side in [&pair.reference, &pair.subject] {
                side.cluster().member(1).kill9();
                side.cluster().member(2).kill9();
                let leader = Request::get("/v2/members/leader");
                wait_until("the member left has no leader", Duration::from_secs(20), || {
                    side.http().send(&leader).is_ok_and(|it| it.status == 503)
                });
            }
            let (reference, subject) = thread::scope(|scope| {
                let (one, two) = (&pair.reference, &pair.subject);
                let reference = scope.spawn(move || all_without_quorum(one));
                let subject = all_without_quorum(two);
                (reference.join().expect("answers"), subject)
            });
            assert!(reference.contains("500"), "{reference}");
            pair.same("answers without a quorum", &reference, &subject);
            script::run(pair, "503 GET /v2/members/leader\n 200 GET ~/a\n 200 GET /v2/members");
            pair.ask("health without a quorum", |side| {
                let answer = side.cluster().member(0).http().send(&Request::get("/health"));
                answer.map(|it| format!("{} {:?}", it.status_line, it.text())).unwrap_or_default()
            });
        },
    );
}
