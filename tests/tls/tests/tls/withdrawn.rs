//! Open connections whose certificate is revoked: nothing passes over them any more, between members neither.

use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::{fs, thread};

use quorate_harness::{FAR_AWAY, Member, Order, Owned, Papers, eventually, openssl};
use quorate_tls_tests::{
    Curl, SOON, Secured, Site, metric, reloads, replace, set_flags, wait_reload,
};

use crate::skip_without_openssl;

/// A connection that stays open between requests.
struct KeptOpen {
    _process: Owned,
    input: ChildStdin,
    output: ChildStdout,
}

impl KeptOpen {
    fn open(site: &Site, member: &Member, papers: &Papers) -> Self {
        let mut command = Command::new(openssl().expect("openssl"));
        command
            .args(["s_client", "-quiet", "-connect", &member.client_address().to_string()])
            .arg("-CAfile")
            .arg(&site.authority.certificate)
            .arg("-cert")
            .arg(&papers.certificate)
            .arg("-key")
            .arg(&papers.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Owned::start(&mut command).expect("openssl can be started");
        let input = process.take_input().expect("a pipe");
        let output = process.take_output().expect("a pipe");
        Self { _process: process, input, output }
    }

    /// Asks for a path, and gives the answer up to `end`, or all there was before the connection ended.
    fn ask(&mut self, path: &str, end: &str) -> String {
        // Fails when the connection is gone, as the missing answer tells.
        let _ = write!(self.input, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&answer).ends_with(end) {
            match self.output.read(&mut byte) {
                Ok(1) => answer.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[test]
fn a_revoked_client_is_told_nothing_over_a_connection_that_is_open() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let order = Order { subject: "/CN=bob", usage: "clientAuth", ..Order::default() };
    let bob = site.authority.sign("bob", &order);
    let (cluster, metrics, list) = site.serving_with_list();
    let (member, metrics) = (cluster.member(0), &metrics);
    let url = |path: &str| format!("https://{}{path}", member.client_address());
    let watch = |papers: &Papers, version: &str| {
        let curl = Curl::get(&url("/v2/keys/news?wait=true")).showing(papers);
        curl.trusting(&site.authority.certificate).args(&[version, "--max-time", "300"])
    };
    let [mut hers, mut his] = [&site.alice, &bob].map(|it| KeptOpen::open(&site, &member, it));
    for connection in [&mut hers, &mut his] {
        let answer = connection.ask("/version", "}");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let watching = || metric(metrics, "etcd_debugging_store_watchers").unwrap_or_default();
    thread::scope(|scope| {
        let watches: Vec<_> = ["--http1.1", "--http2"]
            .map(|version| {
                [&site.alice, &bob].map(|it| {
                    let curl = watch(it, version);
                    scope.spawn(move || curl.run())
                })
            })
            .into();
        assert!(eventually(SOON, || watching() >= 4.0), "{}", watching());
        let before = reloads(metrics, "client");
        site.authority.revoke(&site.alice);
        replace(&list, &site.authority.revocations("newer.pem", FAR_AWAY));
        wait_reload(metrics, "client", before);

        let put = Curl::get(&url("/v2/keys/news")).showing(&bob);
        let put = put.trusting(&site.authority.certificate).args(&["-XPUT", "-dvalue=secret"]);
        assert_eq!(put.run().code, 0);
        for [hers, his] in watches {
            let (hers, his) = (hers.join().expect("curl ran"), his.join().expect("curl ran"));
            assert!(his.body.contains("secret"), "{his:?}");
            assert!(hers.code != 0 && hers.body.is_empty(), "{hers:?}");
        }
    });
    assert_eq!(hers.ask("/v2/keys/news", "}"), "", "no request is answered any more");
    let answer = his.ask("/version", "}");
    assert!(answer.starts_with("HTTP/1.1 200"), "nobody else's connection was dropped: {answer}");
    assert!(member.log_text().contains("an open connection ends"), "{}", member.log_tail());
}

#[test]
fn a_revoked_member_is_cut_off_although_its_links_are_open() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let stolen = site.authority.sign("third", &Order { subject: "/CN=third", ..Order::default() });
    let (cluster, metrics) = site.cluster(3, Secured::Peers);
    let members = cluster.members();
    // Each has a list of its own: the third one's says nothing.
    let list = site.authority.revocations("list.pem", FAR_AWAY);
    let lists: Vec<_> = (1..=3).map(|number| site.folder().join(format!("{number}.pem"))).collect();
    for (member, place) in members.iter().zip(&lists) {
        fs::copy(&list, place).expect("a copy");
        set_flags(member, &[format!("--peer-crl-file={}", place.display())]);
    }
    let shown = [
        format!("--peer-cert-file={}", stolen.certificate.display()),
        format!("--peer-key-file={}", stolen.key.display()),
    ];
    set_flags(&members[2], &shown);
    cluster.start();
    cluster.wait_ready();
    let third = || members[2].keys().get("/told").ok();
    assert!(members[0].keys().put("/told", "before").expect("an answer").is_ok());
    let is_told = |what: &str| third().is_some_and(|it| it.value() == Some(what));
    assert!(eventually(SOON, || is_told("before")));

    site.authority.revoke(&stolen);
    let newer = site.authority.revocations("newer.pem", FAR_AWAY);
    let before = [0, 1].map(|at| reloads(&metrics[at], "peer"));
    lists[..2].iter().for_each(|place| replace(place, &newer));
    (0..2).for_each(|at| wait_reload(&metrics[at], "peer", before[at]));
    // It may have led: then the two others elect one of themselves, and it steps down.
    let put = || members[0].keys().put("/told", "after").is_ok_and(|it| it.is_ok());
    assert!(eventually(SOON, put), "{}", members[0].log_tail());
    assert!(eventually(SOON, || !members[2].is_ready()), "the third one is alone");
    assert!(!is_told("after"), "the third one heard of it");
    for member in &members[..2] {
        assert!(member.log_text().contains("an open connection ends"), "{}", member.log_tail());
        assert!(member.is_ready());
    }
}
