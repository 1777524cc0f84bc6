//! Debian's Prometheus follows a cluster by the service's feed, and keeps its targets when the feed fails.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate_discovery_tests::{Service, Token, skip_without};
use quorate_harness::{Http, Owned, Port, Request, wait_until};
use serde_json::{Value, json};

/// A busy machine starts Prometheus in seconds; it asks the feed and its targets every second.
const SOON: Duration = Duration::from_secs(90);

/// A running Prometheus; ends with the test.
struct Prometheus {
    _process: Owned,
    port: Port,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(config: &str) -> io::Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, Port::free()?);
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config)?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { _process: Owned::start(&mut command)?, port, _folder: folder })
    }

    fn get(&self, path: &str) -> Option<quorate_harness::Answer> {
        let answer = Http::new(self.port.address()).send(&Request::get(path)).ok()?;
        (answer.status == 200).then_some(answer)
    }

    /// Name, health and label `quorate_cluster` of each target, in order.
    fn targets(&self) -> Vec<String> {
        let answer = self.get("/api/v1/targets?state=active").map(|it| it.json());
        let targets = answer.unwrap_or_default()["data"]["activeTargets"].clone();
        let shown = |target: &Value| {
            let label = |name: &str| target["labels"][name].as_str().unwrap_or("-").to_owned();
            let health = target["health"].as_str().unwrap_or_default();
            format!("{} {health} {}", label("quorate_member"), label("quorate_cluster"))
        };
        let mut lines: Vec<String> = targets.as_array().into_iter().flatten().map(shown).collect();
        lines.sort();
        lines
    }

    fn feed_failures(&self) -> Option<u64> {
        let page = self.get("/metrics")?.text();
        let line = page.lines().find(|it| it.starts_with("prometheus_sd_http_failures_total"))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// As it stands in the manual, but for the times.
fn config(service: &Service, token: &Token, secret: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: quorate\n\
         \x20 http_sd_configs:\n\
         \x20 - url: {}/v1/tokens/{}/http_sd\n\
         \x20   refresh_interval: 1s\n\
         \x20   authorization: {{type: Bearer, credentials_file: {}}}\n",
        service.process().client_url(),
        token.id,
        secret.display()
    )
}

#[test]
fn prometheus_follows_a_cluster_and_keeps_it_when_the_feed_fails() {
    if skip_without("prometheus", "--version", "prometheus") {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(1);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("read-secret");
    std::fs::write(&secret, &token.read).expect("a file");
    let prometheus = Prometheus::start(&config(&service, &token, &secret)).expect("it starts");
    wait_until("Prometheus answers", SOON, || prometheus.feed_failures().is_some());
    // What is scraped is the service: it has a page of metrics where the member says that its own is.
    service.register(&token, "a1", "one=http://127.0.0.1:1");
    let page = service.process().client_url();
    let listed = |id: &str, name: &str, port: u16| json!({"id": id, "name": name, "peer_urls": [format!("http://127.0.0.1:{port}")], "client_urls": [page]});
    let report = |index: u64, members: &[Value]| {
        let membership = json!({"index": index, "members": members});
        let report =
            json!({"progress": "started", "metrics_urls": [page], "membership": membership});
        assert_eq!(service.report(&token, "a1", &report).status, 204);
    };
    let up = |name: &str| format!("{name} up {}", token.id);
    report(1, &[listed("a1", "one", 1)]);
    wait_until("it is scraped", SOON, || prometheus.targets() == [up("one")]);
    report(2, &[listed("b2", "two", 2)]);
    wait_until("it follows", SOON, || prometheus.targets() == [up("two")]);
    assert_eq!(prometheus.feed_failures(), Some(0), "an empty list was no failure either");
    // The token is over: that is told as a failure, and the cluster is still watched.
    assert_eq!(service.administer(&token, "DELETE", "", "").status, 200);
    wait_until("the feed fails", SOON, || prometheus.feed_failures() > Some(1));
    assert_eq!(prometheus.targets(), [up("two")]);
}

#[test]
fn a_feed_is_for_those_who_may_read() {
    let service = Service::start(&[]);
    let (token, other) = (service.token(1), service.token(1));
    let feed = |secret: &str| {
        let target = format!("/v1/tokens/{}/http_sd", token.id);
        service.send(&quorate_discovery_tests::bearer(Request::get(target), secret))
    };
    // Nobody has formed a cluster yet: that is known, and no trouble.
    let empty = feed(&token.read);
    assert_eq!((empty.status, empty.text().trim()), (200, "[]"));
    assert_eq!(empty.header("Content-Type"), Some("application/json"));
    service.register(&token, "a1", "one=https://10.0.0.1:2380");
    let expected = json!([{"targets": ["10.0.0.1:2380"], "labels": {
        "__scheme__": "https",
        "__meta_quorate_address": "peer",
        "__meta_quorate_member_id": "a1",
        "__meta_quorate_state": "registered",
        "quorate_cluster": token.id,
        "quorate_member": "one",
    }}]);
    for secret in [&token.read, &token.join, &token.admin] {
        assert_eq!(feed(secret).json(), expected);
    }
    // For what cannot send a header.
    let path = Request::get(format!("/t/{}/{}/http_sd", token.id, token.read));
    assert_eq!(service.send(&path).json(), expected);
    assert_eq!(feed(&other.read).status, 404);
    let none = Request::get(format!("/v1/tokens/{}/http_sd", token.id));
    assert_eq!(service.send(&none).status, 403);
    service.administer(&token, "DELETE", "", "");
    assert_eq!(feed(&token.read).status, 410);
}
