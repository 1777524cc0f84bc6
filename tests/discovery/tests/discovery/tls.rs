//! The service behind its own certificate, and in front of a store that is protected and knows users.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::path::Path;
use std::process::Command;

use quorate_discovery_tests::{
    FORMED_WITHIN, READY_WITHIN, Service, assert_one_cluster, nodes, nodes_of,
};
use quorate_harness::{Cluster, Program, Request, skip_without_etcd, wait_until};

#[test]
fn etcd_nodes_form_over_https() {
    if skip_without_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let service = Service::prepare(&[]);
    let mut flags = service.process().flags();
    let url = service.process().client_url().replace("http://", "https://");
    flags[0] = format!("--listen-url={url}");
    flags.push(format!("--cert-file={}", file("server.pem")));
    flags.push(format!("--key-file={}", file("server.key")));
    service.process().set_flags(flags);
    service.process().start();
    let curl = |target: &str| {
        let output = Command::new("curl")
            .args(["-sS", "--cacert", &file("ca.pem")])
            .arg(format!("{url}{target}"))
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    wait_until("it answers", READY_WITHIN, || curl("/readyz") == "ok\n");
    let discovery = curl("/new?size=2");
    assert!(discovery.starts_with(&url), "{discovery}");
    let cluster = nodes(&discovery, 2);
    for member in cluster.members() {
        // Go reads the system's authorities from here.
        member.set_environment(vec![("SSL_CERT_FILE".to_owned(), file("ca.pem"))]);
        member.start();
    }
    assert_one_cluster(&cluster);
    assert!(
        curl("/metrics")
            .contains("quorate_discovery_tls_expiry_timestamp_seconds{what=\"certificate\"}")
    );
}

#[test]
fn members_that_joined_later_report_over_https_by_the_authorities_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let service = Service::prepare(&[]);
    let mut flags = service.process().flags();
    let url = service.process().client_url().replace("http://", "https://");
    flags[0] = format!("--listen-url={url}");
    flags.push(format!("--cert-file={}", file("server.pem")));
    flags.push(format!("--key-file={}", file("server.key")));
    service.process().set_flags(flags);
    service.process().start();
    let curl = |secret: &str, target: &str| {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--cacert",
            &file("ca.pem"),
            "-H",
            &format!("Authorization: Bearer {secret}"),
        ]);
        String::from_utf8(command.arg(format!("{url}{target}")).output().unwrap().stdout).unwrap()
    };
    wait_until("it answers", READY_WITHIN, || curl("", "/readyz") == "ok\n");
    let discovery = curl("", "/new?size=1");
    let secret = discovery.rsplit('/').next().unwrap().to_owned();
    let cluster = nodes_of(Program::Quorate, &discovery, 1);
    let founder = cluster.member(0);
    let mut flags = founder.flags();
    flags.push(format!("--discovery-cacert={}", file("ca.pem")));
    founder.set_flags(flags);
    founder.start();
    founder.wait_ready(FORMED_WITHIN);
    let joiner = cluster.prepare_joiner(&[]);
    let body = format!("{{\"peerURLs\":[\"{}\"]}}", joiner.peer_url());
    let add = Request::new("POST", "/v2/members").body("application/json", body);
    assert_eq!(founder.http().send(&add).unwrap().status, 201);
    joiner.start();
    joiner.wait_ready(FORMED_WITHIN);
    wait_until("it reports", FORMED_WITHIN, || {
        let status = curl(&secret, "/v1/tokens/-");
        status.contains("\"joined\":[{") && status.contains(&joiner.client_url())
    });
}

#[test]
fn tokens_are_kept_in_an_etcd_that_asks_who_it_is() {
    if skip_without_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let store = Cluster::builder(Program::Etcd).prepare();
    let member = &store.members()[0];
    let url = member.client_url().replace("http://", "https://");
    let mut flags = member.flags();
    flags.retain(|flag| !flag.contains("-client-urls="));
    flags.extend([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")]);
    flags.extend([
        format!("--cert-file={}", file("server.pem")),
        format!("--key-file={}", file("server.key")),
    ]);
    member.set_flags(flags);
    member.start();
    let curl = |args: &[&str]| {
        let output =
            Command::new("curl").args(["-sS", "--cacert", &file("ca.pem")]).args(args).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    wait_until("the store answers", READY_WITHIN, || {
        curl(&[&format!("{url}/health")]).contains("true")
    });
    let user = r#"{"user":"root","password":"secret of the store"}"#;
    curl(&["-XPUT", "-d", user, &format!("{url}/v2/auth/users/root")]);
    curl(&["-XPUT", &format!("{url}/v2/auth/enable")]);
    // Guests keep out, or it would be let in without a word.
    let revoke = r#"{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}"#;
    curl(&[
        "-u",
        "root:secret of the store",
        "-XPUT",
        "-d",
        revoke,
        &format!("{url}/v2/auth/roles/guest"),
    ]);
    std::fs::write(folder.path().join("password"), "secret of the store\n").unwrap();

    let stranger = Service::prepare(&[
        &format!("--store={url}"),
        &format!("--store-ca-file={}", file("ca.pem")),
    ]);
    stranger.process().start();
    wait_until("it is not let in", READY_WITHIN, || {
        stranger.http().send(&Request::get("/readyz")).is_ok_and(|it| it.status == 503)
    });
    let service = Service::start(&[
        &format!("--store={url}"),
        &format!("--store-ca-file={}", file("ca.pem")),
        "--store-user=root",
        &format!("--store-password-file={}", file("password")),
    ]);
    let token = service.token(1);
    let cluster = nodes(&token.url, 1);
    cluster.members()[0].start();
    assert_one_cluster(&cluster);
    wait_until("it is sealed", FORMED_WITHIN, || service.status(&token)["state"] == "sealed");
    assert!(
        !service.process().log_text().contains("secret of"),
        "{}",
        service.process().log_text()
    );
}

/// An authority and a certificate for 127.0.0.1, by openssl.
fn make_certificates(folder: &Path) {
    let run = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(folder).output();
        let output = output.unwrap_or_else(|error| panic!("openssl: {error}; install it"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = [
        "req",
        "-x509",
        "-days",
        "30",
        "-subj",
        "/CN=test authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    run(&[&ca[..], &key[..]].concat());
    let request = ["req", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"];
    run(&[&request[..], &key[..]].concat());
    let extensions =
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n";
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "20",
        "-extfile",
        "extensions",
        "-out",
        "server.pem",
    ]);
}
