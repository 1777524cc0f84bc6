//! The small endpoints: machines, version, health, log level, variables, metrics.

use quorate_harness::{Port, Request};
use quorate_interop_tests::json::Json;
use quorate_interop_tests::{Side, compare, compare_with, script};

#[test]
fn machines() {
    compare(|pair| {
        script::run(
            pair,
            "
            200 GET    /v2/machines
            200 HEAD   /v2/machines
            405 PUT    /v2/machines
            405 POST   /v2/machines
            405 DELETE /v2/machines
            404 GET    /v2/machines/
            ",
        );
    });
}

#[test]
fn machines_of_three_are_sorted() {
    compare_with(
        |builder| builder.members(3),
        |pair| {
            pair.ask("machines", |side| {
                let text =
                    side.http().send(&Request::get("/v2/machines")).expect("an answer").text();
                let urls: Vec<&str> = text.split(", ").collect();
                format!("{} URLs, sorted {}", urls.len(), urls.is_sorted())
            });
        },
    );
}

#[test]
fn version() {
    compare(|pair| {
        let shape = pair.ask("version", |side| {
            let answer = side.http().send(&Request::get("/version")).expect("an answer");
            let Some(Json::Object(fields)) = Json::parse(&answer.text()) else {
                panic!("{answer}")
            };
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            let cluster = answer.json()["etcdcluster"].to_string();
            let newline = answer.text().ends_with('\n');
            format!(
                "{} {:?} {names:?} {cluster} {newline}",
                answer.status_line,
                answer.header("Content-Type")
            )
        });
        assert!(shape.contains("etcdserver"), "{shape}");
        script::run(
            pair,
            "405 HEAD /version\n 405 POST /version\n 405 PUT /version\n 404 GET /version/",
        );
    });
}

#[test]
fn health() {
    compare(|pair| {
        script::run(
            pair,
            "
            200 GET    /health
            200 GET    /health?exclude=NOSPACE
            200 GET    /health?serializable=true
            405 HEAD   /health
            405 POST   /health
            405 PUT    /health
            405 DELETE /health
            404 GET    /health/
            ",
        );
    });
}

#[test]
fn log_level() {
    compare(|pair| {
        let put =
            |body: &str| Request::new("PUT", "/config/local/log").body("application/json", body);
        for level in ["DEBUG", "INFO", "debug", "ZZ", "", "WARNING", "ERROR", "CRITICAL"] {
            pair.send(&put(&format!("{{\"Level\":\"{level}\"}}")));
        }
        pair.send(&put("{"));
        pair.send(&put(""));
        pair.send(&put(r#"{"Level":"INFO"}"#));
        script::run(
            pair,
            "405 GET /config/local/log\n 405 POST /config/local/log\n 404 GET /config\n 404 GET /config/local",
        );
    });
}

#[test]
fn variables() {
    compare(|pair| {
        let shape = pair.ask("/debug/vars", |side| {
            let answer = side.http().send(&Request::get("/debug/vars")).expect("an answer");
            let json = answer.json();
            let status = &json["raft.status"];
            let id = side.anonymous(status["id"].as_str().unwrap_or_default());
            let numbers = ["term", "commit", "applied"].map(|it| status[it].is_u64());
            format!(
                "{} {:?} cmdline {} limit {} {id} {numbers:?} {} {}",
                answer.status_line,
                answer.header("Content-Type"),
                json["cmdline"].is_array(),
                json["file_descriptor_limit"].is_u64(),
                status["raftState"],
                status["progress"].is_object(),
            )
        });
        assert!(shape.contains("StateLeader"), "{shape}");
    });
}

/// Names without which dashboards and alerts made for etcd show nothing.
const METRICS: [&str; 14] = [
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed_total",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_http_received_total{method=\"PUT\"}",
    "etcd_http_received_total{method=\"QGET\"}",
    "etcd_http_failed_total{code=\"404\",method=\"GET\"}",
    "etcd_http_successful_duration_seconds_bucket{method=\"PUT\"",
    "process_resident_memory_bytes",
    "process_open_fds",
];

#[test]
fn metrics() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/a value=1\n 404 GET ~/nope\n 200 GET ~/a?quorum=true");
        let found = pair.ask("/metrics", metric_names);
        assert!(!found.contains("false"), "{found}");
    });
}

fn metric_names(side: &Side) -> String {
    let answer = side.http().send(&Request::get("/metrics")).expect("an answer");
    let text = answer.text();
    let found =
        METRICS.map(|name| format!("{name} {}", text.lines().any(|line| line.starts_with(name))));
    format!("{} {:?}\n{}", answer.status_line, answer.header("Content-Type"), found.join("\n"))
}

#[test]
fn extra_listeners_serve_metrics_and_health_only() {
    let ports = [Port::free().expect("a port"), Port::free().expect("a port")];
    let next = std::cell::Cell::new(0);
    compare_with(
        |builder| {
            let port = &ports[next.replace(1)];
            builder.flag(format!("--listen-metrics-urls={}", port.url()))
        },
        |pair| {
            for path in ["/health", "/metrics", "/version", "/v2/keys/"] {
                pair.ask(path, |side| {
                    let port = &ports[usize::from(side.label() == "subject")];
                    let answer = quorate_harness::Http::new(port.address())
                        .send(&Request::get(path))
                        .expect("an answer");
                    format!("{} {:?}", answer.status_line, answer.header("Content-Type"))
                });
            }
        },
    );
}
