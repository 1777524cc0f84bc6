//! What members report to our own discovery service: how they are and whom they reach, and that nothing hangs on it.

use std::net::TcpListener;
use std::sync::Arc;

use quorate_bootstrap_tests::{Scripted, Step};
use quorate_discovery_tests::{Browser, Service, Token, skip_without_browser};
use quorate_harness::{Authority, Member, Order, Port, Request, skip_without_openssl, wait_until};
use quorate_harness::{FAR_AWAY, LONG_AGO, NOT_SO_LONG_AGO};
use serde_json::Value;

use crate::discovery::{by_token, by_url};
use crate::{SOON, assert_one_cluster, finding, set_flag, wait_for_log};

/// A report is far smaller than what a service takes.
const REPORT_BYTES_MAX: usize = 4096;

/// What a member last reported; null if nothing.
fn report(service: &Service, token: &Token, member: &Member) -> Value {
    let status = service.status(token);
    let members = status["members"].as_array().cloned().unwrap_or_default();
    let found = members.iter().find(|it| it["name"] == member.name());
    found.map(|found| found["report"].clone()).unwrap_or_default()
}

/// The details of those that are not reached, and how many are.
fn reach(report: &Value) -> (usize, Vec<String>) {
    let reach = report["reach"].as_array().cloned().unwrap_or_default();
    let (reached, not) = reach.into_iter().partition::<Vec<_>, _>(|it| it["ok"] == true);
    let text = |it: &Value| it["detail"].as_str().unwrap_or_default().to_owned();
    (reached.len(), not.iter().map(text).collect())
}

#[track_caller]
fn wait_for_report(
    service: &Service,
    token: &Token,
    member: &Arc<Member>,
    what: &str,
    mut is_it: impl FnMut(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    wait_until(&format!("{} reports {what}", member.name()), SOON, || {
        last = report(service, token, member);
        is_it(&last)
    });
    last
}

#[test]
fn members_report_while_they_wait_and_after_they_run() {
    let service = Service::start(&[]);
    for native in [false, true] {
        let token = service.token(3);
        let cluster = if native { by_token(3, &service, &token) } else { by_url(3, &token) };
        let (first, second, last) = (cluster.member(0), cluster.member(1), cluster.member(2));
        first.start();
        second.start();
        for member in [&first, &second] {
            let waiting = wait_for_report(&service, &token, member, "the other", |report| {
                report["progress"] == "waiting" && reach(report) == (1, Vec::new())
            });
            let offset = waiting["clock_offset_ms"].as_i64().unwrap_or(i64::MAX);
            assert!(offset.abs() < 60_000, "one machine has one clock: {waiting}");
            assert!(
                waiting["program"].as_str().is_some_and(|it| it.starts_with("quorate-server "))
            );
            assert!(waiting["membership"].is_null() && waiting["client_urls"].is_null());
        }
        assert!(report(&service, &token, &last).is_null());
        last.start();
        assert_one_cluster(&cluster);
        for member in cluster.members() {
            let report = wait_for_report(&service, &token, &member, "its cluster", |report| {
                let members = report["membership"]["members"].as_array().map(Vec::len);
                let known = report["membership"]["members"].to_string();
                report["progress"] == "started"
                    && reach(report) == (2, Vec::new())
                    && members == Some(3)
                    && cluster.members().iter().all(|it| known.contains(&it.client_url()))
            });
            assert_eq!(report["client_urls"], serde_json::json!([member.client_url()]));
            assert_eq!(report["certificate_problems"], serde_json::json!([]));
            assert!(report.to_string().len() < REPORT_BYTES_MAX, "{report}");
            assert!(!report.to_string().contains(&token.join), "a secret is reported");
        }
        assert!(!service.status(&token)["members"][0]["started"].is_null());
        // A member that has a log looks nothing up, and reports all the same.
        let before = report(&service, &token, &first)["at"].as_u64();
        first.restart();
        wait_for_report(&service, &token, &first, "after its restart", |report| {
            report["at"].as_u64() > before && report["progress"] == "started"
        });
        for member in cluster.members() {
            assert!(!member.log_text().contains(&token.join), "the secret is in the log");
            let kept = std::fs::read_to_string(member.data_dir().join("discovery"));
            assert!(!kept.expect("it is kept").contains(&token.join), "the secret is kept");
        }
    }
}

#[test]
fn a_member_that_is_told_not_to_reports_nothing() {
    let service = Service::start(&[]);
    let token = service.token(2);
    let cluster = by_url(2, &token);
    let (silent, other) = (cluster.member(0), cluster.member(1));
    set_flag(&silent, "discovery-report", "false");
    cluster.start();
    assert_one_cluster(&cluster);
    wait_for_report(&service, &token, &other, "its start", |it| it["progress"] == "started");
    // It was ready before the other one reported that it is.
    assert!(report(&service, &token, &silent).is_null());
}

#[test]
fn certificates_that_are_not_accepted_are_told_in_words() {
    if skip_without_openssl() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::found(folder.path(), "authority");
    let orders = [
        Order { subject: "/CN=m1", ..Order::default() },
        Order { subject: "/CN=m2", from: LONG_AGO, until: NOT_SO_LONG_AGO, ..Order::default() },
        Order {
            subject: "/CN=m3",
            names: "DNS:n9.example.com",
            until: FAR_AWAY,
            ..Order::default()
        },
    ];
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = by_url(3, &token);
    for (position, (member, order)) in cluster.members().iter().zip(&orders).enumerate() {
        let papers = authority.sign(&format!("m{position}"), order);
        let https = member.peer_url().replace("http:", "https:");
        set_flag(member, "listen-peer-urls", &https);
        set_flag(member, "initial-advertise-peer-urls", &https);
        for (flag, file) in [
            ("peer-cert-file", &papers.certificate),
            ("peer-key-file", &papers.key),
            ("peer-trusted-ca-file", &authority.certificate),
        ] {
            set_flag(member, flag, &file.display().to_string());
        }
    }
    cluster.start();
    let said = |report: &Value| report["certificate_problems"].to_string();
    let good = wait_for_report(&service, &token, &cluster.member(0), "both", |report| {
        said(report).contains("m2's certificate expired")
            && said(report).contains("m3's certificate is for n9.example.com, not for 127.0.0.1")
            && report["progress"] == "starting"
    });
    assert_eq!(reach(&good).1.len(), 2, "{good}");
    wait_for_report(&service, &token, &cluster.member(1), "its own", |report| {
        said(report).contains("its own certificate expired")
            && said(report).contains("m1 refuses this member's certificate as expired")
    });
    wait_for_report(&service, &token, &cluster.member(2), "its own", |report| {
        said(report).contains("own peer certificate is not for 127.0.0.1")
    });
    let page = format!("/t/{}/{}", token.id, token.read);
    let shown = service.send(&Request::get(&page)).text();
    assert!(shown.contains("<b>m1</b> does not reach <b>m2</b>: m2&#39;s certificate"), "{shown}");
    picture(&format!("{}{page}", service.process().client_url()));
}

/// Left in `QUORATE_PICTURES`, if it is set, for people to look at.
fn picture(page: &str) {
    let Some(folder) = std::env::var_os("QUORATE_PICTURES") else { return };
    if skip_without_browser() {
        return;
    }
    let mut browser = Browser::open(page, false);
    wait_until("the page is there", SOON, || browser.html().contains("<footer>"));
    let path = std::path::Path::new(&folder).join("problems.png.base64");
    std::fs::write(path, browser.picture()).expect("a picture");
}

#[test]
fn members_out_of_reach_are_told_with_the_reason() {
    let service = Service::start(&[]);
    let token = service.token(4);
    let closed = Port::free().expect("a port");
    // Connections to it are made by the system, and nobody ever answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_url = format!("http://{}", mute.local_addr().expect("an address"));
    service.register(&token, "c1", &format!("closed={}", closed.url()));
    service.register(&token, "c2", &format!("mute={mute_url}"));
    let cluster = by_url(1, &token);
    let first = cluster.member(0);
    first.start();
    let report = wait_for_report(&service, &token, &first, "both", |it| reach(it).1.len() == 2);
    let expected = [
        format!("{}: connection refused: nothing listens there", closed.url()),
        format!("{mute_url}: no answer within 2 s; a firewall may be in the way"),
    ];
    assert_eq!(reach(&report), (0, expected.to_vec()));
    assert_eq!(report["reach"][0]["member"], "c1", "{report}");
}

#[test]
fn without_the_service_members_live_on_and_when_it_is_back_they_report() {
    let service = Service::start(&[]);
    let token = service.token(3);
    let cluster = by_url(3, &token);
    cluster.start();
    assert_one_cluster(&cluster);
    let first = cluster.member(0);
    wait_for_report(&service, &token, &first, "its start", |it| it["progress"] == "started");
    service.process().kill9();
    // A change of the membership is reported at once, or would be.
    let joiner = Port::free().expect("a port");
    let body = format!("{{\"peerURLs\":[\"{}\"]}}", joiner.url());
    let added =
        first.http().send(&Request::new("POST", "/v2/members").body("application/json", body));
    assert_eq!(added.expect("an answer").status, 201);
    let line = "the discovery service takes no reports";
    wait_for_log(&first, line);
    let failing = || {
        let page = first.http().send(&Request::get("/metrics")).map(|it| it.text());
        let page = page.unwrap_or_default();
        let line = page.lines().find_map(|it| it.strip_prefix("quorate_reports_failing_seconds "));
        line.and_then(|it| it.parse::<f64>().ok())
    };
    assert!(failing().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(first.keys().put("/without", "it").expect("an answer").status, 201);
    service.process().start();
    service.process().wait_ready(SOON);
    let report = wait_for_report(&service, &token, &first, "the new member", |report| {
        report["membership"].to_string().contains(&joiner.url())
    });
    assert_eq!(report["membership"]["members"].as_array().map(Vec::len), Some(4), "{report}");
    wait_for_log(&first, "takes this member's reports again");
    assert_eq!(failing(), Some(0.0));
    for member in cluster.members() {
        assert!(member.log_text().matches(line).count() <= 1, "{}", member.log_tail());
    }
}

#[test]
fn what_a_member_publishes_anew_stands_under_a_larger_index() {
    let service = Service::start(&[]);
    let token = service.token(2);
    let cluster = by_url(2, &token);
    cluster.start();
    assert_one_cluster(&cluster);
    let (first, second) = (cluster.member(0), cluster.member(1));
    let names = |report: &Value, what: &str| report["membership"].to_string().contains(what);
    let all = format!("{}\"", second.client_url());
    let before = wait_for_report(&service, &token, &first, "both", |it| names(it, &all));
    // No change of who is a member, and still another list.
    let port = second.client_address().port();
    set_flag(&second, "advertise-client-urls", &format!("http://localhost:{port}"));
    second.restart();
    let after =
        wait_for_report(&service, &token, &first, "the other URL", |it| names(it, "//localhost:"));
    let index = |report: &Value| report["membership"]["index"].as_u64();
    assert!(index(&after) > index(&before), "{before} {after}");
}

#[test]
fn a_registry_that_is_none_of_ours_gets_no_request_more() {
    let registry = Scripted::start("2", |_, _| None);
    let cluster = finding(2, &[format!("--discovery={}", registry.url())]);
    let first = cluster.member(0);
    first.start();
    // Each wait lasts two seconds: a report would have been due.
    wait_until("it has waited for long", SOON, || registry.count(Step::Watch) >= 5);
    let asked = [Step::Size, Step::List, Step::Register].map(|step| registry.count(step));
    let waits = registry.count(Step::Watch);
    assert_eq!(asked[2], 1, "it registers once, and puts nothing else");
    assert!(asked[0] <= waits + 1 && asked[1] <= waits + 2, "{asked:?} in {waits} waits");
    cluster.member(1).start();
    assert_one_cluster(&cluster);
    assert_eq!(registry.count(Step::Register), 2);
    let before = [Step::Size, Step::List].map(|step| registry.count(step));
    first.restart();
    first.wait_ready(SOON);
    assert_eq!([Step::Size, Step::List].map(|step| registry.count(step)), before);
}
