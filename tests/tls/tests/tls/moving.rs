//! A cluster that runs in plain HTTP moves to TLS, member by member, as the page on certificates tells it.

use quorate_harness::{Port, Request, eventually};
use quorate_tls_tests::{SOON, Secured, Site, set_flags};

use crate::skip_without_openssl;

#[test]
fn a_running_cluster_moves_its_peer_urls_to_https() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    // Started in plain HTTP; what is about certificates comes later, by the environment.
    let (cluster, _metrics) = site.cluster(3, Secured::Peers);
    let members = cluster.members();
    let is_certificate = |flag: &String| flag.contains("-file=") || flag.contains("cert-auth");
    let mut variables = Vec::new();
    for member in &members {
        let (certificates, others): (Vec<String>, Vec<String>) =
            member.flags().into_iter().partition(is_certificate);
        member.set_flags(others.iter().map(|flag| flag.replace("https://", "http://")).collect());
        variables.push(certificates.iter().map(|flag| as_variable(flag)).collect::<Vec<_>>());
    }
    cluster.start();
    cluster.wait_ready();
    assert!(members[0].keys().put("/a", "1").is_ok());

    // 1. Every member gets certificates and a second port that speaks TLS.
    let ports: Vec<Port> = members.iter().map(|_| Port::free().expect("a port")).collect();
    let secure = |position: usize| ports[position].url().replace("http://", "https://");
    for (position, member) in members.iter().enumerate() {
        let both = format!("--listen-peer-urls={},{}", member.peer_url(), secure(position));
        set_flags(member, &[both]);
        member.set_environment(variables[position].clone());
        member.terminate(SOON);
        member.start();
        member.wait_ready(SOON);
    }
    // 2. The cluster is told of the new URLs, one at a time.
    for (position, member) in members.iter().enumerate() {
        let listed =
            members[0].http().send(&Request::get("/v2/members")).expect("an answer").json();
        let listed = listed["members"].as_array().expect("members");
        let own = listed.iter().find(|it| it["name"] == member.name()).expect("it is listed");
        let id = own["id"].as_str().expect("an ID");
        let body = format!("{{\"peerURLs\":[\"{}\"]}}", secure(position));
        let url = format!("{}/v2/members/{id}", members[0].client_url());
        let put = quorate_tls_tests::Curl::get(&url)
            .args(&["-XPUT", "-H", "Content-Type: application/json", "-d", &body])
            .args(&["--fail-with-body"])
            .run();
        assert_eq!(put.code, 0, "{put:?}");
    }
    // 3. The plain ports go.
    for (position, member) in members.iter().enumerate() {
        set_flags(member, &[format!("--listen-peer-urls={}", secure(position))]);
        member.terminate(SOON);
        member.start();
        member.wait_ready(SOON);
    }
    let put = members[1].keys().put("/a", "2").expect("an answer");
    assert!(put.is_ok(), "{put:?}");
    for member in &members {
        // A local read may be a moment behind what another member has acknowledged.
        let read = || member.keys().get("/a").ok();
        let has_it = || read().is_some_and(|answer| answer.value() == Some("2"));
        assert!(eventually(SOON, has_it), "{}: {:?}", member.name(), read());
    }
}

fn as_variable(flag: &str) -> (String, String) {
    let (name, value) = flag.trim_start_matches('-').split_once('=').unwrap_or((flag, "true"));
    (format!("ETCD_{}", name.to_ascii_uppercase().replace('-', "_")), value.to_owned())
}
