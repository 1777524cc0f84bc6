//! What is spoken: versions of TLS, cipher suites, HTTP/1.1 and HTTP/2, and endless answers over both.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use quorate_harness::{Member, Owned, Port, eventually, openssl};
use quorate_tls_tests::{Curl, SOON, Site, counted, metric, set_flags};

use crate::skip_without_openssl;

/// What `openssl s_client` said about a handshake with these arguments.
pub(crate) fn s_client(site: &Site, member: &Member, arguments: &[&str]) -> String {
    let program = openssl().unwrap_or_else(|missing| panic!("{missing}"));
    let output = Command::new(program)
        .args(["s_client", "-brief", "-connect", &member.client_address().to_string()])
        .arg("-CAfile")
        .arg(&site.authority.certificate)
        .arg("-cert")
        .arg(&site.alice.certificate)
        .arg("-key")
        .arg(&site.alice.key)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl can be started");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_versions_and_suites_asked_for_are_spoken_and_no_others() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let (cluster, metrics) = site.serving();
    let member = cluster.member(0);
    for (asked, spoken) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(&site, &member, &[asked]);
        assert!(said.contains(&format!("Protocol version: {spoken}")), "{said}");
    }
    let before = counted(&metrics, "client", "incompatible");
    for old in ["-tls1", "-tls1_1"] {
        // OpenSSL refuses them itself unless it is told not to.
        let said = s_client(&site, &member, &[old, "-cipher", "DEFAULT@SECLEVEL=0"]);
        assert!(!said.contains("Protocol version") && said.contains("alert"), "{said}");
    }
    assert_eq!(counted(&metrics, "client", "incompatible"), before + 2.0);

    set_flags(
        &member,
        &[
            "--tls-max-version=TLS1.2".to_owned(),
            "--cipher-suites=TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305".to_owned(),
        ],
    );
    member.restart();
    site.wait_ready(&cluster.members());
    let said = s_client(&site, &member, &[]);
    assert!(said.contains("Protocol version: TLSv1.2"), "{said}");
    assert!(said.contains("Ciphersuite: ECDHE-ECDSA-CHACHA20-POLY1305"), "{said}");
    assert!(s_client(&site, &member, &["-tls1_3"]).contains("alert"), "TLS 1.3 was spoken");
    let said = s_client(&site, &member, &["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    assert!(said.contains("handshake failure"), "{said}");
}

/// A `curl` that waits for events; killed when dropped.
struct Watcher {
    _process: Owned,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watcher {
    fn start(site: &Site, member: &Member, protocol: &str) -> Self {
        let url = format!("https://{}/v2/keys/w?wait=true&stream=true", member.client_address());
        let mut command = Command::new(quorate_harness::curl().expect("it is there"));
        command
            .args(["--silent", "--no-buffer", "--noproxy", "*", "--write-out", "%{http_version}\n"])
            .args([protocol, &url])
            .arg("--cacert")
            .arg(&site.authority.certificate)
            .arg("--cert")
            .arg(&site.alice.certificate)
            .arg("--key")
            .arg(&site.alice.key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Owned::start(&mut command).expect("curl can be started");
        let stdout = process.take_output().expect("it is piped");
        Self { _process: process, lines: BufReader::new(stdout).lines() }
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("the answer goes on").expect("it can be read")
    }

    /// The rest of the answer's lines.
    fn rest(mut self) -> Vec<String> {
        self.lines.by_ref().map_while(Result::ok).collect()
    }
}

/// Waits until so many watchers wait at a member.
#[track_caller]
fn wait_watching(metrics: &Port, waiting: f64) {
    let watching = || metric(metrics, "etcd_debugging_store_watchers");
    assert!(eventually(SOON, || watching() == Some(waiting)), "{:?} wait", watching());
}

#[test]
fn both_versions_of_http_carry_requests_and_endless_answers() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let (cluster, metrics) = site.serving();
    let member = cluster.member(0);
    let value = "v".repeat(300_000);
    let file = site.folder().join("value");
    std::fs::write(&file, format!("value={value}")).expect("a file");
    let data = format!("@{}", file.display());
    for (protocol, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let put = site.curl(&member, "/v2/keys/big").args(&["-XPUT", "--data", &data, protocol]);
        let put = put.run();
        assert!(put.body.contains(&value), "{:?}", put.said);
        let shown = ["--write-out", "\n%{http_version}", protocol];
        let got = site.curl(&member, "/v2/keys/big").args(&shown).run();
        assert!(
            got.body.contains(&value) && got.body.ends_with(&format!("\n{version}")),
            "{got:?}"
        );
        let host = site.curl(&member, "/version").args(&["--header", "Host: a", protocol]).run();
        assert!(host.body.contains("etcdserver"), "{host:?}");

        wait_watching(&metrics, 0.0);
        let mut watcher = Watcher::start(&site, &member, protocol);
        wait_watching(&metrics, 1.0);
        for number in 0..3 {
            let data = format!("value={number}");
            let put = site.curl(&member, "/v2/keys/w").args(&["-XPUT", "-d", &data]).run();
            assert_eq!(put.code, 0, "{put:?}");
            let event = watcher.next();
            assert!(event.contains(&format!("\"value\":\"{number}\"")), "{event}");
        }
    }
    // A member that stops ends endless answers properly, and at once.
    wait_watching(&metrics, 0.0);
    let watchers =
        ["--http1.1", "--http2"].map(|protocol| Watcher::start(&site, &member, protocol));
    wait_watching(&metrics, 2.0);
    member.terminate(SOON);
    for (watcher, version) in watchers.into_iter().zip(["1.1", "2"]) {
        assert_eq!(watcher.rest(), [version]);
    }
}

#[test]
fn many_watchers_share_a_connection_and_clients_that_leave_are_noticed() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let (cluster, metrics) = site.serving();
    let member = cluster.member(0);
    let url = format!("https://{}/v2/keys/w?wait=true", member.client_address());
    let urls: Vec<&str> = std::iter::repeat_n(url.as_str(), 99).collect();
    for parallel in [true, false] {
        let mut curl = Curl::get(&url).trusting(&site.authority.certificate).showing(&site.alice);
        if parallel {
            curl = curl.args(&["--http2", "--parallel", "--parallel-max", "100"]).args(&urls);
        }
        let waiting = if parallel { 100.0 } else { 1.0 };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| curl.args(&["--max-time", "60"]).run());
            wait_watching(&metrics, waiting);
            site.curl(&member, "/v2/keys/w").args(&["-XPUT", "-dvalue=1"]).run();
            let ran = run.join().expect("curl ran");
            assert_eq!(ran.body.matches("\"action\":\"set\"").count() as f64, waiting, "{ran:?}");
        });
    }
    for protocol in ["--http1.1", "--http2"] {
        let watcher = Watcher::start(&site, &member, protocol);
        wait_watching(&metrics, 1.0);
        drop(watcher);
        wait_watching(&metrics, 0.0);
    }
}
