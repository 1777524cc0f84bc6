//! A discovery service that is reached through an HTTP proxy alone: its name is known to the proxy and to nobody else.

use quorate_bootstrap_tests::HttpProxy;
use quorate_discovery_tests::Service;
use quorate_harness::{Authority, Order, Port, skip_without_openssl, wait_until};

use crate::{SOON, assert_one_cluster, finding, refusal};

const HOST: &str = "discovery.invalid";

#[test]
fn plain_requests_are_handed_to_the_proxy_whole() {
    let (service, proxy) = (Service::start(&[]), HttpProxy::start());
    let token = service.token(2);
    let port = service.process().client_address().port();
    let url = format!("http://{HOST}:{port}{}", token.path);
    // As in etcd the scheme may be left out.
    let proxied = format!("--discovery-proxy={}", proxy.address());
    let cluster = finding(2, &[format!("--discovery={url}"), proxied]);
    cluster.start();
    assert_one_cluster(&cluster);
    wait_until("reports go through it, too", SOON, || proxy.heads().contains("/report HTTP/1.1"));
    assert!(proxy.requests() >= 6 && proxy.tunnels() == 0, "{}", proxy.heads());
    assert!(proxy.heads().contains(&format!("GET {url}/_config/size?")), "{}", proxy.heads());
}

#[test]
fn to_a_protected_service_the_proxy_makes_a_tunnel_and_learns_nothing() {
    if skip_without_openssl() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::found(folder.path(), "authority");
    let names = format!("DNS:{HOST}");
    let papers = authority.sign("service", &Order { names: &names, ..Order::default() });
    let service = Service::prepare(&[
        &format!("--cert-file={}", papers.certificate.display()),
        &format!("--key-file={}", papers.key.display()),
    ]);
    let https = Port::free().expect("a port");
    let mut flags = service.process().flags();
    let both =
        format!("{},{}", service.process().client_url(), https.url().replace("http:", "https:"));
    flags.retain(|flag| !flag.starts_with("--listen-url="));
    flags.push(format!("--listen-url={both}"));
    service.process().set_flags(flags);
    service.process().start();
    service.process().wait_ready(SOON);
    let (token, proxy) = (service.token(1), HttpProxy::start());
    let url = format!("https://{HOST}:{}{}", https.address().port(), token.path);
    let cluster = finding(
        1,
        &[
            format!("--discovery={url}"),
            format!("--discovery-cacert={}", authority.certificate.display()),
            format!("--discovery-proxy=http://{}", proxy.address()),
        ],
    );
    cluster.start();
    assert_one_cluster(&cluster);
    assert!(proxy.tunnels() >= 3 && proxy.requests() == 0, "{}", proxy.heads());
    assert!(!proxy.heads().contains(&token.join), "the proxy was told the secret");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused() {
    for (value, text) in [
        ("https://192.0.2.1:3128", "a proxy is spoken to in plain HTTP"),
        ("http://user:word@192.0.2.1:3128", "it is no address of an HTTP proxy"),
    ] {
        let flags = ["--discovery=http://192.0.2.1/token", &format!("--discovery-proxy={value}")];
        let cluster = finding(1, &flags.map(str::to_owned));
        cluster.start();
        let said = refusal(&cluster.member(0));
        assert!(said.contains(text) && !said.contains("user:word"), "{said}");
    }
}
