//! Members with certificates that find each other by SRV records of a real DNS server: records that come late, with a wrong
//! port, without an address, and below both services.

use quorate_bootstrap_tests::{DnsServer, skip_without_dnsmasq};
use quorate_harness::{Authority, Cluster, Member, Order, Papers, Request, skip_without_openssl};

use crate::{assert_one_cluster, finding, refusal, set_flag, wait_for_log};

/// Certificates of members: each is valid for the name in its record.
struct Certified {
    _folder: tempfile::TempDir,
    authority: Authority,
    papers: Vec<Papers>,
}

impl Certified {
    fn new(members: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::found(folder.path(), "authority");
        let sign = |number: usize| {
            let names = format!("DNS:m{number}.example.test");
            let order = Order { subject: "/CN=member", names: &names, ..Order::default() };
            authority.sign(&format!("m{number}"), &order)
        };
        let papers = (1..=members).map(sign).collect();
        Self { _folder: folder, authority, papers }
    }

    /// Lets a member show the certificate of this number, demand one of others, and speak https.
    fn protect(&self, member: &Member, number: usize) {
        let papers = &self.papers[number - 1];
        for (flag, file) in [
            ("peer-cert-file", &papers.certificate),
            ("peer-key-file", &papers.key),
            ("peer-trusted-ca-file", &self.authority.certificate),
        ] {
            set_flag(member, flag, &file.display().to_string());
        }
        set_flag(member, "peer-client-cert-auth", "true");
        listen(member, "https");
    }
}

/// Lets a member speak http or https to the others.
fn listen(member: &Member, scheme: &str) {
    let url = format!("{scheme}://{}", member.peer_address());
    set_flag(member, "listen-peer-urls", &url);
    set_flag(member, "initial-advertise-peer-urls", &url);
}

fn record(service: &str, member: &Member, port: u16) -> String {
    format!("srv-host=_{service}._tcp.example.test,{}.example.test,{port}", member.name())
}

fn ssl_records(cluster: &Cluster) -> Vec<String> {
    let record = |it: &Member| record("etcd-server-ssl", it, it.peer_address().port());
    cluster.members().iter().map(|member| record(member)).collect()
}

fn hosts(cluster: &Cluster) -> Vec<String> {
    let host = |it: &Member| format!("host-record={}.example.test,127.0.0.1", it.name());
    cluster.members().iter().map(|member| host(member)).collect()
}

/// Members that look for each other, three of them expected, the DNS server they ask, which knows their hosts alone, and their
/// certificates, which they show in this order, by number from 1. None where that is not possible.
fn three(shown: [usize; 3]) -> Option<(Cluster, DnsServer, Certified)> {
    if skip_without_dnsmasq() || skip_without_openssl() {
        return None;
    }
    let cluster = finding(3, &[]);
    let dns = DnsServer::start(&hosts(&cluster));
    let certified = Certified::new(3);
    for (member, number) in cluster.members().iter().zip(shown) {
        set_flag(member, "discovery-srv", "example.test");
        set_flag(member, "discovery-srv-expect", "3");
        set_flag(member, "dns-server", &dns.address().to_string());
        certified.protect(member, number);
    }
    Some((cluster, dns, certified))
}

/// The peer URLs that a cluster knows, in order.
fn peer_urls(cluster: &Cluster) -> Vec<String> {
    let list = cluster.http().send(&Request::get("/v2/members")).expect("an answer").json();
    let members = list["members"].as_array().cloned().unwrap_or_default();
    let url = |member: &serde_json::Value| member["peerURLs"][0].as_str().map(str::to_owned);
    let mut urls: Vec<String> = members.iter().filter_map(url).collect();
    urls.sort();
    urls
}

#[test]
fn records_that_come_late_wrong_and_without_address_lead_to_one_cluster() {
    let Some((cluster, mut dns, _certified)) = three([1, 2, 3]) else { return };
    cluster.start();
    let (first, last) = (cluster.member(0), cluster.member(2));
    let (right, hosts) = (ssl_records(&cluster), hosts(&cluster));
    dns.change(&[&right[..2], &hosts].concat());
    wait_for_log(&first, "2 SRV records were found and 3 are expected");

    dns.change(&[&right[..], &hosts[..2]].concat());
    wait_for_log(&first, "the target m3.example.test");
    for member in cluster.members() {
        assert!(!member.log_text().contains("the members are known"), "{}", member.name());
    }

    // The others have no way to tell that this is nobody's port; the one it belongs to says so.
    let wrong = record("etcd-server-ssl", &last, 1);
    dns.change(&[&right[..2], std::slice::from_ref(&wrong), &hosts].concat());
    wait_for_log(&last, "cannot find local etcd member in SRV records");
    wait_for_log(&last, "found https://m1.example.test:");
    wait_for_log(&first, "the members are known");

    dns.change(&[&right[..], &hosts].concat());
    wait_for_log(&first, "the list of members has changed");
    assert_one_cluster(&cluster);
    let expected = cluster.members().iter().map(|it| advertised("https", it)).collect::<Vec<_>>();
    assert_eq!(peer_urls(&cluster), sorted(expected));
}

#[test]
fn records_below_both_services_are_one_cluster() {
    let Some((cluster, mut dns, _certified)) = three([1, 2, 3]) else { return };
    let members = cluster.members();
    // The first one speaks http to the others, and can speak https to them.
    listen(&members[0], "http");
    let mut records = ssl_records(&cluster);
    let first = &members[0];
    records[0] = record("etcd-server", first, first.peer_address().port());
    dns.change(&[records, hosts(&cluster)].concat());
    cluster.start();
    assert_one_cluster(&cluster);
    let scheme = |position: usize| if position == 0 { "http" } else { "https" };
    let expected = members.iter().enumerate().map(|(at, it)| advertised(scheme(at), it));
    assert_eq!(peer_urls(&cluster), sorted(expected.collect()));
}

#[test]
fn a_record_below_the_wrong_service_is_told_of() {
    let Some((cluster, mut dns, _certified)) = three([1, 2, 3]) else { return };
    let member = cluster.member(0);
    set_flag(&member, "discovery-timeout", "3s");
    let plain = |it: &Member| record("etcd-server", it, it.peer_address().port());
    let records: Vec<String> = cluster.members().iter().map(|it| plain(it)).collect();
    dns.change(&[records, hosts(&cluster)].concat());
    member.start();
    let said = refusal(&member);
    let own = format!("https://{}", member.peer_address());
    assert!(said.contains("cannot find local etcd member in SRV records"), "{said}");
    assert!(said.contains(&format!("looked for {own}")), "{said}");
    assert!(said.contains(&format!("found {}", advertised("http", &member))), "{said}");
}

#[test]
fn a_certificate_for_another_name_than_the_records_keeps_its_member_out() {
    // The third one shows the certificate of the second.
    let Some((cluster, mut dns, certified)) = three([1, 2, 2]) else { return };
    let members = cluster.members();
    dns.change(&[ssl_records(&cluster), hosts(&cluster)].concat());
    cluster.start();
    wait_for_log(&members[0], "not heard from yet: m3.example.test");
    assert!(!members[0].is_ready());
    certified.protect(&members[2], 3);
    members[2].restart();
    assert_one_cluster(&cluster);
}

fn advertised(scheme: &str, member: &Member) -> String {
    format!("{scheme}://{}.example.test:{}", member.name(), member.peer_address().port())
}

fn sorted(mut urls: Vec<String>) -> Vec<String> {
    urls.sort();
    urls
}
